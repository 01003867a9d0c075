/**
 * What emitted kernels need of the device beyond the language: how functions and shared arrays are declared, vectors of
 * a few elements, and tensor cores. Each is a text constant, written at the head of a program that uses it. Where
 * `KILN_EMULATION` is defined, an emulation on a processor (`test/codegen/targets/cuda/emulation`) defines the names that
 * stand in the `#ifndef` in its own way, and the kernels are compiled unchanged.
 */
import type { MatrixFormat } from "../../../ir/loop/loop.ts";
import { Fragment } from "../../source-writer.ts";

/** Declarations of every program. */
export const deviceHeader = new Fragment(`\
#ifndef KILN_EMULATION
#define KILN_DEVICE static __device__ __forceinline__
#define KILN_SHARED(type, name, size) __shared__ __align__(16) type name[size]
#define KILN_ALIGNED(address, bytes)
#endif`);

/**
 * Vectors of N elements that lie side by side. They are loaded and stored as a whole where the address allows it
 * (`aligned`), in pieces of at most 16 bytes, which is what a thread moves at once, and element by element elsewhere.
 * Integers wrap around, as unsigned ones do.
 */
export const vectorHeader = new Fragment(`\
template <typename T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) kiln_vector { T lane[N]; };

template <typename T> struct kiln_word { typedef T type; };
template <> struct kiln_word<int> { typedef unsigned type; };
template <> struct kiln_word<long long> { typedef unsigned long long type; };

#define KILN_LANES(type, expression) \\
  kiln_vector<type, N> result; \\
  _Pragma("unroll") for (int i = 0; i < N; i++) result.lane[i] = (type)(expression); \\
  return result;
#define KILN_ARITHMETIC(op) \\
  template <typename T, int N> KILN_DEVICE kiln_vector<T, N> operator op(kiln_vector<T, N> x, kiln_vector<T, N> y) { \\
    typedef typename kiln_word<T>::type word; \\
    KILN_LANES(T, (word)x.lane[i] op (word)y.lane[i]) \\
  }
#define KILN_OPERATOR(op, result_type) \\
  template <typename T, int N> \\
  KILN_DEVICE kiln_vector<result_type, N> operator op(kiln_vector<T, N> x, kiln_vector<T, N> y) { \\
    KILN_LANES(result_type, x.lane[i] op y.lane[i]) \\
  }
KILN_ARITHMETIC(+)
KILN_ARITHMETIC(-)
KILN_ARITHMETIC(*)
KILN_OPERATOR(/, T)
KILN_OPERATOR(%, T)
KILN_OPERATOR(&, T)
KILN_OPERATOR(|, T)
KILN_OPERATOR(^, T)
KILN_OPERATOR(==, unsigned char)
KILN_OPERATOR(!=, unsigned char)
KILN_OPERATOR(<, unsigned char)
KILN_OPERATOR(<=, unsigned char)
KILN_OPERATOR(>, unsigned char)
KILN_OPERATOR(>=, unsigned char)
template <typename T, int N> KILN_DEVICE kiln_vector<T, N> operator-(kiln_vector<T, N> x) {
  typedef typename kiln_word<T>::type word;
  KILN_LANES(T, -(word)x.lane[i])
}
template <typename T, int N> KILN_DEVICE kiln_vector<T, N> operator!(kiln_vector<T, N> x) { KILN_LANES(T, !x.lane[i]) }
template <int N, typename T> KILN_DEVICE kiln_vector<T, N> kiln_splat(T x) { KILN_LANES(T, x) }
template <typename U, typename T, int N> KILN_DEVICE kiln_vector<U, N> kiln_convert(kiln_vector<T, N> x) {
  KILN_LANES(U, x.lane[i])
}
template <typename T, int N> KILN_DEVICE kiln_vector<unsigned char, N> kiln_nonzero(kiln_vector<T, N> x) {
  KILN_LANES(unsigned char, x.lane[i] != 0)
}
template <typename T, int N>
KILN_DEVICE kiln_vector<T, N> kiln_choose(kiln_vector<unsigned char, N> c, kiln_vector<T, N> y, kiln_vector<T, N> z) {
  KILN_LANES(T, c.lane[i] ? y.lane[i] : z.lane[i])
}
template <typename T, typename... A> KILN_DEVICE kiln_vector<T, sizeof...(A)> kiln_pack(A... lanes) {
  return {{(T)lanes...}};
}
template <int N, typename T> KILN_DEVICE kiln_vector<T, N> kiln_load(const T *from) { KILN_LANES(T, from[i]) }
template <typename T, int N> KILN_DEVICE void kiln_store(T *to, kiln_vector<T, N> x) {
  _Pragma("unroll") for (int i = 0; i < N; i++) to[i] = x.lane[i];
}
template <int N, typename T> KILN_DEVICE kiln_vector<T, N> kiln_load_aligned(const T *from) {
  KILN_ALIGNED(from, alignof(kiln_vector<T, N>));
  return *(const kiln_vector<T, N> *)from;
}
template <typename T, int N> KILN_DEVICE void kiln_store_aligned(T *to, kiln_vector<T, N> x) {
  KILN_ALIGNED(to, alignof(kiln_vector<T, N>));
  *(kiln_vector<T, N> *)to = x;
}`);

/** Tiles of 16 x 8 x 8 with operands of TF32, rounded to nearest with ties away from 0. */
const tf32Header = new Fragment(`\
#ifndef KILN_EMULATION
KILN_DEVICE unsigned kiln_tf32(float x) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
}
KILN_DEVICE void kiln_mma_tf32(float &c0, float &c1, float &c2, float &c3, float a0, float a1, float a2, float a3,
                               float b0, float b1) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
               : "r"(kiln_tf32(a0)), "r"(kiln_tf32(a1)), "r"(kiln_tf32(a2)), "r"(kiln_tf32(a3)), "r"(kiln_tf32(b0)),
                 "r"(kiln_tf32(b1)));
}
#endif`);

/** Tiles of 16 x 8 x 16 with operands of 16 bits, rounded to nearest with ties to even. */
function halfHeader(format: "bf16" | "f16"): Fragment {
  return new Fragment(`\
#ifndef KILN_EMULATION
KILN_DEVICE unsigned kiln_${format}x2(float low, float high) {
  unsigned bits;
  asm("cvt.rn.${format}x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}
KILN_DEVICE void kiln_mma_${format}(float &c0, float &c1, float &c2, float &c3, float a0, float a1, float a2, float a3,
                               float a4, float a5, float a6, float a7, float b0, float b1, float b2, float b3) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.${format}.${format}.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
               : "r"(kiln_${format}x2(a0, a1)), "r"(kiln_${format}x2(a2, a3)), "r"(kiln_${format}x2(a4, a5)),
                 "r"(kiln_${format}x2(a6, a7)), "r"(kiln_${format}x2(b0, b1)), "r"(kiln_${format}x2(b2, b3)));
}
#endif`);
}

/** What products on tensor cores need, by the precision of their operands. */
export const matrixHeaders: Readonly<Record<MatrixFormat, Fragment>> = {
  tf32: tf32Header,
  bf16: halfHeader("bf16"),
  f16: halfHeader("f16"),
};
