/**
 * Trigonometric functions and their inverses in float32, straight-line like those of `math-exponential.ts`. Angles of up
 * to 2^13 quarter turns are reduced with pi/2 in four parts, whose products with the number of turns are exact (Cody and
 * Waite); larger ones by a product with the bits of 2/pi that matter (Payne and Hanek), in integers, so that results are
 * good over the whole range. Polynomials are minimax fits of our own.
 */
import { Fragment } from "../../source-writer.ts";
import {
  copySign,
  floatFunction,
  isNan,
  keep,
  multiplyHigh,
  nan,
  wgslFunction,
  type MathFunction,
} from "./math-function.ts";

/** An angle as a number of quarter turns (modulo 4) and what remains, within pi/4 of 0. */
const angle: MathFunction = {
  name: "kiln_angle",
  needs: [],
  text: new Fragment("struct kiln_angle { turns: i32, rest: f32 }"),
};

/**
 * Reduces a finite x >= 1. With x = m 2^s for a whole 32-bit m, x 2/pi modulo 4 needs only those 128 bits of 2/pi that
 * stand around 2^-s; the product's two lowest whole bits are the turns, and the 64 bits below them the rest.
 */
const reduceLarge = wgslFunction(
  "kiln_reduce_large",
  "(x: f32) -> kiln_angle",
  [angle, multiplyHigh],
  `  var words = array<u32, 8>(0u, 0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u);
  let bits = bitcast<u32>(x);
  let m = (bits << 8u) | 0x80000000u;
  let s = (bits >> 23u) - 126u;
  let first = s >> 5u;
  let shift = s & 31u;
  let w3 = words[first];
  let w2 = words[first + 1u];
  let w1 = words[first + 2u];
  let w0 = words[first + 3u];
  let p0 = m * w0;
  let a1 = m * w1;
  let p1 = a1 + kiln_multiply_high(m, w0);
  let a2 = m * w2;
  let b2 = a2 + kiln_multiply_high(m, w1);
  let p2 = b2 + u32(p1 < a1);
  let carry = u32(b2 < a2) + u32(p2 < b2);
  let p3 = m * w3 + kiln_multiply_high(m, w2) + carry;
  let unshifted = shift == 0u;
  let back = select(32u - shift, 0u, unshifted);
  let whole = (p3 << shift) | select(p2 >> back, 0u, unshifted);
  var high = (p2 << shift) | select(p1 >> back, 0u, unshifted);
  var low = (p1 << shift) | select(p0 >> back, 0u, unshifted);
  let up = high >> 31u;
  let turns = i32((whole + up) & 3u);
  high = select(high, ~high, up == 1u);
  low = select(low, ~low, up == 1u);
  let zeros = countLeadingZeros(high);
  let left = min(zeros, 31u);
  let top = (high << left) | select(low >> (32u - left), 0u, left == 0u);
  let rest = f32(top) * bitcast<f32>((127u - 32u - left) << 23u) * 0x1.921fb6p+0f;
  return kiln_angle(turns, select(rest, -rest, up == 1u));`,
);

/** Reduces any finite x. */
const reduce = wgslFunction(
  "kiln_reduce",
  "(x: f32) -> kiln_angle",
  [angle, reduceLarge, keep],
  `  if (abs(x) > 12800.0) {
    let large = kiln_reduce_large(abs(x));
    if (x < 0.0) {
      return kiln_angle((4 - large.turns) & 3, -large.rest);
    }
    return large;
  }
  let k = floor(x * 0x1.45f306p-1f + 0.5);
  var r = kiln_keep(x - k * 0x1.92p+0f);
  r = kiln_keep(r - k * 0x1.fb4p-12f);
  r = kiln_keep(r - k * 0x1.444p-24f);
  r = r - k * 0x1.68c234p-39f;
  return kiln_angle(i32(k) & 3, r);`,
);

/** sin r for |r| <= pi/4. */
const smallSin = wgslFunction(
  "kiln_small_sin",
  "(r: f32) -> f32",
  [],
  `  let z = r * r;
  var s = 0x1.6ca4e2p-19f;
  s = s * z + -0x1.a00ec4p-13f;
  s = s * z + 0x1.111108p-7f;
  s = s * z + -0x1.555556p-3f;
  return r * z * s + r;`,
);

/** cos r for |r| <= pi/4. */
const smallCos = wgslFunction(
  "kiln_small_cos",
  "(r: f32) -> f32",
  [],
  `  let z = r * r;
  var c = -0x1.2404a0p-22f;
  c = c * z + 0x1.a01066p-16f;
  c = c * z + -0x1.6c16b8p-10f;
  c = c * z + 0x1.555556p-5f;
  return c * (z * z) + (1.0 - 0.5 * z);`,
);

/** sin(x + quadrant pi/2); NaN for infinities. */
const circular = wgslFunction(
  "kiln_circular",
  "(x: f32, quadrant: i32) -> f32",
  [reduce, smallSin, smallCos, nan],
  `  if ((bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u) {
    return kiln_nan();
  }
  let a = kiln_reduce(x);
  let n = a.turns + quadrant;
  let value = select(kiln_small_sin(a.rest), kiln_small_cos(a.rest), (n & 1) == 1);
  return select(value, -value, (n & 2) == 2);`,
);

/** Sine. */
export const sin = floatFunction("sin", "x: f32", [circular], "  return select(kiln_circular(x, 0), x, x == 0.0);");

/** Cosine. */
export const cos = floatFunction("cos", "x: f32", [circular], "  return kiln_circular(x, 1);");

/** Tangent. */
export const tan = floatFunction(
  "tan",
  "x: f32",
  [reduce, smallSin, smallCos, nan],
  `  if ((bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u) {
    return kiln_nan();
  }
  let a = kiln_reduce(x);
  let s = kiln_small_sin(a.rest);
  let c = kiln_small_cos(a.rest);
  let odd = (a.turns & 1) == 1;
  return select(select(s, -c, odd) / select(c, s, odd), x, x == 0.0);`,
);

/** asin a for 0 <= a <= 1/2. */
const smallAsin = wgslFunction(
  "kiln_small_asin",
  "(a: f32) -> f32",
  [],
  `  let z = a * a;
  var p = 0x1.33bbf6p-5f;
  p = p * z + 0x1.d7f1c0p-7f;
  p = p * z + 0x1.04a660p-5f;
  p = p * z + 0x1.6cac3cp-5f;
  p = p * z + 0x1.33388ep-4f;
  p = p * z + 0x1.55554cp-3f;
  return a * z * p + a;`,
);

/** asin x; above 1/2, asin a = pi/2 - 2 asin sqrt((1 - a) / 2). */
export const asin = floatFunction(
  "asin",
  "x: f32",
  [smallAsin, copySign, nan],
  `  let a = abs(x);
  let b = select(a, sqrt(max(0.5 - 0.5 * a, 0.0)), a > 0.5);
  var r = kiln_small_asin(b);
  r = select(r, 0x1.921fb6p+0f - (r + r - -0x1.777a5cp-25f), a > 0.5);
  return select(kiln_nan(), kiln_copy_sign(r, x), a <= 1.0);`,
);

/** acos x: 2 asin sqrt((1 - a) / 2) near 1, mirrored near -1, pi/2 - asin x between. */
export const acos = floatFunction(
  "acos",
  "x: f32",
  [smallAsin, copySign, nan],
  `  let a = abs(x);
  let b = select(a, sqrt(max(0.5 - 0.5 * a, 0.0)), a > 0.5);
  let r = kiln_small_asin(b);
  let outer = select(0x1.921fb6p+1f - (r + r - -0x1.777a5cp-24f), r + r, x > 0.0);
  let inner = 0x1.921fb6p+0f - (kiln_copy_sign(r, x) - -0x1.777a5cp-25f);
  return select(kiln_nan(), select(inner, outer, a > 0.5), a <= 1.0);`,
);

/** atan t for 0 <= t <= 1. */
const unitAtan = wgslFunction(
  "kiln_unit_atan",
  "(t: f32) -> f32",
  [],
  `  let z = t * t;
  var p = -0x1.d62fd2p-10f;
  p = p * z + 0x1.65a64cp-7f;
  p = p * z + -0x1.fed150p-6f;
  p = p * z + 0x1.dac9dcp-5f;
  p = p * z + -0x1.58348ep-4f;
  p = p * z + 0x1.c099fep-4f;
  p = p * z + -0x1.2421b6p-3f;
  p = p * z + 0x1.9991fep-3f;
  p = p * z + -0x1.55553ep-2f;
  return t * z * p + t;`,
);

/** atan x; above 1, atan a = pi/2 - atan 1/a. */
export const atan = floatFunction(
  "atan",
  "x: f32",
  [unitAtan, copySign, isNan],
  `  let a = abs(x);
  let r = kiln_unit_atan(select(a, 1.0 / a, a > 1.0));
  return select(kiln_copy_sign(select(r, 0x1.921fb6p+0f - r, a > 1.0), x), x, kiln_is_nan_f32(x));`,
);

/** The angle of the point (y, x), where x names the first operand as in atan2(x, y): by octants. */
export const atan2 = floatFunction(
  "atan2",
  "x: f32, y: f32",
  [unitAtan, copySign, isNan, nan],
  `  let a = abs(x);
  let b = abs(y);
  let low = select(b, a, a < b);
  let high = select(a, b, a < b);
  var t = low / high;
  t = select(t, 1.0, low == high);
  t = select(t, 0.0, high == 0.0);
  var r = kiln_unit_atan(t);
  r = select(r, 0x1.921fb6p+0f - r, a > b);
  r = select(r, 0x1.921fb6p+1f - r, (bitcast<u32>(y) >> 31u) == 1u);
  return select(kiln_copy_sign(r, x), kiln_nan(), kiln_is_nan_f32(x) || kiln_is_nan_f32(y));`,
);
