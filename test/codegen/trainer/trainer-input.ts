/** Manifests for tests of the generated trainer: entries with the buffers that matter to it. */
import type { LoadedManifest, ManifestEntry, ManifestTraining } from "../../../ir/artifact/manifest.ts";
import type { DType, Shape } from "../../../ir/type.ts";

/** A scalar result of an entry. */
export type ResultSpec = { readonly name: string; readonly dtype: DType };

/** An entry over one field of pictures and one of labels. */
export function entry(
  name: string,
  batch: number,
  results: readonly ResultSpec[],
  sample: Shape = [28, 28],
): ManifestEntry {
  return {
    name,
    batch,
    phases: 1,
    arenaBytes: 0,
    buffers: [
      { role: "dataset", name: "images", dtype: "u8", stored: "u8", shape: [0, ...sample] },
      { role: "dataset", name: "labels", dtype: "i64", stored: "i64", shape: [0] },
      ...results.map(({ name: result, dtype }) => ({
        role: "output" as const,
        name: result,
        dtype,
        stored: dtype,
        shape: [],
      })),
    ],
    scalars: [],
    increments: {},
  };
}

/** The parts of a manifest that a trainer is made from. */
export function manifest(
  entries: ManifestEntry[],
  names: { readonly name?: string; readonly command?: string; readonly state?: string } = {},
): Pick<LoadedManifest, "kiln" | "name" | "command" | "entries" | "state"> {
  const state = names.state ?? "fc1.weight";
  return {
    kiln: "0.1.0",
    name: names.name ?? "mnist",
    command: names.command ?? "kiln compile examples/mnist",
    entries,
    state: {
      bytes: 40,
      values: [{ name: state, role: "parameter", dtype: "f32", stored: "f32", shape: [10], offset: 0, strides: [1] }],
    },
  };
}

/** The training part of a manifest, with loaders of these names. */
export function training(loaders: readonly string[], more: Partial<ManifestTraining> = {}): ManifestTraining {
  return {
    seed: 0,
    epochs: 3,
    logEvery: 100,
    loaders: loaders.map((name) => ({ name, batchSize: 64, samples: 1000, dropLast: false })),
    metrics: [
      { name: "loss", combine: "mean" },
      { name: "correct", combine: "sum" },
    ],
    schedulers: [],
    ...more,
  };
}

/** The results of a train and of an evaluation step. */
export const loss: ResultSpec = { name: "loss", dtype: "f32" };
export const correct: ResultSpec = { name: "correct", dtype: "i64" };
