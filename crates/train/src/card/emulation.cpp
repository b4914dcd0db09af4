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
#include <type_traits>
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
alignas(128) static unsigned char shared_bytes[SHARED_BYTES + WATCHED_BYTES];
#define SHARED(name) float *name = (float *)shared_bytes

static void wait_for_block();
static void wait_for_warp();
// Two sets, taken in turn: a lane that goes on writes into the set that nobody reads any more.
static float slots[2][1024];
static unsigned char turns[1024];

static void __syncthreads() { wait_for_block(); }

static const char *broken;

static float shuffle_xor(float value, int mask) {
    unsigned thread = threadIdx.x, turn = turns[thread] ^= 1;
    slots[turn][thread] = value;
    wait_for_warp();
    return slots[turn][thread ^ mask];
}

// Products of 16 x 16 matrices, in which all lanes of a warp take part: here the first one does the work, and holds the
// whole matrix. Alignment is what the hardware asks for.
namespace wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major };

template <class Use, int M, int N, int K, class T, class Order = void> struct fragment {
    float values[16][16];
};

static bool first_lane() {
    wait_for_warp();
    return threadIdx.x % 32 == 0;
}

static void check_alignment(const void *from, size_t row_bytes) {
    if ((uintptr_t)from % 32 != 0 || row_bytes % 16 != 0) broken = "a 16 x 16 matrix lies where tensor cores cannot read";
}

template <class Use, class T, class Order>
static void fill_fragment(fragment<Use, 16, 16, 16, T, Order> &to, float value) {
    for (auto &row : to.values)
        for (float &held : row) held = value;
}

template <class Use, class T, class Order>
static void load_matrix_sync(fragment<Use, 16, 16, 16, T, Order> &to, const T *from, unsigned leading) {
    check_alignment(from, leading * sizeof(T));
    if (!first_lane()) return;
    bool by_rows = std::is_same<Order, row_major>::value;
    for (int row = 0; row < 16; ++row)
        for (int column = 0; column < 16; ++column)
            to.values[row][column] = widened(from[by_rows ? row * leading + column : column * leading + row]);
}

template <class Out, class A, class B, class In>
static void mma_sync(Out &out, const A &a, const B &b, const In &in) {
    if (!first_lane()) return;
    for (int row = 0; row < 16; ++row)
        for (int column = 0; column < 16; ++column) {
            float sum = in.values[row][column];
            for (int inner = 0; inner < 16; ++inner) sum += a.values[row][inner] * b.values[inner][column];
            out.values[row][column] = sum;
        }
}

template <class Fragment>
static void store_matrix_sync(float *to, const Fragment &from, unsigned leading, layout_t) {
    check_alignment(to, leading * sizeof(float));
    if (!first_lane()) return;
    for (int row = 0; row < 16; ++row)
        for (int column = 0; column < 16; ++column) to[row * leading + column] = from.values[row][column];
}

} // namespace wmma

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

// Two that are wrong, so that a test can see it: a barrier is missing, and a warp parts ways.
static void turned_body(const float *from, float *to) {
    SHARED(held);
    held[threadIdx.x] = from[threadIdx.x];
    to[threadIdx.x] = held[(threadIdx.x + 1) % blockDim.x];
}

static void parted_body(float *to) {
    if (threadIdx.x % 2 == 0) to[threadIdx.x] = warp_sum(1.0f);
}

KERNEL(wrong_without_barrier, (const float *from, float *to), turned_body(from, to))
KERNEL(wrong_shuffle, (float *to), parted_body(to))

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

// Lets the lanes of a warp go on that wait for each other; says whether they do.
static bool release_warp(unsigned warp) {
    unsigned waiting = 0;
    for (unsigned lane = 0; lane < 32; ++lane) waiting += fibres[warp * 32 + lane].state == AT_WARP;
    if (waiting > 0 && waiting < 32) broken = "lanes of a warp part ways at a shuffle";
    if (waiting < 32) return false;
    for (unsigned lane = 0; lane < 32; ++lane) fibres[warp * 32 + lane].state = READY;
    return true;
}

// Lets a block go on that waits as a whole; says whether it does.
static bool release_block(unsigned threads) {
    unsigned waiting = 0, done = 0;
    for (unsigned thread = 0; thread < threads; ++thread) {
        waiting += fibres[thread].state == AT_BLOCK;
        done += fibres[thread].state == DONE;
    }
    if (waiting < threads) {
        if (done != threads) broken = "threads of a block part ways at a barrier";
        return false;
    }
    for (unsigned thread = 0; thread < threads; ++thread) fibres[thread].state = READY;
    return true;
}

static void arrange(std::vector<unsigned> &order, int kind, std::mt19937 &random) {
    for (unsigned index = 0; index < order.size(); ++index) order[index] = index;
    if (kind == 1) std::reverse(order.begin(), order.end());
    if (kind >= 2)
        for (size_t last = order.size(); last > 1; --last) std::swap(order[last - 1], order[random() % last]);
}

// Runs a block to its end. Between barriers warps go in the chosen order, and each as far as it can before the next begins;
// where the order is shuffled, a warp gives way to the others now and then.
static void run_block(unsigned threads, size_t shared, int kind, std::mt19937 &random) {
    memset(shared_bytes, 0xff, shared + WATCHED_BYTES);
    begin_fibres(threads);
    std::vector<unsigned> warps(threads / 32), lanes(32), left;
    do {
        arrange(warps, kind, random);
        for (left = warps; !left.empty() && !broken;) {
            unsigned warp = left.front();
            left.erase(left.begin());
            bool goes_on = true, gives_way = false;
            while (goes_on && !gives_way && !broken) {
                arrange(lanes, kind, random);
                for (unsigned lane : lanes)
                    if (fibres[warp * 32 + lane].state == READY) go_on(warp * 32 + lane);
                goes_on = release_warp(warp);
                gives_way = kind >= 2 && random() % 4 == 0;
            }
            if (goes_on) left.push_back(warp);
        }
    } while (!broken && release_block(threads));
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
