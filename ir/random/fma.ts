/**
 * Fused multiply-add: `a * b + c` rounded once, as the processor instruction does, emulated in float64 arithmetic.
 * PyTorch's kernels are compiled with these instructions, so their bits depend on them.
 */

const { fround } = Math;

/**
 * `a * b + c` for float32 operands, rounded once to float32.
 *
 * The product of two float32 is exact in float64, so only the sum is rounded twice: to float64, then to float32. That
 * goes wrong only if the float64 sum lies exactly between two neighbouring float32 and was itself rounded; then the sign
 * of what was lost decides.
 */
export function fma32(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const rounded = fround(sum);
  const opposite = rounded + 2 * (sum - rounded);
  return opposite !== rounded && fround(opposite) === opposite ? breakTie(product, c, sum, rounded, opposite) : rounded;
}

/** `sum` lies in the middle of the float32 values `rounded` and `opposite`: the right one of the two. */
function breakTie(product: number, c: number, sum: number, rounded: number, opposite: number): number {
  const lost = sumError(product, c, sum);
  if (lost > 0) return Math.max(rounded, opposite);
  if (lost < 0) return Math.min(rounded, opposite);
  return rounded;
}

/**
 * `a * b + c` in float64, rounded once (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved
 * algorithms using rounding to odd", IEEE Transactions on Computers 57(4), 2008). Exact unless a step over- or
 * underflows.
 */
export function fma64(a: number, b: number, c: number): number {
  const product = a * b;
  const productLow = productError(a, b, product);
  const low = c + productLow;
  const lowLost = sumError(c, productLow, low);
  const high = product + low;
  const highLost = sumError(product, low, high);
  return high + addToOdd(highLost, lowLost);
}

/** The exact difference between `x + y` and its rounded value `sum` (Knuth's two-sum). */
function sumError(x: number, y: number, sum: number): number {
  const part = sum - x;
  return x - (sum - part) + (y - part);
}

/** The exact difference between `a * b` and its rounded value `product` (Dekker's product of split factors). */
function productError(a: number, b: number, product: number): number {
  const aHigh = splitHigh(a);
  const bHigh = splitHigh(b);
  const aLow = a - aHigh;
  const bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}

/** The upper 26 bits of the significand of `x` (Veltkamp). */
function splitHigh(x: number): number {
  const scaled = 134217729 * x;
  return scaled - (scaled - x);
}

const bits = new BigInt64Array(1);
const value = new Float64Array(bits.buffer);

/** `x + y`, where an inexact sum takes whichever neighbour has an odd significand. */
function addToOdd(x: number, y: number): number {
  const sum = x + y;
  const lost = sumError(x, y, sum);
  if (lost === 0 || !Number.isFinite(sum)) return sum;
  value[0] = sum;
  const pattern = bits[0] ?? 0n;
  if ((pattern & 1n) === 1n) return sum;
  bits[0] = pattern + (lost > 0 === sum > 0 ? 1n : -1n);
  return value[0];
}
