// What goes over all weights at once: the norm of the gradients, and AdamW.
//
// Weights lie one after the other, each from the start of a chunk of 1024 values on; what is left of a chunk is zero and
// stays so. `owners` says which weight a chunk belongs to.
#pragma once

#include "rows.cuh"

#define CHUNK 1024

// The rule of a weight: rate, epsilon, decay, and the square of the multiplier that the weight carries.
struct Rule {
    float rate, epsilon, decay, squared_multiplier;
};

// Sum of squares of each chunk, as the gradient would be without the weight's multiplier. A block of 256 per chunk.
static __device__ void squares_body(const float *gradients, const int *owners, const Rule *rules, float *partial) {
    SHARED(scratch);
    const float *chunk = gradients + (size_t)blockIdx.x * CHUNK;
    float sum = 0.0f;
    for (int index = threadIdx.x; index < CHUNK; index += blockDim.x) sum += chunk[index] * chunk[index];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum * rules[owners[blockIdx.x]].squared_multiplier;
}

// results[1] = the norm. One block.
static __device__ void norm_body(const float *partial, double *results, int chunks) {
    SHARED(shared);
    double sum = 0.0;
    for (int chunk = threadIdx.x; chunk < chunks; chunk += blockDim.x) sum += (double)partial[chunk];
    sum = block_sum_double(sum, (double *)shared);
    if (threadIdx.x == 0) results[1] = sqrt(sum);
}

// m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2; w <- w (1 - rate decay) - rate c1 m / (sqrt(c2 v) + epsilon), with
// the gradient scaled down to the largest norm; and the copy that products read. Where loss or norm is not a number
// nothing is changed. `moment` holds the schedule's share, c1 and c2. A block of 256 per chunk.
template <class T>
static __device__ void adamw_body(float *weights, float *first, float *second, const float *gradients, T *copies,
                                  const int *owners, const Rule *rules, const float *moment, const double *results,
                                  float beta1, float beta2, float clip, int with_copies) {
    double loss = results[0], norm = results[1];
    if (!(fabs(loss) < INFINITY) || !(norm < INFINITY)) return;
    Rule rule = rules[owners[blockIdx.x]];
    float scale = norm > clip ? (float)(clip / norm) : 1.0f;
    float rate = rule.rate * moment[0], keep = 1.0f - rate * rule.decay, step = rate * moment[1];
    for (int index = threadIdx.x; index < CHUNK; index += blockDim.x) {
        size_t at = (size_t)blockIdx.x * CHUNK + index;
        float g = gradients[at] * scale;
        float m = beta1 * first[at] + (1.0f - beta1) * g, v = beta2 * second[at] + (1.0f - beta2) * g * g;
        float w = weights[at] * keep - step * m / (sqrtf(v * moment[2]) + rule.epsilon);
        first[at] = m;
        second[at] = v;
        weights[at] = w;
        if (with_copies) narrow_into(copies + at, w);
    }
}
