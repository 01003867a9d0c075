/** Numbers as the 16 bits of `f16` (IEEE 754 binary16) and `bf16`, rounded to nearest, ties to even. */

const float = new Float32Array(1);
const pattern = new Uint32Array(float.buffer);

/** The bits of `value` as `bf16`: the upper half of the float32 nearest to it, rounded. */
export function toBfloat16(value: number): number {
  float[0] = value;
  const bits = pattern[0] ?? 0;
  if (Number.isNaN(value)) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** `value`, rounded to float32 first, as the nearest `f16`. */
export function roundToFloat16(value: number): number {
  const x = Math.fround(value);
  const size = Math.abs(x);
  if (!(size < 65520)) return Number.isNaN(x) ? x : Math.sign(x) * Infinity;
  const unit = 2 ** (exponentOf(size) - 10);
  const rounded = roundToEven(size / unit) * unit;
  return x < 0 || Object.is(x, -0) ? -rounded : rounded;
}

/** The exponent with which `f16` holds `size`; its unit is 2^-10 of that power, 2^-24 below 2^-14. */
function exponentOf(size: number): number {
  return Math.max(-14, Math.floor(Math.log2(size)));
}

/** The bits of `value`, rounded to float32 first, as `f16`. */
export function toFloat16(value: number): number {
  const x = Math.fround(value);
  if (Number.isNaN(x)) return 0x7e00;
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  if (size >= 65520) return sign | 0x7c00;
  // Adding this power of two rounds `size` to a multiple of the unit of its binade (2^-24 below 2^-14).
  const exponent = exponentOf(size);
  const unit = 2 ** (exponent - 10);
  const steps = roundToEven(size / unit);
  return sign | (steps + ((exponent + 14) << 10));
}

/** The integer nearest to `x` >= 0, an even one if there are two. */
function roundToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
