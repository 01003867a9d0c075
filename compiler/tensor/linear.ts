/** Products of matrices. All are `dot` with the axes named, so no operand is transposed or copied first. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { Node } from "../../ir/graph.ts";
import { at, broadcastShapes, type Shape } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace, type Trace } from "../trace/trace.ts";
import { broadcastNode, isHandle } from "./promote.ts";

function requireTensor(op: string, x: unknown): void {
  if (!isHandle(x)) throw fail(messages.notATensor(op, typeof x), currentTrace(op).here());
}

/** Both operands, which must have one dtype, as in PyTorch. */
function pair(trace: Trace, op: string, x: Tensor, y: Tensor): readonly [Node, Node] {
  requireTensor(op, x);
  requireTensor(op, y);
  if (x.dtype !== y.dtype) throw fail(messages.dtypesDiffer(op, x.type, y.type), trace.here());
  return [nodeOf(x, op), nodeOf(y, op)];
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Matrices in stacks of broadcast shape: `x`: [..., m, k], `y`: [..., k, n]. */
function stackedProduct(trace: Trace, x: Node, y: Node): Node {
  const [xShape, yShape] = [x.type.shape, y.type.shape];
  const stack = broadcastShapes(xShape.slice(0, -2), yShape.slice(0, -2));
  if (stack === undefined) throw fail(messages.matmulMismatch("matmul", x.type, y.type), trace.here());
  const batch = range(stack.length);
  const spread = (node: Node, shape: Shape): Node => broadcastNode(trace, node, [...stack, ...shape.slice(-2)]);
  return trace.g.dot(spread(x, xShape), spread(y, yShape), {
    lhsBatch: batch,
    rhsBatch: batch,
    lhsContract: [stack.length + 1],
    rhsContract: [stack.length],
  });
}

function matmul(x: Tensor, y: Tensor): Tensor {
  const trace = currentTrace("matmul");
  return trace.at(trace.here(), () => {
    const [lhs, rhs] = pair(trace, "matmul", x, y);
    const [xRank, yRank] = [x.ndim, y.ndim];
    const inner = Math.max(yRank - 2, 0);
    if (xRank === 0 || yRank === 0 || x.shape.at(-1) !== y.shape[inner])
      throw fail(messages.matmulMismatch("matmul", lhs.type, rhs.type), trace.here());
    if (xRank > 1 && yRank > 2) return x[make](stackedProduct(trace, lhs, rhs));
    const contract = { lhsBatch: [], rhsBatch: [], lhsContract: [xRank - 1], rhsContract: [inner] };
    return x[make](trace.g.dot(lhs, rhs, contract));
  });
}

/** y = x · weightᵀ + bias. `x`: [..., in], `weight`: [out, in], `bias`: [out]; result [..., out]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const trace = currentTrace("linear");
  return trace.at(trace.here(), () => {
    const [lhs, rhs] = pair(trace, "linear", x, weight);
    if (x.ndim === 0 || weight.ndim !== 2 || x.shape.at(-1) !== weight.shape[1])
      throw fail(messages.linearMismatch(lhs.type, rhs.type), trace.here());
    const contract = { lhsBatch: [], rhsBatch: [], lhsContract: [x.ndim - 1], rhsContract: [1] };
    const product = x[make](trace.g.dot(lhs, rhs, contract));
    return bias === undefined ? product : product.add(bias);
  });
}

function requireRank(op: string, x: Tensor, rank: number): void {
  requireTensor(op, x);
  if (x.ndim !== rank) throw fail(messages.rankMismatch(op, `rank ${rank}`, x.type), currentTrace(op).here());
}

/** Products of matrices and vectors. */
export interface LinearMethods {
  /** Product of vectors, matrices or stacks of matrices, by the rules of `torch.matmul`. */
  matmul(this: Tensor, other: Tensor): Tensor;
  /** Product of two matrices. */
  mm(this: Tensor, other: Tensor): Tensor;
  /** Product of two stacks of matrices: [b, m, k] · [b, k, n]. */
  bmm(this: Tensor, other: Tensor): Tensor;
  /** Product of a matrix and a vector. */
  mv(this: Tensor, other: Tensor): Tensor;
  /** Inner product of two vectors. */
  dot(this: Tensor, other: Tensor): Tensor;
  /** Outer product of two vectors. */
  outer(this: Tensor, other: Tensor): Tensor;
}

/** The implementations of `LinearMethods`. */
export const linearMethods: LinearMethods = {
  matmul(other) {
    return matmul(this, other);
  },
  mm(other) {
    requireRank("mm", this, 2);
    requireRank("mm", other, 2);
    return matmul(this, other);
  },
  bmm(other) {
    requireRank("bmm", this, 3);
    requireRank("bmm", other, 3);
    if (at(this.shape, 0) !== at(other.shape, 0))
      throw fail(messages.matmulMismatch("bmm", this.type, other.type), currentTrace("bmm").here());
    return matmul(this, other);
  },
  mv(other) {
    requireRank("mv", this, 2);
    requireRank("mv", other, 1);
    return matmul(this, other);
  },
  dot(other) {
    requireRank("dot", this, 1);
    requireRank("dot", other, 1);
    return matmul(this, other);
  },
  outer(other) {
    requireRank("outer", this, 1);
    requireRank("outer", other, 1);
    return this.unsqueeze(1).mul(other.unsqueeze(0));
  },
};
