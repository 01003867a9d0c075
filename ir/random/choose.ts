/**
 * Random integers, permutations and categories as PyTorch's CPU kernels draw them. Results are exact; the generator is
 * left where PyTorch would leave it.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import { badDraw } from "../diagnostic/messages.ts";
import { fillExponential, type FloatArray } from "./draw.ts";
import type { Generator } from "./generator.ts";

/** Ranges from here on take 64 bits a draw. */
const wideRange = 2 ** 28;

/** From this many elements on, a permutation takes 64 bits a draw. */
const widePermutation = Math.floor((2 ** 32 - 1) / 20);

/** The next integer of 63 bits: `random_()` on int64. Two outputs. */
export function nextInt63(generator: Generator): bigint {
  return nextBigU64(generator) & ((1n << 63n) - 1n);
}

/**
 * A function that draws integers in [low, high): `randint(low, high)`, one element a call. One output each, two if
 * the range is 2^28 or more.
 *
 * @throws UserError K3103 unless low < high, both safe integers.
 */
export function integerDraw(generator: Generator, low: number, high: number): () => number {
  if (!(Number.isSafeInteger(low) && Number.isSafeInteger(high) && low < high))
    throw fail(badDraw("randint", "integers low < high", `${low}, ${high}`));
  const range = high - low;
  if (range < wideRange) return () => low + (generator.nextU32() % range);
  const wide = BigInt(high) - BigInt(low);
  return () => Number(BigInt(low) + (nextBigU64(generator) % wide));
}

/** Fills `out` with integers in [low, high), as `integerDraw` draws them. */
export function fillIntegers(
  generator: Generator,
  out: Int32Array | Float64Array | BigInt64Array,
  low: number,
  high: number,
): void {
  const draw = integerDraw(generator, low, high);
  if (out instanceof BigInt64Array) for (let i = 0; i < out.length; i++) out[i] = BigInt(draw());
  else for (let i = 0; i < out.length; i++) out[i] = draw();
}

/**
 * The numbers 0 … n - 1 in random order: `randperm(n)`. One output for each but the last; two of them for
 * permutations of more than 214 million.
 *
 * @throws UserError K3103 unless n is an integer from 0 to 2^31 - 1.
 */
export function permutation(generator: Generator, n: number): Int32Array {
  if (!(Number.isInteger(n) && n >= 0 && n < 2 ** 31))
    throw fail(badDraw("randperm", "a count from 0 to 2^31 - 1", String(n)));
  const order = new Int32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  const wide = n >= widePermutation;
  for (let i = 0; i < n - 1; i++) {
    const left = n - i;
    const other = i + (wide ? Number(nextBigU64(generator) % BigInt(left)) : generator.nextU32() % left);
    const taken = order[other] ?? 0;
    order[other] = order[i] ?? 0;
    order[i] = taken;
  }
  return order;
}

/**
 * Indices of categories, drawn with probabilities proportional to `weights`: `multinomial(weights, samples,
 * replacement)`. Arithmetic is in the element type of the weights. With replacement each sample takes two outputs;
 * without it, or for a single sample, each category takes two.
 *
 * @throws UserError K3103 if a weight is negative or not finite, all are zero, or more samples are asked for than
 *   there are categories.
 */
export function multinomial(
  generator: Generator,
  weights: FloatArray,
  samples: number,
  replacement: boolean,
): Int32Array {
  const bad = weights.find((weight) => !(weight >= 0 && weight < Infinity));
  if (bad !== undefined) throw fail(badDraw("multinomial", "finite weights of at least 0", String(bad)));
  if (weights.every((weight) => weight === 0))
    throw fail(badDraw("multinomial", "a weight above 0", `${weights.length} weights, none above 0`));
  if (!(Number.isInteger(samples) && samples >= 1 && samples < 2 ** 31))
    throw fail(badDraw("multinomial", "a positive number of samples", String(samples)));
  if (!replacement && samples > weights.length)
    throw fail(badDraw("multinomial", `at most ${weights.length} samples without replacement`, String(samples)));
  return replacement && samples > 1
    ? chooseWithReplacement(generator, weights, samples)
    : chooseWithoutReplacement(generator, weights, samples);
}

/** Each sample is the first category whose share of the running sum reaches a uniform number. */
function chooseWithReplacement(generator: Generator, weights: FloatArray, samples: number): Int32Array {
  const sums = weights.slice();
  let total = 0;
  for (let i = 0; i < sums.length; i++) {
    // The array rounds each running sum to the element type, and the next one starts from that.
    sums[i] = total + (weights[i] ?? 0);
    total = sums[i] ?? 0;
  }
  for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] ?? 0) / total;
  sums[sums.length - 1] = 1;
  return Int32Array.from({ length: samples }, () => firstReaching(sums, generator.nextFloat53()));
}

/** Index of the first element of the ascending `sums` that is at least `value`; the last element is. */
function firstReaching(sums: FloatArray, value: number): number {
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sums[middle] ?? 1) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The categories with the largest weight divided by an exponential variable of rate 1, largest first. */
function chooseWithoutReplacement(generator: Generator, weights: FloatArray, samples: number): Int32Array {
  const keys = weights.slice();
  fillExponential(generator, keys, 1);
  for (let i = 0; i < keys.length; i++) keys[i] = (weights[i] ?? 0) / (keys[i] ?? 1);
  const order = Int32Array.from(keys, (_, index) => index);
  order.sort((a, b) => (keys[b] ?? 0) - (keys[a] ?? 0));
  return order.slice(0, samples);
}

function nextBigU64(generator: Generator): bigint {
  const [high, low] = generator.nextU64();
  return (BigInt(high) << 32n) | BigInt(low);
}
