/**
 * The loaders of a page: the same `DataLoader`s, data sets and samplers as in Node, made from the page's description and
 * its arrays, so that the same seed visits the same samples in the same order.
 */
import type { PageArray, PageDescription, PageLoader, PageSampler } from "../../ir/artifact/page.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { Generator } from "../../ir/random/generator.ts";
import { at, dtypeBytes, elementCount } from "../../ir/type.ts";
import { Subset, TensorDataset, type Dataset } from "../data/dataset.ts";
import { DataLoader } from "../data/loader.ts";
import { RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler } from "../data/sampler.ts";
import type { Sampler } from "../data/sampler.ts";
import type { Tensorlike } from "../data/tensorlike.ts";
import { typedArray } from "../typed-array.ts";
import { decodeBase64, readFile, unpack } from "./files.ts";

/** Loads all arrays of a page. `onBytes`: told how many bytes have come. @throws UserError K5515, K5516. */
export async function readArrays(
  arrays: readonly PageArray[],
  onBytes: (done: number) => void,
): Promise<readonly Tensorlike[]> {
  const done = arrays.map(() => 0);
  return Promise.all(
    arrays.map(async ({ file, dtype, shape }, i) => {
      const packed = await readFile(file, (bytes) => {
        done[i] = bytes;
        onBytes(done.reduce((sum, each) => sum + each, 0));
      });
      const bytes = await unpack(file, packed);
      const expected = elementCount(shape) * dtypeBytes[dtype];
      if (bytes.byteLength !== expected)
        throw fail(messages.pageFileDamaged(file, `${expected} bytes`, `${bytes.byteLength} bytes`));
      return { dtype, shape, data: typedArray(dtype, bytes) };
    }),
  );
}

/** Makes the loaders anew, their own generators as `data()` left them. */
export function makeLoaders(page: PageDescription, arrays: readonly Tensorlike[]): ReadonlyMap<string, DataLoader> {
  const generators = page.generators.map((text) => {
    const generator = new Generator();
    generator.restore(decodeWords(text));
    return generator;
  });
  return new Map(page.loaders.map((loader) => [loader.name, makeLoader(loader, arrays, generators)]));
}

/** A generator's state from its text. */
export function decodeWords(text: string): Uint32Array {
  const bytes = decodeBase64(text);
  const view = new DataView(bytes.buffer);
  return Uint32Array.from({ length: bytes.length >> 2 }, (_, i) => view.getUint32(4 * i, true));
}

function makeLoader(
  { fields, rows, batchSize, dropLast, sampler, generator }: PageLoader,
  arrays: readonly Tensorlike[],
  generators: readonly Generator[],
): DataLoader {
  const whole = new TensorDataset(fields.map((field) => at(arrays, field)));
  const dataset = rows === null ? whole : new Subset(whole, numbers(at(arrays, rows)));
  const own = (number: number | null): Generator | undefined => (number === null ? undefined : at(generators, number));
  return new DataLoader(dataset, {
    batchSize,
    dropLast,
    sampler: makeSampler(sampler, dataset, arrays, own),
    generator: own(generator),
  });
}

function makeSampler(
  sampler: PageSampler,
  dataset: Dataset,
  arrays: readonly Tensorlike[],
  own: (number: number | null) => Generator | undefined,
): Sampler {
  switch (sampler.kind) {
    case "sequential":
      return new SequentialSampler(dataset);
    case "random":
      return new RandomSampler(dataset, {
        replacement: sampler.replacement,
        numSamples: sampler.samples,
        generator: own(sampler.generator),
      });
    case "subset":
      return new SubsetRandomSampler(numbers(at(arrays, sampler.indices)), { generator: own(sampler.generator) });
    case "weighted":
      return new WeightedRandomSampler(numbers(at(arrays, sampler.weights)), sampler.samples, {
        replacement: sampler.replacement,
        generator: own(sampler.generator),
      });
  }
}

function numbers({ data }: Tensorlike): Float64Array {
  return Float64Array.from({ length: data.length }, (_, i) => Number(data[i]));
}
