/**
 * One pass over a loader's batches, in loops with and without `await`. With `await`, the next batch is made while the
 * program trains on the current one, after the loop's body has given up the thread; its errors wait for their turn.
 */
import { at } from "../../ir/type.ts";
import type { Batch } from "./collate.ts";

/** Batches of one pass that has begun: its draws are made. Loop over it once. */
export type Pass = Iterable<Batch> & AsyncIterable<Batch>;

/** Where a pass gets its batches. */
export type PassSource = {
  /** Number of the first batch. */
  readonly first: number;
  /** Makes batch `number`; asked in order. `undefined` after the last one. */
  readonly read: (number: number) => Batch | undefined;
  /** Is told the number of each batch that is handed out. */
  readonly handedOut: (number: number) => void;
  /** Whether a batch may be made before it is asked for. */
  readonly lookAhead: boolean;
  /** Is called when the loop is left, at its end or before. */
  readonly close?: () => void;
};

/** The batches of `source` for a loop without `await`. */
export function* readBatches(source: PassSource): Generator<Batch, void> {
  try {
    for (let number = source.first; ; number++) {
      const batch = source.read(number);
      if (batch === undefined) return;
      source.handedOut(number);
      yield batch;
    }
  } finally {
    source.close?.();
  }
}

/** A batch that was made ahead, or the error that making it gave. */
type Outcome = { readonly batch: Batch | undefined } | { readonly error: unknown };

/** The batches of `source` for a loop with `await`. */
export async function* readBatchesAhead(source: PassSource): AsyncGenerator<Batch, void> {
  let cancel: (() => void) | undefined;
  let ahead: Promise<Outcome> | undefined;
  try {
    for (let number = source.first; ; number++) {
      const outcome: Outcome = ahead === undefined ? attempt(source, number) : await ahead;
      if ("error" in outcome) throw outcome.error;
      if (outcome.batch === undefined) return;
      if (source.lookAhead) {
        ahead = new Promise((resolve) => {
          const immediate = setImmediate(() => resolve(attempt(source, number + 1)));
          cancel = () => clearImmediate(immediate);
        });
      }
      source.handedOut(number);
      yield outcome.batch;
    }
  } finally {
    cancel?.();
    source.close?.();
  }
}

function attempt(source: PassSource, number: number): Outcome {
  try {
    return { batch: source.read(number) };
  } catch (error) {
    return { error };
  }
}

/** Which samples each batch of a pass has. */
export type Plan = {
  /** Sample numbers in the order of the pass. */
  readonly order: Int32Array;
  readonly batchSize: number;
  /** Number of batches. */
  readonly count: number;
  /** End of each batch in `order`, where batches have various sizes. */
  readonly ends?: Int32Array | undefined;
};

/** One pass over a data set whose samples have numbers. */
export class Epoch implements Pass {
  /** Number of batches of the whole pass, those skipped included. */
  readonly count: number;
  /** Number of batches at the start that a loop leaves out. */
  readonly skip: number;
  readonly #plan: Plan;
  readonly #rows: Int32Array;
  readonly #source: PassSource;

  /** `rows` tells the number of each sample of the plan's order in the resident fields. */
  constructor(
    plan: Plan,
    rows: Int32Array,
    source: Omit<PassSource, "read"> & { readonly make: (samples: Int32Array, rows: Int32Array) => Batch },
  ) {
    this.count = plan.count;
    this.skip = source.first;
    this.#plan = plan;
    this.#rows = rows;
    this.#source = {
      ...source,
      read: (number) =>
        number < plan.count ? source.make(slice(plan, plan.order, number), this.indices(number)) : undefined,
    };
  }

  /** Row numbers of all batches behind each other, in the fields that `DataLoader.resident` gives (else sample numbers). */
  get order(): Int32Array {
    return this.#rows;
  }

  /** Row numbers of batch `number` in the resident fields (else sample numbers), as a view of `order`. */
  indices(number: number): Int32Array {
    return slice(this.#plan, this.#rows, number);
  }

  [Symbol.iterator](): Iterator<Batch> {
    return readBatches(this.#source);
  }

  [Symbol.asyncIterator](): AsyncIterator<Batch> {
    return readBatchesAhead(this.#source);
  }
}

/** The part of `list` that belongs to a batch. */
function slice(plan: Plan, list: Int32Array, number: number): Int32Array {
  if (!Number.isSafeInteger(number) || number < 0 || number >= plan.count)
    throw new RangeError(`batch ${number} of ${plan.count}`);
  const { ends, batchSize } = plan;
  if (ends === undefined) return list.subarray(number * batchSize, Math.min((number + 1) * batchSize, list.length));
  return list.subarray(number === 0 ? 0 : at(ends, number - 1), at(ends, number));
}
