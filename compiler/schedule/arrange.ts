/**
 * Gives every product operands it can read: each must have a place in memory, and one of them must lie along the vector
 * axis. Where none does, the operand is copied into an order that does, by a `permute` that is stored and a second one
 * that undoes it and costs nothing. Returns the graph with these copies and the values that must now be stored.
 */
import type { Graph, Node } from "../../ir/graph.ts";
import { at, rowMajorStrides } from "../../ir/type.ts";
import { mapGraph, type MapContext } from "../passes/map-graph.ts";
import {
  accessOf,
  chooseVector,
  contractionOf,
  placeOperand,
  type Placed,
  type Side,
  type Vectors,
} from "./contraction.ts";
import { hasPlace, isProduct, operandsOf, writtenProducts, type WrittenProduct } from "./layout.ts";
import { isInlinable, originOf } from "./reach.ts";

/** Strides of a value's place, as far as they are decided. */
type StridesOf = (place: Node) => readonly number[];

/** A graph whose products can be scheduled. */
export type Arranged = {
  readonly graph: Graph;
  /** Values that products read and that have no place of their own. */
  readonly stored: ReadonlySet<Node>;
  /** The vector side and loop of each product that has one; the others are computed element by element. */
  readonly vector: ReadonlyMap<Node, VectorUse>;
};

/** How a product uses its vector axis. */
export type VectorUse = { readonly side: Side; readonly loop: string };

/** Arranges the operands of all products of a graph. `stateStrides` gives the layout of a state. */
export function arrangeOperands(
  graph: Graph,
  stateStrides: (state: string) => readonly number[],
  vectors: Vectors,
): Arranged {
  const stored = new Set<Node>();
  const vector = new Map<Node, VectorUse>();
  const copies = new Map<string, Node>();
  const results = new Map<Node, WrittenProduct>();
  for (const result of writtenProducts(graph)) if (!results.has(result.product)) results.set(result.product, result);
  const stridesOf: StridesOf = (place) =>
    place.op === "read" ? stateStrides(String(place.attrs["state"])) : rowMajorStrides(place.type.shape);

  const mapped = mapGraph(graph, (node, context) => {
    if (!isProduct(node)) return undefined;
    const c = contractionOf(node);
    const [lhs, rhs] = operandsOf(node);
    const result = results.get(node);
    const outStrides =
      result?.axes.map((axis) => at(stateStrides(result.state), axis)) ?? rowMajorStrides(node.type.shape);
    const operands = { lhs, rhs, lhsStrides: stridesOf(lhs.place), rhsStrides: stridesOf(rhs.place), outStrides };
    const choice = chooseVector(c, operands, vectors);
    const inputs = (["lhs", "rhs"] as const).map((side, i) => {
      const input = at(node.inputs, i);
      const placed = side === "lhs" ? lhs : rhs;
      if (choice === undefined) return context.renewed(input);
      if (choice.side === side && choice.copyAxis !== undefined) {
        const copy = copyOf(placed.place, choice.copyAxis, copies, context);
        stored.add(copy.stored);
        return rebuildChain(input, placed.place, copy.restored, context);
      }
      if (isInlinable(placed.place)) stored.add(context.renewed(placed.place));
      return context.renewed(input);
    });
    const product = context.append(node.op, inputs, node.attrs);
    if (choice !== undefined) vector.set(product, { side: choice.side, loop: choice.loop.name });
    return product;
  });
  return { graph: mapped.graph, stored, vector };
}

/** A stored copy of a value with `axis` innermost, and the value restored from it. One copy serves all products. */
function copyOf(
  place: Node,
  axis: number,
  copies: Map<string, Node>,
  { g, renewed }: MapContext,
): { readonly stored: Node; readonly restored: Node } {
  const key = `${place.id}:${axis}`;
  const order = [...place.type.shape.map((_, i) => i).filter((i) => i !== axis), axis];
  const stored = copies.get(key) ?? g.permute(renewed(place), { order });
  copies.set(key, stored);
  return { stored, restored: g.permute(stored, { order: order.map((_, i) => order.indexOf(i)) }) };
}

/** The movement from `place` up to `operand` again, over another value. */
function rebuildChain(operand: Node, place: Node, restored: Node, { append }: MapContext): Node {
  const chain: Node[] = [];
  for (let node = operand; node !== place;) {
    chain.push(node);
    const origin = originOf(
      node,
      node.type.shape.map(
        (_, axis) => ({ kind: "variable", type: { dtype: "i64", lanes: 1 }, name: `i${axis}` }) as const,
      ),
    );
    node = at(node.inputs, origin?.kind === "operand" ? origin.operand : 0);
  }
  return chain.toReversed().reduce((below, node) => append(node.op, [below], node.attrs), restored);
}

/** Where a product's operands lie in a graph that has been arranged. */
export function arrangedOperands(node: Node, stored: ReadonlySet<Node>): [Placed, Placed] {
  const c = contractionOf(node);
  const stop = (value: Node): boolean => hasPlace(value) || stored.has(value);
  return [
    placeOperand(at(node.inputs, 0), c.lhsIndex, c.ranges, stop),
    placeOperand(at(node.inputs, 1), c.rhsIndex, c.ranges, stop),
  ];
}

/** Whether a placed operand steps one element at a time along a loop. */
export function runsAlong(placed: Placed, strides: readonly number[], node: Node, loop: string): boolean {
  return accessOf(placed, strides, contractionOf(node).ranges)?.coefficients.get(loop) === 1;
}
