/**
 * Lets a gradient ask the activation instead of what went into it. ReLU is `h = select(x <= 0, 0, x)`, and its gradient
 * tests `x <= 0` again; since `h <= 0` exactly where `x <= 0` (a NaN is neither), testing `h` spares keeping `x`, and `h`
 * has a place in memory anyway, because the next layer reads it.
 */
import type { Graph, Node } from "../../ir/graph.ts";
import { at } from "../../ir/type.ts";
import { mapGraph, usersOf } from "./map-graph.ts";

/** Whether every element of a value is this number, through movement that keeps it so. */
function isFilledWith(node: Node, value: number): boolean {
  if (node.op === "full") return node.attrs["value"] === value;
  const [only] = node.inputs;
  return only !== undefined && (node.op === "broadcast" || node.op === "reshape") && isFilledWith(only, value);
}

/** The `x` of `select(x <= 0, 0, x)`. */
function rectified(node: Node): { readonly test: Node; readonly x: Node } | undefined {
  if (node.op !== "select") return undefined;
  const [test, zero, x] = node.inputs;
  if (test === undefined || zero === undefined || x === undefined || test.op !== "le") return undefined;
  const [tested, limit] = test.inputs;
  const fits = tested === x && limit !== undefined && isFilledWith(limit, 0) && isFilledWith(zero, 0);
  return fits ? { test, x } : undefined;
}

/** The graph with tests of a rectified value's input made tests of the rectified value. */
export function reuseOutputs(graph: Graph): Graph {
  const users = usersOf(graph);
  const outputOf = new Map<Node, Node>();
  for (const node of graph.nodes) {
    const found = rectified(node);
    if (found !== undefined && (users.get(found.test) ?? []).some((user) => user !== node))
      outputOf.set(found.test, node);
  }
  if (outputOf.size === 0) return graph;
  return mapGraph(graph, (node, { g, append, renewed }) => {
    const replaced = node.inputs.some((input) => (outputOf.get(input) ?? node) !== node);
    if (!replaced) return undefined;
    const inputs = node.inputs.map((input) => {
      const output = outputOf.get(input);
      if (output === undefined || output === node || output.id > node.id) return renewed(input);
      return g.le(renewed(output), renewed(at(input.inputs, 1)));
    });
    return append(node.op, inputs, node.attrs);
  }).graph;
}
