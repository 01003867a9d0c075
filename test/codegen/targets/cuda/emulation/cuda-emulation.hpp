// CUDA C++ on the processor, for tests: what an emitted program (codegen/targets/cuda) needs to be compiled, unchanged, by
// g++ or clang++. Include it in front of the program. Each thread of a block is a fiber; blocks run one after another, and
// the threads of a block in one of three orders, from barrier to barrier. Shared arrays start as NaN. What is found wrong
// ends the launch with a message that names block and thread: barriers that not all threads reach, threads that wait for
// ever, vectors at addresses that CUDA does not allow. Compiled with -fsanitize=address, accesses outside of buffers and
// arrays are found; with -fsanitize=thread (and linked without), races between threads and between blocks. The other
// half is cuda-emulation.cpp.
//
// Emulated: one-dimensional grids and blocks, __syncthreads, __syncwarp, shuffles of whole warps, atomicCAS, atomicAdd,
// atomicMax and atomicExch, static shared arrays, the mma.sync tiles of the device header (operands rounded as the
// hardware does, sums rounded once). Not emulated: streams, dynamic shared memory, cooperative groups, cp.async, wgmma.
// Not available but on x86-64 with a System V ABI (Linux, macOS): it switches stacks in assembly.
#pragma once
#if !defined(__x86_64__) || defined(_WIN32)
#error "the CUDA emulation needs x86-64 with the System V ABI"
#endif

#define KILN_EMULATION 1
#define KILN_DEVICE static inline __attribute__((always_inline))
#define KILN_SHARED(type, name, size) \
  alignas(16) static type name[size]; \
  kiln_emulation::shared(name, sizeof name, #name)
#define KILN_ALIGNED(address, bytes) kiln_emulation::aligned(address, bytes)
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

struct kiln_triple {
  unsigned x, y, z;
};
extern kiln_triple threadIdx, blockIdx, blockDim, gridDim;

namespace kiln_emulation {
// A shared array of the block that runs; the first thread to come fills it with NaN.
void shared(void *array, unsigned long bytes, const char *name);
// All threads of the block, or of the warp, wait for each other. `line` tells barriers apart.
void barrier(int line);
void warp_barrier(int line);
// The value that lane `source` of the warp brings.
unsigned long long exchange(unsigned long long mine, unsigned source, int line);
// Products of tiles by a warp: 8 deep of TF32, or 16 deep of BF16.
enum class Operand { tf32, bf16, f16 };
void mma(Operand format, float *sums, const float *a, const float *b, int line);
int atomic_cas(int *at, int expected, int value);
int atomic_add(int *at, int value);
float atomic_add(float *at, float value);
int atomic_max(int *at, int value);
int atomic_exchange(int *at, int value);
void misaligned(const void *address, unsigned long bytes);
inline void aligned(const void *address, unsigned long bytes) {
  if ((unsigned long)address % bytes != 0) misaligned(address, bytes);
}
template <typename T> inline T shuffle(T value, unsigned source, int line) {
  static_assert(sizeof(T) <= 8, "shuffles move up to 64 bits");
  unsigned long long bits = 0;
  __builtin_memcpy(&bits, &value, sizeof value);
  bits = exchange(bits, source, line);
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
inline unsigned lane() { return threadIdx.x % 32; }

// A kernel, called with its pointers in an array.
struct kernel {
  const char *name;
  void (*run)(void **pointers);
};
template <unsigned... I> struct numbers {};
template <typename... A, unsigned... I> inline void call(void (*run)(A...), void **pointers, numbers<I...>) {
  run((A)pointers[I]...);
}
template <typename... A> inline void call(void (*run)(A...), void **pointers) {
  call(run, pointers, numbers<__integer_pack(sizeof...(A))...>());
}
}  // namespace kiln_emulation

inline void __syncthreads(int line = __builtin_LINE()) { kiln_emulation::barrier(line); }
inline void __syncwarp(unsigned = ~0u, int line = __builtin_LINE()) { kiln_emulation::warp_barrier(line); }
template <typename T> inline T __shfl_sync(unsigned, T x, int from, int width = 32, int line = __builtin_LINE()) {
  const unsigned lane = kiln_emulation::lane();
  return kiln_emulation::shuffle(x, lane / width * width + (unsigned)from % width, line);
}
template <typename T> inline T __shfl_xor_sync(unsigned, T x, int mask, int = 32, int line = __builtin_LINE()) {
  return kiln_emulation::shuffle(x, kiln_emulation::lane() ^ mask, line);
}
template <typename T> inline T __shfl_down_sync(unsigned, T x, unsigned by, int width = 32, int line = __builtin_LINE()) {
  const unsigned lane = kiln_emulation::lane();
  return kiln_emulation::shuffle(x, lane % width + by < (unsigned)width ? lane + by : lane, line);
}
template <typename T> inline T __shfl_up_sync(unsigned, T x, unsigned by, int width = 32, int line = __builtin_LINE()) {
  const unsigned lane = kiln_emulation::lane();
  return kiln_emulation::shuffle(x, lane % width >= by ? lane - by : lane, line);
}
inline int atomicCAS(int *at, int expected, int value) { return kiln_emulation::atomic_cas(at, expected, value); }
inline int atomicAdd(int *at, int value) { return kiln_emulation::atomic_add(at, value); }
inline float atomicAdd(float *at, float value) { return kiln_emulation::atomic_add(at, value); }
inline int atomicMax(int *at, int value) { return kiln_emulation::atomic_max(at, value); }
inline int atomicExch(int *at, int value) { return kiln_emulation::atomic_exchange(at, value); }

inline void kiln_mma_tf32(float &c0, float &c1, float &c2, float &c3, float a0, float a1, float a2, float a3, float b0,
                          float b1, int line = __builtin_LINE()) {
  float c[] = {c0, c1, c2, c3};
  const float a[] = {a0, a1, a2, a3}, b[] = {b0, b1};
  kiln_emulation::mma(kiln_emulation::Operand::tf32, c, a, b, line);
  c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
}
#define KILN_MMA(format)                                                                                              \
  inline void kiln_mma_##format(float &c0, float &c1, float &c2, float &c3, float a0, float a1, float a2, float a3,    \
                                float a4, float a5, float a6, float a7, float b0, float b1, float b2, float b3,       \
                                int line = __builtin_LINE()) {                                                        \
    float c[] = {c0, c1, c2, c3};                                                                                     \
    const float a[] = {a0, a1, a2, a3, a4, a5, a6, a7}, b[] = {b0, b1, b2, b3};                                       \
    kiln_emulation::mma(kiln_emulation::Operand::format, c, a, b, line);                                              \
    c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];                                                                       \
  }
KILN_MMA(bf16)
KILN_MMA(f16)
#undef KILN_MMA

inline float __int_as_float(int bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}
inline double __longlong_as_double(long long bits) {
  double x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

// The C library's mathematics, declared here since its header takes longer to read than most programs.
#define KILN_UNARY(name) \
  extern "C" float name##f(float); \
  extern "C" double name(double);
#define KILN_BINARY(name) \
  extern "C" float name##f(float, float); \
  extern "C" double name(double, double);
KILN_UNARY(fabs) KILN_UNARY(floor) KILN_UNARY(ceil) KILN_UNARY(trunc) KILN_UNARY(rint) KILN_UNARY(sqrt)
KILN_UNARY(exp) KILN_UNARY(expm1) KILN_UNARY(log) KILN_UNARY(log1p) KILN_UNARY(sin) KILN_UNARY(cos) KILN_UNARY(tan)
KILN_UNARY(asin) KILN_UNARY(acos) KILN_UNARY(atan) KILN_UNARY(sinh) KILN_UNARY(cosh) KILN_UNARY(tanh)
KILN_UNARY(asinh) KILN_UNARY(acosh) KILN_UNARY(atanh) KILN_UNARY(erf) KILN_UNARY(erfc)
KILN_BINARY(pow) KILN_BINARY(atan2) KILN_BINARY(fmod)
