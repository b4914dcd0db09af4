// The words the kernels are written in: CUDA's own under nvcc. Under a C++ compiler `emulation.cpp` defines the same
// words before it includes the kernels.
//
// Kept few on purpose, so that the emulation is small: thread and block indices, one block of dynamic shared memory,
// `__syncthreads`, one shuffle in which all lanes of a warp take part, and the products of 16 x 16 matrices of `wmma`.
#pragma once

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <mma.h>

using namespace nvcuda;

typedef __nv_bfloat16 bf16;

#define SHARED(name) extern __shared__ __align__(128) float name[]

static __device__ inline float shuffle_xor(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

static __device__ inline float widened(float value) { return value; }
static __device__ inline float widened(bf16 value) { return __bfloat162float(value); }
static __device__ inline void narrow_into(float *to, float value) { *to = value; }
static __device__ inline void narrow_into(bf16 *to, float value) { *to = __float2bfloat16(value); }

#endif

static __device__ inline float warp_sum(float value) {
    for (int mask = 16; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    return value;
}

static __device__ inline float warp_max(float value) {
    for (int mask = 16; mask > 0; mask /= 2) value = fmaxf(value, shuffle_xor(value, mask));
    return value;
}

// Over a block of whole warps; `scratch` holds a float per warp. Sums in the order of warps, the same in every thread.
static __device__ inline float block_sum(float value, float *scratch) {
    value = warp_sum(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0.0f;
    for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) sum += scratch[warp];
    return sum;
}

static __device__ inline float block_max(float value, float *scratch) {
    value = warp_max(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    float best = scratch[0];
    for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) best = fmaxf(best, scratch[warp]);
    return best;
}
