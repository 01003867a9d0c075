/** Where elements of movement ops come from, followed through chains of them: the test's own reading of `Origin`. */
import { opDef, type Node } from "../../../ir/graph.ts";
import type { Expr } from "../../../ir/loop/loop.ts";
import { scalarOps } from "../../../ir/loop/scalar.ts";
import type { Origin } from "../../../ir/op.ts";
import { at, rowMajorStrides } from "../../../ir/type.ts";

/** Values of index variables, by name. */
export type Indices = ReadonlyMap<string, number>;

/** An element: one of a leaf's, or a number. */
export type Element = { readonly node: Node; readonly offset: number } | { readonly value: number };

/** Value of an index expression; i64 division truncates, as in C. */
export function evaluateIndex(expr: Expr, indices: Indices): number {
  if (expr.kind === "constant") return expr.value;
  if (expr.kind === "variable") return indices.get(expr.name) ?? Number.NaN;
  if (expr.kind !== "scalar") throw new Error(`no index expression: ${expr.kind}`);
  const [x = 0, y = 0, z = 0] = expr.args.map((arg) => evaluateIndex(arg, indices));
  const value = scalarOps[expr.op].evaluate(x, y, z);
  return expr.type.dtype === "i64" ? Math.trunc(value) : value;
}

/** The element of a leaf that stands at `index` of a node's result, through all movement in between. */
export function locate(node: Node, index: readonly Expr[], indices: Indices): Element {
  const { lowering } = opDef(node.op);
  if (lowering.class !== "movement") {
    const strides = rowMajorStrides(node.type.shape);
    const positions = index.map((expr) => evaluateIndex(expr, indices));
    if (!positions.every((i, axis) => i >= 0 && i < at(node.type.shape, axis)))
      throw new Error(`index [${positions.join(", ")}] outside of [${node.type.shape.join(", ")}]`);
    return { node, offset: positions.reduce((sum, i, axis) => sum + i * at(strides, axis), 0) };
  }
  const types = node.inputs.map(({ type }) => type);
  let origin: Origin = lowering.origin(index, node.attrs, types, node.type);
  while (origin.kind === "choose")
    origin = evaluateIndex(origin.condition, indices) === 0 ? origin.otherwise : origin.then;
  if (origin.kind === "fill") return { value: origin.value };
  return locate(at(node.inputs, origin.operand), origin.index, indices);
}

/** Number of scalar operations in an expression. */
export function operationCount(expr: Expr): number {
  return expr.kind === "scalar" ? expr.args.reduce((sum, arg) => sum + operationCount(arg), 1) : 0;
}
