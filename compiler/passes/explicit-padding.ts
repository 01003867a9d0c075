/**
 * Writes a convolution's padding and lhs dilation as a `pad` of its left operand. The product that is left reads its
 * operand at affine indices only, which is what the register tiles of the contraction schedule need; the padded copy is
 * one pass over an operand that the product reads many times.
 */
import type { Graph, Node } from "../../ir/graph.ts";
import { at } from "../../ir/type.ts";
import { mapGraph, operand } from "./map-graph.ts";

type ConvAttrs = {
  readonly padding: readonly (readonly [number, number])[];
  readonly lhsDilation: readonly number[];
};

function isPadded(node: Node): boolean {
  if (node.op !== "conv") return false;
  // The op's type rule has checked its attributes.
  const { padding, lhsDilation } = node.attrs as unknown as ConvAttrs;
  return padding.some(([low, high]) => low !== 0 || high !== 0) || lhsDilation.some((dilation) => dilation !== 1);
}

/** The graph with every convolution's padding made a node of its own. */
export function makePaddingExplicit(graph: Graph): Graph {
  if (!graph.nodes.some(isPadded)) return graph;
  return mapGraph(graph, (node, { g, append, renewed }) => {
    if (!isPadded(node)) return undefined;
    const { padding, lhsDilation } = node.attrs as unknown as ConvAttrs;
    const padded = g.pad(renewed(operand(node, 0)), {
      low: [0, 0, ...padding.map(([low]) => low)],
      high: [0, 0, ...padding.map(([, high]) => high)],
      interior: [0, 0, ...lhsDilation.map((dilation) => dilation - 1)],
      value: 0,
    });
    const attrs = { ...node.attrs, padding: padding.map(() => [0, 0]), lhsDilation: lhsDilation.map(() => 1) };
    return append("conv", [padded, renewed(at(node.inputs, 1))], attrs);
  }).graph;
}
