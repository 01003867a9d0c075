/** Small data sets for the tests of loaders. */
import { at } from "../../../ir/type.ts";
import {
  Dataset,
  IterableDataset,
  Sampler,
  TensorDataset,
  type Batch,
  type Sample,
} from "../../../runtime/data/index.ts";

/** Row i holds `[i, i + 0.5]` and the label `i % 3`, held as arrays. */
export function arrays(n: number): TensorDataset {
  const rows = Float32Array.from({ length: 2 * n }, (_, k) => Math.floor(k / 2) + (k % 2) / 2);
  const labels = BigInt64Array.from({ length: n }, (_, i) => BigInt(i % 3));
  return new TensorDataset({ data: rows, shape: [n, 2] }, labels);
}

/** The samples of `arrays(n)`, made one by one in JavaScript; counts its reads. */
export class Made extends Dataset {
  readonly length: number;
  /** Indices that were read. */
  readonly reads: number[] = [];
  constructor(n: number) {
    super();
    this.length = n;
  }
  get(index: number): Sample {
    this.reads.push(index);
    return [Float32Array.of(index, index + 0.5), index % 3];
  }
}

/** A data set of one sample function. */
export function made(length: number, get: (index: number) => unknown): Dataset {
  return { length, get: (index) => get(index) as Sample };
}

/** Batches as plain lists, to compare. */
export function plain(batches: Iterable<Batch>): unknown[] {
  return [...batches].map((batch) => batch.map(({ dtype, shape, data }) => [dtype, shape, Array.from(data, Number)]));
}

/** A sampler that no generator of ours can repeat. */
export class Backwards extends Sampler {
  passes = 0;
  get length(): number {
    return 10;
  }
  *[Symbol.iterator](): Iterator<number> {
    const shift = this.passes++;
    for (let i = 9; i >= 0; i--) yield (i + shift) % 10;
  }
}

/** Numbers from 0, of unknown or given length. */
export class Counter extends IterableDataset {
  override readonly length: number | undefined;
  readonly #count: number;
  closed = 0;
  constructor(count: number, length?: number) {
    super();
    this.#count = count;
    this.length = length;
  }
  *[Symbol.iterator](): Iterator<Sample> {
    try {
      for (let i = 0; i < this.#count; i++) yield [i];
    } finally {
      this.closed++;
    }
  }
}

/** Sizes of all batches. */
export function sizes(batches: Iterable<Batch>): number[] {
  return Array.from(batches, (batch) => at(batch, 0).shape[0] ?? 0);
}
