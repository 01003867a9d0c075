/**
 * How a loader visits its data set: the one way that its options `batchSize`, `shuffle`, `sampler`, `batchSampler` and
 * `dropLast` come down to, with the contradictions among them found.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { Generator } from "../../ir/random/generator.ts";
import { at } from "../../ir/type.ts";
import { isIterableDataset, lengthOf, type Dataset, type IterableDataset } from "./dataset.ts";
import type { Plan } from "./pass.ts";
import {
  batchCount,
  BatchSampler,
  checkCount,
  isOrderSampler,
  orderOf,
  RandomSampler,
  SequentialSampler,
} from "./sampler.ts";
import { takeAll, type BatchSource, type Sampler } from "./sampler.ts";
import { nameOf } from "./tensorlike.ts";

/** The options that decide which samples make a batch. */
export type SamplingOptions = {
  /** Samples in a batch; 1 if left out. */
  readonly batchSize?: number | undefined;
  /** Whether each pass visits the samples in a new random order. */
  readonly shuffle?: boolean | undefined;
  readonly sampler?: Sampler | undefined;
  readonly batchSampler?: BatchSource | undefined;
  /** Whether to leave out a last batch that is smaller. */
  readonly dropLast?: boolean | undefined;
};

/** An order that was made before. */
type Made = Pick<Plan, "order" | "ends">;

/** How a loader visits its data set. */
export type Sampling = {
  /** What errors call it. */
  readonly name: string;
  /** What gives the order, unless the user's own batches or a stream do. */
  readonly sampler?: Sampler;
  readonly dropLast: boolean;
  /** Whether the same generator states give the same order again. */
  readonly repeatable: boolean;
  /** Own generators of the samplers. */
  readonly generators: readonly (Generator | undefined)[];
  /** Samples of a pass; those of a left-out last batch count. @throws UserError K2017 if unknown. */
  samples(): number;
  samplesIfKnown(): number | undefined;
  /** Batches of a pass. */
  count(): number;
  /** Samples of a batch. @throws UserError K2001 if a user's batch sampler does not tell. */
  batchSize(): number;
  batchSizeIfKnown(): number | undefined;
  /** Draws a pass, or makes up the plan of an order that was drawn before. */
  draw(made: Made | undefined): Plan;
};

/** The way of sampling that `options` describe. @throws UserError K2001, K2002, K2003, K2019. */
export function resolveSampling(
  dataset: Dataset | IterableDataset,
  options: SamplingOptions & { readonly generator?: Generator | undefined },
): Sampling {
  const { batchSize = 1, shuffle = false, sampler, batchSampler, dropLast = false } = options;
  if (typeof dataset !== "object" || dataset === null || !("get" in dataset || Symbol.iterator in dataset))
    throw fail(messages.badDataOption("DataLoader", "dataset", "a Dataset with `length` and `get`", nameOf(dataset)));
  checkCount("DataLoader", "batchSize", batchSize);
  for (const [name, value] of Object.entries({ shuffle, dropLast }))
    if (typeof value !== "boolean")
      throw fail(messages.badDataOption("DataLoader", name, "true or false", nameOf(value)));
  for (const [name, value] of Object.entries({ sampler, batchSampler }))
    if (value !== undefined && (typeof value !== "object" || !(Symbol.iterator in value)))
      throw fail(messages.badDataOption("DataLoader", name, "an iterable with a `length`", nameOf(value)));
  if (isIterableDataset(dataset)) {
    checkStream(dataset, options);
    return streamSampling(dataset, batchSize, dropLast);
  }
  if (lengthOf(dataset, dataset.constructor.name) === 0) throw fail(messages.emptyDataset("DataLoader"));
  if (batchSampler !== undefined) {
    checkBatchSampler(options);
    return batchSampler instanceof BatchSampler &&
      batchSampler[Symbol.iterator] === BatchSampler.prototype[Symbol.iterator]
      ? orderSampling(batchSampler.sampler, batchSampler.batchSize, batchSampler.dropLast)
      : sourceSampling(batchSampler);
  }
  if (sampler !== undefined && shuffle)
    throw fail(
      messages.contradictingDataOptions("DataLoader", "shuffle", "sampler", "Take a RandomSampler, or leave out one."),
    );
  const made = shuffle ? new RandomSampler(dataset, { generator: options.generator }) : new SequentialSampler(dataset);
  return orderSampling(sampler ?? made, batchSize, dropLast);
}

/** A stream has its own order. */
function checkStream(dataset: IterableDataset, options: SamplingOptions): void {
  if (dataset.length !== undefined && lengthOf({ length: dataset.length }, dataset.constructor.name) === 0)
    throw fail(messages.emptyDataset("DataLoader"));
  const chosen = options.shuffle === true ? "shuffle" : options.sampler !== undefined ? "sampler" : "batchSampler";
  if (chosen === "batchSampler" && options.batchSampler === undefined) return;
  const hint = "A stream has its own order: shuffle inside it, or give a Dataset with `length` and `get`.";
  throw fail(messages.contradictingDataOptions("DataLoader", chosen, "an IterableDataset", hint));
}

/** A batch sampler says everything. */
function checkBatchSampler(options: SamplingOptions): void {
  const other =
    (options.batchSize ?? 1) !== 1
      ? "batchSize"
      : options.shuffle === true
        ? "shuffle"
        : options.sampler !== undefined
          ? "sampler"
          : options.dropLast === true
            ? "dropLast"
            : undefined;
  if (other === undefined) return;
  const hint = "A batch sampler decides on all of this: give it there, as in new BatchSampler(sampler, batchSize).";
  throw fail(messages.contradictingDataOptions("DataLoader", other, "batchSampler", hint));
}

/** Batches of one size, cut from a sampler's order. */
function orderSampling(sampler: Sampler, batchSize: number, dropLast: boolean): Sampling {
  const samples = (): number => lengthOf(sampler, sampler.constructor.name);
  return {
    name: sampler.constructor.name,
    sampler,
    dropLast,
    repeatable: isOrderSampler(sampler),
    generators: isOrderSampler(sampler) ? [sampler.generator] : [],
    samples,
    samplesIfKnown: samples,
    count: () => batchCount(samples(), batchSize, dropLast),
    batchSize: () => batchSize,
    batchSizeIfKnown: () => batchSize,
    draw(made) {
      const order = made?.order ?? orderOf(sampler);
      const count = batchCount(order.length, batchSize, dropLast);
      return { order: order.subarray(0, count * batchSize), batchSize, count };
    },
  };
}

/** Batches as a user's batch sampler gives them. */
function sourceSampling(source: BatchSource): Sampling {
  const name = source.constructor.name;
  const count = (): number => lengthOf(source, name);
  const batchSize = (): number => {
    if (source.batchSize === undefined)
      throw fail(messages.badDataOption(name, "batchSize", "the size of its batches, as a property", "none"));
    checkCount(name, "batchSize", source.batchSize);
    return source.batchSize;
  };
  return {
    name,
    dropLast: false,
    repeatable: false,
    generators: [],
    samples: () => count() * batchSize(),
    samplesIfKnown: () => (source.batchSize === undefined ? undefined : count() * batchSize()),
    count,
    batchSize,
    batchSizeIfKnown: () => source.batchSize,
    draw(made) {
      const drawn = made ?? flatten(source, name);
      return { ...drawn, batchSize: 0, count: drawn.ends?.length ?? 0 };
    },
  };
}

/** The batches of one pass behind each other. */
function flatten(source: BatchSource, name: string): Made {
  const batches = takeAll(source, lengthOf(source, name), name).map((batch) => Array.from(batch));
  const numbers = batches.flat();
  const order = Int32Array.from(numbers);
  const bad = order.findIndex((index, i) => index !== numbers[i]);
  if (bad >= 0) throw fail(messages.samplerIndexOutside(name, bad, at(numbers, bad), 2 ** 31));
  let end = 0;
  return { order, ends: Int32Array.from(batches, (batch) => (end += batch.length)) };
}

/** Batches of a stream: nothing to draw. */
function streamSampling(dataset: IterableDataset, batchSize: number, dropLast: boolean): Sampling {
  const samples = (): number => {
    if (dataset.length === undefined) throw fail(messages.unknownLength("The `length` of a DataLoader"));
    return lengthOf({ length: dataset.length }, dataset.constructor.name);
  };
  return {
    name: dataset.constructor.name,
    dropLast,
    repeatable: true,
    generators: [],
    samples,
    samplesIfKnown: () => dataset.length,
    count: () => batchCount(samples(), batchSize, dropLast),
    batchSize: () => batchSize,
    batchSizeIfKnown: () => batchSize,
    draw: () => ({ order: new Int32Array(0), batchSize, count: 0 }),
  };
}
