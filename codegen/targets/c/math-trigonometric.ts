/**
 * Trigonometric functions and their inverses in float32, straight-line like those of `math-exponential.ts`. Angles are
 * reduced modulo pi/2 in float64 with pi/2 in three parts (Cody and Waite), which is exact enough for |x| up to about
 * 1e8; beyond, results lose digits without fused multiply-add, and beyond 2^48 they are NaN. Polynomials are minimax fits of our own.
 */
import { floatFunction, inlineFunction } from "./math-function.ts";

/** sin(x + quadrant pi/2), or the tangent where `tangent` is set; both are constants where it is called. */
const circular = inlineFunction(
  "kiln_circular",
  [],
  `float kiln_circular(float x, int32_t quadrant, int tangent) {
  double k = __builtin_rint((double)x * 0x1.45f306dc9c883p-1);
  double d = (double)x - k * 0x1.921fb54000000p+0;
  d = d - k * 0x1.10b4610000000p-30;
  d = d - k * 0x1.a62633145c06ep-58;
  int32_t n = (int32_t)(k - 4.0 * __builtin_floor(k * 0.25)) + quadrant;
  d = __builtin_fabsf(x) < 0x1p+48f ? d : __builtin_nan("");
  float r = (float)d;
  float z = r * r;
  float s = 0x1.6ca4e2p-19f;
  s = s * z + -0x1.a00ec4p-13f;
  s = s * z + 0x1.111108p-7f;
  s = s * z + -0x1.555556p-3f;
  s = r * z * s + r;
  float c = -0x1.2404a0p-22f;
  c = c * z + 0x1.a01066p-16f;
  c = c * z + -0x1.6c16b8p-10f;
  c = c * z + 0x1.555556p-5f;
  c = c * (z * z) + (1.0f - 0.5f * z);
  if (tangent) return n & 1 ? -c / s : s / c;
  float value = n & 1 ? c : s;
  return n & 2 ? -value : value;
}`,
);

/** Sine. */
export const sin = floatFunction("sin", "float x", [circular], "  return x == 0 ? x : kiln_circular(x, 0, 0);");

/** Cosine. */
export const cos = floatFunction("cos", "float x", [circular], "  return kiln_circular(x, 1, 0);");

/** Tangent. */
export const tan = floatFunction("tan", "float x", [circular], "  return x == 0 ? x : kiln_circular(x, 0, 1);");

/** asin a for 0 <= a <= 1/2. */
const smallAsin = inlineFunction(
  "kiln_small_asin",
  [],
  `float kiln_small_asin(float a) {
  float z = a * a;
  float p = 0x1.33bbf6p-5f;
  p = p * z + 0x1.d7f1c0p-7f;
  p = p * z + 0x1.04a660p-5f;
  p = p * z + 0x1.6cac3cp-5f;
  p = p * z + 0x1.33388ep-4f;
  p = p * z + 0x1.55554cp-3f;
  return a * z * p + a;
}`,
);

/** asin x; above 1/2, asin a = pi/2 - 2 asin sqrt((1 - a) / 2). */
export const asin = floatFunction(
  "asin",
  "float x",
  [smallAsin],
  `  float a = __builtin_fabsf(x);
  float b = a > 0.5f ? __builtin_sqrtf(0.5f - 0.5f * a) : a;
  float r = kiln_small_asin(b);
  return __builtin_copysignf(a > 0.5f ? 0x1.921fb6p+0f - (r + r - -0x1.777a5cp-25f) : r, x);`,
);

/** acos x: 2 asin sqrt((1 - a) / 2) near 1, mirrored near -1, pi/2 - asin x between. */
export const acos = floatFunction(
  "acos",
  "float x",
  [smallAsin],
  `  float a = __builtin_fabsf(x);
  float b = a > 0.5f ? __builtin_sqrtf(0.5f - 0.5f * a) : a;
  float r = kiln_small_asin(b);
  float outer = x > 0 ? r + r : 0x1.921fb6p+1f - (r + r - -0x1.777a5cp-24f);
  float inner = 0x1.921fb6p+0f - (__builtin_copysignf(r, x) - -0x1.777a5cp-25f);
  return a > 0.5f ? outer : inner;`,
);

/** atan t for 0 <= t <= 1. */
const unitAtan = inlineFunction(
  "kiln_unit_atan",
  [],
  `float kiln_unit_atan(float t) {
  float z = t * t;
  float p = -0x1.d62fd2p-10f;
  p = p * z + 0x1.65a64cp-7f;
  p = p * z + -0x1.fed150p-6f;
  p = p * z + 0x1.dac9dcp-5f;
  p = p * z + -0x1.58348ep-4f;
  p = p * z + 0x1.c099fep-4f;
  p = p * z + -0x1.2421b6p-3f;
  p = p * z + 0x1.9991fep-3f;
  p = p * z + -0x1.55553ep-2f;
  return t * z * p + t;
}`,
);

/** atan x; above 1, atan a = pi/2 - atan 1/a. */
export const atan = floatFunction(
  "atan",
  "float x",
  [unitAtan],
  `  float a = __builtin_fabsf(x);
  float r = kiln_unit_atan(a > 1.0f ? 1.0f / a : a);
  return __builtin_copysignf(a > 1.0f ? 0x1.921fb6p+0f - r : r, x);`,
);

/** The angle of the point (y, x), where x names the first operand as in atan2(x, y): by octants. */
export const atan2 = floatFunction(
  "atan2",
  "float x, float y",
  [unitAtan],
  `  float a = __builtin_fabsf(x), b = __builtin_fabsf(y);
  float low = a < b ? a : b, high = a < b ? b : a;
  float t = high == 0 ? 0.0f : low == high ? 1.0f : low / high;
  float r = kiln_unit_atan(t);
  r = a > b ? 0x1.921fb6p+0f - r : r;
  r = __builtin_signbit(y) ? 0x1.921fb6p+1f - r : r;
  r = a != a || b != b ? a + b : r;
  return __builtin_copysignf(r, x);`,
);
