/**
 * `kiln predict`: runs `predictStep` with saved weights, on samples of a file or of the artifact's own data. Samples are
 * run one by one, in one call; each gives one line.
 */
import type { LoadedManifest, ManifestBuffer } from "../ir/artifact/manifest.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { at, elementCount, formatType, isFloat, sameShape, type Shape } from "../ir/type.ts";
import type { Tensorlike } from "../runtime/data/tensorlike.ts";
import type { OptionValues } from "../runtime/training/option-table.ts";
import { loadTrained, makeLoaders, type TrainedWeights } from "../runtime/training/trained-weights.ts";
import { newTypedArray, type TypedArray } from "../runtime/typed-array.ts";
import { artifactFolder, importTrainer } from "./artifact-module.ts";
import type { commands } from "./options.ts";
import { readTensors } from "./read-tensors.ts";

type PredictOptions = OptionValues<typeof commands.predict.options>;

/** Runs `kiln predict`. */
export async function runPredict([given]: readonly string[], options: PredictOptions): Promise<number> {
  if (options.input === undefined && options.index === undefined) {
    throw fail(messages.badUsage("nothing to predict: give --input FILE, --index N, or both", "kiln predict"));
  }
  const artifact = artifactFolder(given);
  const trained = await loadTrained(artifact, options);
  try {
    const { manifest } = trained.program;
    const entry = manifest.entries.find(({ name, batch }) => name === "predict" && batch === 1);
    if (entry === undefined) {
      const hint = "Define predictStep in defineTraining, and compile the model again.";
      throw fail(messages.entryMissing(manifest.name, "predict", hint));
    }
    const buffers = entry.buffers.filter(({ role }) => role === "input");
    const fields =
      options.input === undefined
        ? await fieldsOfData(artifact, trained, buffers, options)
        : fieldsOfFile(options.input, buffers, options.index);
    const count = at(at(fields, 0).shape, 0);
    if (count === 0) return 0;
    const inputs: Record<string, TypedArray> = {};
    buffers.forEach(({ name }, i) => (inputs[name] = at(fields, i).data));
    const { outputs } = await trained.program.run({ entry: "predict", batch: 1, steps: count, inputs });
    const results = entry.buffers.filter(({ role }) => role === "output");
    for (let sample = 0; sample < count; sample++) {
      const number = options.index ?? sample;
      process.stdout.write(`${lineOf(number, results, outputs, sample, options.json === true)}\n`);
    }
    return 0;
  } finally {
    await trained.program.dispose();
  }
}

/** The fields of samples in a file, `[samples, ...shape]` each. */
function fieldsOfFile(file: string, buffers: readonly ManifestBuffer[], index: number | undefined): Tensorlike[] {
  const tensors = readTensors(file);
  return buffers.map((buffer) => {
    const expected = { dtype: buffer.dtype, shape: buffer.shape.slice(1) };
    const tensor =
      tensors.get(buffer.name) ?? (tensors.size === 1 && buffers.length === 1 ? [...tensors.values()][0] : undefined);
    const wanted = `${formatType(expected)} as \`${buffer.name}\`, alone or in a batch`;
    if (tensor === undefined)
      throw fail(messages.badPredictInput(file, wanted, `tensors ${[...tensors.keys()].join(", ")}`));
    const batch = batched(tensor, expected.shape);
    if (batch === undefined || tensor.dtype !== expected.dtype) {
      throw fail(messages.badPredictInput(file, wanted, formatType(tensor)));
    }
    return index === undefined ? batch : rowOf(batch, index, file);
  });
}

/** A tensor with a batch axis: its own, or one added to a single sample. */
function batched(tensor: Tensorlike, sample: Shape): Tensorlike | undefined {
  if (sameShape(tensor.shape, sample)) return { ...tensor, shape: [1, ...sample] };
  return sameShape(tensor.shape.slice(1), sample) ? tensor : undefined;
}

function rowOf(batch: Tensorlike, index: number, place: string): Tensorlike {
  const [rows = 0, ...sample] = batch.shape;
  if (index >= rows) throw fail(messages.badPredictInput(place, `a sample number below ${rows}`, String(index)));
  const size = elementCount(sample);
  return { dtype: batch.dtype, shape: [1, ...sample], data: batch.data.slice(index * size, (index + 1) * size) };
}

/** The fields of one sample of the artifact's own data. */
async function fieldsOfData(
  artifact: string,
  trained: TrainedWeights,
  buffers: readonly ManifestBuffer[],
  options: PredictOptions,
): Promise<Tensorlike[]> {
  const { data } = await importTrainer(artifact);
  const loaders = await makeLoaders(trained, data, options.data);
  const name = options.loader ?? (loaders.has("test") ? "test" : ([...loaders.keys()][0] ?? "test"));
  const dataset = loaders.get(name)?.dataset;
  if (dataset === undefined) throw fail(messages.loaderMissing(name, [...loaders.keys()]));
  const index = options.index ?? 0;
  if (!("get" in dataset) || index >= dataset.length) {
    const expected = "get" in dataset ? `a sample number below ${dataset.length}` : "data whose samples have numbers";
    throw fail(messages.badPredictInput(`the loader ${name}`, expected, String(index)));
  }
  const sample = dataset.get(index);
  const names = fieldNames(trained.program.manifest);
  return buffers.map((buffer) => {
    const field = sample[names.indexOf(buffer.name)];
    const array = newTypedArray(buffer.dtype, elementCount(buffer.shape));
    fill(array, field);
    return { dtype: buffer.dtype, shape: buffer.shape, data: array };
  });
}

/** Names of a sample's fields, in order, as the train step calls them. */
function fieldNames({ entries }: LoadedManifest): string[] {
  const train = entries.find(({ name }) => name === "train");
  return train?.buffers.filter(({ role }) => role === "input" || role === "dataset").map(({ name }) => name) ?? [];
}

/** Copies a field's value, a number or an array of numbers, into `array`. */
function fill(array: TypedArray, field: unknown): void {
  const data: unknown = typeof field === "object" && field !== null && "data" in field ? field.data : field;
  const values: ArrayLike<number | bigint> =
    ArrayBuffer.isView(data) && "length" in data ? (data as TypedArray) : [Number(data)]; // data sets hold nothing else
  for (let i = 0; i < array.length; i++) {
    const value = values[i] ?? 0;
    if (array instanceof BigInt64Array) array[i] = BigInt(value);
    else array[i] = Number(value);
  }
}

function lineOf(
  number: number,
  results: readonly ManifestBuffer[],
  outputs: Readonly<Record<string, TypedArray>>,
  sample: number,
  json: boolean,
): string {
  const values = results.map(({ name, dtype, shape }) => {
    const size = elementCount(shape);
    const part = Array.from(outputs[name]?.slice(sample * size, (sample + 1) * size) ?? [], Number);
    return { name, dtype, shape: shape.slice(1), values: part };
  });
  if (json) {
    return JSON.stringify({
      sample: number,
      results: Object.fromEntries(values.map(({ name, shape, values: part }) => [name, { shape, values: part }])),
    });
  }
  const texts = values.map(({ name, dtype, values: part }) => {
    const shown = part.slice(0, 16).map((value) => (isFloat(dtype) ? value.toFixed(4) : String(value)));
    const rest = part.length > 16 ? `, … (${part.length})` : "";
    return `${name} ${part.length === 1 ? (shown[0] ?? "") : `[${shown.join(", ")}${rest}]`}`;
  });
  return `${number}: ${texts.join("  ")}`;
}
