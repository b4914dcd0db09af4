// What goes row by row, column by column or value by value: embedding, norms, MLP gates, loss, sums.
//
// The residual stream, logits and gradients of weights are f32; `T` is what matrix products read (f32 or bf16).
// Arithmetic is f32. Sums over rows go in strips of fixed length, whose sums are added in their order: no atomics, and
// the same bits every time.
#pragma once

#include "words.h"

// Rows of the tables, summed over orders. A block per row.
static __device__ void embedding_forward_body(const float *tables, const unsigned *tokens, float *out, int context,
                                              int width, int vocabulary, int orders) {
    int row = blockIdx.x, position = row % context;
    for (int column = threadIdx.x; column < width; column += blockDim.x) {
        float sum = 0.0f;
        for (int order = 0; order < orders && order <= position; ++order) {
            size_t from = (size_t)order * vocabulary + tokens[row - order];
            sum += tables[from * width + column];
        }
        out[(size_t)row * width + column] = sum;
    }
}

// Adds to each row of the tables the gradients of the rows it was summed into. A block per (token, 32 columns, order):
// `places` lists the rows of each token, those of token v from starts[v] on. Eight threads share a column.
static __device__ void embedding_backward_body(const float *gradient, const unsigned *starts, const unsigned *places,
                                               float *onto, int context, int width, int vocabulary) {
    SHARED(sums);
    unsigned token = blockIdx.x, order = blockIdx.z;
    int lane = threadIdx.x % 32, share = threadIdx.x / 32, column = blockIdx.y * 32 + lane;
    unsigned first = starts[token], end = starts[token + 1];
    if (first == end) return;
    float sum = 0.0f;
    for (unsigned index = first + share; column < width && index < end; index += 8) {
        unsigned row = places[index];
        if (row % context + order < (unsigned)context) sum += gradient[(size_t)(row + order) * width + column];
    }
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (share == 0 && column < width) {
        float total = 0.0f;
        for (int other = 0; other < 8; ++other) total += sums[other * 32 + lane];
        onto[((size_t)order * vocabulary + token) * width + column] += total;
    }
}

// y = gain * x * inverse with inverse = 1 / sqrt(mean(x^2) + 1e-6), which is kept. A warp per row.
template <class T>
static __device__ void rms_norm_forward_body(const float *x, const float *gain, T *out, float *inverses, int rows,
                                             int width) {
    int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    const float *from = x + (size_t)row * width;
    float squares = 0.0f;
    for (int column = lane; column < width; column += 32) squares += from[column] * from[column];
    float inverse = 1.0f / sqrtf(warp_sum(squares) / width + 1e-6f);
    if (lane == 0) inverses[row] = inverse;
    for (int column = lane; column < width; column += 32)
        narrow_into(out + (size_t)row * width + column, from[column] * inverse * gain[column]);
}

// With u = gain * dy: dx = inverse u - x (u.x) inverse^3 / width, added where dx holds something. A warp per row.
template <class T>
static __device__ void rms_norm_backward_body(const float *x, const float *gain, const float *inverses,
                                              const T *gradient, float *x_gradient, int add, int rows, int width) {
    int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    size_t start = (size_t)row * width;
    float along = 0.0f, inverse = inverses[row];
    for (int column = lane; column < width; column += 32)
        along += widened(gradient[start + column]) * gain[column] * x[start + column];
    along = warp_sum(along) * inverse * inverse * inverse / width;
    for (int column = lane; column < width; column += 32) {
        float u = widened(gradient[start + column]) * gain[column];
        float value = u * inverse - x[start + column] * along;
        x_gradient[start + column] = add ? x_gradient[start + column] + value : value;
    }
}

// Sums of dy * x * inverse over strips of rows: partial[strip][column]. A block per (32 columns, strip).
template <class T>
static __device__ void rms_norm_gain_body(const float *x, const float *inverses, const T *gradient, float *partial,
                                          int rows, int width, int strip_rows) {
    SHARED(sums);
    int lane = threadIdx.x % 32, share = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
    int first = blockIdx.y * strip_rows, end = min(first + strip_rows, rows);
    float sum = 0.0f;
    for (int row = first + share; column < width && row < end; row += 8) {
        size_t at = (size_t)row * width + column;
        sum += widened(gradient[at]) * x[at] * inverses[row];
    }
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (share == 0 && column < width) {
        float total = 0.0f;
        for (int other = 0; other < 8; ++other) total += sums[other * 32 + lane];
        partial[(size_t)blockIdx.y * width + column] = total;
    }
}

// Adds the strips of each column onto a gradient. A thread per column; strips lie `stride` apart.
static __device__ void add_strips_body(const float *partial, float *onto, int strips, int columns, int stride) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    float sum = 0.0f;
    for (int strip = 0; strip < strips; ++strip) sum += partial[(size_t)strip * stride + column];
    onto[column] += sum;
}

static __device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// silu(gate) * up of rows (gate | up). A thread per value.
template <class T>
static __device__ void swiglu_forward_body(const T *packed, T *out, unsigned values, unsigned hidden) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= values) return;
    size_t at = (size_t)(index / hidden) * 2 * hidden + index % hidden;
    float gate = widened(packed[at]), up = widened(packed[at + hidden]);
    narrow_into(out + index, gate * sigmoid(gate) * up);
}

template <class T>
static __device__ void swiglu_backward_body(const T *packed, const T *gradient, T *packed_gradient, unsigned values,
                                            unsigned hidden) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= values) return;
    size_t at = (size_t)(index / hidden) * 2 * hidden + index % hidden;
    float gate = widened(packed[at]), up = widened(packed[at + hidden]), y = widened(gradient[index]);
    float s = sigmoid(gate);
    narrow_into(packed_gradient + at, y * up * s * (1.0f + gate * (1.0f - s)));
    narrow_into(packed_gradient + at + hidden, y * gate * s);
}

// max(0, x)^2; NaN stays NaN, so that a diverged run is seen.
template <class T>
static __device__ void relu_squared_forward_body(const T *x, T *out, unsigned values) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= values) return;
    float value = widened(x[index]), kept = value < 0.0f ? 0.0f : value;
    narrow_into(out + index, kept * kept);
}

template <class T>
static __device__ void relu_squared_backward_body(const T *x, const T *gradient, T *x_gradient, unsigned values) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= values) return;
    float value = widened(x[index]), kept = value < 0.0f ? 0.0f : value;
    narrow_into(x_gradient + index, 2.0f * kept * widened(gradient[index]));
}

// The loss of each row and, where asked for, its weighted gradient. A block per row.
template <class T>
static __device__ void cross_entropy_body(const float *logits, const unsigned *targets, float *losses, T *gradient,
                                          float weight, int vocabulary, int with_gradient) {
    SHARED(scratch);
    size_t start = (size_t)blockIdx.x * vocabulary;
    const float *row = logits + start;
    float best = -INFINITY, sum = 0.0f;
    for (int token = threadIdx.x; token < vocabulary; token += blockDim.x) best = fmaxf(best, row[token]);
    best = block_max(best, scratch);
    for (int token = threadIdx.x; token < vocabulary; token += blockDim.x) sum += expf(row[token] - best);
    sum = block_sum(sum, scratch);
    int target = targets[blockIdx.x];
    if (threadIdx.x == 0) losses[blockIdx.x] = logf(sum) + (best - row[target]);
    if (!with_gradient) return;
    float scale = weight / sum;
    for (int token = threadIdx.x; token < vocabulary; token += blockDim.x) {
        float value = expf(row[token] - best) * scale;
        narrow_into(gradient + start + token, token == target ? value - weight : value);
    }
}

// A sum in double precision over a block of 256 threads, in a fixed order; `scratch` holds a double per thread.
static __device__ inline double block_sum_double(double value, double *scratch) {
    scratch[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) scratch[threadIdx.x] += scratch[threadIdx.x + half];
        __syncthreads();
    }
    return scratch[0];
}

// results[0] += weight * sum of losses. One block.
static __device__ void add_loss_body(const float *losses, double *results, int rows, float weight) {
    SHARED(shared);
    double sum = 0.0;
    for (int row = threadIdx.x; row < rows; row += blockDim.x) sum += (double)losses[row];
    sum = block_sum_double(sum, (double *)shared);
    if (threadIdx.x == 0) results[0] += (double)weight * sum;
}

// Values in the format that products read. A thread per value.
template <class T>
static __device__ void narrow_body(const float *from, T *to, unsigned values) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index < values) narrow_into(to + index, from[index]);
}
