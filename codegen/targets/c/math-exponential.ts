/**
 * Exponential, logarithm and what follows from them, in float32. Each is straight-line code with choices by `?:`, so that
 * a loop around it vectorises; NaN, infinities and overflow come out as C's library gives them. Argument reductions are
 * the textbook ones (Muller, Elementary Functions, 3rd ed., chapter 11); polynomials and rationals are minimax fits of
 * our own (Lawson's algorithm), good to 2e-8 relative or better before rounding.
 */
import { floatBits, floatFromBits, floatFunction, inlineFunction, powerOfTwo } from "./math-function.ts";

/**
 * e^x 2^shift: x = n ln 2 + r with |r| <= ln 2 / 2, e^r by a polynomial, and 2^(n + shift) in two factors, so that
 * results reach down to 0 and up to infinity. Adding 1.5 2^23 rounds to an integer and leaves it in the low bits.
 */
const scaledExp = inlineFunction(
  "kiln_scaled_exp",
  [floatBits, powerOfTwo],
  `float kiln_scaled_exp(float x, int32_t shift) {
  float c = x < -105.0f ? -105.0f : x;
  c = c > 90.0f ? 90.0f : c;
  float k = c * 0x1.715476p+0f + 0x1.8p+23f;
  int32_t n = kiln_bits(k) - 0x4b400000;
  k -= 0x1.8p+23f;
  float r = c - k * 0x1.63p-1f;
  r = r - k * -0x1.bd0106p-13f;
  float p = 0x1.6a1a72p-10f;
  p = p * r + 0x1.123fc6p-7f;
  p = p * r + 0x1.555916p-5f;
  p = p * r + 0x1.55548ap-3f;
  p = p * r + 0x1.fffffcp-2f;
  p = p * (r * r) + r + 1.0f;
  n += shift;
  int32_t half = n >> 1;
  return p * kiln_power_of_two(half) * kiln_power_of_two(n - half);
}`,
);

/** e^x. */
export const exp = floatFunction("exp", "float x", [scaledExp], "  return kiln_scaled_exp(x, 0);");

/** e^x - 1 = 2^n (e^r - 1) + (2^n - 1), halved inside so that 2^128 does not overflow early. */
export const expm1 = floatFunction(
  "expm1",
  "float x",
  [floatBits, powerOfTwo],
  `  float c = x < -20.0f ? -20.0f : x;
  c = c > 89.0f ? 89.0f : c;
  float k = c * 0x1.715476p+0f + 0x1.8p+23f;
  int32_t n = kiln_bits(k) - 0x4b400000;
  k -= 0x1.8p+23f;
  float r = c - k * 0x1.63p-1f;
  r = r - k * -0x1.bd0106p-13f;
  float p = 0x1.a1a930p-13f;
  p = p * r + 0x1.6d7b7cp-10f;
  p = p * r + 0x1.11108ap-7f;
  p = p * r + 0x1.5554a8p-5f;
  p = p * r + 0x1.555556p-3f;
  p = p * r + 0.5f;
  p = p * (r * r) + r;
  float half = kiln_power_of_two(n - 1);
  float e = half * p + (half - 0.5f);
  return x == 0 ? x : e + e;`,
);

/** ln x: x = 2^n m with m in [sqrt 1/2, sqrt 2), ln m by a polynomial in m - 1. */
export const log = floatFunction(
  "log",
  "float x",
  [floatBits, floatFromBits],
  `  int32_t tiny = x < 0x1p-126f;
  float scaled = tiny ? x * 0x1p+23f : x;
  int32_t bits = kiln_bits(scaled);
  int32_t n = (bits - 0x3f3504f3) >> 23;
  float f = kiln_from_bits(bits - (n << 23)) - 1.0f;
  float k = (float)(tiny ? n - 23 : n);
  float p = 0x1.1b3e92p-4f;
  p = p * f + -0x1.e2e7ecp-4f;
  p = p * f + 0x1.e6519ap-4f;
  p = p * f + -0x1.fb4388p-4f;
  p = p * f + 0x1.2332b4p-3f;
  p = p * f + -0x1.5562e0p-3f;
  p = p * f + 0x1.99a546p-3f;
  p = p * f + -0x1.ffffeep-3f;
  p = p * f + 0x1.555546p-2f;
  float square = f * f;
  float r = p * f * square + k * -0x1.bd0106p-13f;
  r = r - 0.5f * square;
  r = k * 0x1.63p-1f + (f + r);
  r = x < __builtin_inff() ? r : x;
  return x <= 0 ? (x == 0 ? -__builtin_inff() : __builtin_nanf("")) : r;`,
);

/** ln(1 + x): the logarithm of the rounded sum, plus what rounding took away (Kahan). */
export const log1p = floatFunction(
  "log1p",
  "float x",
  [log],
  `  float u = 1.0f + x;
  float lost = (x - (u - 1.0f)) / u;
  lost = u > 0 && u < __builtin_inff() ? lost : 0.0f;
  return x == 0 ? x : kiln_log_f32(u) + lost;`,
);

/** tanh x as x P(x^2) / Q(x^2); beyond 9.02 it rounds to 1. */
export const tanh = floatFunction(
  "tanh",
  "float x",
  [],
  `  float a = __builtin_fabsf(x);
  a = a > 9.02f ? 9.02f : a;
  float z = a * a;
  float p = 0x1.c9a3fep-27f;
  p = p * z + 0x1.595574p-16f;
  p = p * z + 0x1.c9f862p-9f;
  p = p * z + 0x1.120442p-3f;
  p = p * z + 1.0f;
  float q = 0x1.a0b884p-21f;
  q = q * z + 0x1.5841e6p-12f;
  q = q * z + 0x1.a7df2ap-6f;
  q = q * z + 0x1.de576ap-2f;
  q = q * z + 1.0f;
  float r = a * p / q;
  r = r > 1.0f ? 1.0f : r;
  return __builtin_copysignf(r, x);`,
);

/** erf x as x P(x^2) / Q(x^2); beyond 3.95 it rounds to 1. */
export const erf = floatFunction(
  "erf",
  "float x",
  [],
  `  float a = __builtin_fabsf(x);
  a = a > 3.95f ? 3.95f : a;
  float z = a * a;
  float p = 0x1.0fe9c8p-19f;
  p = p * z + 0x1.2a8480p-12f;
  p = p * z + 0x1.f3253cp-9f;
  p = p * z + 0x1.b127f4p-5f;
  p = p * z + 0x1.884bb0p-3f;
  p = p * z + 0x1.20dd74p+0f;
  float q = 0x1.3d5b58p-15f;
  q = q * z + 0x1.32e664p-10f;
  q = q * z + 0x1.ed5384p-7f;
  q = q * z + 0x1.d53c9ep-4f;
  q = q * z + 0x1.019502p-1f;
  q = q * z + 1.0f;
  float r = a * p / q;
  r = r > 1.0f ? 1.0f : r;
  return __builtin_copysignf(r, x);`,
);

/**
 * erfc x = e^(-x^2) R(x) / (1 + 2x) for x >= 0 with R = e^(x^2) erfc(x) (1 + 2x) as a polynomial in (x - 2) / (x + 2),
 * which is smooth over the whole half-axis; 2 - erfc(-x) below 0. x^2 is split in two where multiply-add is exact, since
 * its rounding error would count x^2 times.
 */
export const erfc = floatFunction(
  "erfc",
  "float x",
  [scaledExp],
  `  float a = __builtin_fabsf(x);
  a = a > 10.1f ? 10.1f : a;
  float t = (a - 2.0f) / (a + 2.0f);
  float p = -0x1.a40910p-12f;
  p = p * t + -0x1.426b0cp-10f;
  p = p * t + 0x1.585506p-10f;
  p = p * t + 0x1.1ad7cap-7f;
  p = p * t + -0x1.081b22p-7f;
  p = p * t + -0x1.bc0aa8p-5f;
  p = p * t + 0x1.4ffc40p-3f;
  p = p * t + -0x1.540848p-3f;
  p = p * t + -0x1.7bf616p-4f;
  p = p * t + 0x1.46e80ep+0f;
  float square = a * a;
#ifdef __FP_FAST_FMAF
  float lost = __builtin_fmaf(a, a, -square);
#else
  float high = kiln_from_bits(kiln_bits(a) & -4096), low = a - high;
  float lost = ((high * high - square) + 2.0f * high * low) + low * low;
#endif
  float e = kiln_scaled_exp(-square, 0);
  float r = (e - e * lost) * p / (1.0f + 2.0f * a);
  return x < 0 ? 2.0f - r : r;`,
);

/** sinh x: (e^a - e^-a) / 2, and x P(x^2) near 0, where that would cancel. e^a is taken halved, as it overflows before sinh. */
export const sinh = floatFunction(
  "sinh",
  "float x",
  [scaledExp],
  `  float a = __builtin_fabsf(x);
  float h = kiln_scaled_exp(a, -1);
  float far = h - 0.25f / h;
  float z = x * x;
  float p = 0x1.7a267cp-19f;
  p = p * z + 0x1.9ffe12p-13f;
  p = p * z + 0x1.111136p-7f;
  p = p * z + 0x1.555556p-3f;
  float near = a * z * p + a;
  return __builtin_copysignf(a < 1.0f ? near : far, x);`,
);

/** cosh x = (e^a + e^-a) / 2. */
export const cosh = floatFunction(
  "cosh",
  "float x",
  [scaledExp],
  `  float h = kiln_scaled_exp(__builtin_fabsf(x), -1);
  return h + 0.25f / h;`,
);

/** asinh x = sign(x) ln(1 + a + a^2 / (1 + sqrt(1 + a^2))), and ln a + ln 2 where a^2 is beyond 1's reach. */
export const asinh = floatFunction(
  "asinh",
  "float x",
  [log1p],
  `  float a = __builtin_fabsf(x);
  int32_t large = a > 0x1p+28f;
  float b = large ? 1.0f : a;
  float square = b * b;
  float near = b + square / (1.0f + __builtin_sqrtf(1.0f + square));
  float r = kiln_log1p_f32(large ? a : near);
  return __builtin_copysignf(large ? r + 0x1.62e43p-1f : r, x);`,
);

/** acosh x = ln(1 + t + sqrt(2t + t^2)) with t = x - 1; NaN below 1. */
export const acosh = floatFunction(
  "acosh",
  "float x",
  [log1p],
  `  int32_t large = x > 0x1p+28f;
  float t = large ? 1.0f : x - 1.0f;
  float near = t + __builtin_sqrtf(2.0f * t + t * t);
  float r = kiln_log1p_f32(large ? x : near);
  r = large ? r + 0x1.62e43p-1f : r;
  return x < 1.0f ? __builtin_nanf("") : r;`,
);

/** atanh x = sign(x) ln(1 + 2a / (1 - a)) / 2. */
export const atanh = floatFunction(
  "atanh",
  "float x",
  [log1p],
  `  float a = __builtin_fabsf(x);
  return __builtin_copysignf(0.5f * kiln_log1p_f32((a + a) / (1.0f - a)), x);`,
);
