/**
 * The reference interpreter: runs a graph node by node in float64, with no fusion, layout or memory plan, on row-major
 * elements. All that comes from outside (batch, state, host scalars, draws) is given by the caller; the results are the
 * entry's outputs and the new values of the states it writes.
 */
import type { HostExpr } from "./artifact/host-expr.ts";
import { fail, invariant, locating, unreachable } from "./diagnostic/diagnostic.ts";
import * as messages from "./diagnostic/messages.ts";
import { opDef, type Graph, type Node } from "./graph.ts";
import type { Draw } from "./loop/loop.ts";
import type { Attrs, Elements, Lowering } from "./op.ts";
import { at, elementCount } from "./type.ts";

/** What a graph reads from outside; elements are row-major float64 numbers (bools 0 and 1) whatever the dtype. */
export type Environment = {
  /** Batch tensors, by name. */
  readonly inputs?: ReadonlyMap<string, Elements>;
  /** States as they are when the entry begins, by name. */
  readonly states?: ReadonlyMap<string, Elements>;
  /** Gathered batches of data-set fields, by field. */
  readonly feeds?: ReadonlyMap<string, Elements>;
  /** Value of a host scalar; a formula of constants only needs none. */
  readonly hostScalar?: (expr: HostExpr) => number;
  /** The next `count` numbers of the generator; called in program order. */
  readonly draw?: (draw: Draw, count: number) => Elements;
};

/** What a graph gives: its results and the new values of the states it writes, by name. */
export type Interpretation = {
  readonly outputs: ReadonlyMap<string, Elements>;
  readonly writes: ReadonlyMap<string, Elements>;
};

/** Runs a graph. Throws a `UserError` where a value is missing or an index is out of range. */
export function interpret(graph: Graph, environment: Environment): Interpretation {
  const values: (Elements | undefined)[] = [];
  const lastUse = graph.nodes.map(({ id }) => id);
  for (const node of graph.nodes) for (const { id } of node.inputs) lastUse[id] = node.id;
  for (const { value } of [...graph.outputs, ...graph.writes]) lastUse[value.id] = graph.nodes.length;
  const valueOf = ({ id }: Node): Elements => {
    const value = values[id];
    invariant(value !== undefined, `the value of %${id} is used before it is computed`);
    return value;
  };
  for (const node of graph.nodes) {
    values[node.id] = evaluateNode(node, node.inputs.map(valueOf), environment);
    for (const { id } of [...node.inputs, node]) if (at(lastUse, id) <= node.id) values[id] = undefined;
  }
  return {
    outputs: new Map(graph.outputs.map(({ name, value }) => [name, valueOf(value)])),
    writes: new Map(graph.writes.map(({ state, value }) => [state, valueOf(value)])),
  };
}

/** The value of one node from those of its operands. */
export function evaluateNode(node: Node, inputs: readonly Elements[], environment: Environment): Elements {
  const { evaluate, lowering } = opDef(node.op);
  if (evaluate === null) return outsideValue(node, lowering, environment);
  const { attrs, type } = node;
  const types = node.inputs.map((operand) => operand.type);
  return locating(node.source, () => evaluate(inputs, { types, attrs, type }));
}

/** The value of a leaf or a draw. */
function outsideValue(node: Node, lowering: Lowering<Attrs>, environment: Environment): Elements {
  const { inputs, states, feeds, hostScalar, draw } = environment;
  if (lowering.class === "random") {
    const count = elementCount(node.type.shape);
    const values = draw?.(describeDraw(node, lowering.distribution), count);
    return checked(node, "the draw", node.op, values);
  }
  if (lowering.class !== "leaf")
    throw fail(messages.brokenGraph("", "an op without an evaluation is neither a leaf nor a draw", node.op));
  switch (lowering.source) {
    case "input":
      return named(node, "input", "name", inputs);
    case "state":
      return named(node, "state", "state", states);
    case "feed":
      return named(node, "feed", "field", feeds);
    case "scalar": {
      // The attribute is what `hostScalar`'s definition declares.
      const expr = node.attrs["expr"] as unknown as HostExpr;
      const value = typeof expr === "number" ? expr : hostScalar?.(expr);
      const values = value === undefined ? undefined : Float64Array.of(value);
      return checked(node, "host scalar", JSON.stringify(expr), values);
    }
    case "generator":
      return new Float64Array(1);
    default:
      return unreachable(lowering.source);
  }
}

/** What a draw node asks the generator for. */
export function describeDraw(node: Node, distribution: "uniform" | "normal" | "bernoulli"): Draw {
  const number = (name: string): number => Number(node.attrs[name]);
  switch (distribution) {
    case "uniform":
      return { kind: "uniform", low: number("low"), high: number("high") };
    case "normal":
      return { kind: "normal", mean: number("mean"), std: number("std") };
    case "bernoulli":
      return { kind: "bernoulli", p: number("p") };
    default:
      return unreachable(distribution);
  }
}

function named(
  node: Node,
  kind: string,
  attribute: string,
  values: ReadonlyMap<string, Elements> | undefined,
): Elements {
  const name = String(node.attrs[attribute]);
  return checked(node, kind, name, values?.get(name));
}

function checked(node: Node, kind: string, name: string, values: Elements | undefined): Elements {
  const count = elementCount(node.type.shape);
  if (values === undefined) throw fail(messages.missingValue(kind, name, count), node.source);
  if (values.length !== count) throw fail(messages.wrongElementCount(kind, name, count, values.length), node.source);
  return values;
}
