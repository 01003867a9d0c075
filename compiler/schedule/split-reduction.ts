/**
 * Keeps a large state with the core that updates it. The product that computes a weight's gradient is cut along the axis
 * the forward product sums over, so each core updates its own part of the weight. If the forward product were cut by rows
 * of the batch, every core would read the whole weight, half of it just written by another. So its sum is split in two
 * instead: `x w` becomes `x[:, :k/2] w[:k/2] + x[:, k/2:] w[k/2:]`, each half one block of tasks over one half of the
 * weight, and what they exchange is two partial results, which are smaller.
 */
import type { Graph, Node } from "../../ir/graph.ts";
import { at, byteLength, rowMajorStrides, type Shape } from "../../ir/type.ts";
import { mapGraph, type MapContext } from "../passes/map-graph.ts";
import { chooseVector, contractionOf, type Vectors } from "./contraction.ts";
import { operandsOf } from "./layout.ts";

/** A state smaller than this moves between cores in about the time of the barrier that the split costs. */
const leastBytes = 64 * 1024;

/** Sums shorter than this are not worth splitting. */
const leastExtent = 256;

/** The graph with the sums split that read a large state of those that some entry updates. */
export function splitReductions(
  graph: Graph,
  stateStrides: (state: string) => readonly number[],
  vectors: Vectors,
  updated: ReadonlySet<string>,
): Graph {
  const stridesOf = (place: Node): readonly number[] =>
    place.op === "read" ? stateStrides(String(place.attrs["state"])) : rowMajorStrides(place.type.shape);
  const isSplit = (node: Node): boolean => {
    if (node.op !== "dot") return false;
    const c = contractionOf(node);
    const [sum] = c.reduced;
    if (sum === undefined || c.reduced.length > 1 || sum.extent < leastExtent || sum.extent % 2 !== 0) return false;
    const [lhs, rhs] = operandsOf(node);
    const outStrides = rowMajorStrides(node.type.shape);
    const operands = { lhs, rhs, lhsStrides: stridesOf(lhs.place), rhsStrides: stridesOf(rhs.place), outStrides };
    const choice = chooseVector(c, operands, vectors);
    if (choice === undefined || choice.copyAxis !== undefined) return false;
    const state = (choice.side === "lhs" ? lhs : rhs).place;
    const others = byteLength((choice.side === "lhs" ? rhs : lhs).place.type) + 2 * byteLength(node.type);
    const bytes = byteLength(state.type);
    return state.op === "read" && updated.has(String(state.attrs["state"])) && bytes >= leastBytes && bytes > others;
  };
  if (!graph.nodes.some(isSplit)) return graph;
  return mapGraph(graph, (node, context) => (isSplit(node) ? splitSum(node, context) : undefined)).graph;
}

/** The product as a batch of two, and their sum. */
function splitSum(node: Node, { g, renewed }: MapContext): Node {
  const axes = (name: string): number[] => {
    const value = node.attrs[name];
    return Array.isArray(value) ? value.map(Number) : [];
  };
  const halves = (operand: Node, batch: readonly number[], axis: number) => {
    const moved = (other: number): number => (other > axis ? other + 1 : other);
    return {
      value: g.reshape(renewed(operand), { shape: halved(operand.type.shape, axis) }),
      batch: [axis, ...batch.map(moved)],
      contract: [axis + 1],
    };
  };
  const lhs = halves(at(node.inputs, 0), axes("lhsBatch"), at(axes("lhsContract"), 0));
  const rhs = halves(at(node.inputs, 1), axes("rhsBatch"), at(axes("rhsContract"), 0));
  const partial = g.dot(lhs.value, rhs.value, {
    lhsBatch: lhs.batch,
    rhsBatch: rhs.batch,
    lhsContract: lhs.contract,
    rhsContract: rhs.contract,
  });
  return g.sum(partial, { axes: [0] });
}

/** A shape with one axis as two halves. */
function halved(shape: Shape, axis: number): number[] {
  return [...shape.slice(0, axis), 2, at(shape, axis) / 2, ...shape.slice(axis + 1)];
}
