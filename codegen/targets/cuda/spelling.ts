/**
 * How CUDA C++ spells names, types and numbers of loop IR: with the language's own types, so that neither nvcc nor NVRTC
 * needs a header.
 */
import { dtypeNotInCuda } from "../../../ir/diagnostic/messages.ts";
import { code, Fragment } from "../../source-writer.ts";
import { Spelling } from "../c-family/spelling.ts";

/** Words of C++ and of CUDA's built-in header that names of a program could meet. */
const reserved =
  "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class compl " +
  "concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default delete " +
  "do double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable " +
  "namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast " +
  "requires return short signed sizeof static static_assert static_cast struct switch template this thread_local throw " +
  "true try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq restrict main " +
  "threadIdx blockIdx blockDim gridDim warpSize dim3 uint3 float1 float2 float3 float4 double2 int2 int4 uint4 " +
  "uint ushort ulong clock clock64 printf assert malloc free memcpy memset min max abs labs llabs " +
  "exp expf exp2 exp10 expm1 log logf log2 log10 log1p sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh " +
  "sincos sinpi cospi erf erfc erfinv erfcinv erfcx pow sqrt rsqrt cbrt rcbrt hypot rhypot norm fabs fma fmod fmin fmax " +
  "fdim floor ceil trunc round rint nearbyint lrint lround copysign modf frexp ldexp scalbn logb ilogb nan remainder " +
  "remquo nextafter tgamma lgamma j0 j1 jn y0 y1 yn signbit isnan isinf isfinite NULL INFINITY NAN linux unix";

/** The spellings of CUDA. */
export const cudaSpelling = new Spelling({
  reserved: reserved.split(" "),
  elements: {
    f32: "float",
    f64: "double",
    f16: undefined,
    bf16: undefined,
    i8: "signed char",
    u8: "unsigned char",
    i16: "short",
    i32: "int",
    i64: "long long",
    bool: "unsigned char",
  },
  missing: dtypeNotInCuda,
  wide: (value) => new Fragment(`${value}LL`),
  unsigned: { i32: code`unsigned`, i64: code`unsigned long long` },
  nan: { f: "__int_as_float(0x7fc00000)", "": "__longlong_as_double(0x7ff8000000000000LL)" },
  infinity: { f: "__int_as_float(0x7f800000)", "": "__longlong_as_double(0x7ff0000000000000LL)" },
});
