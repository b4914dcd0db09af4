// Causal attention with QK-norm and rotary embedding, forward and backward, without a matrix of context x context.
//
// `turn` normalises, rotates and scales queries and keys into rows of one head, [sequence, head, position, channel].
// The products go over square tiles of TILE queries and TILE keys in shared memory (f32), by 256 threads as 16 x 16;
// thread (y, x) owns rows y + 16 i and columns x + 16 j. Channels beyond the head size are zeros up to SIZE, positions
// beyond the context up to whole tiles. The 16 threads of a row are half a warp, so that its largest score and its sum
// go by shuffles. The backward pass computes scores again from the log-sum-exps, once by tiles of queries and once by
// tiles of keys, so that every gradient has one writer. Dao et al., arXiv:2205.14135.
#pragma once

#include "words.h"

#define SIDE 16
#define THREADS (SIDE * SIDE)

// ------------------------------------------------------------------------------------------ normalising and rotating

// A warp per (row, head); lane l takes the pairs of channels l and l + 32, so that heads go up to 128.
template <class T>
static __device__ void turn_forward_body(const T *packed, const float *query_gain, const float *key_gain,
                                         const float *cosines, const float *sines, T *queries, T *keys, int rows,
                                         int context, int heads, int size) {
    int index = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32, half = size / 2;
    int row = index / heads, head = index % heads, position = row % context;
    if (row >= rows) return;
    size_t to = (((size_t)(row / context) * heads + head) * context + position) * size;
    for (int part = 0; part < 2; ++part) {
        const T *from = packed + ((size_t)row * 3 + part) * heads * size + head * size;
        const float *gain = part == 0 ? query_gain : key_gain;
        T *out = (part == 0 ? queries : keys) + to;
        float squares = 0.0f;
        for (int pair = lane; pair < half; pair += 32) {
            float x = widened(from[pair]), y = widened(from[pair + half]);
            squares += x * x + y * y;
        }
        float inverse = 1.0f / sqrtf(warp_sum(squares) / size + 1e-6f);
        float factor = part == 0 ? inverse / sqrtf((float)size) : inverse;
        for (int pair = lane; pair < half; pair += 32) {
            float x = widened(from[pair]) * factor * gain[pair];
            float y = widened(from[pair + half]) * factor * gain[pair + half];
            float c = cosines[position * half + pair], s = sines[position * half + pair];
            narrow_into(out + pair, x * c - y * s);
            narrow_into(out + pair + half, x * s + y * c);
        }
    }
}

// Carries gradients of turned queries and keys back to the packed rows, and those of the gains into a partial sum per
// strip of rows: partial[strip] = (query gain | key gain). A block of 8 warps per strip; a warp takes every eighth
// (row, head) of it.
template <class T>
static __device__ void turn_backward_body(const T *packed, const float *query_gain, const float *key_gain,
                                          const float *cosines, const float *sines, const float *query_gradients,
                                          const float *key_gradients, T *packed_gradient, float *partial, int rows,
                                          int context, int heads, int size, int strip_rows) {
    SHARED(sums);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, half = size / 2;
    int first = blockIdx.x * strip_rows, end = min(first + strip_rows, rows);
    float gains[2][2][2] = {};
    for (int index = first * heads + warp; index < end * heads; index += 8) {
        int row = index / heads, head = index % heads, position = row % context;
        size_t at = (((size_t)(row / context) * heads + head) * context + position) * size;
        for (int part = 0; part < 2; ++part) {
            size_t start = ((size_t)row * 3 + part) * heads * size + head * size;
            const float *gain = part == 0 ? query_gain : key_gain;
            const float *turned = (part == 0 ? query_gradients : key_gradients) + at;
            float scale = part == 0 ? 1.0f / sqrtf((float)size) : 1.0f;
            float squares = 0.0f, along = 0.0f, u[2][2] = {}, x[2][2] = {};
            for (int step = 0, pair = lane; pair < half; ++step, pair += 32) {
                float c = cosines[position * half + pair], s = sines[position * half + pair];
                float low = turned[pair], high = turned[pair + half];
                u[step][0] = (low * c + high * s) * scale;
                u[step][1] = (high * c - low * s) * scale;
                for (int end_of_pair = 0; end_of_pair < 2; ++end_of_pair) {
                    float value = widened(packed[start + pair + end_of_pair * half]);
                    x[step][end_of_pair] = value;
                    squares += value * value;
                    along += u[step][end_of_pair] * gain[pair + end_of_pair * half] * value;
                }
            }
            float inverse = 1.0f / sqrtf(warp_sum(squares) / size + 1e-6f);
            along = warp_sum(along) * inverse * inverse * inverse / size;
            for (int step = 0, pair = lane; pair < half; ++step, pair += 32) {
                for (int end_of_pair = 0; end_of_pair < 2; ++end_of_pair) {
                    float value = x[step][end_of_pair], slope = u[step][end_of_pair];
                    int channel = pair + end_of_pair * half;
                    gains[part][step][end_of_pair] += slope * value * inverse;
                    narrow_into(packed_gradient + start + channel, slope * gain[channel] * inverse - value * along);
                }
            }
        }
    }
    for (int part = 0; part < 2; ++part)
        for (int step = 0, pair = lane; pair < half; ++step, pair += 32)
            for (int end_of_pair = 0; end_of_pair < 2; ++end_of_pair)
                sums[warp * 2 * size + part * size + pair + end_of_pair * half] = gains[part][step][end_of_pair];
    __syncthreads();
    for (int index = threadIdx.x; index < 2 * size; index += blockDim.x) {
        float total = 0.0f;
        for (int other = 0; other < 8; ++other) total += sums[other * 2 * size + index];
        partial[(size_t)blockIdx.x * 2 * size + index] = total;
    }
}

// D_i = out_i . gradient_i of each head, which equals the sum of P_ij dP_ij over keys. A warp per (row, head).
template <class T>
static __device__ void attention_dots_body(const T *mixed, const T *gradient, float *dots, int rows, int context,
                                           int heads, int size) {
    int index = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    int row = index / heads, head = index % heads;
    if (row >= rows) return;
    size_t at = (size_t)row * heads * size + head * size;
    float sum = 0.0f;
    for (int channel = lane; channel < size; channel += 32)
        sum += widened(mixed[at + channel]) * widened(gradient[at + channel]);
    sum = warp_sum(sum);
    if (lane == 0) dots[((size_t)(row / context) * heads + head) * context + row % context] = sum;
}

// ----------------------------------------------------------------------------------------------------------- tiles

// Rows first .. first + TILE of a matrix whose rows lie `stride` apart, as f32; zeros beyond `rows` and `columns`.
template <int SIZE, int TILE, class T>
static __device__ inline void load_tile(float *tile, const T *from, size_t stride, int first, int rows, int columns) {
    for (int index = threadIdx.x; index < TILE * SIZE; index += THREADS) {
        int row = index / SIZE, column = index % SIZE;
        bool held = first + row < rows && column < columns;
        tile[row * (SIZE + 1) + column] = held ? widened(from[(size_t)(first + row) * stride + column]) : 0.0f;
    }
}

// scores[i][j] = row y + 16 i of a . row x + 16 j of b.
template <int SIZE, int TILE>
static __device__ inline void rows_by_rows(const float *a, const float *b, float (&scores)[TILE / SIDE][TILE / SIDE]) {
    int y = threadIdx.x / SIDE, x = threadIdx.x % SIDE;
    for (int i = 0; i < TILE / SIDE; ++i)
        for (int j = 0; j < TILE / SIDE; ++j) scores[i][j] = 0.0f;
    for (int channel = 0; channel < SIZE; ++channel) {
        float left[TILE / SIDE], right[TILE / SIDE];
        for (int i = 0; i < TILE / SIDE; ++i) left[i] = a[(y + SIDE * i) * (SIZE + 1) + channel];
        for (int j = 0; j < TILE / SIDE; ++j) right[j] = b[(x + SIDE * j) * (SIZE + 1) + channel];
        for (int i = 0; i < TILE / SIDE; ++i)
            for (int j = 0; j < TILE / SIDE; ++j) scores[i][j] += left[i] * right[j];
    }
}

// sum[i][j] += row y + 16 i of weights . column x + 16 j of values.
template <int SIZE, int TILE>
static __device__ inline void weights_by_values(const float *weights, const float *values,
                                                float (&sum)[TILE / SIDE][SIZE / SIDE]) {
    int y = threadIdx.x / SIDE, x = threadIdx.x % SIDE;
    for (int inner = 0; inner < TILE; ++inner) {
        float left[TILE / SIDE], right[SIZE / SIDE];
        for (int i = 0; i < TILE / SIDE; ++i) left[i] = weights[(y + SIDE * i) * (TILE + 1) + inner];
        for (int j = 0; j < SIZE / SIDE; ++j) right[j] = values[inner * (SIZE + 1) + x + SIDE * j];
        for (int i = 0; i < TILE / SIDE; ++i)
            for (int j = 0; j < SIZE / SIDE; ++j) sum[i][j] += left[i] * right[j];
    }
}

// Writes rows y + 16 i, columns x + 16 j of what was summed; rows lie `stride` apart.
template <int SIZE, int TILE, class T>
static __device__ inline void store_tile(const float (&sum)[TILE / SIDE][SIZE / SIDE], T *to, size_t stride, int first,
                                         int rows, int columns) {
    int y = threadIdx.x / SIDE, x = threadIdx.x % SIDE;
    for (int i = 0; i < TILE / SIDE; ++i)
        for (int j = 0; j < SIZE / SIDE; ++j) {
            int row = first + y + SIDE * i, column = x + SIDE * j;
            if (row < rows && column < columns) narrow_into(to + (size_t)row * stride + column, sum[i][j]);
        }
}

static __device__ inline float row_sum(float value) {
    for (int mask = SIDE / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    return value;
}

static __device__ inline float row_max(float value) {
    for (int mask = SIDE / 2; mask > 0; mask /= 2) value = fmaxf(value, shuffle_xor(value, mask));
    return value;
}

// Where one head of one sequence lies: `turned` counts rows of queries and keys, `packed` and `out` values.
struct Head {
    size_t turned, value, out;
    int width;
};

static __device__ inline Head head_of(int index, int context, int heads, int size) {
    int sequence = index / heads, head = index % heads, width = heads * size;
    size_t row = (size_t)sequence * context;
    return {(size_t)index * context, row * 3 * width + 2 * width + head * size, row * width + head * size, width};
}

// --------------------------------------------------------------------------------------------------------- forward

// A block per (tile of queries, sequence and head); tiles with most keys first.
template <class T, int SIZE, int TILE>
static __device__ void attention_forward_body(const T *queries, const T *keys, const T *packed, T *out, float *log_sums,
                                              int context, int heads, int size) {
    SHARED(shared);
    float *query_tile = shared, *key_tile = query_tile + TILE * (SIZE + 1), *value_tile = key_tile + TILE * (SIZE + 1);
    float *weights = value_tile + TILE * (SIZE + 1);
    int y = threadIdx.x / SIDE, x = threadIdx.x % SIDE;
    int first = (gridDim.x - 1 - blockIdx.x) * TILE;
    Head head = head_of(blockIdx.y, context, heads, size);
    float best[TILE / SIDE], sums[TILE / SIDE], mixed[TILE / SIDE][SIZE / SIDE] = {};
    for (int i = 0; i < TILE / SIDE; ++i) best[i] = -INFINITY, sums[i] = 0.0f;
    load_tile<SIZE, TILE>(query_tile, queries + head.turned * size, size, first, context, size);
    for (int key_first = 0; key_first <= first; key_first += TILE) {
        __syncthreads();
        load_tile<SIZE, TILE>(key_tile, keys + head.turned * size, size, key_first, context, size);
        load_tile<SIZE, TILE>(value_tile, packed + head.value, 3 * (size_t)head.width, key_first, context, size);
        __syncthreads();
        float scores[TILE / SIDE][TILE / SIDE];
        rows_by_rows<SIZE, TILE>(query_tile, key_tile, scores);
        for (int i = 0; i < TILE / SIDE; ++i) {
            int query = first + y + SIDE * i;
            float largest = best[i];
            for (int j = 0; j < TILE / SIDE; ++j) {
                int key = key_first + x + SIDE * j;
                if (key > query || key >= context) scores[i][j] = -INFINITY;
                largest = fmaxf(largest, scores[i][j]);
            }
            // Key 0 is seen by every query, so that the largest score is a number from the first tile on.
            largest = row_max(largest);
            float kept = expf(best[i] - largest), sum = 0.0f;
            for (int j = 0; j < TILE / SIDE; ++j) {
                float weight = expf(scores[i][j] - largest);
                weights[(y + SIDE * i) * (TILE + 1) + x + SIDE * j] = weight;
                sum += weight;
            }
            best[i] = largest;
            sums[i] = sums[i] * kept + row_sum(sum);
            for (int j = 0; j < SIZE / SIDE; ++j) mixed[i][j] *= kept;
        }
        __syncthreads();
        weights_by_values<SIZE, TILE>(weights, value_tile, mixed);
    }
    for (int i = 0; i < TILE / SIDE; ++i) {
        int query = first + y + SIDE * i;
        for (int j = 0; j < SIZE / SIDE; ++j) mixed[i][j] /= sums[i];
        if (x == 0 && query < context) log_sums[head.turned + query] = best[i] + logf(sums[i]);
    }
    store_tile<SIZE, TILE>(mixed, out + head.out, head.width, first, context, size);
}

// -------------------------------------------------------------------------------------------------------- backward

// Gradients of turned queries: dq_i = sum_j dS_ij k_j with dS = P (dP - D). A block per (tile of queries, head).
template <class T, int SIZE, int TILE>
static __device__ void attention_queries_body(const T *queries, const T *keys, const T *packed, const T *gradient,
                                              const float *log_sums, const float *dots, float *query_gradients,
                                              int context, int heads, int size) {
    SHARED(shared);
    float *query_tile = shared, *out_tile = query_tile + TILE * (SIZE + 1), *key_tile = out_tile + TILE * (SIZE + 1);
    float *value_tile = key_tile + TILE * (SIZE + 1), *slopes = value_tile + TILE * (SIZE + 1);
    int y = threadIdx.x / SIDE, x = threadIdx.x % SIDE;
    int first = (gridDim.x - 1 - blockIdx.x) * TILE;
    Head head = head_of(blockIdx.y, context, heads, size);
    float sum[TILE / SIDE][SIZE / SIDE] = {};
    load_tile<SIZE, TILE>(query_tile, queries + head.turned * size, size, first, context, size);
    load_tile<SIZE, TILE>(out_tile, gradient + head.out, head.width, first, context, size);
    for (int key_first = 0; key_first <= first; key_first += TILE) {
        __syncthreads();
        load_tile<SIZE, TILE>(key_tile, keys + head.turned * size, size, key_first, context, size);
        load_tile<SIZE, TILE>(value_tile, packed + head.value, 3 * (size_t)head.width, key_first, context, size);
        __syncthreads();
        float scores[TILE / SIDE][TILE / SIDE], weight_slopes[TILE / SIDE][TILE / SIDE];
        rows_by_rows<SIZE, TILE>(query_tile, key_tile, scores);
        rows_by_rows<SIZE, TILE>(out_tile, value_tile, weight_slopes);
        for (int i = 0; i < TILE / SIDE; ++i) {
            int query = first + y + SIDE * i;
            for (int j = 0; j < TILE / SIDE; ++j) {
                int key = key_first + x + SIDE * j;
                bool seen = key <= query && query < context;
                float weight = seen ? expf(scores[i][j] - log_sums[head.turned + query]) : 0.0f;
                float dot = seen ? dots[head.turned + query] : 0.0f;
                slopes[(y + SIDE * i) * (TILE + 1) + x + SIDE * j] = weight * (weight_slopes[i][j] - dot);
            }
        }
        __syncthreads();
        weights_by_values<SIZE, TILE>(slopes, key_tile, sum);
    }
    store_tile<SIZE, TILE>(sum, query_gradients + head.turned * size, size, first, context, size);
}

// Gradients of turned keys, dk_j = sum_i dS_ij q_i, and of values, dv_j = sum_i P_ij dout_i, the latter into the packed
// rows. A block per (tile of keys, head); tiles with most queries first.
template <class T, int SIZE, int TILE>
static __device__ void attention_keys_body(const T *queries, const T *keys, const T *packed, const T *gradient,
                                           const float *log_sums, const float *dots, float *key_gradients,
                                           T *packed_gradient, int context, int heads, int size) {
    SHARED(shared);
    float *key_tile = shared, *value_tile = key_tile + TILE * (SIZE + 1), *query_tile = value_tile + TILE * (SIZE + 1);
    float *out_tile = query_tile + TILE * (SIZE + 1), *weights = out_tile + TILE * (SIZE + 1);
    float *slopes = weights + TILE * (TILE + 1);
    int y = threadIdx.x / SIDE, x = threadIdx.x % SIDE;
    int first = blockIdx.x * TILE;
    Head head = head_of(blockIdx.y, context, heads, size);
    float key_sum[TILE / SIDE][SIZE / SIDE] = {}, value_sum[TILE / SIDE][SIZE / SIDE] = {};
    load_tile<SIZE, TILE>(key_tile, keys + head.turned * size, size, first, context, size);
    load_tile<SIZE, TILE>(value_tile, packed + head.value, 3 * (size_t)head.width, first, context, size);
    for (int query_first = first; query_first < context; query_first += TILE) {
        __syncthreads();
        load_tile<SIZE, TILE>(query_tile, queries + head.turned * size, size, query_first, context, size);
        load_tile<SIZE, TILE>(out_tile, gradient + head.out, head.width, query_first, context, size);
        __syncthreads();
        float scores[TILE / SIDE][TILE / SIDE], weight_slopes[TILE / SIDE][TILE / SIDE];
        rows_by_rows<SIZE, TILE>(key_tile, query_tile, scores);
        rows_by_rows<SIZE, TILE>(value_tile, out_tile, weight_slopes);
        for (int j = 0; j < TILE / SIDE; ++j) {
            int query = query_first + x + SIDE * j;
            float log_sum = query < context ? log_sums[head.turned + query] : 0.0f;
            float dot = query < context ? dots[head.turned + query] : 0.0f;
            for (int i = 0; i < TILE / SIDE; ++i) {
                int key = first + y + SIDE * i, at = (y + SIDE * i) * (TILE + 1) + x + SIDE * j;
                float weight = key <= query && query < context ? expf(scores[i][j] - log_sum) : 0.0f;
                weights[at] = weight;
                slopes[at] = weight * (weight_slopes[i][j] - dot);
            }
        }
        __syncthreads();
        weights_by_values<SIZE, TILE>(weights, out_tile, value_sum);
        weights_by_values<SIZE, TILE>(slopes, query_tile, key_sum);
    }
    store_tile<SIZE, TILE>(key_sum, key_gradients + head.turned * size, size, first, context, size);
    store_tile<SIZE, TILE>(value_sum, packed_gradient + head.value, 3 * (size_t)head.width, first, context, size);
}
