/**
 * Constants inside rules: making a `full` like another value, rounding a float64 result to what a dtype can hold, and
 * what can be known about the value of a node without running it.
 */
import type { GraphBuilder, Node, OpName } from "../../ir/graph.ts";
import type { Value } from "../../ir/op.ts";
import { at, isFloat, isInteger, type DType, type TensorType } from "../../ir/type.ts";
import { constantValue } from "./pattern.ts";

/** A constant of this type, the same value everywhere. */
export function constantOf(g: GraphBuilder, type: TensorType, value: number): Value {
  return g.full({ dtype: type.dtype, shape: type.shape, value });
}

/**
 * A float64 result as a value of the dtype; `undefined` where that would not be exact arithmetic of the dtype: 16-bit
 * floats (rounded by the kernels themselves) and integers past 2^53.
 */
export function roundTo(dtype: DType, value: number): number | undefined {
  if (dtype === "f32") return Math.fround(value);
  if (dtype === "f64" || dtype === "bool") return value;
  if (isInteger(dtype)) return Number.isSafeInteger(value) ? value : undefined;
  return undefined;
}

/** Bits of the whole numbers that a dtype holds exactly, the sign left out, and whether it has negative ones. */
export const exactBits: Readonly<Record<DType, { readonly bits: number; readonly signed: boolean }>> = {
  bool: { bits: 1, signed: false },
  u8: { bits: 8, signed: false },
  i8: { bits: 7, signed: true },
  i16: { bits: 15, signed: true },
  i32: { bits: 31, signed: true },
  i64: { bits: 63, signed: true },
  f16: { bits: 11, signed: true },
  bf16: { bits: 8, signed: true },
  f32: { bits: 24, signed: true },
  f64: { bits: 53, signed: true },
};

/** Whether a number type holds every whole number from 0 to `count`. */
export function isExactCount(dtype: DType, count: number): boolean {
  return dtype !== "bool" && count < 2 ** exactBits[dtype].bits;
}

/** Whether a float is a power of two (or minus one), with a reciprocal that is a normal number of the dtype as well. */
export function hasExactReciprocal(dtype: DType, value: number): boolean {
  const limit = dtype === "f32" ? 126 : dtype === "f64" ? 1022 : 14;
  const exponent = Math.log2(Math.abs(value));
  return Number.isInteger(exponent) && Math.abs(exponent) <= limit && 2 ** exponent === Math.abs(value);
}

/** Whether a signed number type, so that -x is what one expects. */
export function isSigned(dtype: DType): boolean {
  return isFloat(dtype) || (isInteger(dtype) && dtype !== "u8");
}

/** Movement that brings in no elements of its own. */
const movements: readonly OpName[] = ["reshape", "permute", "broadcast", "slice", "flip", "concat"];

/** Whether no element can be -0, as far as a look at a few operands tells. */
export function isNeverNegativeZero(node: Node, depth = 4): boolean {
  const isNever = (operand: Node): boolean => isNeverNegativeZero(operand, depth - 1);
  if (!isFloat(node.type.dtype)) return true;
  if (depth === 0) return false;
  if (node.op === "full") return !Object.is(constantValue(node), -0);
  if (node.op === "exp" || node.op === "abs" || node.op === "iota") return true;
  if (node.op === "cast") return !isFloat(at(node.inputs, 0).type.dtype);
  // Rounded to nearest, a sum is -0 only where both terms are.
  if (node.op === "add") return node.inputs.some(isNever);
  if (node.op === "select") return node.inputs.slice(1).every(isNever);
  return movements.includes(node.op) && node.inputs.every(isNever);
}
