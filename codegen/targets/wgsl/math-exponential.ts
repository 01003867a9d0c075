/**
 * Exponential, logarithm and what follows from them, in float32. Each is straight-line code with choices by `select`; NaN,
 * infinities and overflow come out as PyTorch has them. Argument reductions are the textbook ones (Muller, Elementary
 * Functions, 3rd ed., chapter 11), held together by `kiln_keep`; polynomials and rationals are minimax fits of our own
 * (Lawson's algorithm), good to 2e-8 relative or better before rounding. The C target has the same ones.
 */
import {
  copySign,
  floatFunction,
  infinity,
  isNan,
  keep,
  nan,
  powerOfTwo,
  upperPart,
  wgslFunction,
} from "./math-function.ts";

/**
 * e^x 2^shift: x = n ln 2 + r with |r| <= ln 2 / 2, e^r by a polynomial, and 2^(n + shift) in two factors, so that
 * results reach down to 0 and up to infinity. Gives any number for NaN.
 */
export const scaledExp = wgslFunction(
  "kiln_scaled_exp",
  "(x: f32, shift: i32) -> f32",
  [keep, powerOfTwo],
  `  let c = clamp(x, -105.0, 90.0);
  let k = floor(c * 0x1.715476p+0f + 0.5);
  let t = kiln_keep(c - k * 0x1.63p-1f);
  let r = t - k * -0x1.bd0106p-13f;
  var p = 0x1.6a1a72p-10f;
  p = p * r + 0x1.123fc6p-7f;
  p = p * r + 0x1.555916p-5f;
  p = p * r + 0x1.55548ap-3f;
  p = p * r + 0x1.fffffcp-2f;
  p = p * (r * r) + r + 1.0;
  let n = i32(k) + shift;
  let part = n >> 1u;
  return p * kiln_power_of_two(part) * kiln_power_of_two(n - part);`,
);

/** e^x. */
export const exp = floatFunction(
  "exp",
  "x: f32",
  [scaledExp, isNan],
  "  return select(kiln_scaled_exp(x, 0), x, kiln_is_nan_f32(x));",
);

/** e^x - 1 = 2^n (e^r - 1) + (2^n - 1), halved inside so that 2^128 does not overflow early. */
export const expm1 = floatFunction(
  "expm1",
  "x: f32",
  [keep, powerOfTwo, isNan],
  `  let c = clamp(x, -20.0, 89.0);
  let k = floor(c * 0x1.715476p+0f + 0.5);
  let t = kiln_keep(c - k * 0x1.63p-1f);
  let r = t - k * -0x1.bd0106p-13f;
  var p = 0x1.a1a930p-13f;
  p = p * r + 0x1.6d7b7cp-10f;
  p = p * r + 0x1.11108ap-7f;
  p = p * r + 0x1.5554a8p-5f;
  p = p * r + 0x1.555556p-3f;
  p = p * r + 0.5;
  p = p * (r * r) + r;
  let scale = kiln_power_of_two(i32(k) - 1);
  let e = scale * p + (scale - 0.5);
  return select(e + e, x, x == 0.0 || kiln_is_nan_f32(x));`,
);

/** ln x: x = 2^n m with m in [sqrt 1/2, sqrt 2), ln m by a polynomial in m - 1. */
export const log = floatFunction(
  "log",
  "x: f32",
  [infinity, nan, isNan],
  `  let tiny = x < 0x1p-126f;
  let bits = bitcast<i32>(select(x, x * 0x1p+23f, tiny));
  let n = (bits - 0x3f3504f3) >> 23u;
  let f = bitcast<f32>(bits - (n << 23u)) - 1.0;
  let k = f32(select(n, n - 23, tiny));
  var p = 0x1.1b3e92p-4f;
  p = p * f + -0x1.e2e7ecp-4f;
  p = p * f + 0x1.e6519ap-4f;
  p = p * f + -0x1.fb4388p-4f;
  p = p * f + 0x1.2332b4p-3f;
  p = p * f + -0x1.5562e0p-3f;
  p = p * f + 0x1.99a546p-3f;
  p = p * f + -0x1.ffffeep-3f;
  p = p * f + 0x1.555546p-2f;
  let square = f * f;
  let low = p * f * square + k * -0x1.bd0106p-13f - 0.5 * square;
  var r = k * 0x1.63p-1f + (f + low);
  r = select(r, x, bitcast<i32>(x) >= 0x7f800000);
  r = select(r, kiln_nan(), x < 0.0);
  r = select(r, -kiln_infinity(), x == 0.0);
  return select(r, x, kiln_is_nan_f32(x));`,
);

/** ln(1 + x): the logarithm of the rounded sum, plus what rounding took away (Kahan). */
export const log1p = floatFunction(
  "log1p",
  "x: f32",
  [log, keep, isNan],
  `  let u = kiln_keep(1.0 + x);
  let lost = (x - kiln_keep(u - 1.0)) / u;
  let usual = u > 0.0 && bitcast<u32>(u) < 0x7f800000u;
  let r = kiln_log_f32(u) + select(0.0, lost, usual);
  return select(r, x, x == 0.0 || kiln_is_nan_f32(x));`,
);

/** tanh x as x P(x^2) / Q(x^2); beyond 9.02 it rounds to 1. */
export const tanh = floatFunction(
  "tanh",
  "x: f32",
  [copySign, isNan],
  `  let a = min(abs(x), 9.02);
  let z = a * a;
  var p = 0x1.c9a3fep-27f;
  p = p * z + 0x1.595574p-16f;
  p = p * z + 0x1.c9f862p-9f;
  p = p * z + 0x1.120442p-3f;
  p = p * z + 1.0;
  var q = 0x1.a0b884p-21f;
  q = q * z + 0x1.5841e6p-12f;
  q = q * z + 0x1.a7df2ap-6f;
  q = q * z + 0x1.de576ap-2f;
  q = q * z + 1.0;
  let r = min(a * (p / q), 1.0);
  return select(kiln_copy_sign(r, x), x, kiln_is_nan_f32(x));`,
);

/** erf x as x P(x^2) / Q(x^2); beyond 3.95 it rounds to 1. */
export const erf = floatFunction(
  "erf",
  "x: f32",
  [copySign, isNan],
  `  let a = min(abs(x), 3.95);
  let z = a * a;
  var p = 0x1.0fe9c8p-19f;
  p = p * z + 0x1.2a8480p-12f;
  p = p * z + 0x1.f3253cp-9f;
  p = p * z + 0x1.b127f4p-5f;
  p = p * z + 0x1.884bb0p-3f;
  p = p * z + 0x1.20dd74p+0f;
  var q = 0x1.3d5b58p-15f;
  q = q * z + 0x1.32e664p-10f;
  q = q * z + 0x1.ed5384p-7f;
  q = q * z + 0x1.d53c9ep-4f;
  q = q * z + 0x1.019502p-1f;
  q = q * z + 1.0;
  let r = min(a * (p / q), 1.0);
  return select(kiln_copy_sign(r, x), x, kiln_is_nan_f32(x));`,
);

/**
 * erfc x = e^(-x^2) R(x) / (1 + 2x) for x >= 0 with R = e^(x^2) erfc(x) (1 + 2x) as a polynomial in (x - 2) / (x + 2),
 * which is smooth over the whole half-axis; 2 - erfc(-x) below 0. x^2 is split in two, since its rounding error would
 * count x^2 times.
 */
export const erfc = floatFunction(
  "erfc",
  "x: f32",
  [scaledExp, keep, upperPart, isNan],
  `  let a = min(abs(x), 10.1);
  let t = (a - 2.0) / (a + 2.0);
  var p = -0x1.a40910p-12f;
  p = p * t + -0x1.426b0cp-10f;
  p = p * t + 0x1.585506p-10f;
  p = p * t + 0x1.1ad7cap-7f;
  p = p * t + -0x1.081b22p-7f;
  p = p * t + -0x1.bc0aa8p-5f;
  p = p * t + 0x1.4ffc40p-3f;
  p = p * t + -0x1.540848p-3f;
  p = p * t + -0x1.7bf616p-4f;
  p = p * t + 0x1.46e80ep+0f;
  let square = kiln_keep(a * a);
  let high = kiln_upper_part(a);
  let low = kiln_keep(a - high);
  let lost = kiln_keep(kiln_keep(high * high - square) + 2.0 * high * low) + low * low;
  let e = kiln_scaled_exp(-square, 0);
  let r = (e - e * lost) * p / (1.0 + 2.0 * a);
  return select(select(r, 2.0 - r, x < 0.0), x, kiln_is_nan_f32(x));`,
);

/** sinh x: (e^a - e^-a) / 2, and x P(x^2) near 0, where that would cancel. e^a is taken halved, as it overflows before sinh. */
export const sinh = floatFunction(
  "sinh",
  "x: f32",
  [scaledExp, copySign, isNan],
  `  let a = abs(x);
  let h = kiln_scaled_exp(a, -1);
  let far = h - 0.25 / h;
  let b = min(a, 1.0);
  let z = b * b;
  var p = 0x1.7a267cp-19f;
  p = p * z + 0x1.9ffe12p-13f;
  p = p * z + 0x1.111136p-7f;
  p = p * z + 0x1.555556p-3f;
  let near = b * z * p + b;
  return select(kiln_copy_sign(select(far, near, a < 1.0), x), x, kiln_is_nan_f32(x));`,
);

/** cosh x = (e^a + e^-a) / 2. */
export const cosh = floatFunction(
  "cosh",
  "x: f32",
  [scaledExp, isNan],
  `  let h = kiln_scaled_exp(abs(x), -1);
  return select(h + 0.25 / h, x, kiln_is_nan_f32(x));`,
);

/** asinh x = sign(x) ln(1 + a + a^2 / (1 + sqrt(1 + a^2))), and ln a + ln 2 where a^2 is beyond 1's reach. */
export const asinh = floatFunction(
  "asinh",
  "x: f32",
  [log1p, copySign, isNan],
  `  let a = abs(x);
  let large = a > 0x1p+28f;
  let b = select(a, 1.0, large);
  let square = b * b;
  let near = b + square / (1.0 + sqrt(1.0 + square));
  let r = kiln_log1p_f32(select(near, a, large)) + select(0.0, 0x1.62e43p-1f, large);
  return select(kiln_copy_sign(r, x), x, kiln_is_nan_f32(x));`,
);

/** acosh x = ln(1 + t + sqrt(2t + t^2)) with t = x - 1; NaN below 1. */
export const acosh = floatFunction(
  "acosh",
  "x: f32",
  [log1p, nan, isNan],
  `  let large = x > 0x1p+28f;
  let t = select(x - 1.0, 1.0, large);
  let near = t + sqrt(max(2.0 * t + t * t, 0.0));
  let r = kiln_log1p_f32(select(near, x, large)) + select(0.0, 0x1.62e43p-1f, large);
  return select(select(r, kiln_nan(), x < 1.0), x, kiln_is_nan_f32(x));`,
);

/** atanh x = sign(x) ln(1 + 2a / (1 - a)) / 2. */
export const atanh = floatFunction(
  "atanh",
  "x: f32",
  [log1p, copySign, infinity, nan, isNan],
  `  let a = abs(x);
  var r = 0.5 * kiln_log1p_f32((a + a) / (1.0 - a));
  r = select(r, kiln_infinity(), a == 1.0);
  r = kiln_copy_sign(r, x);
  r = select(r, kiln_nan(), a > 1.0);
  return select(r, x, kiln_is_nan_f32(x));`,
);
