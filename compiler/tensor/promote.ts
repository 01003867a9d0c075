/**
 * PyTorch's type promotion and broadcasting. Operands are tensors of at least one axis, scalars' tensors, and JavaScript
 * numbers, in that order of priority: a number changes the dtype only if its category (bool < integer < float) is higher
 * (https://docs.pytorch.org/docs/stable/tensor_attributes.html, "type promotion").
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { Node } from "../../ir/graph.ts";
import { broadcastShapes, dtypeBytes, isFloat, sameShape, type DType, type Shape } from "../../ir/type.ts";
import { brand, nodeOf, origin, type Handle } from "../trace/handle.ts";
import { currentTrace, type Trace } from "../trace/trace.ts";
import type { Tensor } from "../trace/tensor.ts";

/** A tensor or a JavaScript number where PyTorch takes either. */
export type Operand = Tensor | number | boolean;

/** Element type of floating-point results when no operand is floating point. */
export const defaultFloat: DType = "f32";

/** Whether an operand is a tensor. */
export function isHandle(x: unknown): x is Tensor {
  return typeof x === "object" && x !== null && origin in x;
}

/** The smallest dtype that holds both (PyTorch's `promote_types`). */
export function promoteTypes(a: DType, b: DType): DType {
  if (a === b || b === "bool") return a;
  if (a === "bool") return b;
  if (isFloat(a) !== isFloat(b)) return isFloat(a) ? a : b;
  if (isFloat(a)) return dtypeBytes[a] === dtypeBytes[b] ? "f32" : dtypeBytes[a] > dtypeBytes[b] ? a : b;
  if (a !== "u8" && b !== "u8") return dtypeBytes[a] > dtypeBytes[b] ? a : b;
  const signed = a === "u8" ? b : a;
  return signed === "i8" ? "i16" : signed;
}

function scalarType(x: number | boolean): DType {
  if (typeof x === "boolean") return "bool";
  return Number.isInteger(x) ? "i64" : defaultFloat;
}

/** The dtype of one priority class combined with that of a lower one. */
function combine(higher: DType | undefined, lower: DType | undefined): DType | undefined {
  if (higher === undefined || lower === undefined) return higher ?? lower;
  if (isFloat(higher)) return higher;
  return higher === "bool" || isFloat(lower) ? promoteTypes(higher, lower) : higher;
}

/** The dtype in which an elementwise op of these operands computes (PyTorch's `result_type`). */
export function resultType(operands: readonly (Handle | number | boolean)[]): DType {
  let whole: DType | undefined;
  let scalar: DType | undefined;
  let number: DType | undefined;
  const join = (known: DType | undefined, dtype: DType): DType =>
    known === undefined ? dtype : promoteTypes(known, dtype);
  for (const operand of operands) {
    if (!isHandle(operand)) {
      if (typeof operand !== "object") number = join(number, scalarType(operand));
    } else if (operand.ndim > 0) whole = join(whole, operand.dtype);
    else scalar = join(scalar, operand.dtype);
  }
  return combine(whole, combine(scalar, number)) ?? defaultFloat;
}

/** Checks that an operand is what PyTorch would take, with a clear error for anything else. */
export function requireOperand(op: string, x: unknown): Operand {
  if (isHandle(x) || typeof x === "number" || typeof x === "boolean") return x;
  if (typeof x === "object" && x !== null && brand in x)
    throw fail(messages.twoCopies("a tensor"), currentTrace(op).here());
  const got =
    x === null ? "null" : Array.isArray(x) ? "an array" : typeof x === "object" ? `a ${x.constructor.name}` : typeof x;
  throw fail(messages.notAnOperand(op, got), currentTrace(op).here());
}

/** `node` converted to `dtype`; itself if it has it. */
export function castNode(trace: Trace, node: Node, dtype: DType): Node {
  return node.type.dtype === dtype ? node : trace.g.cast(node, { dtype });
}

/** `node` with another shape of as many elements; itself if it has it. */
export function reshapeNode(trace: Trace, node: Node, shape: Shape): Node {
  return sameShape(node.type.shape, shape) ? node : trace.g.reshape(node, { shape });
}

/** `node` repeated up to `shape`, which it broadcasts to. */
export function broadcastNode(trace: Trace, node: Node, shape: Shape): Node {
  if (sameShape(node.type.shape, shape)) return node;
  const missing = shape.length - node.type.shape.length;
  const aligned = reshapeNode(trace, node, [...Array.from({ length: missing }, () => 1), ...node.type.shape]);
  return sameShape(aligned.type.shape, shape) ? aligned : trace.g.broadcast(aligned, { shape });
}

/** The shape that all tensors among the operands broadcast to. */
export function commonShape(op: string, operands: readonly Operand[]): Shape {
  const types = operands.flatMap((operand) => (isHandle(operand) ? [operand.type] : []));
  let shape: Shape = [];
  for (const type of types) {
    const joined = broadcastShapes(shape, type.shape);
    if (joined === undefined) throw fail(messages.shapesDoNotBroadcast(op, types), currentTrace(op).here());
    shape = joined;
  }
  return shape;
}

/** The operands of an elementwise op as nodes of one shape and of the given dtype. */
export function alignOperands(op: string, operands: readonly Operand[], dtype: DType): Node[] {
  const trace = currentTrace(op);
  const shape = commonShape(op, operands);
  return operands.map((operand) =>
    isHandle(operand)
      ? broadcastNode(trace, castNode(trace, nodeOf(operand, op), dtype), shape)
      : trace.g.full({ value: Number(operand), dtype, shape }),
  );
}
