/**
 * The check of one target in a manifest: its state inside its region, its entries' buffers, roles and formulas, and for
 * a GPU its kernels and launches. Throws K3002 or K3004 with the path of the faulty field, or returns.
 */
import type {
  Manifest,
  ManifestBuffer,
  ManifestEntry,
  ManifestState,
  ManifestTarget,
} from "../ir/artifact/manifest.ts";
import { dtypeBytes, type DType } from "../ir/type.ts";
import { checkKernels, checkLaunches } from "./launch-check.ts";
import { kernelFiles } from "./gpu/variants.ts";
import { bad, checkName, checkPath, countOf, finite, unique } from "./manifest-faults.ts";

/** The name of an entry in a program's library: `train@64`, or `train` if it has no batch axis. */
export function entryLabel(entry: { readonly name: string; readonly batch: number }): string {
  return entry.batch === 0 ? entry.name : `${entry.name}@${entry.batch}`;
}

/** Deepest formula, in nested operations. */
const formulaDepth = 64;

const unary: ReadonlySet<unknown> = new Set(["sqrt", "neg", "floor"]);
const binary: ReadonlySet<unknown> = new Set(["add", "sub", "mul", "div", "pow", "min", "max"]);

/** Roles of which an entry has at most one buffer. */
const single: ReadonlySet<string> = new Set(["state", "arena", "indices", "scalars", "generator", "key", "status"]);

/** Throws unless a target of `manifest` is sound. @throws UserError K3002, K3004. */
export function checkTarget(where: string, target: ManifestTarget, manifest: Manifest): void {
  checkFiles(where, target, manifest);
  unique(
    `${where}.state.values`,
    target.state.values.map((state) => state.name),
  );
  for (const [i, state] of target.state.values.entries()) {
    checkStored(`${where}.state.values.${i}.stored`, state, target);
    checkState(`${where}.state.values.${i}`, state, target.state.bytes);
  }
  if (target.name !== "c") checkKernels(`${where}.kernels`, target.kernels);
  unique(`${where}.entries`, target.entries.map(entryLabel));
  for (const [i, entry] of target.entries.entries()) {
    checkEntry(`${where}.entries.${i}`, entry, { manifest, target });
    if (target.name !== "c") checkLaunches(`${where}.entries.${i}`, entry, target);
  }
}

/** Files that a target cannot do without, by the path of the field that names them. */
function filesOf(where: string, target: ManifestTarget): [string, string][] {
  if (target.name === "c") return [[`${where}.library`, target.library]];
  const files = target.kernels.flatMap((kernel, i) =>
    kernelFiles(kernel).map((file): [string, string] => [`${where}.kernels.${i}.file`, file]),
  );
  if (target.name === "cuda" && target.image !== null) files.push([`${where}.image`, target.image]);
  return files;
}

function checkFiles(where: string, target: ManifestTarget, { files }: Manifest): void {
  for (const [place, file] of filesOf(where, target)) {
    checkPath(file);
    if (!Object.hasOwn(files, file)) throw bad(place, "one of the files", file);
  }
}

/** Integers that memory may hold as i32. */
const narrow: ReadonlySet<DType> = new Set(["bool", "u8", "i8", "i16", "i64"]);

/** Throws unless elements can be converted between how they are seen and how they are stored. */
function checkStored(
  where: string,
  { dtype, stored }: { readonly dtype: DType; readonly stored: DType },
  target: ManifestTarget,
): void {
  if (stored === dtype || (target.name !== "c" && stored === "i32" && narrow.has(dtype))) return;
  throw bad(where, target.name === "c" || !narrow.has(dtype) ? dtype : `${dtype} or i32`, stored);
}

function checkState(where: string, state: ManifestState, regionBytes: number): void {
  const { shape, strides, offset, stored } = state;
  if (strides.length !== shape.length) throw bad(`${where}.strides`, `${shape.length} strides`, String(strides.length));
  const count = countOf(`${where}.shape`, shape);
  const width = dtypeBytes[stored];
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

/** Where an entry stands. */
type EntryContext = { readonly manifest: Manifest; readonly target: ManifestTarget };

function checkEntry(where: string, entry: ManifestEntry, context: EntryContext): void {
  checkName(`${where}.name`, entry.name);
  const seen = new Set<string>();
  for (const [i, buffer] of entry.buffers.entries()) {
    const place = `${where}.buffers.${i}`;
    checkName(`${place}.name`, buffer.name);
    const key = single.has(buffer.role) ? buffer.role : `${buffer.role}:${buffer.name}`;
    if (seen.has(key)) throw bad(place, "one buffer of this role and name", `${buffer.role} \`${buffer.name}\` twice`);
    seen.add(key);
    checkStored(`${place}.stored`, buffer, context.target);
    checkBuffer(place, buffer, entry);
  }
  const roles = new Set(entry.buffers.map((buffer) => buffer.role));
  if (roles.has("dataset") && !roles.has("indices")) throw bad(`${where}.buffers`, "indices beside a data set", "none");
  if (entry.scalars.length > 0 && !roles.has("scalars"))
    throw bad(`${where}.buffers`, "a buffer for the scalars", "none");
  if (context.target.name !== "c" && roles.has("generator"))
    throw bad(`${where}.buffers`, "draws or a key for random numbers on a GPU", "the generator's state");
  const { manifest } = context;
  const counters = new Set(manifest.counters);
  for (const [i, formula] of entry.scalars.entries())
    checkFormula(`${where}.scalars.${i}`, formula, { counters, hyper: manifest.hyper }, 0);
  for (const name of Object.keys(entry.increments))
    if (!counters.has(name)) throw bad(`${where}.increments`, "a known counter", name);
}

/** Bytes of a buffer of fixed size, of one step. @throws UserError K3002. */
function bytesOf(where: string, buffer: ManifestBuffer): number {
  const bytes = countOf(where, buffer.shape) * dtypeBytes[buffer.stored];
  if (!Number.isSafeInteger(bytes)) throw bad(where, "a size below 2^53", `${bytes} bytes`);
  return bytes;
}

function checkBuffer(where: string, buffer: ManifestBuffer, entry: ManifestEntry): void {
  const bytes = bytesOf(`${where}.shape`, buffer);
  const demand = (dtype: DType, least: number): void => {
    if (buffer.dtype !== dtype || buffer.stored !== dtype || bytes < least)
      throw bad(where, `${dtype}, at least ${least} bytes`, `${buffer.dtype}, ${bytes} bytes`);
  };
  if ((buffer.draw !== undefined) !== (buffer.role === "draws"))
    throw bad(`${where}.draw`, "what is drawn, for draws alone", buffer.role);
  switch (buffer.role) {
    case "scalars":
      return demand("f32", 4 * entry.scalars.length);
    case "status":
    case "key":
      return demand("i32", 16);
    case "indices":
      return demand("i32", 0);
    case "draws":
      return checkDraw(where, buffer);
    case "dataset":
      if (buffer.shape.length === 0) throw bad(`${where}.shape`, "an axis of rows", "a scalar");
      return;
    case "state":
    case "arena":
    case "input":
    case "output":
    case "generator":
  }
}

/** Types that hold what is drawn. */
const drawable: ReadonlySet<DType> = new Set(["f32", "f64"]);

function checkDraw(where: string, { draw, dtype }: ManifestBuffer): void {
  if (drawable.has(dtype) || (draw?.kind === "bernoulli" && dtype === "bool")) return;
  throw bad(`${where}.dtype`, "a type that holds what is drawn", dtype);
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
