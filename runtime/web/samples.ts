/**
 * Samples of the data with what the network says of them: pictures drawn from the first field, the label of the second,
 * and the results of the model's `predictStep`, where it has one.
 */
import type { ManifestEntry } from "../../ir/artifact/manifest.ts";
import { at, elementCount, isFloat } from "../../ir/type.ts";
import type { DataLoader } from "../data/loader.ts";
import { gatherRows, type ResidentField } from "../data/resident.ts";
import type { LoadedProgram } from "../loaded-program.ts";
import type { TypedArray } from "../typed-array.ts";

/** A picture of samples, and their labels. */
export type Samples = {
  /** Number of each sample in its data set. */
  readonly numbers: readonly number[];
  readonly pictures: readonly ImageData[];
  /** Labels, where the samples have any. */
  readonly labels: readonly (number | undefined)[];
  readonly fields: readonly { readonly dtype: string; readonly data: TypedArray }[];
};

/** What the network says of a sample: a class, and how sure it is, where it tells. */
export type Prediction = { readonly label: number; readonly confidence: number | undefined };

/** Samples of a loader with pictures; `undefined` if it has none. */
export function takeSamples(loader: DataLoader, numbers: readonly number[]): Samples | undefined {
  const { dataset } = loader;
  const fields = loader.resident()?.fields;
  const [picture, label] = fields ?? [];
  if (fields === undefined || picture === undefined || !("get" in dataset)) return undefined;
  const size = pictureSize(picture);
  if (size === undefined) return undefined;
  const rows = Int32Array.from(numbers);
  const taken = fields.map((field) => ({ dtype: field.dtype, data: gatherRows(field, rows) }));
  const pixels = at(taken, 0).data;
  const count = elementCount(picture.shape);
  const isLabel = label !== undefined && !isFloat(label.dtype) && elementCount(label.shape) === 1;
  return {
    numbers,
    pictures: numbers.map((_, i) => draw(pixels.subarray(i * count, (i + 1) * count), size)),
    labels: numbers.map((_, i) => (isLabel ? Number(taken[1]?.data[i]) : undefined)),
    fields: taken,
  };
}

type PictureSize = {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly first: boolean;
};

/** How a field is a picture: `[h, w]`, `[c, h, w]` or `[h, w, c]` with one or three channels. */
function pictureSize({ shape, dtype }: ResidentField): PictureSize | undefined {
  if (dtype !== "u8" && dtype !== "f32") return undefined;
  const [a = 0, b = 0, c = 0] = shape;
  const isSide = (extent: number): boolean => extent >= 8 && extent <= 512;
  const isChannels = (extent: number): boolean => extent === 1 || extent === 3;
  if (shape.length === 2 && isSide(a) && isSide(b)) return { height: a, width: b, channels: 1, first: true };
  if (shape.length !== 3) return undefined;
  if (isChannels(a) && isSide(b) && isSide(c)) return { height: b, width: c, channels: a, first: true };
  if (isChannels(c) && isSide(a) && isSide(b)) return { height: a, width: b, channels: c, first: false };
  return undefined;
}

/** A picture in RGBA; floats are scaled to what they span. */
function draw(pixels: TypedArray, { height, width, channels, first }: PictureSize): ImageData {
  const image = new ImageData(width, height);
  const values = Array.from(pixels, Number);
  const isByte = pixels instanceof Uint8Array;
  const low = isByte ? 0 : Math.min(...values);
  const scale = isByte ? 1 : 255 / Math.max(Math.max(...values) - low, 1e-9);
  for (let i = 0; i < width * height; i++) {
    for (let channel = 0; channel < 3; channel++) {
      const from = channels === 1 ? i : first ? channel * width * height + i : i * channels + channel;
      image.data[4 * i + channel] = (at(values, from) - low) * scale;
    }
    image.data[4 * i + 3] = 255;
  }
  return image;
}

/** The entry that predicts one sample; `undefined` if the model has no `predictStep` that gives a class. */
export function predictionEntry({ manifest }: LoadedProgram): ManifestEntry | undefined {
  const entry = manifest.entries.find(({ name, batch }) => name === "predict" && batch === 1);
  return entry !== undefined && classOf(entry) !== undefined ? entry : undefined;
}

/** The result that tells the class: an integer, or else scores of which the largest counts. */
function classOf({ buffers }: ManifestEntry): ManifestEntry["buffers"][number] | undefined {
  const results = buffers.filter(({ role }) => role === "output");
  const isOne = (shape: readonly number[]): boolean => elementCount(shape) === 1;
  return (
    results.find(({ dtype, shape }) => !isFloat(dtype) && isOne(shape)) ??
    results.find(({ dtype, shape }) => isFloat(dtype) && shape.length === 2 && !isOne(shape))
  );
}

/** What the network says of samples; none where the model has no prediction. */
export async function predict(program: LoadedProgram, samples: Samples): Promise<readonly Prediction[]> {
  const entry = predictionEntry(program);
  const result = entry === undefined ? undefined : classOf(entry);
  if (entry === undefined || result === undefined) return [];
  const inputs: Record<string, TypedArray> = {};
  const names = fieldNames(program);
  for (const { name } of entry.buffers.filter(({ role }) => role === "input")) {
    const field = samples.fields[names.indexOf(name)];
    if (field !== undefined) inputs[name] = field.data;
  }
  const steps = samples.numbers.length;
  const { outputs } = await program.run({ entry: "predict", batch: 1, steps, inputs });
  const scores = entry.buffers.find(
    ({ role, dtype, shape }) => role === "output" && isFloat(dtype) && shape.length === 2 && elementCount(shape) > 1,
  );
  return samples.numbers.map((_, i) => {
    const row = scores === undefined ? [] : rowOf(outputs[scores.name], i, elementCount(scores.shape));
    const label = result === scores ? row.indexOf(Math.max(...row)) : Number(outputs[result.name]?.[i]);
    const isProbability = row.length > 1 && Math.abs(row.reduce((sum, value) => sum + value, 0) - 1) < 1e-3;
    return { label, confidence: isProbability ? row[label] : undefined };
  });
}

function rowOf(values: TypedArray | undefined, row: number, size: number): number[] {
  return Array.from(values?.subarray(row * size, (row + 1) * size) ?? [], Number);
}

/** Names of a sample's fields, in order, as the train step calls them. */
function fieldNames({ manifest }: LoadedProgram): string[] {
  const train = manifest.entries.find(({ name }) => name === "train");
  return train?.buffers.filter(({ role }) => role === "input" || role === "dataset").map(({ name }) => name) ?? [];
}
