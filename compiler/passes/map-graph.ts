/** Rebuilding a graph node by node: for passes that change a few nodes and keep the rest. */
import { createWriter, opDef, type Graph, type GraphWriter, type Node } from "../../ir/graph.ts";
import type { SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import { at } from "../../ir/type.ts";

/** What `mapGraph` gives each visit: the writer of the new graph, and the new node of an old one. */
export type MapContext = {
  readonly g: GraphWriter["g"];
  readonly append: GraphWriter["append"];
  readonly renewed: (node: Node) => Node;
};

/**
 * Copies a graph, asking `visit` for each node's replacement; `undefined` copies the node. New nodes get the source of
 * the node that they stand for. Returns the new graph and the new node of each old one.
 */
export function mapGraph(
  graph: Graph,
  visit: (node: Node, context: MapContext) => Node | undefined,
): { readonly graph: Graph; readonly renewed: (node: Node) => Node } {
  let source: SourceLocation | undefined;
  const { g, append, nodes } = createWriter(() => source);
  const results = new Map<Node, Node>();
  const renewed = (node: Node): Node => {
    const result = results.get(node);
    if (result === undefined) throw new RangeError(`%${node.id} is not of this graph, or comes later`);
    return result;
  };
  const context: MapContext = { g, append, renewed };
  for (const node of graph.nodes) {
    source = node.source;
    results.set(node, visit(node, context) ?? append(node.op, node.inputs.map(renewed), node.attrs));
  }
  return {
    graph: {
      name: graph.name,
      nodes,
      outputs: graph.outputs.map(({ name, value }) => ({ name, value: renewed(value) })),
      writes: graph.writes.map(({ state, value }) => ({ state, value: renewed(value) })),
    },
    renewed,
  };
}

/**
 * The graph with results that are leaves themselves (a state written to another state, an input returned) made movements
 * of them, which can be stored; writes of a state to itself are dropped.
 */
export function nameLeafResults(graph: Graph): Graph {
  const isLeaf = (node: Node): boolean => opDef(node.op).lowering.class === "leaf";
  const writes = graph.writes.filter(({ state, value }) => value.op !== "read" || value.attrs["state"] !== state);
  if (![...graph.outputs, ...writes].some(({ value }) => isLeaf(value))) return { ...graph, writes };
  let source: SourceLocation | undefined;
  const { g, append, nodes } = createWriter(() => source);
  for (const node of graph.nodes) {
    source = node.source;
    append(
      node.op,
      node.inputs.map(({ id }) => at(nodes, id)),
      node.attrs,
    );
  }
  const named = (value: Node): Node => {
    const renewed = at(nodes, value.id);
    return isLeaf(value) ? g.reshape(renewed, { shape: value.type.shape }) : renewed;
  };
  return {
    name: graph.name,
    nodes,
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: named(value) })),
    writes: writes.map(({ state, value }) => ({ state, value: named(value) })),
  };
}

/** The nodes that read each node. */
export function usersOf(graph: Graph): ReadonlyMap<Node, readonly Node[]> {
  const users = new Map<Node, Node[]>(graph.nodes.map((node) => [node, []]));
  for (const node of graph.nodes) for (const input of new Set(node.inputs)) users.get(input)?.push(node);
  return users;
}

/** Operand `index` of a node. */
export function operand(node: Node, index: number): Node {
  return at(node.inputs, index);
}
