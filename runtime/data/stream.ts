/** Batches of a stream of samples, read one after the other. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at, type TensorType } from "../../ir/type.ts";
import { checkSample, collateByUser, collateSamples, readFailure, type Collate } from "./collate.ts";
import type { IterableDataset, Sample } from "./dataset.ts";
import type { PassSource } from "./pass.ts";

/** How to read a stream. */
export type StreamOptions = {
  readonly batchSize: number;
  readonly dropLast: boolean;
  /** Number of batches to pass over at the start; their samples are read and forgotten. */
  readonly first: number;
  readonly types: () => readonly TensorType[];
  readonly collate: Collate | undefined;
};

/**
 * Reads a pass of `dataset`, which begins with the first batch asked for.
 *
 * @throws (while reading) UserError K2007 if it gives another number of samples than its `length`, K2012 around what it
 * throws, else as collating does.
 */
export function streamSource(dataset: IterableDataset, options: StreamOptions): Pick<PassSource, "read" | "close"> {
  const { batchSize, dropLast, collate } = options;
  const name = dataset.constructor.name;
  const samples = new SampleReader(dataset, name);
  return {
    read(number) {
      if (number === options.first) for (let skipped = 0; skipped < number; skipped++) samples.take(batchSize);
      const start = samples.taken;
      const read = samples.take(batchSize);
      if (read.length === 0 || (dropLast && read.length < batchSize)) return undefined;
      return collate === undefined
        ? collateSamples(
            read.length,
            (row) => at(read, row),
            options.types(),
            (row) => `sample ${start + row} of ${name}`,
          )
        : collateByUser(collate, read, options.types());
    },
    close: () => samples.close(),
  };
}

/** Reads one pass of a stream sample by sample, and counts. */
class SampleReader {
  taken = 0;
  #iterator: Iterator<Sample> | undefined;
  #ended = false;
  readonly #dataset: IterableDataset;
  readonly #name: string;

  constructor(dataset: IterableDataset, name: string) {
    this.#dataset = dataset;
    this.#name = name;
  }

  /** The next `count` samples, or fewer at the end. */
  take(count: number): Sample[] {
    const samples: Sample[] = [];
    for (let i = 0; i < count; i++) {
      const sample = this.#next();
      if (sample === undefined) break;
      samples.push(sample);
    }
    return samples;
  }

  #next(): Sample | undefined {
    if (this.#ended) return undefined;
    const { length } = this.#dataset;
    const place = `sample ${this.taken} of ${this.#name}`;
    let step: IteratorResult<Sample>;
    try {
      this.#iterator ??= this.#dataset[Symbol.iterator]();
      step = this.#iterator.next();
    } catch (cause) {
      this.#ended = true;
      throw readFailure(place, cause);
    }
    if (step.done === true) {
      this.#ended = true;
      if (length === undefined || length === this.taken) return undefined;
      throw fail(messages.samplerLength(this.#name, length, `${this.taken} items`));
    }
    if (this.taken === length) throw fail(messages.samplerLength(this.#name, length, "more"));
    this.taken++;
    return checkSample(step.value, place);
  }

  /** Lets the stream end before its end. */
  close(): void {
    if (!this.#ended) this.#iterator?.return?.();
    this.#ended = true;
  }
}
