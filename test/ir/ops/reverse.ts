/** Reverse-mode differentiation for tests of single VJPs: the plain sweep, without the compiler's pruning. */
import { opDef, type GraphWriter, type Node } from "../../../ir/graph.ts";
import type { Value } from "../../../ir/op.ts";

/** Cotangents of all nodes that `output` depends on, given the output's own; nodes no gradient reaches are absent. */
export function reverseSweep(writer: GraphWriter, output: Node, seed: Node): Map<Node, Value> {
  const cotangents = new Map<Node, Value>([[output, seed]]);
  for (const node of writer.nodes.slice(0, output.id + 1).toReversed()) {
    const cotangent = cotangents.get(node);
    const { vjp } = opDef(node.op);
    if (cotangent === undefined || vjp === null) continue;
    const { g } = writer;
    const gradients = vjp({ g, inputs: node.inputs, attrs: node.attrs, output: node, cotangent });
    for (const [i, operand] of node.inputs.entries()) {
      const gradient = gradients[i] ?? null;
      const known = cotangents.get(operand);
      if (gradient !== null) cotangents.set(operand, known === undefined ? gradient : g.add(known, gradient));
    }
  }
  return cotangents;
}
