/**
 * Leaves to the host what the host can do: arithmetic between host scalars and constants becomes one host scalar,
 * computed in float64 before the step, and a division by a host scalar becomes a product with its reciprocal. The
 * reciprocal is rounded once more than the quotient would be (one unit in the last place at most), and spares a division
 * for every parameter of every step.
 */
import type { HostExpr } from "../../ir/artifact/host-expr.ts";
import type { Graph, Node } from "../../ir/graph.ts";
import { sameShape } from "../../ir/type.ts";
import { mapGraph, operand, type MapContext } from "./map-graph.ts";

const binary: ReadonlySet<string> = new Set(["add", "sub", "mul", "div", "pow", "min", "max"]);
const unary: ReadonlySet<string> = new Set(["sqrt", "neg", "floor"]);

/** The formula of a scalar that the host can compute, if it is one. */
function formulaOf(node: Node): HostExpr | undefined {
  if (node.type.shape.length > 0 || node.type.dtype !== "f32") return undefined;
  // The op's attribute type says what it holds; generic attributes do not.
  if (node.op === "hostScalar") return node.attrs["expr"] as HostExpr;
  return node.op === "full" ? Number(node.attrs["value"]) : undefined;
}

/** The host scalar that a value repeats in every element, through movement that only spreads it. */
function spreadScalar(node: Node): Node | undefined {
  if (node.op === "hostScalar") return node;
  return node.op === "broadcast" || node.op === "reshape" ? spreadScalar(operand(node, 0)) : undefined;
}

function combine(node: Node, inputs: readonly Node[], { g }: MapContext): Node | undefined {
  if (!inputs.some(({ op }) => op === "hostScalar")) return undefined;
  const [x, y] = inputs.map(formulaOf);
  if (x === undefined) return undefined;
  // The names of the ops are those of the formulas.
  if (unary.has(node.op) && inputs.length === 1) return g.hostScalar({ expr: [node.op, x] as unknown as HostExpr });
  if (!binary.has(node.op) || y === undefined) return undefined;
  return g.hostScalar({ expr: [node.op, x, y] as unknown as HostExpr });
}

function reciprocal(node: Node, inputs: readonly Node[], { g }: MapContext): Node | undefined {
  const [x, y] = inputs;
  if (node.op !== "div" || x === undefined || y === undefined || node.type.dtype !== "f32") return undefined;
  const scalar = spreadScalar(y);
  const formula = scalar === undefined ? undefined : formulaOf(scalar);
  if (formula === undefined) return undefined;
  const inverse = g.hostScalar({ expr: ["div", 1, formula] });
  const { shape } = node.type;
  if (sameShape(shape, [])) return g.mul(x, inverse);
  return g.mul(x, g.broadcast(g.reshape(inverse, { shape: shape.map(() => 1) }), { shape }));
}

/** The graph with host arithmetic done by the host. */
export function hoistToHost(graph: Graph): Graph {
  if (!graph.nodes.some(({ op }) => op === "hostScalar")) return graph;
  return mapGraph(graph, (node, context) => {
    const inputs = node.inputs.map(context.renewed);
    return combine(node, inputs, context) ?? reciprocal(node, inputs, context);
  }).graph;
}
