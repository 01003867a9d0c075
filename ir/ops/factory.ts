/**
 * What the op families share: filling in of traits, the factory of all elementwise ops, checks of dtypes and axes that
 * type rules use, and small pieces that several VJPs are composed of. An op file then states only what is particular.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import type { GraphBuilder } from "../graph.ts";
import { scalarOps, type ScalarOp } from "../loop/scalar.ts";
import type { Arity, Attrs, NoAttrs, OpDef, Operands, Value, VjpContext } from "../op.ts";
import { at, formatType, isFloat, isInteger, sameType, type DType, type Shape, type TensorType } from "../type.ts";

/** Which dtypes an op takes. */
export type Domain = "float" | "number" | "integer" | "logical" | "bool" | "any";

const domains: Readonly<Record<Domain, (dtype: DType) => boolean>> = {
  float: isFloat,
  number: (dtype) => dtype !== "bool",
  integer: isInteger,
  logical: (dtype) => isInteger(dtype) || dtype === "bool",
  bool: (dtype) => dtype === "bool",
  any: () => true,
};

/** A definition whose traits, where not given, are `false`. */
export function define<Name extends string, N extends Arity, A extends Attrs>(
  spec: Omit<OpDef<Name, N, A>, "commutative" | "effect"> & Partial<Pick<OpDef<Name, N, A>, "commutative" | "effect">>,
): OpDef<Name, N, A> {
  const { name, arity, doc, type, vjp, evaluate, lowering, commutative = false, effect = false } = spec;
  return { name, arity, doc, type, vjp, evaluate, lowering, commutative, effect };
}

/** What is particular to one elementwise op. */
export type Elementwise<N extends Arity> = {
  readonly doc: string;
  readonly domain: Domain;
  readonly commutative?: boolean;
  readonly vjp: ((context: VjpContext<N, NoAttrs>) => Operands<N, Value | null>) | null;
};

/** An op that applies the scalar operation of its own name element by element; operands have equal types. */
export function elementwise<Name extends ScalarOp, N extends 1 | 2>(
  name: Name,
  arity: N,
  spec: Elementwise<N>,
): OpDef<Name, N, NoAttrs> {
  const scalar = scalarOps[name];
  return define<Name, N, NoAttrs>({
    name,
    arity,
    doc: spec.doc,
    type: (inputs) => {
      const types: readonly TensorType[] = inputs;
      const first = requireDomain(name, types, spec.domain);
      if (!types.every((type) => sameType(type, first)))
        throw fail(messages.opTypeMismatch(name, types, "operands of one type"));
      return scalar.result === "bool" ? { dtype: "bool", shape: first.shape } : first;
    },
    vjp: spec.vjp,
    evaluate: (inputs, { type }) => {
      const [x, y]: readonly Float64Array[] = inputs;
      const result = new Float64Array(x?.length ?? 0);
      for (let i = 0; i < result.length; i++)
        result[i] = wrap(type.dtype, scalar.evaluate(x?.[i] ?? 0, y?.[i] ?? 0, 0));
      return result;
    },
    lowering: { class: "map", scalar: name },
    commutative: spec.commutative ?? false,
  });
}

/** The first operand's type, after checking that every operand's dtype is in the domain. */
export function requireDomain(op: string, types: readonly TensorType[], domain: Domain): TensorType {
  const [first] = types;
  if (first === undefined || !types.every((type) => domains[domain](type.dtype)))
    throw fail(messages.opTypeMismatch(op, types, `operands with ${domain} elements`));
  return first;
}

/** Checks that an attribute is an extent list: whole numbers of at least 0. */
export function requireShape(op: string, shape: Shape): Shape {
  if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0))
    throw fail(messages.badAttribute(op, "shape", "whole extents of at least 0", `[${shape.join(", ")}]`));
  return shape;
}

/** Checks that `axes` are different axes of a tensor of rank `rank`, counted from 0. */
export function requireAxes(op: string, attribute: string, axes: readonly number[], rank: number): void {
  const fits = axes.every((axis, i) => Number.isInteger(axis) && axis >= 0 && axis < rank && axes.indexOf(axis) === i);
  if (!fits)
    throw fail(messages.badAttribute(op, attribute, `different axes of a rank-${rank} tensor`, `[${axes.join(", ")}]`));
}

/** Checks that a list has one whole number of at least `least` for each of `count` axes. */
export function requireCounts(
  op: string,
  attribute: string,
  values: readonly number[],
  range: { readonly count: number; readonly least: number },
): void {
  if (values.length !== range.count || !values.every((value) => Number.isSafeInteger(value) && value >= range.least))
    throw fail(
      messages.badAttribute(
        op,
        attribute,
        `${range.count} whole numbers of at least ${range.least}`,
        `[${values.join(", ")}]`,
      ),
    );
}

/** Checks that an operand holds indices: i32 or i64. */
export function requireIndex(op: string, types: readonly TensorType[], index: TensorType): void {
  if (index.dtype !== "i64" && index.dtype !== "i32")
    throw fail(messages.opTypeMismatch(op, types, `an index of dtype i64 or i32, not ${formatType(index)}`));
}

/** The axes of a rank-`rank` tensor that are not in `axes`, ascending. */
export function otherAxes(rank: number, axes: readonly number[]): number[] {
  return Array.from({ length: rank }, (_, axis) => axis).filter((axis) => !axes.includes(axis));
}

/** A tensor of the type of `like` with `value` in every element. */
export function filled(g: GraphBuilder, like: Value, value: number): Value {
  return g.full({ value, dtype: like.type.dtype, shape: like.type.shape });
}

/** x with its axes in the given order; x itself where that changes nothing. */
export function permuted(g: GraphBuilder, x: Value, order: readonly number[]): Value {
  return order.every((axis, i) => axis === i) ? x : g.permute(x, { order });
}

/** x with another shape; x itself where that changes nothing. */
export function reshaped(g: GraphBuilder, x: Value, shape: Shape): Value {
  return shape.length === x.type.shape.length && shape.every((extent, axis) => extent === x.type.shape[axis])
    ? x
    : g.reshape(x, { shape });
}

/** Undoes the shape change of a reduction: a tensor without `axes` repeated along them up to `shape`. */
export function spread(g: GraphBuilder, x: Value, axes: readonly number[], shape: Shape): Value {
  const kept = reshaped(
    g,
    x,
    shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent)),
  );
  return axes.every((axis) => at(shape, axis) === 1) ? kept : g.broadcast(kept, { shape });
}

const integerBits: Readonly<Partial<Record<DType, { readonly bits: number; readonly signed: boolean }>>> = {
  i8: { bits: 8, signed: true },
  u8: { bits: 8, signed: false },
  i16: { bits: 16, signed: true },
  i32: { bits: 32, signed: true },
  i64: { bits: 64, signed: true },
};

/** A float64 number as the nearest thing the dtype can hold: integers truncate and wrap, bools become 0 or 1, floats stay. */
export function wrap(dtype: DType, value: number): number {
  if (isFloat(dtype)) return value;
  if (dtype === "bool") return value === 0 ? 0 : 1;
  if (!Number.isFinite(value)) return 0;
  const { bits, signed } = integerBits[dtype] ?? { bits: 64, signed: true };
  const whole = Math.trunc(value) + 0;
  if (bits === 64 && Number.isSafeInteger(whole)) return whole;
  return Number(signed ? BigInt.asIntN(bits, BigInt(whole)) : BigInt.asUintN(bits, BigInt(whole)));
}
