/**
 * Which values an expression reads, and where. Elementwise ops and movement have no place of their own: whoever needs
 * them computes them at the index it is at. `reach` walks such an expression down to the values that do have a place
 * (its boundaries), carrying the index along, so that fusion can see that softmax reads its row's maximum at exactly the
 * row it is in, or that a transposed gradient is the product's own element.
 */
import { opDef, type Node } from "../../ir/graph.ts";
import { variable, type Expr } from "../../ir/loop/loop.ts";
import type { Origin } from "../../ir/op.ts";
import { at, type Shape } from "../../ir/type.ts";
import { exprKey, simplify, type Range, type Ranges } from "../lower/index-math.ts";

/** A value read by an expression, at an index in terms of the loop variables. */
export type Reached = { readonly node: Node; readonly index: readonly Expr[] };

/** Loop variables over a shape, and their ranges. */
export type Axes = { readonly variables: readonly Expr[]; readonly ranges: Ranges };

/** Fresh loop variables `i0`, `i1`, … over a shape. */
export function axesOf(shape: Shape, prefix = "i"): Axes {
  const variables = shape.map((_, axis) => variable(`${prefix}${axis}`));
  const ranges = new Map<string, Range>(shape.map((extent, axis) => [`${prefix}${axis}`, { min: 0, max: extent - 1 }]));
  return { variables, ranges };
}

/** Whether an op's result is computed where it is read: it never needs a place of its own. */
export function isInlinable(node: Node): boolean {
  const { lowering } = opDef(node.op);
  switch (lowering.class) {
    case "map":
    case "cast":
    case "movement":
    case "constant":
    case "iota":
    case "gather":
      return true;
    case "leaf":
      return lowering.source === "feed" || lowering.source === "scalar";
    default:
      return false;
  }
}

/** Whether an op computes something (as opposed to moving or naming it). */
export function isElementwise(node: Node): boolean {
  const { class: loweringClass } = opDef(node.op).lowering;
  return loweringClass === "map" || loweringClass === "cast" || loweringClass === "gather";
}

/** Whether an op's result needs loops of its own. */
export function isHeavy(node: Node): boolean {
  return !isInlinable(node) && opDef(node.op).lowering.class !== "leaf";
}

/** The origin of an element of a movement op. */
export function originOf(node: Node, index: readonly Expr[]): Origin | undefined {
  const { lowering } = opDef(node.op);
  if (lowering.class !== "movement") return undefined;
  return lowering.origin(
    index,
    node.attrs,
    node.inputs.map((input) => input.type),
    node.type,
  );
}

/**
 * The boundaries that `root` reads when it is computed at `index`; `root` itself is always taken apart. An element whose
 * place depends on data is reported at a placeholder index that equals no loop variable.
 */
export function reach(
  root: Node,
  index: readonly Expr[],
  ranges: Ranges,
  isBoundary: (node: Node) => boolean,
): readonly Reached[] {
  const found = new Map<string, Reached>();
  const seen = new Set<string>();
  const visit = (node: Node, rawIndex: readonly Expr[]): void => {
    const here = rawIndex.map((i) => simplify(i, ranges));
    const key = `${node.id}@${here.map(exprKey).join(",")}`;
    if (seen.has(key)) return;
    seen.add(key);
    if (node !== root && (isBoundary(node) || !isInlinable(node))) found.set(key, { node, index: here });
    else expand(node, here, visit);
  };
  visit(root, index);
  return [...found.values()];
}

/** Visits what an inlinable node reads at an index. */
function expand(node: Node, index: readonly Expr[], visit: (node: Node, index: readonly Expr[]) => void): void {
  const { lowering } = opDef(node.op);
  switch (lowering.class) {
    case "map":
    case "cast":
      for (const input of node.inputs) visit(input, index);
      return;
    case "movement": {
      const origin = originOf(node, index);
      if (origin !== undefined) visitOrigin(node, origin, visit);
      return;
    }
    case "gather": {
      const [data, positions] = node.inputs;
      if (data === undefined || positions === undefined) return;
      const place = gatherIndex(node, index, variable(`data${node.id}`));
      visit(positions, place.positions);
      visit(data, place.data);
      return;
    }
    default:
      return;
  }
}

function visitOrigin(node: Node, origin: Origin, visit: (node: Node, index: readonly Expr[]) => void): void {
  switch (origin.kind) {
    case "operand":
      visit(at(node.inputs, origin.operand), origin.index);
      return;
    case "fill":
      return;
    case "choose":
      visitOrigin(node, origin.then, visit);
      visitOrigin(node, origin.otherwise, visit);
      return;
  }
}

/** Where a gather at `index` reads its positions, and its data once the position is known. */
export function gatherIndex(
  node: Node,
  index: readonly Expr[],
  position: Expr,
): { readonly positions: readonly Expr[]; readonly data: readonly Expr[] } {
  const axis = Number(node.attrs["axis"]);
  const { lowering } = opDef(node.op);
  if (lowering.class === "gather" && lowering.along)
    return { positions: index, data: index.map((i, k) => (k === axis ? position : i)) };
  const rank = at(node.inputs, 1).type.shape.length;
  return {
    positions: index.slice(axis, axis + rank),
    data: [...index.slice(0, axis), position, ...index.slice(axis + rank)],
  };
}
