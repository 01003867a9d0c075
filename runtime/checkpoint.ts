/**
 * Checkpoints: one .safetensors file holds a training at a moment between two steps. Parameters and buffers stand under
 * PyTorch's names in PyTorch's layout, optimizer slots beside them; what is no tensor (counters, hyperparameters, the
 * generator, the loader's position, …) is JSON in the file's metadata, with a checksum over all of it. A file is written
 * whole or not at all, and the one before it is kept. Reading promises that every tensor fits the program, or throws one
 * error that lists all differences, with nothing loaded.
 */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, linkSync, readFileSync, rmSync, statSync } from "node:fs";
import * as path from "node:path";
import * as v from "valibot";
import type { LoadedManifest, ManifestState } from "../ir/artifact/manifest.ts";
import { DiagnosticError, fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { formatType, sameType } from "../ir/type.ts";
import { writeAtomically } from "./atomic-file.ts";
import { encodeSafetensors, type SafetensorsFile, type StoredTensor } from "./safetensors-bytes.ts";
import { readSafetensors } from "./safetensors.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const loaderState = v.object({
  batches: count,
  samples: count,
  batchSize: count,
  generators: v.array(v.string()),
  order: v.exactOptional(v.string()),
  ends: v.exactOptional(v.string()),
});

const progressSchema = v.object({
  format: v.literal(1),
  kiln: v.string(),
  /** Name of the program, and the hash that tells programs apart. */
  name: v.string(),
  program: v.string(),
  seed: v.number(),
  /** Epoch that is running, or that begins next if `steps` is 0; the first is 1. */
  epoch: count,
  /** Steps of that epoch that are done. */
  steps: count,
  /** Steps of all epochs that are done. */
  totalSteps: count,
  counters: v.record(v.string(), v.number()),
  hyper: v.record(v.string(), v.number()),
  schedulers: v.array(v.unknown()),
  /** State of the default generator, base64 of its 32-bit words, little-endian. */
  generator: v.string(),
  /** Position in the pass over the training data; `null` between two passes. */
  loader: v.nullable(loaderState),
  history: v.object({
    stride: count,
    points: v.array(v.nullable(v.number())),
    pendingSum: v.number(),
    pendingCount: count,
  }),
  /** Results of the last evaluation of each loader. */
  metrics: v.record(v.string(), v.record(v.string(), v.nullable(v.number()))),
  /** Names of the tensors that are neither parameters nor buffers. */
  slots: v.array(v.string()),
});

/** What a checkpoint holds besides tensors. */
export type Progress = v.InferOutput<typeof progressSchema>;

/** A training at a moment between two steps. */
export type Checkpoint = { readonly tensors: ReadonlyMap<string, StoredTensor>; readonly progress: Progress };

/** Names of the files of a run folder: the newest checkpoint, and the one before it. */
export const checkpointFiles = { last: "last.safetensors", previous: "previous.safetensors" } as const;

/**
 * Writes a checkpoint as the last one of `folder` and keeps the one before it. Throws a `UserError` (K3208) if that
 * fails; the old checkpoint is intact then.
 */
export function writeCheckpoint(folder: string, checkpoint: Checkpoint): void {
  const last = path.join(folder, checkpointFiles.last);
  const text = JSON.stringify(checkpoint.progress);
  const metadata = new Map([
    ["format", "pt"],
    ["kiln", text],
    ["sha256", checksum(checkpoint.tensors, text)],
  ]);
  try {
    keepPrevious(last, path.join(folder, checkpointFiles.previous));
    writeAtomically(last, encodeSafetensors(checkpoint.tensors, metadata));
  } catch (error) {
    const reason = error instanceof DiagnosticError ? error.diagnostic.what : String(error);
    throw fail(messages.checkpointNotSaved(last, reason), undefined, error);
  }
}

/** Gives the last checkpoint a second name, so that it survives under that when the next takes its own. */
function keepPrevious(last: string, previous: string): void {
  if (statSync(last, { throwIfNoEntry: false }) === undefined) return;
  rmSync(previous, { force: true });
  try {
    linkSync(last, previous);
  } catch {
    // File systems without hard links.
    copyFileSync(last, previous);
  }
}

/** The checkpoint in a file, its checksum verified. Throws a `UserError` (K3201, K3202, K3204). */
export function readCheckpoint(file: string): Checkpoint {
  const { tensors, metadata } = open(file);
  const text = metadata.get("kiln");
  if (text === undefined) throw fail(messages.notACheckpoint(file));
  if (metadata.get("sha256") !== checksum(tensors, text)) {
    throw fail(messages.checkpointDamaged(file, "its checksum is that of other contents"));
  }
  return { tensors, progress: parseProgress(file, text) };
}

/** What a file says of the training it was saved by; `undefined` for plain weights. Throws as `readCheckpoint` does. */
export function readProgress(file: string): Progress | undefined {
  const text = open(file).metadata.get("kiln");
  return text === undefined ? undefined : parseProgress(file, text);
}

/** The tensors of parameters and buffers in a .safetensors file, ours or another's. Throws as `readCheckpoint` does. */
export function readWeights(file: string): Map<string, StoredTensor> {
  const { tensors, metadata } = open(file);
  const text = metadata.get("kiln");
  if (text === undefined) return tensors;
  const slots = new Set(readCheckpoint(file).progress.slots);
  return new Map([...tensors].filter(([name]) => !slots.has(name)));
}

/** Throws a `UserError` (K3203) that lists every difference between `tensors` and the states they are for. */
export function checkTensors(
  file: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  states: readonly ManifestState[],
): void {
  const differences: string[] = [];
  for (const state of states) {
    const tensor = tensors.get(state.name);
    if (tensor === undefined) differences.push(`missing: ${state.name} ${formatType(state)}`);
    else if (!sameType(tensor, state)) {
      differences.push(`${state.name}: expected ${formatType(state)}, got ${formatType(tensor)}`);
    }
  }
  const known = new Set(states.map((state) => state.name));
  for (const [name, tensor] of tensors) {
    if (!known.has(name)) differences.push(`not in the program: ${name} ${formatType(tensor)}`);
  }
  if (differences.length > 0) throw fail(messages.checkpointMismatch(file, differences));
}

/**
 * A hash of what a program computes: its states, entries, initialisation and traced graphs (`folder` is its artifact's),
 * but not how they are laid out, scheduled or built, so that a checkpoint moves between machines, targets and thread
 * counts. Comments in the graphs, which name places in the model file, do not count.
 */
export function programHash(manifest: LoadedManifest, folder: string): string {
  const graphs = Object.keys(manifest.files)
    .filter((name) => /^ir\/[^/]*\.traced\.ir$/.test(name))
    .toSorted()
    .map((name) => graphText(path.join(folder, name)));
  const entries = manifest.entries.map(({ name, batch, increments, buffers }) => ({
    name,
    batch,
    increments: sorted(increments),
    buffers: buffers
      .filter((buffer) => buffer.role === "input" || buffer.role === "dataset" || buffer.role === "output")
      .map((buffer) => [buffer.role, buffer.name, buffer.dtype, buffer.shape]),
  }));
  const states = manifest.state.values.map(({ name, role, dtype, shape }) => [name, role, dtype, shape]);
  const { hyper, init, counters, training } = manifest;
  const schedulers = training?.schedulers ?? [];
  return createHash("sha256")
    .update(JSON.stringify([graphs, states, entries, init, counters, Object.keys(hyper).toSorted(), schedulers]))
    .digest("hex");
}

function graphText(file: string): string {
  try {
    return readFileSync(file, "utf8").replace(/\s+#.*$/gm, "");
  } catch {
    // The graphs of an artifact may have been left out where it was copied to.
    return "";
  }
}

function sorted(record: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function open(file: string): SafetensorsFile {
  if (!existsSync(file) || statSync(file).isDirectory()) throw fail(messages.checkpointMissing(file));
  try {
    return readSafetensors(file);
  } catch (error) {
    if (error instanceof DiagnosticError && error.code === "K3111") {
      throw fail(messages.checkpointDamaged(file, error.diagnostic.what), undefined, error);
    }
    throw error;
  }
}

function parseProgress(file: string, text: string): Progress {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw fail(messages.checkpointDamaged(file, "its training state is no JSON"), undefined, error);
  }
  const result = v.safeParse(progressSchema, parsed);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw fail(messages.checkpointDamaged(file, `${v.getDotPath(issue) ?? "its training state"}: ${issue.message}`));
}

/** SHA-256 over the training state and every tensor with its name and type. */
function checksum(tensors: ReadonlyMap<string, StoredTensor>, text: string): string {
  const hash = createHash("sha256").update(`${text.length}:${text}`);
  for (const [name, tensor] of [...tensors].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${JSON.stringify(name)} ${formatType(tensor)}:`).update(tensor.bytes);
  }
  return hash.digest("hex");
}
