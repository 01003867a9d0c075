/**
 * Runs an initialisation program: takes its steps and the tensors they name, gives the tensors their first values, and
 * leaves the generator where PyTorch would. Steps come from a manifest and are checked before they act.
 */
import { fail, unreachable } from "../diagnostic/diagnostic.ts";
import { badInitStep, unknownInitState } from "../diagnostic/messages.ts";
import { at, dtypeBytes, dtypes, elementCount, formatType, sameType, type DType, type Shape } from "../type.ts";
import { permutation } from "./choose.ts";
import { fillNormal, fillTruncatedNormal, fillUniform, type FloatArray } from "./draw.ts";
import type { Generator } from "./generator.ts";
import { toBfloat16, toFloat16 } from "./half.ts";
import type { InitStep } from "./init.ts";
import { orthogonalize } from "./orthogonal.ts";

/** A state to be initialised: `data` holds its elements in PyTorch's layout, `f16` and `bf16` as bits in a Uint16Array. */
export type InitTarget = {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data:
    Float32Array | Float64Array | Uint16Array | Int8Array | Uint8Array | Int16Array | Int32Array | BigInt64Array;
};

/**
 * Runs `steps` in order on `states`, drawing from `generator`. States that no step names keep their contents.
 *
 * @throws UserError K3104 if a step does not fit its state, K3105 if there is no such state.
 */
export function initialize(
  steps: readonly InitStep[],
  states: ReadonlyMap<string, InitTarget>,
  generator: Generator,
): void {
  const targets = new Map(states);
  for (const step of steps) {
    checkFields(step);
    if (step.kind === "scratch") targets.set(step.state, scratch(step));
    else runStep(step, find(targets, step.state), targets, generator);
  }
}

type Scratch = Extract<InitStep, { kind: "scratch" }>;

function runStep(
  step: Exclude<InitStep, Scratch>,
  target: InitTarget,
  targets: ReadonlyMap<string, InitTarget>,
  generator: Generator,
): void {
  switch (step.kind) {
    case "constant":
      return fillConstant(step, target, step.value);
    case "row": {
      const count = target.shape[0] ?? 0;
      if (!Number.isInteger(step.row) || step.row < 0 || step.row >= count)
        throw fail(badInitStep(step.kind, step.state, `a row below ${count}`, String(step.row)));
      const length = target.data.length / count;
      return fillConstant(step, target, step.value, step.row * length, (step.row + 1) * length);
    }
    case "uniform":
      return fillUniform(generator, floats(step, target), step.low, step.high);
    case "normal":
      return fillNormal(generator, floats(step, target), step.mean, step.std);
    case "truncNormal":
      return fillTruncatedNormal(generator, floats(step, target), step);
    case "orthogonal":
      return fillOrthogonal(step, target, generator);
    case "sparse":
      return fillSparse(step, target, generator);
    case "scale": {
      const data = floats(step, target);
      const factor = data instanceof Float32Array ? Math.fround(step.factor) : step.factor;
      for (let i = 0; i < data.length; i++) data[i] = at(data, i) * factor;
      return;
    }
    case "copy": {
      const from = find(targets, step.from);
      if (!sameType(from, target)) throw fail(badInitStep(step.kind, step.state, formatType(target), formatType(from)));
      return setBytes(target, viewBytes(from));
    }
    case "values":
      return setBytes(target, decodeValues(step, target));
    default:
      return unreachable(step);
  }
}

const needsFloats = "a state of type f32 or f64";

/** The elements of a state that can be drawn. */
function floats(step: InitStep, target: InitTarget): FloatArray {
  const { data, dtype } = target;
  if ((dtype === "f32" && data instanceof Float32Array) || (dtype === "f64" && data instanceof Float64Array))
    return data;
  throw fail(badInitStep(step.kind, step.state, needsFloats, formatType(target)));
}

/** Sets elements `start … end` to `value`, rounded to their type. */
function fillConstant(
  step: InitStep,
  target: InitTarget,
  value: number,
  start = 0,
  end: number = target.data.length,
): void {
  const { data, dtype } = target;
  if (data instanceof BigInt64Array) {
    if (!Number.isInteger(value)) throw fail(badInitStep(step.kind, step.state, "an integer", String(value)));
    data.fill(BigInt(value), start, end);
  } else if (dtype === "bool") data.fill(value === 0 ? 0 : 1, start, end);
  else if (dtype === "f16") data.fill(toFloat16(value), start, end);
  else if (dtype === "bf16") data.fill(toBfloat16(value), start, end);
  else data.fill(value, start, end);
}

/** `nn.init.orthogonal_`: all axes after the first are flattened. */
function fillOrthogonal(
  step: Extract<InitStep, { kind: "orthogonal" }>,
  target: InitTarget,
  generator: Generator,
): void {
  const data = floats(step, target);
  const [rows, ...rest] = target.shape;
  if (rows === undefined || rest.length === 0)
    throw fail(badInitStep(step.kind, step.state, "a state of at least two axes", formatType(target)));
  if (data.length === 0) return;
  fillNormal(generator, data);
  orthogonalize(data, rows, elementCount(rest), step.gain);
}

/** `nn.init.sparse_`. */
function fillSparse(step: Extract<InitStep, { kind: "sparse" }>, target: InitTarget, generator: Generator): void {
  const data = floats(step, target);
  const [rows, columns, ...rest] = target.shape;
  if (rows === undefined || columns === undefined || rest.length > 0)
    throw fail(badInitStep(step.kind, step.state, "a state of two axes", formatType(target)));
  const zeros = Math.ceil(step.sparsity * rows);
  fillNormal(generator, data, 0, step.std);
  for (let column = 0; column < columns; column++)
    for (const row of permutation(generator, rows).subarray(0, zeros)) data[row * columns + column] = 0;
}

/** Fields each kind of step must have besides `state`; numbers but for those of `fieldTypes`. */
const fields: { readonly [K in InitStep["kind"]]: readonly string[] } = {
  constant: ["value"],
  uniform: ["low", "high"],
  normal: ["mean", "std"],
  truncNormal: ["mean", "std", "low", "high"],
  orthogonal: ["gain"],
  row: ["row", "value"],
  copy: ["from"],
  values: ["base64"],
  scale: ["factor"],
  sparse: ["sparsity", "std"],
  scratch: ["dtype", "shape"],
};

const fieldTypes: Readonly<Record<string, string>> = {
  state: "string",
  from: "string",
  base64: "string",
  dtype: "string",
  shape: "object",
};

/** Steps read from a file have no type yet but "has a kind". */
function checkFields(step: InitStep): void {
  const values = new Map<string, unknown>(Object.entries(step));
  const kind = String(values.get("kind"));
  const known = new Map<string, readonly string[]>(Object.entries(fields)).get(kind);
  if (known === undefined)
    throw fail(badInitStep(kind, String(values.get("state")), `one of ${Object.keys(fields).join(", ")}`, kind));
  for (const field of ["state", ...known]) {
    const expected = fieldTypes[field] ?? "number";
    const got = typeof values.get(field);
    if (got !== expected)
      throw fail(badInitStep(kind, String(values.get("state")), `\`${field}\` of type ${expected}`, got));
  }
}

function find(targets: ReadonlyMap<string, InitTarget>, name: string): InitTarget {
  const target = targets.get(name);
  if (target === undefined) throw fail(unknownInitState(name, [...targets.keys()]));
  return target;
}

/** Past this size a scratch tensor is a mistake, not a layer: 2^32 elements, 16 GiB of float32. */
const scratchLimit = 2 ** 32;

function scratch(step: Scratch): InitTarget {
  const { shape, dtype } = step;
  const extents: unknown = shape;
  const sound =
    Array.isArray(extents) &&
    extents.every((extent) => Number.isInteger(extent) && Number(extent) >= 0) &&
    elementCount(shape) <= scratchLimit &&
    dtypes.includes(dtype);
  if (!sound) throw fail(badInitStep(step.kind, step.state, "a type and a shape", JSON.stringify([dtype, shape])));
  const count = elementCount(shape);
  if (dtype === "f32") return { dtype, shape, data: new Float32Array(count) };
  if (dtype === "f64") return { dtype, shape, data: new Float64Array(count) };
  throw fail(badInitStep(step.kind, step.state, needsFloats, formatType({ dtype, shape })));
}

function decodeValues(step: Extract<InitStep, { kind: "values" }>, target: InitTarget): Uint8Array {
  const bytes = Uint8Array.from(decodeBase64(step.base64) ?? [], (character) => character.charCodeAt(0));
  const expected = elementCount(target.shape) * dtypeBytes[target.dtype];
  if (bytes.length !== expected)
    throw fail(badInitStep(step.kind, step.state, `${expected} bytes in base64`, `${bytes.length} bytes`));
  return bytes;
}

function decodeBase64(text: string): string | undefined {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0 ? atob(text) : undefined;
}

function viewBytes({ data }: InitTarget): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function setBytes(target: InitTarget, bytes: Uint8Array): void {
  viewBytes(target).set(bytes);
}
