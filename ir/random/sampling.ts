/**
 * The orders in which loaders and samplers visit a data set, as PyTorch's `torch.utils.data` draws them. Pure functions
 * of generators: each returns indices and leaves the generators where PyTorch leaves them after the whole epoch.
 *
 * An epoch of a loader starts with `drawBaseSeed`, shuffled or not; its sampler's order is drawn after that.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import { badDraw } from "../diagnostic/messages.ts";
import { integerDraw, multinomial, nextInt63, permutation } from "./choose.ts";
import { Generator } from "./generator.ts";

/** What every start of an iteration over a loader draws: two outputs of its own generator, or of the default one. */
export function drawBaseSeed(generator: Generator): bigint {
  return nextInt63(generator);
}

/** 0 … n - 1: the order of a loader that does not shuffle. Draws nothing. */
export function sequentialOrder(n: number): Int32Array {
  return Int32Array.from({ length: n }, (_, index) => index);
}

/**
 * The order of one epoch of a shuffling loader, or of a `RandomSampler` without replacement. Without a generator of its
 * own it takes a seed from `defaultGenerator` for a new one.
 *
 * @param samples How many indices; past n, further permutations follow.
 */
export function shuffledOrder(
  n: number,
  loaderGenerator: Generator | undefined,
  defaultGenerator: Generator,
  samples: number = n,
): Int32Array {
  const generator = loaderGenerator ?? seededFrom(defaultGenerator);
  const order = new Int32Array(samples);
  if (n === 0) return order;
  const whole = Math.floor(samples / n);
  for (let round = 0; round < whole; round++) order.set(permutation(generator, n), round * n);
  // The rest is cut from one more permutation, which is drawn even where nothing is left.
  order.set(permutation(generator, n).subarray(0, samples % n), whole * n);
  return order;
}

/** `RandomSampler` with replacement: `samples` indices below n. The generator is chosen as in `shuffledOrder`. */
export function replacementOrder(
  n: number,
  samples: number,
  loaderGenerator: Generator | undefined,
  defaultGenerator: Generator,
): Int32Array {
  const generator = loaderGenerator ?? seededFrom(defaultGenerator);
  const draw = integerDraw(generator, 0, n);
  return Int32Array.from({ length: samples }, () => draw());
}

/** `SubsetRandomSampler`: the given indices in random order. */
export function subsetOrder(indices: ArrayLike<number>, generator: Generator): Int32Array {
  return permutation(generator, indices.length).map((i) => indices[i] ?? 0);
}

/** `WeightedRandomSampler`: `samples` indices, drawn with the given weights (taken as float64). */
export function weightedOrder(
  weights: ArrayLike<number>,
  samples: number,
  replacement: boolean,
  generator: Generator,
): Int32Array {
  return multinomial(generator, Float64Array.from(weights), samples, replacement);
}

/**
 * `random_split`: the numbers 0 … n - 1 shuffled by one permutation and cut into parts. `lengths` are counts that sum
 * to n, or fractions that sum to 1 (to a relative 1e-9): each part then has the floor of its share, and what is left
 * over is handed out one by one from the first part on.
 *
 * @throws UserError K3103 if they do not.
 */
export function splitIndices(lengths: readonly number[], n: number, generator: Generator): Int32Array[] {
  const counts = splitCounts(lengths, n);
  const order = permutation(generator, n);
  let start = 0;
  return counts.map((count) => order.slice(start, (start += count)));
}

/** How many elements each part of `splitIndices` has. Draws nothing. @throws UserError K3103 as `splitIndices`. */
export function splitCounts(lengths: readonly number[], n: number): number[] {
  const sum = lengths.reduce((total, length) => total + length, 0);
  const bad = (): never => {
    throw fail(
      badDraw("randomSplit", `lengths that sum to ${n}, or fractions that sum to 1`, `[${lengths.join(", ")}]`),
    );
  };
  if (lengths.some((length) => !(length >= 0))) bad();
  if (!(sum <= 1 && 1 - sum <= 1e-9)) {
    if (sum !== n || !lengths.every(Number.isInteger)) bad();
    return [...lengths];
  }
  const counts = lengths.map((fraction) => Math.floor(n * fraction));
  const left = n - counts.reduce((total, count) => total + count, 0);
  return counts.map((count, i) => count + Math.floor(left / counts.length) + (i < left % counts.length ? 1 : 0));
}

/** A new generator, seeded by what `random_()` gives. */
function seededFrom(generator: Generator): Generator {
  return Generator.seeded(nextInt63(generator));
}
