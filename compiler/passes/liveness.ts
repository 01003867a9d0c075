/**
 * Which nodes of a graph count, and a graph without the others. A node counts if an output or a write needs it, if it is
 * a draw (it advances the generator, so that every later draw depends on it), or if it is part of the entry's signature
 * (an input, used or not). Operands stand before their users, so one walk from the end finds all.
 */
import { createWriter, opDef, type Graph, type Node, type OpName } from "../../ir/graph.ts";
import { at } from "../../ir/type.ts";

/** Whether nodes of this op do more than compute a value (draws): they are never removed or merged. */
export function hasEffect(op: OpName): boolean {
  return opDef(op).effect;
}

/** Ops that make up what an entry is called with. */
const signatureOps: ReadonlySet<OpName> = new Set<OpName>(["input", "feed"]);

/** For each node by id, whether it counts. */
export function liveNodes(graph: Graph): readonly boolean[] {
  const live = graph.nodes.map((node) => hasEffect(node.op) || signatureOps.has(node.op));
  for (const { value } of [...graph.outputs, ...graph.writes]) live[value.id] = true;
  for (const node of graph.nodes.toReversed())
    if (live[node.id] === true) for (const operand of node.inputs) live[operand.id] = true;
  return live;
}

/** The graph without the nodes that do not count; the same object if all do. */
export function removeDeadNodes(graph: Graph): Graph {
  const live = liveNodes(graph);
  if (live.every(Boolean)) return graph;
  let source: Node["source"];
  const writer = createWriter(() => source);
  const moved = new Map<Node, Node>();
  const target = (node: Node): Node => {
    const found = moved.get(node);
    return found ?? at(graph.nodes, node.id);
  };
  for (const node of graph.nodes) {
    if (live[node.id] !== true) continue;
    source = node.source;
    moved.set(node, writer.append(node.op, node.inputs.map(target), node.attrs));
  }
  return {
    name: graph.name,
    nodes: writer.nodes,
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: target(value) })),
    writes: graph.writes.map(({ state, value }) => ({ state, value: target(value) })),
  };
}
