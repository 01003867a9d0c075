/**
 * The data of an exported page: takes the loaders of an artifact, gives their arrays as files and a description from which
 * the page makes loaders that visit the same samples in the same order.
 */
import { gzipSync } from "node:zlib";
import * as v from "valibot";
import { pageSchema, type PageArray, type PageDescription, type PageLoader } from "../ir/artifact/page.ts";
import type { PageSampler } from "../ir/artifact/page.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import type { Generator } from "../ir/random/generator.ts";
import { sameShape, type DType, type Shape } from "../ir/type.ts";
import { isIterableDataset } from "../runtime/data/dataset.ts";
import type { DataLoader } from "../runtime/data/loader.ts";
import { residentOf } from "../runtime/data/resident.ts";
import {
  RandomSampler,
  SequentialSampler,
  SubsetRandomSampler,
  WeightedRandomSampler,
  type Sampler,
} from "../runtime/data/sampler.ts";
import { bytesOf, type TypedArray } from "../runtime/typed-array.ts";

/** A page's description, and the files of its arrays. */
export type PageData = {
  readonly page: PageDescription;
  readonly arrays: ReadonlyMap<string, Uint8Array>;
};

/** A generator's state as base64 of its little-endian words. */
export function encodeWords(words: Uint32Array): string {
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, i) => bytes.writeUInt32LE(word, i * 4));
  return bytes.toString("base64");
}

/** Whether `bytes` are a `page.json`. */
export function isPage(bytes: Uint8Array): boolean {
  try {
    return v.is(pageSchema, JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return false;
  }
}

/**
 * Describes loaders. `drawn`: the default generator's state after they were made, if making them drew from it.
 *
 * @throws UserError K5513 for data that is not held as arrays, K5514 for a sampler that a page has not.
 */
export function describePage(loaders: ReadonlyMap<string, DataLoader>, drawn: string | null): PageData {
  const collected = new Collected();
  const described = [...loaders].map(([name, loader]) => describeLoader(name, loader, collected));
  const page: PageDescription = {
    kind: "kiln-page",
    schema: 1,
    arrays: collected.arrays,
    generators: collected.generators.map((generator) => encodeWords(generator.save())),
    drawn,
    loaders: described,
  };
  return { page, arrays: collected.files };
}

/** Arrays and generators that loaders share, each once. */
class Collected {
  readonly arrays: PageArray[] = [];
  readonly files = new Map<string, Buffer>();
  readonly generators: Generator[] = [];
  readonly #known = new Map<unknown, number>();

  /** The number of an array. */
  array(data: TypedArray, dtype: DType, shape: Shape): number {
    const known = this.#known.get(data);
    if (known !== undefined) return known;
    const bytes = gzipSync(bytesOf(data));
    // A data set that was read twice is stored once.
    const equal = this.arrays.findIndex(
      (other) => other.dtype === dtype && sameShape(other.shape, shape) && this.files.get(other.file)?.equals(bytes),
    );
    const number = equal >= 0 ? equal : this.arrays.length;
    if (equal < 0) {
      const file = `data/${number}.bin`;
      this.arrays.push({ file, dtype, shape: [...shape] });
      this.files.set(file, bytes);
    }
    this.#known.set(data, number);
    return number;
  }

  /** The number of a generator; `null` for the default one. */
  generator(generator: Generator | undefined): number | null {
    if (generator === undefined) return null;
    const known = this.generators.indexOf(generator);
    return known >= 0 ? known : this.generators.push(generator) - 1;
  }
}

function describeLoader(name: string, loader: DataLoader, collected: Collected): PageLoader {
  const { dataset, batchSize, dropLast, generator } = loader;
  const kind = dataset.constructor.name;
  if (isIterableDataset(dataset)) throw fail(messages.pageDataNotResident(name, `the stream ${kind}`));
  const view = loader.collate === undefined ? residentOf(dataset) : undefined;
  if (view === undefined)
    throw fail(messages.pageDataNotResident(name, loader.collate === undefined ? `samples of ${kind}` : "`collate`"));
  const rows = view.rows();
  return {
    name,
    batchSize,
    dropLast,
    fields: view
      .fields()
      .map(({ data, dtype, shape, rows: length }) => collected.array(data, dtype, [length, ...shape])),
    rows: rows === undefined ? null : collected.array(rows, "i32", [rows.length]),
    sampler: describeSampler(name, loader.sampler, collected),
    generator: collected.generator(generator),
  };
}

function describeSampler(name: string, sampler: Sampler | undefined, collected: Collected): PageSampler {
  // Only the library's own: a subclass may iterate in any way.
  const kind = sampler?.constructor;
  if (kind === SequentialSampler) return { kind: "sequential" };
  if (kind === RandomSampler && sampler instanceof RandomSampler) {
    const generator = collected.generator(sampler.generator);
    return { kind: "random", replacement: sampler.replacement, samples: sampler.length, generator };
  }
  if (kind === SubsetRandomSampler && sampler instanceof SubsetRandomSampler) {
    const indices = collected.array(Int32Array.from(sampler.indices), "i32", [sampler.indices.length]);
    return { kind: "subset", indices, generator: collected.generator(sampler.generator) };
  }
  if (kind === WeightedRandomSampler && sampler instanceof WeightedRandomSampler) {
    const weights = collected.array(sampler.weights, "f64", [sampler.weights.length]);
    const { replacement, numSamples: samples } = sampler;
    return { kind: "weighted", weights, replacement, samples, generator: collected.generator(sampler.generator) };
  }
  throw fail(messages.pageSamplerUnknown(name, kind?.name ?? "batches of the user's own"));
}
