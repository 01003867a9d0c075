/**
 * x^y in float32, by way of float64: |x|^y = 2^(y log2 |x|), in straight-line code that vectorises. The logarithm is
 * ln m = 2 artanh((m - 1) / (m + 1)) by its series, good to 1e-12, so that the result is good to an ulp of float32 over
 * its whole range.
 */
import { floatFunction, inlineFunction } from "./math-function.ts";

const bits64 = inlineFunction(
  "kiln_bits_f64",
  [],
  `int64_t kiln_bits_f64(double x) {
  int64_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}`,
);

const fromBits64 = inlineFunction(
  "kiln_from_bits_f64",
  [],
  `double kiln_from_bits_f64(int64_t bits) {
  double x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}`,
);

/** log2 of a positive float64 that a float32 can hold. */
const log2 = inlineFunction(
  "kiln_log2_f64",
  [bits64, fromBits64],
  `double kiln_log2_f64(double a) {
  int64_t bits = kiln_bits_f64(a);
  int64_t n = (bits - 0x3fe6a09e667f3bcd) >> 52;
  double m = kiln_from_bits_f64(bits - (n << 52));
  double s = (m - 1.0) / (m + 1.0);
  double z = s * s;
  double p = 1.0 / 15;
  p = p * z + 1.0 / 13;
  p = p * z + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  p = p * z + 1.0;
  return (double)n + p * s * 0x1.71547652b82fep+1;
}`,
);

/** 2^t, for t cut off where float32 has ended. */
const exp2 = inlineFunction(
  "kiln_exp2_f64",
  [bits64, fromBits64],
  `double kiln_exp2_f64(double t) {
  double c = t < -200.0 ? -200.0 : t;
  c = c > 200.0 ? 200.0 : c;
  double k = c + 0x1.8p+52;
  int64_t n = kiln_bits_f64(k) - 0x4338000000000000;
  double r = (c - (k - 0x1.8p+52)) * 0x1.62e42fefa39efp-1;
  double p = 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return p * kiln_from_bits_f64((n + 1023) << 52);
}`,
);

/** x^y with C's rules for the special cases (C11, F.10.4.4). */
export const pow = floatFunction(
  "pow",
  "float x, float y",
  [log2, exp2],
  `  float a = __builtin_fabsf(x);
  double l = kiln_log2_f64((double)a);
  l = a == 0 ? -__builtin_inf() : l;
  l = a < __builtin_inff() ? l : (double)a;
  double t = a == 1.0f ? 0.0 : (double)y * l;
  float r = (float)kiln_exp2_f64(t);
  int32_t whole = __builtin_floorf(y) == y;
  int32_t odd = whole && __builtin_floorf(y * 0.5f) != y * 0.5f;
  r = x < 0 && !whole && a < __builtin_inff() ? __builtin_nanf("") : r;
  r = odd ? __builtin_copysignf(r, x) : r;
  r = x != x || y != y ? x + y : r;
  return x == 1.0f || y == 0 ? 1.0f : r;`,
);
