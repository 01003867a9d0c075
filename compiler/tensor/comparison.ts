/** Comparisons, logic and selection. Results of comparisons are bool tensors. */
import { at, type DType } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import {
  alignOperands,
  broadcastNode,
  castNode,
  commonShape,
  requireOperand,
  resultType,
  type Operand,
} from "./promote.ts";

type CompareOp = "eq" | "ne" | "lt" | "le" | "gt" | "ge";
type LogicOp = "and" | "or" | "xor";

function compare(x: Tensor, op: CompareOp, other: Operand): Tensor {
  const trace = currentTrace(op);
  return trace.at(trace.here(), () => {
    const operands = [x, requireOperand(op, other)];
    const nodes = alignOperands(op, operands, resultType(operands));
    return x[make](trace.g[op](at(nodes, 0), at(nodes, 1)));
  });
}

function logic(x: Tensor, op: LogicOp, other: Operand, name: string): Tensor {
  const trace = currentTrace(name);
  return trace.at(trace.here(), () => {
    const y = requireOperand(name, other);
    const nodes = alignOperands(name, [x.toBool(), typeof y === "object" ? y.toBool() : Boolean(y)], "bool");
    return x[make](trace.g[op](at(nodes, 0), at(nodes, 1)));
  });
}

/** `then` where `condition` holds, else `otherwise`; both promoted to one dtype and broadcast. */
export function select(condition: Tensor, then: Operand, otherwise: Operand, dtype?: DType): Tensor {
  const trace = currentTrace("where");
  return trace.at(trace.here(), () => {
    const operands = [requireOperand("where", then), requireOperand("where", otherwise)];
    const common = dtype ?? resultType(operands);
    // The mask takes part in broadcasting but not in promotion.
    const shape = commonShape("where", [condition, ...operands]);
    const spread = (operand: Operand, type: DType) =>
      typeof operand === "object"
        ? broadcastNode(trace, castNode(trace, nodeOf(operand), type), shape)
        : trace.g.full({ value: Number(operand), dtype: type, shape });
    const mask = spread(condition.toBool(), "bool");
    return condition[make](trace.g.select(mask, spread(then, common), spread(otherwise, common)));
  });
}

/** Comparison and selection methods. */
export interface ComparisonMethods {
  /** x = other */
  eq(this: Tensor, other: Operand): Tensor;
  /** x ≠ other */
  ne(this: Tensor, other: Operand): Tensor;
  /** x < other */
  lt(this: Tensor, other: Operand): Tensor;
  /** x ≤ other */
  le(this: Tensor, other: Operand): Tensor;
  /** x > other */
  gt(this: Tensor, other: Operand): Tensor;
  /** x ≥ other */
  ge(this: Tensor, other: Operand): Tensor;
  /** Both are nonzero. */
  logicalAnd(this: Tensor, other: Operand): Tensor;
  /** Either is nonzero. */
  logicalOr(this: Tensor, other: Operand): Tensor;
  /** Exactly one is nonzero. */
  logicalXor(this: Tensor, other: Operand): Tensor;
  /** It is zero. */
  logicalNot(this: Tensor): Tensor;
  /** It is NaN. */
  isnan(this: Tensor): Tensor;
  /** It is infinite. */
  isinf(this: Tensor): Tensor;
  /** It is neither infinite nor NaN. */
  isfinite(this: Tensor): Tensor;
  /** x where `condition` (bool, broadcast) holds, else `other`. */
  where(this: Tensor, condition: Tensor, other: Operand): Tensor;
  /** `value` where `mask` (bool, broadcast to x) holds, else x. */
  maskedFill(this: Tensor, mask: Tensor, value: Operand): Tensor;
}

/** The implementations of `ComparisonMethods`. */
export const comparisonMethods: ComparisonMethods = {
  eq(other) {
    return compare(this, "eq", other);
  },
  ne(other) {
    return compare(this, "ne", other);
  },
  lt(other) {
    return compare(this, "lt", other);
  },
  le(other) {
    return compare(this, "le", other);
  },
  gt(other) {
    return compare(this, "gt", other);
  },
  ge(other) {
    return compare(this, "ge", other);
  },
  logicalAnd(other) {
    return logic(this, "and", other, "logicalAnd");
  },
  logicalOr(other) {
    return logic(this, "or", other, "logicalOr");
  },
  logicalXor(other) {
    return logic(this, "xor", other, "logicalXor");
  },
  logicalNot() {
    return this[make](currentTrace("logicalNot").g.not(nodeOf(this.toBool())));
  },
  isnan() {
    return this.ne(this);
  },
  isinf() {
    return this.abs().eq(Infinity);
  },
  isfinite() {
    return this.abs().lt(Infinity);
  },
  where(condition, other) {
    return select(condition, this, other);
  },
  maskedFill(mask, value) {
    return select(mask, value, this, this.dtype);
  },
};
