/**
 * Writing an artifact: the manifest and all files it names, as bytes that depend on the input alone. The folder is filled
 * aside and moved into place at the end, so that a compile which is killed leaves the old artifact or none.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { access, constants, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { CTarget, Manifest, ManifestEntry, ManifestTarget, ManifestTraining } from "../ir/artifact/manifest.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { dtypeBytes } from "../ir/type.ts";
import type { Plan } from "./memory/plan.ts";
import type { TracedProgram } from "./trace/traced.ts";

/** Files of an artifact by path relative to its folder. */
export type ArtifactFiles = ReadonlyMap<string, Uint8Array | string>;

/** What the manifest is made from. */
export type ManifestInput = {
  readonly name: string;
  readonly version: string;
  readonly command: string;
  readonly traced: TracedProgram;
  /** At least one. */
  readonly targets: readonly ManifestTarget[];
};

/** Path of the shared object in an artifact. */
export const libraryPath = "program.so";

/** The manifest, without the hashes of the files. */
export function createManifest({ name, version, command, traced, targets }: ManifestInput): Manifest {
  return {
    schema: 2,
    kiln: version,
    name,
    command,
    files: {},
    targets: [...targets],
    hyper: { ...traced.hyper },
    counters: [...traced.counters],
    init: [...traced.init],
    training: manifestTraining(traced),
  };
}

/** The part of a target's manifest that says where its state lies. */
export function manifestState(traced: TracedProgram, plan: Plan): ManifestTarget["state"] {
  const decls = new Map(traced.states.map((state) => [state.name, state]));
  return {
    bytes: plan.stateBytes,
    values: plan.states.map(({ buffer, offset }) => ({
      name: buffer.name,
      role: decls.get(buffer.name)?.role ?? "buffer",
      dtype: decls.get(buffer.name)?.dtype ?? buffer.dtype,
      stored: buffer.dtype,
      shape: [...buffer.shape],
      offset,
      strides: [...buffer.strides],
    })),
  };
}

/** The entries of a plan as a target's manifest lists them. */
export function manifestEntries(plan: Plan): ManifestEntry[] {
  return plan.program.entries.map((entry) => ({
    name: entry.name,
    batch: entry.batch,
    phases: entry.phases.length,
    arenaBytes: entry.arenaBytes,
    buffers: entry.buffers.map(({ role, name, dtype, stored, shape, draw }) => ({
      role,
      name,
      dtype,
      stored,
      shape: [...shape],
      ...(draw === undefined ? {} : { draw }),
    })),
    scalars: [...entry.scalars],
    increments: { ...entry.increments },
  }));
}

/** The target `c`, compiled for processors of this kind with `features`. */
export function cTarget(traced: TracedProgram, plan: Plan, features: readonly string[]): CTarget {
  return {
    name: "c",
    library: libraryPath,
    features: [...features],
    arch: process.arch,
    state: manifestState(traced, plan),
    entries: manifestEntries(plan),
  };
}

/** The training section of a manifest. */
export function manifestTraining({ training }: TracedProgram): ManifestTraining | null {
  if (training === undefined) return null;
  return {
    seed: training.seed,
    epochs: training.epochs,
    logEvery: training.logEvery,
    loaders: training.loaders.map(({ name, loader }) => ({
      name,
      batchSize: loader.batchSize,
      samples: loader.samples,
      dropLast: loader.dropLast,
    })),
    metrics: [...training.metrics],
    schedulers: [...training.schedulers],
  };
}

/** Bytes of a program's memory by use, for the report before anything runs; on the target that needs most. */
export function memoryReport(
  traced: TracedProgram,
  plans: readonly Plan[],
): Readonly<Record<"parameters" | "optimizer" | "buffers" | "activations", number>> {
  const bytes = { parameters: 0, optimizer: 0, buffers: 0, activations: 0 };
  for (const { role, dtype, shape } of traced.states) {
    const size = shape.reduce((product, extent) => product * extent, dtypeBytes[dtype]);
    if (role === "parameter") bytes.parameters += size;
    else if (role === "slot") bytes.optimizer += size;
    else bytes.buffers += size;
  }
  bytes.activations = Math.max(0, ...plans.flatMap(({ reports }) => reports.map(({ arenaBytes }) => arenaBytes)));
  return bytes;
}

/** Writes an artifact to a folder, replacing what was there. */
export async function writeArtifact(given: string, manifest: Manifest, files: ArtifactFiles): Promise<void> {
  const folder = resolve(given);
  await checkOutput(given);
  const hashes: Record<string, string> = {};
  for (const [path, contents] of [...files].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    hashes[path] = createHash("sha256").update(contents).digest("hex");
  const aside = `${folder}.new-${process.pid}`;
  const old = `${folder}.old-${process.pid}`;
  try {
    await rm(aside, { recursive: true, force: true });
    for (const [path, contents] of files) {
      const target = join(aside, path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, contents);
    }
    await writeFile(join(aside, "manifest.json"), `${JSON.stringify({ ...manifest, files: hashes }, null, 2)}\n`);
    await rename(folder, old).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
    await rename(aside, folder);
    await rm(old, { recursive: true, force: true });
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined);
    throw fail(
      messages.artifactNotWritable(given, error instanceof Error ? error.message : String(error)),
      undefined,
      error,
    );
  }
}

/**
 * Refuses a place for an artifact whose contents are not ours to replace: a file, or a folder that holds other things than
 * an artifact. Called before the work begins, too, so that a mistake is found at once.
 *
 * @throws UserError K1607, or K3090 where nothing can be made.
 */
export async function checkOutput(folder: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOTDIR" && existsSync(folder)) throw fail(messages.outputTaken(folder, "a file"));
    await checkAbove(folder);
    return;
  }
  if (names.length === 0 || (names.includes("manifest.json") && (await isArtifact(join(folder, "manifest.json")))))
    return;
  throw fail(messages.outputTaken(folder, `a folder with ${names.toSorted().slice(0, 3).join(", ")}`));
}

/** Checks that the nearest folder above one that is not there may be written. @throws UserError K3090. */
async function checkAbove(given: string): Promise<void> {
  let folder = resolve(given);
  while (!existsSync(folder)) folder = dirname(folder);
  try {
    await access(folder, constants.W_OK);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw fail(messages.artifactNotWritable(given, reason), undefined, error);
  }
}

/** Whether a manifest is one of ours, of any version. */
async function isArtifact(file: string): Promise<boolean> {
  try {
    const manifest: unknown = JSON.parse(await readFile(file, "utf8"));
    return typeof manifest === "object" && manifest !== null && "kiln" in manifest && "schema" in manifest;
  } catch {
    return false; // damaged, or another program's
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
