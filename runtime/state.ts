/**
 * The state of a program: every value that lives between calls, in one region of memory. Seen from outside, tensors have
 * PyTorch's names, shapes and row-major layout; in the region they lie as the kernels want them. This file converts
 * between the two, all values or none.
 */
import type { ManifestState } from "../ir/artifact/manifest.ts";
import { fail, invariant } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { at, dtypeBytes, elementCount, formatType, rowMajorStrides, sameShape, type Shape } from "../ir/type.ts";
import type { Tensorlike } from "./data/tensorlike.ts";
import { outside, toStored } from "./convert.ts";
import { newTypedArray, typedArray, type TypedArray } from "./typed-array.ts";

/** A tensor outside a program. */
export type StateTensor = Tensorlike;

/** How strictly tensors must match a program's state. */
export type LoadOptions = {
  /** Whether missing and additional tensors are errors (the default, as in PyTorch). Shapes and dtypes always are. */
  readonly strict?: boolean;
};

/** The values in a state region. */
export class StateRegion {
  readonly values: readonly ManifestState[];
  readonly #bytes: Uint8Array;

  /** `region`: memory of the manifest's `state.bytes`; `values` lie inside it (checked with the manifest). */
  constructor(values: readonly ManifestState[], region: ArrayBuffer) {
    this.values = values;
    this.#bytes = new Uint8Array(region);
  }

  /** Copies of the values of these roles, by name, in the manifest's order. */
  read(roles: readonly ManifestState["role"][]): Map<string, Tensorlike> {
    const tensors = new Map<string, Tensorlike>();
    for (const value of this.values) {
      if (!roles.includes(value.role)) continue;
      const { name, dtype, stored, shape } = value;
      const data = newTypedArray(stored, elementCount(shape));
      copy(this.#place(value), value.strides, data, rowMajorStrides(shape), shape);
      tensors.set(name, { dtype, shape, data: outside(dtype, stored, data) });
    }
    return tensors;
  }

  /**
   * Takes over tensors for the values of these roles.
   *
   * @throws UserError K3009 with all differences, K5231 for a number that the region cannot hold; nothing has changed then.
   */
  write(
    roles: readonly ManifestState["role"][],
    tensors: ReadonlyMap<string, Tensorlike>,
    options: LoadOptions = {},
  ): void {
    const values = this.values.filter((value) => roles.includes(value.role));
    const differences = findDifferences(values, tensors, options.strict ?? true);
    if (differences.length > 0) throw fail(messages.stateMismatch(differences));
    const converted = values.flatMap((value) => {
      const tensor = tensors.get(value.name);
      return tensor === undefined
        ? []
        : [{ value, data: toStored(value.name, value.dtype, value.stored, tensor.data) }];
    });
    for (const { value, data } of converted)
      copy(data, rowMajorStrides(value.shape), this.#place(value), value.strides, value.shape);
  }

  /** The region from a value's first element to its last. */
  #place(value: ManifestState): TypedArray {
    const last = value.shape.reduce((sum, extent, axis) => sum + (extent - 1) * at(value.strides, axis), 0);
    const elements = elementCount(value.shape) === 0 ? 0 : last + 1;
    return typedArray(
      value.stored,
      this.#bytes.subarray(value.offset, value.offset + elements * dtypeBytes[value.stored]),
    );
  }
}

function findDifferences(
  values: readonly ManifestState[],
  tensors: ReadonlyMap<string, Tensorlike>,
  strict: boolean,
): string[] {
  const differences: string[] = [];
  for (const value of values) {
    const tensor = tensors.get(value.name);
    if (tensor === undefined) {
      if (strict) differences.push(`missing: ${value.name} ${formatType(value)}`);
    } else if (tensor.dtype !== value.dtype || !sameShape(tensor.shape, value.shape)) {
      differences.push(`${value.name}: expected ${formatType(value)}, got ${formatType(tensor)}`);
    } else if (
      tensor.data.length !== elementCount(value.shape) ||
      tensor.data.BYTES_PER_ELEMENT !== dtypeBytes[value.dtype]
    ) {
      differences.push(
        `${value.name}: ${tensor.data.length} elements of ${tensor.data.BYTES_PER_ELEMENT} bytes for ${formatType(value)}`,
      );
    } else if (isBigInt(tensor.data) !== (value.dtype === "i64")) {
      differences.push(`${value.name}: a ${tensor.data.constructor.name} for ${formatType(value)}`);
    }
  }
  const known = new Set(values.map((value) => value.name));
  if (strict)
    for (const [name, tensor] of tensors)
      if (!known.has(name)) differences.push(`not in the program: ${name} ${formatType(tensor)}`);
  return differences;
}

/** Elements as integers of some width, so that every value, NaNs included, arrives as it was. */
type Elements = { readonly length: number; [index: number]: number | bigint };

function bitsOf(data: TypedArray): Elements {
  const { buffer, byteOffset, length } = data;
  switch (data.BYTES_PER_ELEMENT) {
    case 1:
      return new Uint8Array(buffer, byteOffset, length);
    case 2:
      return new Uint16Array(buffer, byteOffset, length);
    case 4:
      return new Int32Array(buffer, byteOffset, length);
    default:
      return new BigInt64Array(buffer, byteOffset, length);
  }
}

type Axis = { readonly extent: number; readonly from: number; readonly to: number };

/** Copies a tensor of `shape` from one layout to another of the same element width; strides in elements. */
function copy(
  from: TypedArray,
  fromStrides: readonly number[],
  to: TypedArray,
  toStrides: readonly number[],
  shape: Shape,
): void {
  invariant(from.BYTES_PER_ELEMENT === to.BYTES_PER_ELEMENT, "a copy between elements of different widths");
  const axes = shape.map((extent, axis) => ({ extent, from: at(fromStrides, axis), to: at(toStrides, axis) }));
  if (axes.some(({ extent }) => extent === 0)) return;
  // Neighbouring axes that both layouts keep together are walked as one.
  const merged: Axis[] = [];
  for (const axis of axes.filter(({ extent }) => extent !== 1)) {
    const outer = merged.at(-1);
    if (outer !== undefined && outer.from === axis.extent * axis.from && outer.to === axis.extent * axis.to)
      merged[merged.length - 1] = { extent: outer.extent * axis.extent, from: axis.from, to: axis.to };
    else merged.push(axis);
  }
  const [only] = merged;
  if (merged.length === 1 && only?.from === 1 && only.to === 1)
    new Uint8Array(to.buffer, to.byteOffset, to.byteLength).set(
      new Uint8Array(from.buffer, from.byteOffset, from.byteLength),
    );
  else copyAxes(bitsOf(from), 0, bitsOf(to), 0, merged, 0);
}

function copyAxes(
  from: Elements,
  fromStart: number,
  to: Elements,
  toStart: number,
  axes: readonly Axis[],
  depth: number,
): void {
  const axis = axes[depth];
  if (axis === undefined) {
    to[toStart] = at(from, fromStart);
    return;
  }
  let source = fromStart;
  let target = toStart;
  const innermost = depth + 1 === axes.length;
  for (let i = 0; i < axis.extent; i++) {
    if (innermost) to[target] = at(from, source);
    else copyAxes(from, source, to, target, axes, depth + 1);
    source += axis.from;
    target += axis.to;
  }
}

function isBigInt(data: TypedArray): data is BigInt64Array {
  return data instanceof BigInt64Array;
}
