/**
 * Checks that a graph keeps the rules every pass must keep: nodes in order with ids that count up, operands that are
 * earlier nodes of the same graph, types equal to what the ops' type rules say, one type per input and state, at most one
 * write per state, and draws chained by their tokens in program order. A broken rule is our bug: an `InternalError` that
 * names the pass's product and the node.
 */
import { DiagnosticError, fail } from "./diagnostic/diagnostic.ts";
import * as messages from "./diagnostic/messages.ts";
import { opDef, type Graph, type Node } from "./graph.ts";
import { printNode } from "./print.ts";
import { formatType, sameType, type TensorType } from "./type.ts";

/** Throws an `InternalError` at the first broken rule. */
export function verifyGraph(graph: Graph): void {
  const broken = (rule: string, where: string, cause?: unknown): DiagnosticError =>
    fail(messages.brokenGraph(graph.name, rule, where), undefined, cause);
  for (const [id, node] of graph.nodes.entries()) {
    if (node.id !== id) throw broken(`the node at position ${id} has id ${node.id}`, printNode(node));
    const stranger = node.inputs.find((operand) => operand.id >= id || graph.nodes[operand.id] !== operand);
    if (stranger !== undefined) throw broken(`operand %${stranger.id} is no earlier node`, printNode(node));
    verifyType(node, broken);
  }
  verifyLeaves(graph, broken);
  verifyDraws(graph, broken);
  verifyEnds(graph, broken);
}

type Broken = (rule: string, where: string, cause?: unknown) => DiagnosticError;

function verifyType(node: Node, broken: Broken): void {
  const definition = opDef(node.op);
  if (definition.arity !== "variadic" && definition.arity !== node.inputs.length)
    throw broken(`${node.op} takes ${definition.arity} operands`, printNode(node));
  let expected: TensorType;
  try {
    expected = definition.type(
      node.inputs.map((operand) => operand.type),
      node.attrs,
    );
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    throw broken(`the operands do not fit the op (${error.diagnostic.expected ?? error.code})`, printNode(node), error);
  }
  if (!sameType(expected, node.type)) throw broken(`the type must be ${formatType(expected)}`, printNode(node));
}

/** All leaves that read the same thing have the same type, and writes to a state have the type of its reads. */
function verifyLeaves(graph: Graph, broken: Broken): void {
  const known = new Map<string, TensorType>();
  const agree = (key: string, type: TensorType, where: string): void => {
    const first = known.get(key);
    if (first !== undefined && !sameType(first, type))
      throw broken(`${key} has two types, ${formatType(first)} and ${formatType(type)}`, where);
    known.set(key, type);
  };
  for (const node of graph.nodes) {
    const { lowering } = opDef(node.op);
    if (lowering.class !== "leaf") continue;
    const name = node.attrs["name"] ?? node.attrs["state"] ?? node.attrs["field"];
    if (name !== undefined) agree(`${lowering.source} ${JSON.stringify(name)}`, node.type, printNode(node));
  }
  for (const { state, value } of graph.writes)
    agree(`state ${JSON.stringify(state)}`, value.type, `write ${state} = %${value.id}`);
}

/** The first draw takes a generator leaf as its token, each later one the draw before it. */
function verifyDraws(graph: Graph, broken: Broken): void {
  let previous: Node | undefined;
  for (const node of graph.nodes) {
    if (opDef(node.op).lowering.class !== "random") continue;
    const [token] = node.inputs;
    const lowering = token === undefined ? undefined : opDef(token.op).lowering;
    const first = lowering?.class === "leaf" && lowering.source === "generator";
    if (previous === undefined ? !first : token !== previous)
      throw broken(
        `the token of a draw must be ${previous === undefined ? "the generator" : `the draw before it, %${previous.id}`}`,
        printNode(node),
      );
    previous = node;
  }
}

/** Outputs and writes are nodes of the graph, under different names. */
function verifyEnds(graph: Graph, broken: Broken): void {
  const ends = [
    ...graph.outputs.map(({ name, value }) => ({ kind: "return", name, value })),
    ...graph.writes.map(({ state, value }) => ({ kind: "write", name: state, value })),
  ];
  const seen = new Set<string>();
  for (const { kind, name, value } of ends) {
    const where = `${kind} ${name} = %${value.id}`;
    if (graph.nodes[value.id] !== value) throw broken("a result is no node of the graph", where);
    if (seen.has(`${kind} ${name}`)) throw broken("two results have one name", where);
    seen.add(`${kind} ${name}`);
  }
}
