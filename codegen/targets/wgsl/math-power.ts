/**
 * x^y and the remainder of float32. The power is 2^(y log2 |x|), with the logarithm and the product in two floats each
 * (an upper part of 12 bits, whose products are exact, and the rest), so that the result is good to 2e-7 over its whole
 * range. The remainder is exact, in integers.
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
 * log2 a of a positive finite a, as a sum: n + 2 / ln 2 artanh s with s = (m - 1) / (m + 1), where s is divided out to 12
 * bits and the rest of it comes from the division's remainder.
 */
const logarithm = wgslFunction(
  "kiln_log2_parts",
  "(a: f32) -> vec2<f32>",
  [keep, upperPart],
  `  let tiny = a < 0x1p-126f;
  let bits = bitcast<i32>(select(a, a * 0x1p+23f, tiny));
  let n = (bits - 0x3f3504f3) >> 23u;
  let k = f32(select(n, n - 23, tiny));
  let m = bitcast<f32>(bits - (n << 23u));
  let f = m - 1.0;
  let g = kiln_keep(m + 1.0);
  let g_high = kiln_upper_part(g);
  let g_low = kiln_keep(m - kiln_keep(g_high - 1.0));
  let s_high = kiln_upper_part(f / g);
  let s_low = (kiln_keep(f - s_high * g_high) - s_high * g_low) / g;
  let s = s_high + s_low;
  let z = s * s;
  var p = 0x1.745d18p-4f;
  p = p * z + 0x1.c71c72p-4f;
  p = p * z + 0x1.24924ap-3f;
  p = p * z + 0x1.99999ap-3f;
  p = p * z + 0x1.555556p-2f;
  let lead = kiln_keep(s_high * 0x1.714p+1f);
  let rest = s_high * 0x1.47652cp-11f + 0x1.715476p+1f * (s_low + s * z * p);
  let sum = kiln_keep(k + lead);
  let low = kiln_keep(lead - kiln_keep(sum - k)) + rest;
  let high = kiln_upper_part(kiln_keep(sum + low));
  return vec2<f32>(high, kiln_keep(sum - high) + low);`,
);

/** x^y with C's rules for the special cases (C11, F.10.4.4). */
export const pow = floatFunction(
  "pow",
  "x: f32, y: f32",
  [logarithm, powerOfTwo, copySign, keep, upperPart, infinity, nan, isNan],
  `  let a = abs(x);
  let exponent = clamp(y, -1e11, 1e11);
  let l = kiln_log2_parts(a);
  let e_high = kiln_upper_part(exponent);
  let e_low = kiln_keep(exponent - e_high);
  let t_high = kiln_keep(e_high * l.x);
  let t_low = e_low * l.x + exponent * l.y;
  let t = clamp(kiln_keep(t_high + t_low), -200.0, 200.0);
  let k = floor(t + 0.5);
  let far = abs(t) >= 200.0;
  let r = select(kiln_keep(t_high - k) + t_low, 0.0, far) * 0x1.62e43p-1f;
  var p = 0x1.6a1a72p-10f;
  p = p * r + 0x1.123fc6p-7f;
  p = p * r + 0x1.555916p-5f;
  p = p * r + 0x1.55548ap-3f;
  p = p * r + 0x1.fffffcp-2f;
  p = p * (r * r) + r + 1.0;
  let n = i32(k);
  let part = n >> 1u;
  var value = p * kiln_power_of_two(part) * kiln_power_of_two(n - part);
  let endless = bitcast<u32>(a) == 0x7f800000u;
  let grows = (y > 0.0) == endless;
  value = select(value, select(0.0, kiln_infinity(), grows), endless || a == 0.0);
  value = select(value, 1.0, a == 1.0);
  let size = abs(y);
  let whole = size >= 0x1p+23f || floor(y) == y;
  let odd = whole && size < 0x1p+24f && (i32(clamp(y, -0x1p+24f, 0x1p+24f)) & 1) == 1;
  let negative = (bitcast<u32>(x) >> 31u) == 1u;
  value = select(value, -value, odd && negative);
  value = select(value, kiln_nan(), x < 0.0 && !whole && !endless);
  value = select(value, kiln_nan(), kiln_is_nan_f32(x) || kiln_is_nan_f32(y));
  return select(value, 1.0, x == 1.0 || y == 0.0);`,
);

/** x - y trunc(x / y), exactly: the remainder of whole mantissas, up to eight bits of the quotient at a time. */
export const mod = floatFunction(
  "mod",
  "x: f32, y: f32",
  [copySign, nan],
  `  let a = bitcast<u32>(x) & 0x7fffffffu;
  let b = bitcast<u32>(y) & 0x7fffffffu;
  if (a >= 0x7f800000u || b > 0x7f800000u || b == 0u) {
    return kiln_nan();
  }
  if (a < b) {
    return x;
  }
  let a_exponent = max(a >> 23u, 1u);
  let b_exponent = max(b >> 23u, 1u);
  let divisor = (b & 0x7fffffu) | select(0u, 0x800000u, b >= 0x800000u);
  var rest = ((a & 0x7fffffu) | select(0u, 0x800000u, a >= 0x800000u)) % divisor;
  var left = a_exponent - b_exponent;
  while (left > 0u) {
    let some = min(left, 8u);
    rest = (rest << some) % divisor;
    left -= some;
  }
  let shift = min(max(countLeadingZeros(rest), 8u) - 8u, b_exponent - 1u);
  let mantissa = rest << shift;
  let exponent = select(0u, b_exponent - shift, mantissa >= 0x800000u);
  return kiln_copy_sign(bitcast<f32>((exponent << 23u) | (mantissa & 0x7fffffu)), x);`,
);
