/**
 * Samplers: in which order a loader visits its data set. Users write their own as an iterable with a `length`; those here
 * draw as PyTorch's do, a whole pass at a time, from their own generator or the default one.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { defaultGenerator } from "../../ir/random/default.ts";
import type { Generator } from "../../ir/random/generator.ts";
import { replacementOrder, shuffledOrder, subsetOrder, weightedOrder } from "../../ir/random/sampling.ts";
import { at } from "../../ir/type.ts";
import { lengthOf } from "./dataset.ts";
import { checkKeys } from "./options.ts";
import { nameOf } from "./tensorlike.ts";

/** Indices into a data set, a new pass at each iteration. Extend it, or just have these members. */
export abstract class Sampler implements Iterable<number> {
  /** Number of indices of one pass. */
  abstract readonly length: number;
  abstract [Symbol.iterator](): Iterator<number>;
}

/** A sampler that draws a pass in one go. */
export abstract class OrderSampler extends Sampler {
  /** The generator it draws from, where it is not the default one. */
  readonly generator: Generator | undefined;
  constructor(generator?: Generator) {
    super();
    this.generator = generator;
  }
  /** Draws the indices of the next pass. */
  abstract order(): Int32Array;
  [Symbol.iterator](): Iterator<number> {
    return this.order().values();
  }
}

/** What a sampler needs to know of a data set. */
export type HasLength = { readonly length: number };

/** All indices in order. Draws nothing. */
export class SequentialSampler extends OrderSampler {
  readonly dataSource: HasLength;
  constructor(dataSource: HasLength) {
    super();
    this.dataSource = dataSource;
  }
  get length(): number {
    return lengthOf(this.dataSource, "SequentialSampler");
  }
  order(): Int32Array {
    const order = new Int32Array(this.length);
    for (let i = 0; i < order.length; i++) order[i] = i;
    return order;
  }
}

/** Options of `RandomSampler`. */
export type RandomSamplerOptions = {
  /** Whether an index may come twice. */
  readonly replacement?: boolean | undefined;
  /** Number of indices of a pass; the number of samples if left out. */
  readonly numSamples?: number | undefined;
  readonly generator?: Generator | undefined;
};

/** All indices in random order, or so many drawn with replacement. */
export class RandomSampler extends OrderSampler {
  readonly dataSource: HasLength;
  readonly replacement: boolean;
  readonly #numSamples: number | undefined;

  /** @throws UserError K2001 for a bad option, K2003 for an empty data set. */
  constructor(dataSource: HasLength, options: RandomSamplerOptions = {}) {
    checkKeys("RandomSampler", options, ["replacement", "numSamples", "generator"]);
    super(options.generator);
    if (options.numSamples !== undefined) checkCount("RandomSampler", "numSamples", options.numSamples);
    if (lengthOf(dataSource, "RandomSampler") === 0) throw fail(messages.emptyDataset("RandomSampler"));
    this.dataSource = dataSource;
    this.replacement = options.replacement ?? false;
    this.#numSamples = options.numSamples;
  }
  get length(): number {
    return this.#numSamples ?? lengthOf(this.dataSource, "RandomSampler");
  }
  order(): Int32Array {
    const n = lengthOf(this.dataSource, "RandomSampler");
    return this.replacement
      ? replacementOrder(n, this.length, this.generator, defaultGenerator)
      : shuffledOrder(n, this.generator, defaultGenerator, this.length);
  }
}

/** The given indices in random order. */
export class SubsetRandomSampler extends OrderSampler {
  readonly indices: readonly number[];
  /** @throws UserError K2001 without indices. */
  constructor(indices: ArrayLike<number>, options: { readonly generator?: Generator | undefined } = {}) {
    checkKeys("SubsetRandomSampler", options, ["generator"]);
    super(options.generator);
    this.indices = Array.from(indices);
    this.indices.forEach((index, i) => {
      if (!Number.isSafeInteger(index) || index < 0 || index >= 2 ** 31)
        throw fail(messages.badDataOption("SubsetRandomSampler", `indices[${i}]`, "a sample number", nameOf(index)));
    });
  }
  get length(): number {
    return this.indices.length;
  }
  order(): Int32Array {
    return subsetOrder(this.indices, this.generator ?? defaultGenerator);
  }
}

/** Options of `WeightedRandomSampler`. */
export type WeightedRandomSamplerOptions = {
  /** Whether an index may come twice; true if left out. */
  readonly replacement?: boolean | undefined;
  readonly generator?: Generator | undefined;
};

/** `numSamples` indices, index i with a probability in proportion to `weights[i]`. */
export class WeightedRandomSampler extends OrderSampler {
  readonly weights: Float64Array;
  readonly numSamples: number;
  readonly replacement: boolean;

  /**
   * @throws UserError K2001 if a weight is negative or not finite, all are 0, or, without replacement, fewer than
   * `numSamples` are above 0.
   */
  constructor(weights: ArrayLike<number>, numSamples: number, options: WeightedRandomSamplerOptions = {}) {
    checkKeys("WeightedRandomSampler", options, ["replacement", "generator"]);
    super(options.generator);
    checkCount("WeightedRandomSampler", "numSamples", numSamples);
    this.weights = Float64Array.from(weights);
    this.numSamples = numSamples;
    this.replacement = options.replacement ?? true;
    const bad = this.weights.findIndex((weight) => !(weight >= 0 && weight < Infinity));
    if (bad >= 0)
      throw fail(
        messages.badDataOption(
          "WeightedRandomSampler",
          `weights[${bad}]`,
          "a finite number >= 0",
          nameOf(weights[bad]),
        ),
      );
    const positive = this.weights.reduce((count, weight) => count + (weight > 0 ? 1 : 0), 0);
    const needed = this.replacement ? 1 : numSamples;
    if (positive < needed)
      throw fail(
        messages.badDataOption("WeightedRandomSampler", "weights", `at least ${needed} above 0`, `${positive} above 0`),
      );
  }
  get length(): number {
    return this.numSamples;
  }
  order(): Int32Array {
    return weightedOrder(this.weights, this.numSamples, this.replacement, this.generator ?? defaultGenerator);
  }
}

/** Batches of indices, a new pass at each iteration. */
export type BatchSource = Iterable<ArrayLike<number>> & {
  /** Number of batches of one pass. */
  readonly length: number;
  /** Size of all batches, where they have one size but for a last, smaller one; a compiled program needs it. */
  readonly batchSize?: number | undefined;
};

/** A sampler's indices in batches of `batchSize`. */
export class BatchSampler implements BatchSource {
  readonly sampler: Sampler;
  readonly batchSize: number;
  readonly dropLast: boolean;

  /** @throws UserError K2001 for a bad batch size. */
  constructor(sampler: Sampler, batchSize: number, options: { readonly dropLast?: boolean | undefined } = {}) {
    checkKeys("BatchSampler", options, ["dropLast"]);
    checkCount("BatchSampler", "batchSize", batchSize);
    this.sampler = sampler;
    this.batchSize = batchSize;
    this.dropLast = options.dropLast ?? false;
  }
  get length(): number {
    return batchCount(this.sampler.length, this.batchSize, this.dropLast);
  }
  *[Symbol.iterator](): Iterator<Int32Array> {
    const order = orderOf(this.sampler);
    for (let batch = 0; batch < batchCount(order.length, this.batchSize, this.dropLast); batch++)
      yield order.subarray(batch * this.batchSize, (batch + 1) * this.batchSize);
  }
}

/** Number of batches that `samples` samples make. */
export function batchCount(samples: number, batchSize: number, dropLast: boolean): number {
  return dropLast ? Math.floor(samples / batchSize) : Math.ceil(samples / batchSize);
}

/** Whether a sampler draws a pass in one go, and nobody changed how it iterates. */
export function isOrderSampler(sampler: Sampler): sampler is OrderSampler {
  return sampler instanceof OrderSampler && sampler[Symbol.iterator] === OrderSampler.prototype[Symbol.iterator];
}

/**
 * One pass of a sampler.
 *
 * @throws UserError K2007 if it does not yield as many indices as its `length` says.
 */
export function orderOf(sampler: Sampler): Int32Array {
  if (isOrderSampler(sampler)) return sampler.order();
  const name = sampler.constructor.name;
  const indices = takeAll(sampler, lengthOf(sampler, name), name);
  const order = Int32Array.from(indices);
  const bad = order.findIndex((index, i) => index !== indices[i]);
  if (bad >= 0) throw fail(messages.samplerIndexOutside(name, bad, indices[bad], 2 ** 31));
  return order;
}

/** All items of one pass, exactly `length` of them. @throws UserError K2007 if there are more or fewer. */
export function takeAll<T>(source: Iterable<T>, length: number, name: string): readonly T[] {
  const items: T[] = [];
  for (const item of source) {
    if (items.length === length) throw fail(messages.samplerLength(name, length, "more"));
    items.push(item);
  }
  if (items.length < length) throw fail(messages.samplerLength(name, length, `${items.length} items`));
  return items;
}

/** Throws unless every index is a sample of a data set of `length` samples. @throws UserError K2006. */
export function checkOrder(order: Int32Array, length: number, sampler: string): void {
  for (let i = 0; i < order.length; i++) {
    const index = at(order, i);
    if (index < 0 || index >= length) throw fail(messages.samplerIndexOutside(sampler, i, index, length));
  }
}

/** Throws unless `value` is a whole number from 1. @throws UserError K2001. */
export function checkCount(owner: string, option: string, value: unknown): void {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1 || value >= 2 ** 31)
    throw fail(messages.badDataOption(owner, option, "a whole number from 1", nameOf(value)));
}
