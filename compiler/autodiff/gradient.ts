/**
 * Reverse-mode differentiation of a graph. Takes outputs with their cotangents and the inputs that are asked for; knows no
 * op by name: each op's own VJP rule builds the cotangents of its operands. Only nodes between inputs and outputs are
 * visited, users before operands, so sums of cotangents have a fixed order. A cotangent of zero is absent, never a tensor.
 */
import { invariant, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import { opDef, type GraphBuilder, type Node } from "../../ir/graph.ts";
import type { Value } from "../../ir/op.ts";
import { sameType } from "../../ir/type.ts";

/** What differentiation needs of the graph it extends. */
export type GradientContext = {
  readonly g: GraphBuilder;
  /** All nodes so far; a node's id is its index. */
  readonly nodes: readonly Node[];
  /** Whether a gradient that reaches this node goes no further. */
  readonly stops: (node: Node) => boolean;
  /** Runs `body` with new nodes attributed to `place`. */
  readonly at: <T>(place: SourceLocation | undefined, body: () => T) => T;
};

/** An output and the cotangent it starts with. */
export type Seed = { readonly output: Node; readonly cotangent: Node };

/** Cotangents of `inputs`, in order; `undefined` where no output depends on an input. */
export function gradients(
  context: GradientContext,
  seeds: readonly Seed[],
  inputs: readonly Node[],
): (Node | undefined)[] {
  const count = context.nodes.length;
  const wanted = new Set(inputs);
  const onPath = reachingInputs(context, wanted, count);
  const cotangents: (Node | undefined)[] = [];
  const accumulate = (node: Node, cotangent: Node): void => {
    const sum = cotangents[node.id];
    cotangents[node.id] = sum === undefined ? cotangent : context.g.add(sum, cotangent);
  };
  for (const { output, cotangent } of seeds) {
    if (onPath[output.id] === true) accumulate(output, cotangent);
  }
  for (let id = count - 1; id >= 0; id--) {
    const node = context.nodes[id];
    const cotangent = cotangents[id];
    if (node === undefined || cotangent === undefined || context.stops(node)) continue;
    if (!node.inputs.some((operand) => onPath[operand.id] === true)) continue;
    context.at(node.source, () => {
      const parts = operandCotangents(context, node, cotangent);
      node.inputs.forEach((operand, i) => {
        const part = parts[i];
        if (part !== undefined && onPath[operand.id] === true) accumulate(operand, part);
      });
    });
  }
  return inputs.map((input) => cotangents[input.id]);
}

/** Which nodes are inputs or compute from one, along edges that gradients flow through. */
function reachingInputs(context: GradientContext, wanted: ReadonlySet<Node>, count: number): boolean[] {
  const onPath: boolean[] = [];
  for (let id = 0; id < count; id++) {
    const node = context.nodes[id];
    if (node === undefined) continue;
    onPath[id] =
      wanted.has(node) || (!context.stops(node) && node.inputs.some((operand) => onPath[operand.id] === true));
  }
  return onPath;
}

/** What an op's VJP rule gives for each operand; `undefined` where it takes no gradient. */
function operandCotangents(context: GradientContext, node: Node, cotangent: Node): (Node | undefined)[] {
  const { vjp } = opDef(node.op);
  if (vjp === null) return [];
  const { g, nodes } = context;
  const parts: readonly (Value | null)[] = vjp({
    g,
    inputs: node.inputs,
    attrs: node.attrs,
    output: node,
    cotangent,
  });
  return parts.map((part, i) => {
    if (part === null) return undefined;
    const built = nodes[part.id];
    const operand = node.inputs[i];
    invariant(built === part, `the VJP of ${node.op} gives a value of another graph`);
    invariant(
      operand !== undefined && sameType(built.type, operand.type),
      `the VJP of ${node.op} gives a cotangent of another type for operand ${i}`,
    );
    return built;
  });
}
