// The kernels compiled for the CPU: a block is run by one fibre per thread, which gives way at barriers and shuffles
// alone. In which order the fibres go on between two of these is chosen by the caller, so that a race shows as results
// that differ. Shared memory is filled with NaN before each block, and what lies behind it is watched.
//
// Blocks go one after the other, in the chosen order too. One launch at a time: the caller holds a lock.

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

// ----------------------------------------------------------------------------------------------------------- words

struct Index {
    unsigned x, y, z;
};

static Index threadIdx, blockIdx, blockDim, gridDim;

#define __device__
#define __global__

using std::min;

struct bf16 {
    uint16_t bits;
};

static inline float widened(float value) { return value; }

static inline float widened(bf16 value) {
    uint32_t bits = (uint32_t)value.bits << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

static inline void narrow_into(float *to, float value) { *to = value; }

// To the nearest, of two equally near the even one; NaN stays NaN.
static inline void narrow_into(bf16 *to, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    to->bits = value != value ? 0x7fff : (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static const size_t SHARED_BYTES = 99 * 1024, WATCHED_BYTES = 4 * 1024;
alignas(16) static unsigned char shared_bytes[SHARED_BYTES + WATCHED_BYTES];
#define SHARED(name) float *name = (float *)shared_bytes

static void wait_for_block();
static void wait_for_warp();
// Two sets, taken in turn: a lane that goes on writes into the set that nobody reads any more.
static float slots[2][1024];
static unsigned char turns[1024];

static void __syncthreads() { wait_for_block(); }

static float shuffle_xor(float value, int mask) {
    unsigned thread = threadIdx.x, turn = turns[thread] ^= 1;
    slots[turn][thread] = value;
    wait_for_warp();
    return slots[turn][thread ^ mask];
}

// ------------------------------------------------------------------------------------------------------- launching

typedef void (*Caller)(void (*)(), void **);

struct Entry {
    void (*kernel)();
    Caller call;
    size_t arguments;
};

static std::map<std::string, Entry> &entries() {
    static std::map<std::string, Entry> all;
    return all;
}

template <class... A, size_t... I>
static void call_with(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
    kernel(*(A *)arguments[I]...);
}

template <class... A> struct Enter {
    Enter(const char *name, void (*kernel)(A...)) {
        Caller caller = [](void (*kernel)(), void **arguments) {
            call_with((void (*)(A...))kernel, arguments, std::index_sequence_for<A...>());
        };
        entries()[name] = {(void (*)())kernel, caller, sizeof...(A)};
    }
};

template <class... A> static Enter<A...> enter(const char *name, void (*kernel)(A...)) { return {name, kernel}; }

#define KERNEL(name, parameters, body)                                                                                 \
    static void name parameters { body; }                                                                              \
    static auto name##_entry = enter(#name, name);

#include "kernels.cu"

// ---------------------------------------------------------------------------------------------------------- fibres

enum State { READY, AT_BLOCK, AT_WARP, DONE };

struct Fibre {
    jmp_buf at;
    ucontext_t beginning;
    bool begun;
    State state;
    std::vector<unsigned char> stack;
};

static Fibre fibres[1024];
static jmp_buf scheduler;
static unsigned current;
static const Entry *running;
static void **running_arguments;
static const char *broken;

__attribute__((noinline)) static void give_way(State state) {
    fibres[current].state = state;
    if (!_setjmp(fibres[current].at)) _longjmp(scheduler, 1);
}

static void wait_for_block() { give_way(AT_BLOCK); }
static void wait_for_warp() { give_way(AT_WARP); }

static void fibre_main() {
    for (;;) {
        running->call(running->kernel, running_arguments);
        give_way(DONE);
    }
}

__attribute__((noinline)) static void go_on(unsigned thread) {
    current = thread;
    threadIdx = {thread, 0, 0};
    if (_setjmp(scheduler)) return;
    Fibre &fibre = fibres[thread];
    if (fibre.begun) _longjmp(fibre.at, 1);
    fibre.begun = true;
    setcontext(&fibre.beginning);
}

static void begin_fibres(unsigned threads) {
    for (unsigned thread = 0; thread < threads; ++thread) {
        Fibre &fibre = fibres[thread];
        if (fibre.stack.empty()) {
            fibre.stack.resize(96 * 1024);
            fibre.begun = false;
            getcontext(&fibre.beginning);
            fibre.beginning.uc_stack.ss_sp = fibre.stack.data();
            fibre.beginning.uc_stack.ss_size = fibre.stack.size();
            fibre.beginning.uc_link = nullptr;
            makecontext(&fibre.beginning, fibre_main, 0);
        }
        fibre.state = READY;
        turns[thread] = 0;
    }
}

// Lets those go on that all wait for the same; says whether any does.
static bool release(unsigned threads) {
    bool released = false;
    for (unsigned warp = 0; warp < threads; warp += 32) {
        unsigned waiting = 0;
        for (unsigned thread = warp; thread < warp + 32; ++thread) waiting += fibres[thread].state == AT_WARP;
        if (waiting == 32) {
            for (unsigned thread = warp; thread < warp + 32; ++thread) fibres[thread].state = READY;
            released = true;
        } else if (waiting > 0) {
            broken = "lanes of a warp part ways at a shuffle";
            return false;
        }
    }
    if (released) return true;
    unsigned waiting = 0, done = 0;
    for (unsigned thread = 0; thread < threads; ++thread) {
        waiting += fibres[thread].state == AT_BLOCK;
        done += fibres[thread].state == DONE;
    }
    if (waiting == threads) {
        for (unsigned thread = 0; thread < threads; ++thread) fibres[thread].state = READY;
        return true;
    }
    if (done != threads) broken = "threads of a block part ways at a barrier";
    return false;
}

static void arrange(std::vector<unsigned> &order, int kind, std::mt19937 &random) {
    for (unsigned index = 0; index < order.size(); ++index) order[index] = index;
    if (kind == 1) std::reverse(order.begin(), order.end());
    if (kind >= 2)
        for (size_t last = order.size(); last > 1; --last) std::swap(order[last - 1], order[random() % last]);
}

static void run_block(unsigned threads, size_t shared, int kind, std::mt19937 &random) {
    memset(shared_bytes, 0xff, shared + WATCHED_BYTES);
    begin_fibres(threads);
    std::vector<unsigned> order(threads);
    do {
        arrange(order, kind, random);
        for (unsigned thread : order)
            if (fibres[thread].state == READY) go_on(thread);
    } while (release(threads));
    for (size_t index = 0; index < WATCHED_BYTES && !broken; ++index)
        if (shared_bytes[shared + index] != 0xff) broken = "a block writes behind its shared memory";
}

// Runs a kernel; null, or what went wrong. `kind` is the order of threads and blocks: 0 forward, 1 backward, from 2 on
// the seed of a shuffle.
extern "C" const char *emulate(const char *name, const unsigned *grid, unsigned threads, unsigned shared,
                               void **arguments, unsigned count, int kind) {
    auto found = entries().find(name);
    if (found == entries().end()) return "there is no kernel of this name";
    if (found->second.arguments != count) return "it takes another number of arguments";
    if (threads == 0 || threads % 32 != 0 || threads > 1024) return "a block is of whole warps, 1024 threads at most";
    if (shared > SHARED_BYTES) return "it asks for more shared memory than a block has";
    if (grid[1] > 65535 || grid[2] > 65535) return "a grid has 65535 blocks at most along y and z";
    running = &found->second;
    running_arguments = arguments;
    broken = nullptr;
    blockDim = {threads, 1, 1};
    gridDim = {grid[0], grid[1], grid[2]};
    std::mt19937 random(kind);
    std::vector<unsigned> blocks(grid[0] * grid[1] * grid[2]);
    arrange(blocks, kind, random);
    for (unsigned block : blocks) {
        blockIdx = {block % grid[0], block / grid[0] % grid[1], block / (grid[0] * grid[1])};
        run_block(threads, shared, kind, random);
        if (broken) {
            // Fibres that wait in the middle of a kernel are of no more use.
            for (Fibre &fibre : fibres) fibre.stack.clear();
            return broken;
        }
    }
    return nullptr;
}
