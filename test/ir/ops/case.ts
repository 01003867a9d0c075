/** What a test case of an op is, and its data: operand types, attributes, and elements given or drawn at random. */
import type { AttrsOf, OpName } from "../../../ir/graph.ts";
import type { Attrs, NoAttrs } from "../../../ir/op.ts";
import { elementCount, isFloat, type TensorType } from "../../../ir/type.ts";

/** One valid call of an op with attributes of type A. */
export type OpCase<A extends Attrs> = {
  readonly types: readonly TensorType[];
  readonly attrs: A;
  /** Elements by operand; drawn at random where absent. */
  readonly data?: readonly (readonly number[] | undefined)[];
  /** Interval that random floats are drawn from; by default from -2 to 2. */
  readonly range?: readonly [number, number];
  /** Elements of the result, where they can be said by hand. */
  readonly expected?: readonly number[];
  /** Elements of the operands' gradients for a cotangent of ones, at kinks where no difference quotient helps. */
  readonly gradients?: readonly (readonly number[] | null)[];
};

/** A call that the type rule must refuse. */
export type InvalidCase<A extends Attrs> = {
  readonly types: readonly TensorType[];
  readonly attrs: A;
};

/** The cases of one op; `invalid` may be empty only where nothing can be wrong. */
export type Cases<A extends Attrs> = {
  readonly valid: readonly OpCase<A>[];
  readonly invalid: readonly InvalidCase<A>[];
};

/** The cases of some ops, by name. */
export type CasesOf<K extends OpName> = { readonly [Op in K]: Cases<AttrsOf<Op>> };

/** An f32 type. */
export function f(...shape: number[]): TensorType {
  return { dtype: "f32", shape };
}

/** An i64 type. */
export function i(...shape: number[]): TensorType {
  return { dtype: "i64", shape };
}

/** A bool type. */
export function b(...shape: number[]): TensorType {
  return { dtype: "bool", shape };
}

/** Calls of an op of two operands with operands of different types. */
export const mismatched: readonly InvalidCase<NoAttrs>[] = [
  { types: [f(2), f(3)], attrs: {} },
  { types: [f(2), i(2)], attrs: {} },
];

/** A stream of numbers from 0 to 1 that depends on the seed only (mulberry32, public domain, Tommy Ettinger). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Elements of a case's operands. */
export function operandData(
  { types, data, range = [-2, 2] }: Pick<OpCase<Attrs>, "types" | "data" | "range">,
  random: () => number,
): Float64Array[] {
  const draw = ({ dtype }: TensorType): number => {
    if (dtype === "bool") return random() < 0.5 ? 0 : 1;
    if (!isFloat(dtype)) return Math.floor(random() * 7) - (dtype === "u8" ? 0 : 3);
    return range[0] + (range[1] - range[0]) * random();
  };
  return types.map((type, operand) =>
    Float64Array.from(data?.[operand] ?? Array.from({ length: elementCount(type.shape) }, () => draw(type))),
  );
}
