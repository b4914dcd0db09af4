// Every kernel by name, for each format that products read and each size of a head. The host finds them by these names.

#include "attention.cuh"
#include "weights.cuh"

// KERNEL(name, parameters, body): the emulation keeps a list of them besides.
#ifndef KERNEL
#define KERNEL(name, parameters, body) extern "C" __global__ void name parameters { body; }
#endif

KERNEL(embedding_forward,
       (const float *tables, const unsigned *tokens, float *out, int context, int width, int vocabulary, int orders),
       embedding_forward_body(tables, tokens, out, context, width, vocabulary, orders))
KERNEL(embedding_backward,
       (const float *gradient, const unsigned *starts, const unsigned *places, float *onto, int context, int width,
        int vocabulary),
       embedding_backward_body(gradient, starts, places, onto, context, width, vocabulary))
KERNEL(add_strips, (const float *partial, float *onto, int strips, int columns, int stride),
       add_strips_body(partial, onto, strips, columns, stride))
KERNEL(add_loss, (const float *losses, double *results, int rows, float weight),
       add_loss_body(losses, results, rows, weight))
KERNEL(gradient_squares, (const float *gradients, const int *owners, const Rule *rules, float *partial),
       squares_body(gradients, owners, rules, partial))
KERNEL(gradient_norm, (const float *partial, double *results, int chunks), norm_body(partial, results, chunks))
KERNEL(narrow_bf16, (const float *from, bf16 *to, unsigned values), narrow_body(from, to, values))

#define FOR_FORMAT(T, suffix)                                                                                          \
    KERNEL(rms_norm_forward_##suffix,                                                                                  \
           (const float *x, const float *gain, T *out, float *inverses, int rows, int width),                          \
           rms_norm_forward_body(x, gain, out, inverses, rows, width))                                                 \
    KERNEL(rms_norm_backward_##suffix,                                                                                 \
           (const float *x, const float *gain, const float *inverses, const T *gradient, float *x_gradient, int add,   \
            int rows, int width),                                                                                      \
           rms_norm_backward_body(x, gain, inverses, gradient, x_gradient, add, rows, width))                          \
    KERNEL(rms_norm_gain_##suffix,                                                                                     \
           (const float *x, const float *inverses, const T *gradient, float *partial, int rows, int width,             \
            int strip_rows),                                                                                           \
           rms_norm_gain_body(x, inverses, gradient, partial, rows, width, strip_rows))                                \
    KERNEL(swiglu_forward_##suffix, (const T *packed, T *out, unsigned values, unsigned hidden),                       \
           swiglu_forward_body(packed, out, values, hidden))                                                           \
    KERNEL(swiglu_backward_##suffix,                                                                                   \
           (const T *packed, const T *gradient, T *packed_gradient, unsigned values, unsigned hidden),                 \
           swiglu_backward_body(packed, gradient, packed_gradient, values, hidden))                                    \
    KERNEL(relu_squared_forward_##suffix, (const T *x, T *out, unsigned values),                                       \
           relu_squared_forward_body(x, out, values))                                                                  \
    KERNEL(relu_squared_backward_##suffix, (const T *x, const T *gradient, T *x_gradient, unsigned values),            \
           relu_squared_backward_body(x, gradient, x_gradient, values))                                                \
    KERNEL(cross_entropy_##suffix,                                                                                     \
           (const float *logits, const unsigned *targets, float *losses, T *gradient, float weight, int vocabulary,    \
            int with_gradient),                                                                                        \
           cross_entropy_body(logits, targets, losses, gradient, weight, vocabulary, with_gradient))                   \
    KERNEL(turn_forward_##suffix,                                                                                      \
           (const T *packed, const float *query_gain, const float *key_gain, const float *cosines,                     \
            const float *sines, T *queries, T *keys, int rows, int context, int heads, int size),                      \
           turn_forward_body(packed, query_gain, key_gain, cosines, sines, queries, keys, rows, context, heads, size)) \
    KERNEL(turn_backward_##suffix,                                                                                     \
           (const T *packed, const float *query_gain, const float *key_gain, const float *cosines,                     \
            const float *sines, const float *query_gradients, const float *key_gradients, T *packed_gradient,          \
            float *partial, int rows, int context, int heads, int size, int strip_rows),                               \
           turn_backward_body(packed, query_gain, key_gain, cosines, sines, query_gradients, key_gradients,            \
                              packed_gradient, partial, rows, context, heads, size, strip_rows))                       \
    KERNEL(attention_dots_##suffix,                                                                                    \
           (const T *mixed, const T *gradient, float *dots, int rows, int context, int heads, int size),               \
           attention_dots_body(mixed, gradient, dots, rows, context, heads, size))                                     \
    KERNEL(adamw_##suffix,                                                                                             \
           (float *weights, float *first, float *second, const float *gradients, T *copies, const int *owners,         \
            const Rule *rules, const float *moment, const double *results, float beta1, float beta2, float clip,       \
            int with_copies),                                                                                          \
           adamw_body(weights, first, second, gradients, copies, owners, rules, moment, results, beta1, beta2, clip,   \
                      with_copies))                                                                                    \
    FOR_HEAD(T, suffix, 16, 64)                                                                                        \
    FOR_HEAD(T, suffix, 32, 64)                                                                                        \
    FOR_HEAD(T, suffix, 64, 64)                                                                                        \
    FOR_HEAD(T, suffix, 128, 32)

#define FOR_HEAD(T, suffix, SIZE, TILE)                                                                                \
    KERNEL(attention_forward_##suffix##_##SIZE,                                                                        \
           (const T *queries, const T *keys, const T *packed, T *out, float *log_sums, int context, int heads,         \
            int size),                                                                                                 \
           (attention_forward_body<T, SIZE, TILE>(queries, keys, packed, out, log_sums, context, heads, size)))        \
    KERNEL(attention_queries_##suffix##_##SIZE,                                                                        \
           (const T *queries, const T *keys, const T *packed, const T *gradient, const float *log_sums,                \
            const float *dots, float *query_gradients, int context, int heads, int size),                              \
           (attention_queries_body<T, SIZE, TILE>(queries, keys, packed, gradient, log_sums, dots, query_gradients,    \
                                                  context, heads, size)))                                              \
    KERNEL(attention_keys_##suffix##_##SIZE,                                                                           \
           (const T *queries, const T *keys, const T *packed, const T *gradient, const float *log_sums,                \
            const float *dots, float *key_gradients, T *packed_gradient, int context, int heads, int size),            \
           (attention_keys_body<T, SIZE, TILE>(queries, keys, packed, gradient, log_sums, dots, key_gradients,         \
                                               packed_gradient, context, heads, size)))

FOR_FORMAT(float, f32)
FOR_FORMAT(bf16, bf16)
