/**
 * What a schema cannot say of a manifest: that every value lies inside its region, that names are unique and known, that
 * paths stay inside the folder and that formulas can be evaluated. After `checkManifest` nothing in it is trusted blindly
 * and nothing in it needs checking again.
 */
import type { Manifest, ManifestBuffer, ManifestEntry, ManifestState } from "../ir/artifact/manifest.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { dtypeBytes, type Shape } from "../ir/type.ts";

/** The name of an entry in a program's library: `train@64`, or `train` if it has no batch axis. */
export function entryLabel(entry: { readonly name: string; readonly batch: number }): string {
  return entry.batch === 0 ? entry.name : `${entry.name}@${entry.batch}`;
}

/** Names that would change an object they were set on. */
const reserved: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** Deepest formula, in nested operations. */
const formulaDepth = 64;

const unary: ReadonlySet<unknown> = new Set(["sqrt", "neg", "floor"]);
const binary: ReadonlySet<unknown> = new Set(["add", "sub", "mul", "div", "pow", "min", "max"]);

/** Roles of which an entry has at most one buffer. */
const single: ReadonlySet<string> = new Set(["state", "arena", "indices", "scalars", "generator", "status"]);

/** Throws unless the manifest is sound. @throws UserError K3002, K3004. */
export function checkManifest(manifest: Manifest): void {
  checkFiles(manifest);
  unique("counters", manifest.counters);
  for (const [name, value] of Object.entries(manifest.hyper)) {
    checkName("hyper", name);
    finite(`hyper.${name}`, value);
  }
  unique(
    "state.values",
    manifest.state.values.map((state) => state.name),
  );
  for (const [i, state] of manifest.state.values.entries())
    checkState(`state.values.${i}`, state, manifest.state.bytes);
  checkInit(manifest);
  unique("entries", manifest.entries.map(entryLabel));
  for (const [i, entry] of manifest.entries.entries()) checkEntry(`entries.${i}`, entry, manifest);
  checkTraining(manifest);
}

function bad(where: string, expected: string, got: string): Error {
  return fail(messages.badManifest(where, expected, got));
}

function finite(where: string, value: number): void {
  if (!Number.isFinite(value)) throw bad(where, "a finite number", String(value));
}

function checkName(where: string, name: string): void {
  if (name === "" || name.length > 4096 || name.split(".").some((part) => reserved.has(part)))
    throw bad(where, "a name that is neither empty nor reserved", name.slice(0, 100));
}

function unique(where: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    checkName(where, name);
    if (seen.has(name)) throw bad(where, "names that differ", `\`${name}\` twice`);
    seen.add(name);
  }
}

function checkFiles(manifest: Manifest): void {
  for (const [file, hash] of Object.entries(manifest.files)) {
    checkPath(file);
    if (!/^[0-9a-f]{64}$/.test(hash)) throw bad(`files.${file}`, "a SHA-256 in hexadecimal", hash.slice(0, 80));
  }
  const { library } = manifest.target;
  checkPath(library);
  if (!Object.hasOwn(manifest.files, library)) throw bad("target.library", "one of the files", library);
}

function checkPath(file: string): void {
  const parts = file.split("/");
  const plain = parts.every((part) => part !== "" && part !== "." && part !== ".." && !/[\\:\u0000]/.test(part));
  if (!plain) throw fail(messages.unsafeArtifactPath(file, "a path that could lead elsewhere"));
}

/** Number of elements of a shape, or throws if that is no safe integer. */
function countOf(where: string, shape: Shape): number {
  let count = 1;
  for (const extent of shape) count *= extent;
  // A product that was rounded on the way is still too large to be safe, unless an extent of 0 makes it 0.
  if (!Number.isSafeInteger(count)) throw bad(where, "a size below 2^53", shape.join(" × "));
  return count;
}

function bytesOf(where: string, buffer: ManifestBuffer): number {
  const bytes = countOf(where, buffer.shape) * dtypeBytes[buffer.dtype];
  if (!Number.isSafeInteger(bytes)) throw bad(where, "a size below 2^53", `${bytes} bytes`);
  return bytes;
}

function checkState(where: string, state: ManifestState, regionBytes: number): void {
  const { shape, strides, offset, dtype } = state;
  if (strides.length !== shape.length) throw bad(`${where}.strides`, `${shape.length} strides`, String(strides.length));
  const count = countOf(`${where}.shape`, shape);
  const width = dtypeBytes[dtype];
  if (offset % width !== 0) throw bad(`${where}.offset`, `a multiple of ${width}`, String(offset));
  // Axes from the finest stride up: each must step over all that the finer ones span, so no two elements share a place.
  const axes = shape.map((extent, axis) => ({ extent, stride: strides[axis] ?? 0 })).filter(({ extent }) => extent > 1);
  axes.sort((a, b) => a.stride - b.stride);
  let last = 0;
  if (count > 0) {
    for (const { extent, stride } of axes) {
      if (stride <= last) throw bad(`${where}.strides`, "strides that keep elements apart", strides.join(", "));
      last += (extent - 1) * stride;
      if (!Number.isSafeInteger(last)) throw bad(`${where}.strides`, "a span below 2^53", strides.join(", "));
    }
  }
  const end = count === 0 ? offset : offset + (last + 1) * width;
  if (!Number.isSafeInteger(end) || end > regionBytes)
    throw bad(where, `a place within the region of ${regionBytes} bytes`, `bytes up to ${end}`);
}

function checkInit(manifest: Manifest): void {
  const known = new Set(manifest.state.values.map((state) => state.name));
  for (const [i, step] of manifest.init.entries()) {
    const where = `init.${i}`;
    if (typeof step.kind !== "string" || typeof step.state !== "string")
      throw bad(where, "a step with kind and state", "none");
    if (step.kind === "scratch") {
      checkName(where, step.state);
      // The initialiser checks dtype and extents; their product is what could ask for all memory there is.
      if (!Array.isArray(step.shape)) throw bad(`${where}.shape`, "a shape", typeof step.shape);
      const count = countOf(`${where}.shape`, step.shape);
      if (count > 2 ** 32) throw bad(`${where}.shape`, "at most 2^32 elements", String(count));
      known.add(step.state);
    } else if (!known.has(step.state)) {
      throw bad(`${where}.state`, "a known state", step.state);
    }
  }
}

function checkEntry(where: string, entry: ManifestEntry, manifest: Manifest): void {
  checkName(`${where}.name`, entry.name);
  const seen = new Set<string>();
  for (const [i, buffer] of entry.buffers.entries()) {
    const place = `${where}.buffers.${i}`;
    checkName(`${place}.name`, buffer.name);
    const key = single.has(buffer.role) ? buffer.role : `${buffer.role}:${buffer.name}`;
    if (seen.has(key)) throw bad(place, "one buffer of this role and name", `${buffer.role} \`${buffer.name}\` twice`);
    seen.add(key);
    checkBuffer(place, buffer, entry);
  }
  const roles = new Set(entry.buffers.map((buffer) => buffer.role));
  if (roles.has("dataset") && !roles.has("indices")) throw bad(`${where}.buffers`, "indices beside a data set", "none");
  if (entry.scalars.length > 0 && !roles.has("scalars"))
    throw bad(`${where}.buffers`, "a buffer for the scalars", "none");
  const counters = new Set(manifest.counters);
  for (const [i, formula] of entry.scalars.entries())
    checkFormula(`${where}.scalars.${i}`, formula, { counters, hyper: manifest.hyper }, 0);
  for (const name of Object.keys(entry.increments))
    if (!counters.has(name)) throw bad(`${where}.increments`, "a known counter", name);
}

function checkBuffer(where: string, buffer: ManifestBuffer, entry: ManifestEntry): void {
  const bytes = bytesOf(`${where}.shape`, buffer);
  const demand = (dtype: string, least: number): void => {
    if (buffer.dtype !== dtype || bytes < least)
      throw bad(where, `${dtype}, at least ${least} bytes`, `${buffer.dtype}, ${bytes} bytes`);
  };
  switch (buffer.role) {
    case "scalars":
      demand("f32", 4 * entry.scalars.length);
      break;
    case "status":
      demand("i32", 16);
      break;
    case "indices":
      demand("i32", 0);
      break;
    case "dataset":
      if (buffer.shape.length === 0) throw bad(`${where}.shape`, "an axis of rows", "a scalar");
      break;
    case "state":
    case "arena":
    case "input":
    case "output":
    case "generator":
    case "draws":
    case "key":
      break;
  }
}

type Names = { readonly counters: ReadonlySet<string>; readonly hyper: Readonly<Record<string, number>> };

function checkFormula(where: string, formula: unknown, names: Names, depth: number): void {
  if (typeof formula === "number") return finite(where, formula);
  if (!Array.isArray(formula) || depth > formulaDepth)
    throw bad(where, `a formula at most ${formulaDepth} deep`, describe(formula));
  const [kind, first, second]: readonly unknown[] = formula;
  if (kind === "hyper" || kind === "counter") {
    const known =
      typeof first === "string" && (kind === "hyper" ? Object.hasOwn(names.hyper, first) : names.counters.has(first));
    if (!known || formula.length !== 2) throw bad(where, `a known ${kind}`, describe(first));
    return;
  }
  const operands = unary.has(kind) ? 1 : binary.has(kind) ? 2 : 0;
  if (operands === 0 || formula.length !== operands + 1) throw bad(where, "a known operation", describe(kind));
  checkFormula(where, first, names, depth + 1);
  if (operands === 2) checkFormula(where, second, names, depth + 1);
}

function describe(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value).slice(0, 100) : typeof value;
}

function checkTraining(manifest: Manifest): void {
  const { training } = manifest;
  if (training === null) return;
  finite("training.seed", training.seed);
  unique(
    "training.loaders",
    training.loaders.map((loader) => loader.name),
  );
}
