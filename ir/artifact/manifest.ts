/**
 * The manifest of an artifact: all that the runtime must know to run a program, as plain JSON data. The schema below is
 * the one declaration; the TypeScript types derive from it, and `runtime/` checks every loaded manifest against it.
 */
import * as v from "valibot";
import { dtypes } from "../type.ts";
import type { HostExpr } from "./host-expr.ts";
import type { InitStep } from "../random/init.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const dtype = v.picklist(dtypes);
const shape = v.array(count);

/** Checked by hand where it is evaluated; a recursive schema would cost more than it tells. */
const hostExpr = v.custom<HostExpr>((x) => typeof x === "number" || Array.isArray(x));
const initStep = v.custom<InitStep>((x) => typeof x === "object" && x !== null && "kind" in x);

/** A value that lives between calls, and where it lies in the state region. */
export const stateSchema = v.object({
  /** PyTorch's state-dict key for parameters and buffers; `<optimizer>.<slot>.<parameter>` for optimizer slots. */
  name: v.string(),
  role: v.picklist(["parameter", "buffer", "slot"]),
  /** Element type seen from outside. */
  dtype,
  /** Element type in the region. */
  stored: dtype,
  /** Logical shape, as in PyTorch. */
  shape,
  /** Byte offset of element 0 in the state region. */
  offset: count,
  /** Distance in elements between neighbours along each logical axis. */
  strides: v.array(count),
});

/** What a buffer of an entry is for. */
const bufferRoles = ["state", "arena", "input", "output", "dataset", "indices", "scalars", "generator"] as const;
const randomRoles = ["draws", "key"] as const;

/** A draw of the default generator. */
export const drawSchema = v.variant("kind", [
  v.object({ kind: v.literal("uniform"), low: v.number(), high: v.number() }),
  v.object({ kind: v.literal("normal"), mean: v.number(), std: v.number() }),
  v.object({ kind: v.literal("bernoulli"), p: v.number() }),
]);

/**
 * A buffer an entry's phases are called with, in call order.
 * - `state`, `arena`: the two regions of the plan.
 * - `input`: a batch from the host, one per step. `output`: a result, one per step.
 * - `dataset`: a whole resident field; its shape is `[batch, ...sample]`, what one step gathers of it, and the number of
 *   rows it has is known at run time; `indices`: the batch's sample numbers (i32).
 * - `scalars`: host scalars of the step, f32. `generator`: the default generator's state.
 * - `draws`: numbers that the host draws from the default generator for each step, as `draw` says. `key`: i32[4], the key
 *   of counter-based numbers in this step: four words of the default generator, whose state a checkpoint keeps.
 * - `status`: i32[4], zero when all is well; `[code, value, limit, _]` of the first failed check.
 */
export const bufferSchema = v.object({
  role: v.picklist([...bufferRoles, ...randomRoles, "status"]),
  name: v.string(),
  /** Element type seen from outside. */
  dtype,
  /** Element type in the device's memory. */
  stored: dtype,
  shape,
  /** What is drawn, for `draws`; the entry's draws are made in the order of its buffers. */
  draw: v.optional(drawSchema),
});

/**
 * Place of one binding of a launch: `bytes` from `offset` on of the entry's buffer number `buffer`. A data set is bound
 * whole, however long it is: `offset` is 0, and `bytes` counts for nothing.
 */
export const bindingSchema = v.object({ buffer: count, offset: count, bytes: count });

/** One use of a kernel on a GPU: `groups` work-groups (blocks), and the place of each of the kernel's bindings. */
export const launchSchema = v.object({ kernel: count, groups: count, bindings: v.array(bindingSchema) });

/** One compiled function at one batch size. */
export const entrySchema = v.object({
  /** `train`, `evaluate`, `predict`, or a plain function's name. */
  name: v.string(),
  /** Batch size it was compiled for; 0 if it has no batch axis. */
  batch: count,
  /** Number of phases; a barrier stands between two. */
  phases: count,
  arenaBytes: count,
  buffers: v.array(bufferSchema),
  /** Formulas of the `scalars` buffer, in order. */
  scalars: v.array(hostExpr),
  /** Counters that a call increments, and by how much. */
  increments: v.record(v.string(), count),
  /** On GPUs: what a step launches, in order. */
  launches: v.optional(v.array(launchSchema)),
});

const gpuFeaturesSchema = v.object({
  /** Threads that read each other's values without shared arrays: those whose numbers differ below this power of two. */
  subgroup: count,
  /** Arithmetic of half-precision floats. */
  f16: v.boolean(),
});

/** What a GPU offers beyond what all of its kind do, or what a kernel needs of that. */
export type GpuFeatures = Readonly<v.InferOutput<typeof gpuFeaturesSchema>>;

/** Another text of a kernel, for devices that offer what it needs. */
const variantSchema = v.object({
  /** File with its text, relative path. */
  file: v.string(),
  /** Bytes of shared arrays of a work-group. */
  sharedBytes: count,
  needs: gpuFeaturesSchema,
});

/** A kernel of a GPU program. */
export const gpuKernelSchema = v.object({
  /** The name of its function. */
  name: v.string(),
  /** File with its text, relative path. */
  file: v.string(),
  /** Threads of a work-group (block). */
  threads: count,
  /** Bytes of shared arrays of a work-group. */
  sharedBytes: count,
  /** How it uses each binding. */
  bindings: v.array(v.picklist(["read", "readwrite", "uniform"])),
  /** From the least demanding on; the last one that a device can run is taken in place of `file`. */
  variants: v.optional(v.array(variantSchema)),
});

const stateRegion = v.object({ bytes: count, values: v.array(stateSchema) });

/** A program for processors: a shared object. */
export const cTargetSchema = v.object({
  name: v.literal("c"),
  /** Shared object, relative path. */
  library: v.string(),
  /** CPU features its instructions need, as in /proc/cpuinfo (`avx512f`); checked before it is opened. */
  features: v.array(v.string()),
  arch: v.string(),
  state: stateRegion,
  entries: v.array(entrySchema),
});

/** A program for WebGPU: a module a kernel. */
export const wgslTargetSchema = v.object({
  name: v.literal("wgsl"),
  kernels: v.array(gpuKernelSchema),
  state: stateRegion,
  entries: v.array(entrySchema),
});

/** A program for CUDA: one source of all kernels, and what `nvcc` made of it, if it was there. */
export const cudaTargetSchema = v.object({
  name: v.literal("cuda"),
  kernels: v.array(gpuKernelSchema),
  /** Fat binary, relative path; without it the source is compiled when it is loaded. */
  image: v.nullable(v.string()),
  state: stateRegion,
  entries: v.array(entrySchema),
});

/** What a program was compiled for: its state's layout and its entries differ between targets. */
export const targetSchema = v.variant("name", [cTargetSchema, wgslTargetSchema, cudaTargetSchema]);

/** A learning-rate scheduler: plain data, run in float64 by the runtime. */
export const schedulerSchema = v.object({
  optimizer: v.string(),
  kind: v.string(),
  /** When it steps. */
  per: v.picklist(["epoch", "step"]),
  options: v.record(v.string(), v.union([v.number(), v.boolean(), v.string(), v.array(v.number())])),
});

/** How the results of an evaluate or train step combine over the batches of a pass, and what the log prints. */
export const metricSchema = v.object({
  name: v.string(),
  /** `mean`: weighted by batch size; `sum`: added up. */
  combine: v.picklist(["mean", "sum"]),
});

/** What the generated trainer and `kiln train` need beyond the entries. */
export const trainingSchema = v.object({
  seed: v.number(),
  epochs: count,
  logEvery: count,
  /** Names of the loaders that `data()` returns, with the batch size and sample count they had at compile time. */
  loaders: v.array(v.object({ name: v.string(), batchSize: count, samples: count, dropLast: v.boolean() })),
  metrics: v.array(metricSchema),
  schedulers: v.array(schedulerSchema),
});

/** The whole manifest. */
export const manifestSchema = v.object({
  schema: v.literal(2),
  kiln: v.string(),
  name: v.string(),
  /** The command that made the artifact, for people. */
  command: v.string(),
  /** SHA-256 of every other file, hex, by path relative to the artifact. */
  files: v.record(v.string(), v.string()),
  /** At least one, each name once. */
  targets: v.array(targetSchema),
  /** Hyperparameters that may change at run time, by name, with their first values. */
  hyper: v.record(v.string(), v.number()),
  counters: v.array(v.string()),
  /** Initial state, in order of the draws. */
  init: v.array(initStep),
  training: v.nullable(trainingSchema),
});

export type Manifest = v.InferOutput<typeof manifestSchema>;
export type ManifestTarget = v.InferOutput<typeof targetSchema>;
export type CTarget = v.InferOutput<typeof cTargetSchema>;
export type WgslTarget = v.InferOutput<typeof wgslTargetSchema>;
export type CudaTarget = v.InferOutput<typeof cudaTargetSchema>;
export type ManifestLaunch = v.InferOutput<typeof launchSchema>;
export type ManifestGpuKernel = v.InferOutput<typeof gpuKernelSchema>;
export type ManifestState = v.InferOutput<typeof stateSchema>;
export type ManifestBuffer = v.InferOutput<typeof bufferSchema>;
export type ManifestEntry = v.InferOutput<typeof entrySchema>;
export type ManifestScheduler = v.InferOutput<typeof schedulerSchema>;
export type ManifestMetric = v.InferOutput<typeof metricSchema>;
export type ManifestTraining = v.InferOutput<typeof trainingSchema>;

/** A target that runs on a GPU. */
export type GpuTarget = WgslTarget | CudaTarget;

/** Name of a target. */
export type TargetName = ManifestTarget["name"];

/** Names of all targets there are, in the order in which an artifact holds them. */
export const targetNames = ["c", "wgsl", "cuda"] as const satisfies readonly TargetName[];

/** A manifest as one of its targets sees it: what was chosen when the artifact was loaded. */
export type LoadedManifest = Omit<Manifest, "targets"> & {
  readonly target: ManifestTarget;
  readonly state: ManifestTarget["state"];
  readonly entries: ManifestTarget["entries"];
};

/** The manifest as `target`, one of its own, sees it. */
export function viewTarget(manifest: Manifest, target: ManifestTarget): LoadedManifest {
  const { targets: _, ...rest } = manifest;
  return { ...rest, target, state: target.state, entries: target.entries };
}
