/**
 * The loader: a data set in batches, pass after pass, with PyTorch's draws in PyTorch's order. It hands out batches as
 * arrays, or, where the data set is resident, the numbers of the rows, so that the program gathers them itself. It
 * describes itself to the compiler, and its position can be saved and taken up again.
 */
import { describe, type LoaderDescription } from "../../ir/data/description.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { defaultGenerator } from "../../ir/random/default.ts";
import type { Generator } from "../../ir/random/generator.ts";
import { drawBaseSeed } from "../../ir/random/sampling.ts";
import { at } from "../../ir/type.ts";
import { collateByUser, collateSamples, readSample, type Batch, type Collate } from "./collate.ts";
import {
  isIterableDataset,
  lengthOf,
  transformsOf,
  type Dataset,
  type IterableDataset,
  type Sample,
} from "./dataset.ts";
import { checkKeys } from "./options.ts";
import { Epoch, readBatches, readBatchesAhead, type Pass, type PassSource, type Plan } from "./pass.ts";
import {
  restoreLoaderState,
  saveLoaderState,
  type LoaderState,
  type PassSize,
  type RestoredState,
} from "./position.ts";
import { probe, type Probe } from "./probe.ts";
import { gatherRows, residentOf, type Resident, type ResidentField } from "./resident.ts";
import { resolveSampling, type Sampling, type SamplingOptions } from "./sampling.ts";
import { checkOrder, type Sampler } from "./sampler.ts";
import { streamSource } from "./stream.ts";

/** Options of a `DataLoader`. */
export type DataLoaderOptions = SamplingOptions & {
  /** Where base seeds and shuffles are drawn from; the default generator if left out. */
  readonly generator?: Generator | undefined;
  /** Makes a batch from samples in the user's way. Called with one sample to find the types of the fields. */
  readonly collate?: Collate | undefined;
};

const optionNames = ["batchSize", "shuffle", "sampler", "batchSampler", "dropLast", "generator", "collate"];

/** Batches of a data set. */
export class DataLoader implements Iterable<Batch>, AsyncIterable<Batch> {
  readonly dataset: Dataset | IterableDataset;
  readonly generator: Generator | undefined;
  readonly collate: Collate | undefined;
  readonly #sampling: Sampling;
  #probe: Probe | undefined;
  /** Of the current pass: the generators when it began, its plan, and the number of batches handed out. */
  #start: readonly Uint32Array[] | undefined;
  #plan: Plan | undefined;
  #handedOut = 0;
  #next: LoaderState | undefined;

  /**
   * Draws nothing and reads no sample.
   *
   * @throws UserError K2001 for a bad option, K2002 for options that exclude each other, K2003 for an empty data set,
   * K2019 for a bad `length`.
   */
  constructor(dataset: Dataset | IterableDataset, options: DataLoaderOptions = {}) {
    checkKeys("DataLoader", options, optionNames);
    this.dataset = dataset;
    this.generator = options.generator;
    this.collate = options.collate;
    this.#sampling = resolveSampling(dataset, options);
  }

  /** Number of samples in a batch; the last one may be smaller. */
  get batchSize(): number {
    return this.#sampling.batchSize();
  }

  /** What gives the order of the samples; `undefined` where the user's own batches or a stream do. */
  get sampler(): Sampler | undefined {
    return this.#sampling.sampler;
  }

  /** Whether a smaller last batch is left out. */
  get dropLast(): boolean {
    return this.#sampling.dropLast;
  }

  /** Number of batches of a pass. @throws UserError K2017 for a stream of unknown length. */
  get length(): number {
    return this.#sampling.count();
  }

  /** What the compiler must know. @throws UserError as `get`, `collate` and `length` do. */
  [describe](): LoaderDescription {
    const { types } = this.#found();
    const transforms = transformsOf(this.dataset);
    const resident = this.#view() !== undefined;
    return {
      samples: this.#sampling.samples(),
      batchSize: this.batchSize,
      dropLast: this.dropLast,
      fields: types.map((type, f) => ({ ...type, resident, transforms: transforms[f] ?? [] })),
    };
  }

  /** The whole fields that `Epoch.indices` counts in; `undefined` if samples have to be read one by one. */
  resident(): { readonly fields: readonly ResidentField[] } | undefined {
    const view = this.#view();
    return view === undefined ? undefined : { fields: view.fields() };
  }

  /**
   * Begins a pass: draws its base seed and its order now. Loops over the result leave out the first `skip` batches,
   * without reading them.
   *
   * @throws UserError K2017 for a stream, K2006 or K2007 if a sampler gives what it should not.
   */
  epoch(options: { readonly skip?: number } = {}): Epoch {
    const { dataset } = this;
    if (isIterableDataset(dataset)) throw fail(messages.unknownLength("`DataLoader.epoch`"));
    const { done, plan } = this.#begin();
    checkOrder(plan.order, lengthOf(dataset, dataset.constructor.name), this.#sampling.name);
    const view = this.#view();
    return new Epoch(plan, rowsOf(plan.order, view), {
      first: this.#skip(options.skip ?? done, plan.count),
      make: (samples, rows) => this.#make(dataset, view, samples, rows),
      handedOut: this.#count,
      lookAhead: !this.#found().drawsRandom,
    });
  }

  /** Begins a pass for one loop over its batches, as looping over the loader itself does. */
  iterate(options: { readonly skip?: number } = {}): Pass {
    const { dataset } = this;
    if (!isIterableDataset(dataset)) return this.epoch(options);
    const { done } = this.#begin();
    const first = this.#skip(options.skip ?? done, Infinity);
    const source: PassSource = {
      ...streamSource(dataset, {
        batchSize: this.batchSize,
        dropLast: this.dropLast,
        first,
        types: () => this.#found().types,
        collate: this.collate,
      }),
      first,
      handedOut: this.#count,
      lookAhead: !this.#found().drawsRandom,
    };
    return {
      [Symbol.iterator]: () => readBatches(source),
      [Symbol.asyncIterator]: () => readBatchesAhead(source),
    };
  }

  [Symbol.iterator](): Iterator<Batch> {
    return this.iterate()[Symbol.iterator]();
  }

  [Symbol.asyncIterator](): AsyncIterator<Batch> {
    return this.iterate()[Symbol.asyncIterator]();
  }

  /**
   * The position in the current pass as plain JSON data, `undefined` before the first one. `batches` is the number of
   * batches done; left out, it is the number that a loop over the loader was handed.
   */
  state(batches: number = this.#handedOut): LoaderState | undefined {
    if (this.#start === undefined) return undefined;
    return saveLoaderState(batches, this.#size(), this.#start, this.#sampling.repeatable ? undefined : this.#plan);
  }

  /**
   * Makes the next pass the one that was at `state`: the same order, without the batches that were done. Beginning that
   * pass leaves the default generator as it is then, since what it drew was drawn before; own generators go on from
   * where the pass left them.
   *
   * @throws UserError K2033 or K3102 if `state` does not fit this loader.
   */
  startAt(state: LoaderState): void {
    this.#read(state);
    this.#next = state;
  }

  /** Makes the draws that begin a pass; `done` is the number of its batches that were done before. */
  #begin(): { readonly done: number; readonly plan: Plan } {
    const generators = this.#generators();
    const state = this.#next;
    this.#next = undefined;
    const resumed = state === undefined ? undefined : this.#read(state);
    const now = defaultGenerator.save();
    resumed?.generators.forEach((saved, i) => at(generators, i).restore(saved));
    const start = generators.map((generator) => generator.save());
    try {
      drawBaseSeed(this.generator ?? defaultGenerator);
      this.#plan = this.#sampling.draw(resumed?.made);
    } finally {
      if (resumed !== undefined) defaultGenerator.restore(now);
    }
    this.#start = start;
    return { done: resumed?.batches ?? 0, plan: this.#plan };
  }

  /** A saved position, checked. */
  #read(state: LoaderState): RestoredState {
    const generators = this.#generators().length;
    return restoreLoaderState(state, { ...this.#size(), generators, keepsOrder: !this.#sampling.repeatable });
  }

  /** Notes with which batch a pass begins, and checks that there is such a batch. */
  #skip(skip: number, count: number): number {
    if (!Number.isSafeInteger(skip) || skip < 0 || skip > count)
      throw fail(messages.badDataOption("DataLoader", "skip", `a whole number from 0 to ${count}`, String(skip)));
    this.#handedOut = skip;
    return skip;
  }

  readonly #count = (number: number): void => {
    this.#handedOut = number + 1;
  };

  /** A batch of a data set whose samples have numbers. */
  #make(dataset: Dataset, view: Resident | undefined, samples: Int32Array, rows: Int32Array): Batch {
    if (view !== undefined)
      return view.fields().map((field) => ({
        dtype: field.dtype,
        shape: [rows.length, ...field.shape],
        data: gatherRows(field, rows),
      }));
    const { types } = this.#found();
    const read = (row: number): Sample => readSample(dataset, at(samples, row));
    if (this.collate !== undefined)
      return collateByUser(
        this.collate,
        Array.from(samples, (_, row) => read(row)),
        types,
      );
    const place = (row: number): string => `sample ${at(samples, row)} of ${dataset.constructor.name}`;
    return collateSamples(samples.length, read, types, place);
  }

  #view(): Resident | undefined {
    return this.collate === undefined ? residentOf(this.dataset) : undefined;
  }

  #found(): Probe {
    return (this.#probe ??= probe(this.dataset, this.collate));
  }

  #size(): PassSize {
    return { samples: this.#sampling.samplesIfKnown() ?? 0, batchSize: this.#sampling.batchSizeIfKnown() ?? 0 };
  }

  /** All generators that the order of a pass may be drawn from, the default one first, each once. */
  #generators(): readonly Generator[] {
    return [
      ...new Set([defaultGenerator, ...[this.generator, ...this.#sampling.generators].filter((g) => g !== undefined)]),
    ];
  }
}

/** The resident row of each sample of an order. */
function rowsOf(order: Int32Array, view: Resident | undefined): Int32Array {
  const map = view?.rows();
  return map === undefined ? order : order.map((index) => at(map, index));
}
