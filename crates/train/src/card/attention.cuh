// Causal attention with QK-norm and rotary embedding, forward and backward, without a matrix of context x context.
//
// `turn` normalises, rotates and scales queries and keys into rows of one head, [sequence, head, position, channel].
// The products go over square tiles of TILE positions in shared memory, by 256 threads: on tensor cores where the tiles
// are bf16, by registers where they are f32 (`Tiles`). Channels beyond the head size are zeros up to SIZE, positions beyond
// the context up to whole tiles. The forward pass goes over the keys twice, first for the log-sum-exp of each query, so
// that weights are final when values are mixed and nothing is scaled again. The backward pass computes scores again from
// the log-sum-exps, once by tiles of queries and once by tiles of keys, so that every gradient has one writer. After Dao
// et al., arXiv:2205.14135.
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

// Sixteen bytes, which go in one instruction.
template <class T> struct alignas(16) Sixteen {
    T values[16 / sizeof(T)];
};

// Products of tiles by 16 x 16 threads: thread (y, x) owns rows y + 16 i and columns x + 16 j. Rows lie one value more
// apart than they have, so that the threads of a column find different banks. Weights take the place of scores.
template <class T, int SIZE, int TILE> struct Tiles {
    enum { ROW = SIZE + 1, SCORE_ROW = TILE + 1, WEIGHT_ROW = TILE + 1, WEIGHTS_APART = 0 };
    float sum[TILE / SIDE][SIZE / SIDE];

    __device__ void clear() {
        for (int i = 0; i < TILE / SIDE; ++i)
            for (int j = 0; j < SIZE / SIDE; ++j) sum[i][j] = 0.0f;
    }

    // scores[row][column] = row of a . row of b.
    static __device__ void scores_of(const T *a, const T *b, float *scores) {
        int y = threadIdx.x / SIDE, x = threadIdx.x % SIDE;
        float products[TILE / SIDE][TILE / SIDE] = {};
        for (int channel = 0; channel < SIZE; ++channel) {
            float left[TILE / SIDE], right[TILE / SIDE];
            for (int i = 0; i < TILE / SIDE; ++i) left[i] = a[(y + SIDE * i) * ROW + channel];
            for (int j = 0; j < TILE / SIDE; ++j) right[j] = b[(x + SIDE * j) * ROW + channel];
            for (int i = 0; i < TILE / SIDE; ++i)
                for (int j = 0; j < TILE / SIDE; ++j) products[i][j] += left[i] * right[j];
        }
        for (int i = 0; i < TILE / SIDE; ++i)
            for (int j = 0; j < TILE / SIDE; ++j) scores[(y + SIDE * i) * SCORE_ROW + x + SIDE * j] = products[i][j];
    }

    // sum += weights . values.
    __device__ void add(const T *weights, const T *values) {
        int y = threadIdx.x / SIDE, x = threadIdx.x % SIDE;
        for (int inner = 0; inner < TILE; ++inner) {
            float left[TILE / SIDE], right[SIZE / SIDE];
            for (int i = 0; i < TILE / SIDE; ++i) left[i] = weights[(y + SIDE * i) * WEIGHT_ROW + inner];
            for (int j = 0; j < SIZE / SIDE; ++j) right[j] = values[inner * ROW + x + SIDE * j];
            for (int i = 0; i < TILE / SIDE; ++i)
                for (int j = 0; j < SIZE / SIDE; ++j) sum[i][j] += left[i] * right[j];
        }
    }

    // Writes what was summed to rows that lie `stride` apart.
    template <class To>
    __device__ void store(float *, To *to, size_t stride, int first, int rows, int columns) const {
        int y = threadIdx.x / SIDE, x = threadIdx.x % SIDE;
        for (int i = 0; i < TILE / SIDE; ++i)
            for (int j = 0; j < SIZE / SIDE; ++j) {
                int row = first + y + SIDE * i, column = x + SIDE * j;
                if (row < rows && column < columns) narrow_into(to + (size_t)row * stride + column, sum[i][j]);
            }
    }
};

// The same on tensor cores: the eight warps share out the 16 x 16 pieces of a product. Rows lie 8 values more apart than
// they have: sixteen bytes, which keeps them aligned and spreads them over the banks.
template <int SIZE, int TILE> struct Tiles<bf16, SIZE, TILE> {
    enum { ROW = SIZE + 8, SCORE_ROW = TILE + 4, WEIGHT_ROW = TILE + 8, WEIGHTS_APART = 1, STAGE_ROW = SIZE + 4 };
    enum { WARPS = THREADS / 32, ACROSS = SIZE / SIDE, PIECES = TILE / SIDE * ACROSS };
    typedef wmma::fragment<wmma::accumulator, SIDE, SIDE, SIDE, float> Sum;
    typedef wmma::fragment<wmma::matrix_a, SIDE, SIDE, SIDE, bf16, wmma::row_major> Left;
    Sum sum[(PIECES + WARPS - 1) / WARPS];

    __device__ void clear() {
        for (Sum &piece : sum) wmma::fill_fragment(piece, 0.0f);
    }

    static __device__ void scores_of(const bf16 *a, const bf16 *b, float *scores) {
        for (int piece = threadIdx.x / 32; piece < TILE / SIDE * (TILE / SIDE); piece += WARPS) {
            int row = piece / (TILE / SIDE) * SIDE, column = piece % (TILE / SIDE) * SIDE;
            Sum products;
            wmma::fill_fragment(products, 0.0f);
            for (int channel = 0; channel < SIZE; channel += SIDE) {
                Left left;
                wmma::fragment<wmma::matrix_b, SIDE, SIDE, SIDE, bf16, wmma::col_major> right;
                wmma::load_matrix_sync(left, a + row * ROW + channel, ROW);
                wmma::load_matrix_sync(right, b + column * ROW + channel, ROW);
                wmma::mma_sync(products, left, right, products);
            }
            wmma::store_matrix_sync(scores + row * SCORE_ROW + column, products, SCORE_ROW, wmma::mem_row_major);
        }
    }

    __device__ void add(const bf16 *weights, const bf16 *values) {
        int warp = threadIdx.x / 32;
        for (int own = 0; own * WARPS + warp < PIECES; ++own) {
            int piece = own * WARPS + warp, row = piece / ACROSS * SIDE, column = piece % ACROSS * SIDE;
            for (int inner = 0; inner < TILE; inner += SIDE) {
                Left left;
                wmma::fragment<wmma::matrix_b, SIDE, SIDE, SIDE, bf16, wmma::row_major> right;
                wmma::load_matrix_sync(left, weights + row * WEIGHT_ROW + inner, WEIGHT_ROW);
                wmma::load_matrix_sync(right, values + inner * ROW + column, ROW);
                wmma::mma_sync(sum[own], left, right, sum[own]);
            }
        }
    }

    // By way of shared memory, which holds nothing any more.
    template <class To>
    __device__ void store(float *stage, To *to, size_t stride, int first, int rows, int columns) const {
        int warp = threadIdx.x / 32;
        __syncthreads();
        for (int own = 0; own * WARPS + warp < PIECES; ++own) {
            int piece = own * WARPS + warp, row = piece / ACROSS * SIDE, column = piece % ACROSS * SIDE;
            wmma::store_matrix_sync(stage + row * STAGE_ROW + column, sum[own], STAGE_ROW, wmma::mem_row_major);
        }
        __syncthreads();
        for (int index = threadIdx.x; index < TILE * SIZE; index += THREADS) {
            int row = index / SIZE, column = index % SIZE;
            if (first + row < rows && column < columns)
                narrow_into(to + (size_t)(first + row) * stride + column, stage[row * STAGE_ROW + column]);
        }
    }
};

// Rows first .. first + TILE of a matrix whose rows lie `stride` apart; zeros beyond `rows` and `columns`. Sixteen bytes
// at a time where whole pieces of that size make up a row.
template <class T, int SIZE, int TILE>
static __device__ inline void load_tile(T *tile, const T *from, size_t stride, int first, int rows, int columns) {
    enum { ROW = Tiles<T, SIZE, TILE>::ROW, STEP = 16 / sizeof(T) };
    if (columns % STEP == 0) {
        for (int index = threadIdx.x; index < TILE * (SIZE / STEP); index += THREADS) {
            int row = index / (SIZE / STEP), column = index % (SIZE / STEP) * STEP;
            Sixteen<T> piece;
            for (int i = 0; i < STEP; ++i) narrow_into(piece.values + i, 0.0f);
            if (first + row < rows && column < columns)
                piece = *(const Sixteen<T> *)(from + (size_t)(first + row) * stride + column);
            for (int i = 0; i < STEP; ++i) tile[row * ROW + column + i] = piece.values[i];
        }
        return;
    }
    for (int index = threadIdx.x; index < TILE * SIZE; index += THREADS) {
        int row = index / SIZE, column = index % SIZE;
        bool held = first + row < rows && column < columns;
        if (held) tile[row * ROW + column] = from[(size_t)(first + row) * stride + column];
        else narrow_into(tile + row * ROW + column, 0.0f);
    }
}

// Shared memory of a block: so many tiles of rows, then scores, then weights where these have a place of their own, then
// a float per row. The host computes the same sizes.
template <class T, int SIZE, int TILE> struct Layout {
    typedef Tiles<T, SIZE, TILE> Of;
    char *start;
    int tiles, score_tiles;

    __device__ T *tile(int index) const { return (T *)start + index * TILE * Of::ROW; }
    __device__ float *scores(int index) const { return (float *)tile(tiles) + index * TILE * Of::SCORE_ROW; }
    __device__ T *weights(int index) const {
        return Of::WEIGHTS_APART ? (T *)scores(score_tiles) + index * TILE * Of::WEIGHT_ROW : (T *)scores(index);
    }
    __device__ float *of_rows() const {
        return Of::WEIGHTS_APART ? (float *)weights(score_tiles) : scores(score_tiles);
    }
};

// Where one head of one sequence lies: `turned` counts rows of queries and keys, `value` and `out` values.
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

// A block per (tile of queries, sequence and head); tiles with most keys first. A few threads, next to each other, look
// after a row of scores.
template <class T, int SIZE, int TILE>
static __device__ void attention_forward_body(const T *queries, const T *keys, const T *packed, T *out, float *log_sums,
                                              int context, int heads, int size) {
    SHARED(shared);
    typedef Tiles<T, SIZE, TILE> Of;
    enum { LANES = THREADS / TILE };
    Layout<T, SIZE, TILE> layout = {(char *)shared, 3, 1};
    T *query_tile = layout.tile(0), *key_tile = layout.tile(1), *value_tile = layout.tile(2);
    float *scores = layout.scores(0), *row_logs = layout.of_rows();
    T *weights = layout.weights(0);
    int row = threadIdx.x / LANES, lane = threadIdx.x % LANES, first = (gridDim.x - 1 - blockIdx.x) * TILE;
    Head head = head_of(blockIdx.y, context, heads, size);
    load_tile<T, SIZE, TILE>(query_tile, queries + head.turned * size, size, first, context, size);

    float best = -INFINITY, sum = 0.0f;
    for (int key_first = 0; key_first <= first; key_first += TILE) {
        load_tile<T, SIZE, TILE>(key_tile, keys + head.turned * size, size, key_first, context, size);
        __syncthreads();
        Of::scores_of(query_tile, key_tile, scores);
        __syncthreads();
        for (int column = lane; column < TILE; column += LANES) {
            int key = key_first + column;
            if (key > first + row || key >= context) continue;
            float score = scores[row * Of::SCORE_ROW + column];
            if (score > best) {
                sum = sum * expf(best - score) + 1.0f;
                best = score;
            } else {
                sum += expf(score - best);
            }
        }
    }
    // Key 0 is seen by every query, so that the largest score of a row is a number.
    float largest = best;
    for (int mask = LANES / 2; mask > 0; mask /= 2) largest = fmaxf(largest, shuffle_xor(largest, mask));
    sum *= expf(best - largest);
    for (int mask = LANES / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    float log_sum = largest + logf(sum);
    if (lane == 0) {
        row_logs[row] = log_sum;
        if (first + row < context) log_sums[head.turned + first + row] = log_sum;
    }

    Of mixed;
    mixed.clear();
    for (int key_first = 0; key_first <= first; key_first += TILE) {
        __syncthreads();
        load_tile<T, SIZE, TILE>(key_tile, keys + head.turned * size, size, key_first, context, size);
        load_tile<T, SIZE, TILE>(value_tile, packed + head.value, 3 * (size_t)head.width, key_first, context, size);
        __syncthreads();
        Of::scores_of(query_tile, key_tile, scores);
        __syncthreads();
        for (int column = lane; column < TILE; column += LANES) {
            int key = key_first + column;
            bool seen = key <= first + row && key < context;
            float weight = seen ? expf(scores[row * Of::SCORE_ROW + column] - row_logs[row]) : 0.0f;
            narrow_into(weights + row * Of::WEIGHT_ROW + column, weight);
        }
        __syncthreads();
        mixed.add(weights, value_tile);
    }
    mixed.store(shared, out + head.out, head.width, first, context, size);
}

// -------------------------------------------------------------------------------------------------------- backward

// Gradients of turned queries: dq_i = sum_j dS_ij k_j with dS = P (dP - D). A block per (tile of queries, head).
template <class T, int SIZE, int TILE>
static __device__ void attention_queries_body(const T *queries, const T *keys, const T *packed, const T *gradient,
                                              const float *log_sums, const float *dots, float *query_gradients,
                                              int context, int heads, int size) {
    SHARED(shared);
    typedef Tiles<T, SIZE, TILE> Of;
    enum { LANES = THREADS / TILE };
    Layout<T, SIZE, TILE> layout = {(char *)shared, 4, 2};
    T *query_tile = layout.tile(0), *out_tile = layout.tile(1), *key_tile = layout.tile(2);
    T *value_tile = layout.tile(3), *slopes = layout.weights(0);
    float *scores = layout.scores(0), *weight_slopes = layout.scores(1);
    int row = threadIdx.x / LANES, lane = threadIdx.x % LANES, first = (gridDim.x - 1 - blockIdx.x) * TILE;
    Head head = head_of(blockIdx.y, context, heads, size);
    load_tile<T, SIZE, TILE>(query_tile, queries + head.turned * size, size, first, context, size);
    load_tile<T, SIZE, TILE>(out_tile, gradient + head.out, head.width, first, context, size);
    bool held = first + row < context;
    float log_sum = held ? log_sums[head.turned + first + row] : 0.0f;
    float dot = held ? dots[head.turned + first + row] : 0.0f;
    Of sum;
    sum.clear();
    for (int key_first = 0; key_first <= first; key_first += TILE) {
        __syncthreads();
        load_tile<T, SIZE, TILE>(key_tile, keys + head.turned * size, size, key_first, context, size);
        load_tile<T, SIZE, TILE>(value_tile, packed + head.value, 3 * (size_t)head.width, key_first, context, size);
        __syncthreads();
        Of::scores_of(query_tile, key_tile, scores);
        Of::scores_of(out_tile, value_tile, weight_slopes);
        __syncthreads();
        for (int column = lane; column < TILE; column += LANES) {
            int at = row * Of::SCORE_ROW + column;
            bool seen = held && key_first + column <= first + row;
            float slope = seen ? expf(scores[at] - log_sum) * (weight_slopes[at] - dot) : 0.0f;
            narrow_into(slopes + row * Of::WEIGHT_ROW + column, slope);
        }
        __syncthreads();
        sum.add(slopes, key_tile);
    }
    sum.store(shared, query_gradients + head.turned * size, size, first, context, size);
}

// Gradients of turned keys, dk_j = sum_i dS_ij q_i, and of values, dv_j = sum_i P_ij dout_i, the latter into the packed
// rows. A block per (tile of keys, head); tiles with most queries first.
template <class T, int SIZE, int TILE>
static __device__ void attention_keys_body(const T *queries, const T *keys, const T *packed, const T *gradient,
                                           const float *log_sums, const float *dots, float *key_gradients,
                                           T *packed_gradient, int context, int heads, int size) {
    SHARED(shared);
    typedef Tiles<T, SIZE, TILE> Of;
    enum { LANES = THREADS / TILE };
    Layout<T, SIZE, TILE> layout = {(char *)shared, 4, 2};
    T *key_tile = layout.tile(0), *value_tile = layout.tile(1), *query_tile = layout.tile(2);
    T *out_tile = layout.tile(3), *weights = layout.weights(0), *slopes = layout.weights(1);
    float *scores = layout.scores(0), *weight_slopes = layout.scores(1);
    int row = threadIdx.x / LANES, lane = threadIdx.x % LANES, first = blockIdx.x * TILE;
    Head head = head_of(blockIdx.y, context, heads, size);
    load_tile<T, SIZE, TILE>(key_tile, keys + head.turned * size, size, first, context, size);
    load_tile<T, SIZE, TILE>(value_tile, packed + head.value, 3 * (size_t)head.width, first, context, size);
    Of key_sum, value_sum;
    key_sum.clear();
    value_sum.clear();
    for (int query_first = first; query_first < context; query_first += TILE) {
        __syncthreads();
        load_tile<T, SIZE, TILE>(query_tile, queries + head.turned * size, size, query_first, context, size);
        load_tile<T, SIZE, TILE>(out_tile, gradient + head.out, head.width, query_first, context, size);
        __syncthreads();
        Of::scores_of(key_tile, query_tile, scores);
        Of::scores_of(value_tile, out_tile, weight_slopes);
        __syncthreads();
        for (int column = lane; column < TILE; column += LANES) {
            int query = query_first + column, at = row * Of::SCORE_ROW + column;
            float weight = 0.0f, slope = 0.0f;
            if (first + row <= query && query < context) {
                weight = expf(scores[at] - log_sums[head.turned + query]);
                slope = weight * (weight_slopes[at] - dots[head.turned + query]);
            }
            narrow_into(weights + row * Of::WEIGHT_ROW + column, weight);
            narrow_into(slopes + row * Of::WEIGHT_ROW + column, slope);
        }
        __syncthreads();
        value_sum.add(weights, out_tile);
        key_sum.add(slopes, query_tile);
    }
    key_sum.store(shared, key_gradients + head.turned * size, size, first, context, size);
    value_sum.store(shared, packed_gradient + head.value, 3 * (size_t)head.width, first, context, size);
}
