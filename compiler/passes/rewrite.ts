/**
 * The rewriting driver. It takes a graph and rules, and gives an equal graph in which no rule applies; the same object
 * if none did. Nodes are visited once, in order, into a new graph; each is built by a hash-consing writer that tries the
 * rules on whatever it builds, so that what a rule makes is simplified before anything uses it, and equal nodes become
 * one. The work is linear in the number of nodes. A node that replaces another keeps the other's place in the user's
 * source. Draws are neither merged nor reordered, and nodes that a rewrite leaves without use are dropped.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import {
  createBuilder,
  createWriter,
  opDef,
  type Graph,
  type GraphBuilder,
  type GraphWriter,
  type Node,
  type OpName,
} from "../../ir/graph.ts";
import type { Attr, Attrs, Value } from "../../ir/op.ts";
import { at, sameType, type TensorType } from "../../ir/type.ts";
import { hasEffect, liveNodes, removeDeadNodes } from "./liveness.ts";
import { matchPattern, rootOps, type Match, type MatchContext, type Pattern } from "./pattern.ts";

/**
 * A graph for a rule's test, for patterns that the test cannot turn into a graph by itself (attributes, particular
 * shapes): `build` makes the root from inputs of the given types, and the rule must fire on it.
 */
export type Sample = {
  readonly inputs: readonly TensorType[];
  readonly build: (g: GraphBuilder, ...inputs: readonly Node[]) => Value;
};

/** What a rule builds with: a method per op, and `append` for nodes of the same op as another. */
export type RuleBuilder = GraphBuilder & Pick<GraphWriter, "append">;

/** A rewrite rule, as data. */
export type Rule = {
  readonly name: string;
  /** What it says, as one reads it: `x + (-0) = x`. */
  readonly equation: string;
  readonly pattern: Pattern;
  /** A condition on a match. */
  readonly when?: (match: Match, root: Node) => boolean;
  /** Builds what stands for the root, of the same type; `undefined` declines. */
  readonly replace: (match: Match, g: RuleBuilder, root: Node) => Value | undefined;
  /** Graphs the rule is tested on; without them its test builds the pattern, with an input for each captured name. */
  readonly samples?: readonly Sample[];
  /** Largest relative difference that the rule may make; 0 if not given. Say why in a comment. */
  readonly tolerance?: number;
  /** Whether 0 may become -0 or the other way round. Say why in a comment. */
  readonly looseZero?: boolean;
  /** Elements for which the two sides may differ. Say why in a comment. */
  readonly except?: readonly number[];
};

type RuleOf<C extends string> = Omit<Rule, "pattern" | "when" | "replace"> & {
  readonly pattern: Pattern<C>;
  readonly when?: (match: Match<C>, root: Node) => boolean;
  readonly replace: (match: Match<C>, g: RuleBuilder, root: Node) => Value | undefined;
};

/** A rule whose functions see exactly the names that its pattern captures. */
export function rule<C extends string>(spec: RuleOf<C>): Rule {
  return spec;
}

/** Applies the rules until none applies. Throws an `InternalError` for a rule that changes a type or never ends. */
export function rewriteGraph(graph: Graph, rules: readonly Rule[]): Graph {
  const live = liveNodes(graph);
  const rewriter = createRewriter(rules);
  const moved: Node[] = [];
  const uses = countUses(graph, live);
  const copied = new Set<Node>();
  let changed = false;
  for (const node of graph.nodes) {
    if (live[node.id] !== true) continue;
    const operands = node.inputs.map((operand) => at(moved, operand.id));
    const result = rewriter.visit(node, operands, at(uses, node.id));
    moved[node.id] = result;
    changed ||= copied.has(result) || !isCopy(result, node, operands);
    copied.add(result);
  }
  if (!changed) return graph;
  return removeDeadNodes({
    name: graph.name,
    nodes: rewriter.nodes,
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: at(moved, value.id) })),
    writes: graph.writes.map(({ state, value }) => ({ state, value: at(moved, value.id) })),
  });
}

/** How deep rules may call for rules on what they build; real rules stay far below. */
const depthLimit = 200;

type Rewriter = {
  readonly nodes: readonly Node[];
  /** Builds what stands for `node` on these operands. */
  readonly visit: (node: Node, operands: readonly Node[], uses: number) => Node;
};

function createRewriter(rules: readonly Rule[]): Rewriter {
  const rulesOf = indexRules(rules);
  const known = new Map<string, Node>();
  const uses = new Map<Node, number>();
  let source: Node["source"];
  let depth = 0;
  const writer = createWriter(() => source);
  const context: MatchContext = { uses: (node) => uses.get(node) ?? 0 };
  const count = (node: Node, more: number): void => void uses.set(node, context.uses(node) + more);

  const append = (op: OpName, inputs: readonly Value[], attrs: Attrs): Node => {
    const key = hasEffect(op) ? undefined : nodeKey(op, inputs, attrs);
    const before = key === undefined ? undefined : known.get(key);
    if (before !== undefined) return before;
    const node = writer.append(op, inputs, attrs);
    const result = apply(node);
    if (key !== undefined) known.set(key, result);
    return result;
  };
  // What rules build counts its uses as it is built; the graph's own nodes bring theirs from the whole graph.
  const appendCounted = (op: OpName, inputs: readonly Value[], attrs: Attrs): Node => {
    const node = append(op, inputs, attrs);
    for (const operand of node.inputs) count(operand, 1);
    return node;
  };
  const g: RuleBuilder = { ...createBuilder(appendCounted), append: appendCounted };

  const apply = (node: Node): Node => {
    for (const candidate of rulesOf(node.op)) {
      if (++depth > depthLimit) throw fail(messages.ruleDoesNotEnd(candidate.name), node.source);
      const result = matchPattern(candidate.pattern, node, context, (match) =>
        candidate.when === undefined || candidate.when(match, node) ? candidate.replace(match, g, node) : undefined,
      );
      depth--;
      if (result === undefined || result === node) continue;
      if (!sameType(result.type, node.type))
        throw fail(messages.ruleChangesType(candidate.name, node.type, result.type), node.source);
      return at(writer.nodes, result.id);
    }
    return node;
  };

  return {
    nodes: writer.nodes,
    visit: (old, operands, oldUses) => {
      source = old.source;
      const node = append(old.op, operands, old.attrs);
      count(node, oldUses);
      return node;
    },
  };
}

/** The rules that may fire at a node of an op, in their order. */
function indexRules(rules: readonly Rule[]): (op: OpName) => readonly Rule[] {
  const index = new Map<OpName, readonly Rule[]>();
  return (op) => {
    const found = index.get(op) ?? rules.filter(({ pattern }) => rootOps(pattern)?.includes(op) ?? true);
    index.set(op, found);
    return found;
  };
}

/** How often each node is used by nodes that count, outputs and writes. */
function countUses(graph: Graph, live: readonly boolean[]): readonly number[] {
  const uses = graph.nodes.map(() => 0);
  const use = (node: Node): void => void (uses[node.id] = at(uses, node.id) + 1);
  for (const node of graph.nodes) if (live[node.id] === true) node.inputs.forEach(use);
  for (const { value } of [...graph.outputs, ...graph.writes]) use(value);
  return uses;
}

/** Whether a new node is the old one on the new operands. (A rule that declined may have built it already.) */
function isCopy(node: Node, old: Node, operands: readonly Node[]): boolean {
  return (
    node.op === old.op &&
    operands.every((operand, i) => operand === node.inputs[i]) &&
    (node.attrs === old.attrs || attrsKey(node.attrs) === attrsKey(old.attrs))
  );
}

/** A text that is equal for nodes that compute the same. */
function nodeKey(op: OpName, inputs: readonly Value[], attrs: Attrs): string {
  const operands = inputs.map((input) => input.id);
  if (opDef(op).commutative) operands.sort((a, b) => a - b);
  return `${op}(${operands.join(",")})${attrsKey(attrs)}`;
}

function attrsKey(attrs: Attrs): string {
  const names = Object.keys(attrs);
  if (names.length > 1) names.sort();
  return names.map((name) => `${name}=${attrKey(attrs[name] ?? "")}`).join(";");
}

/** Tells -0 from 0, which plain conversion does not. */
function attrKey(attr: Attr): string {
  if (typeof attr === "number") return Object.is(attr, -0) ? "-0" : String(attr);
  if (typeof attr === "string") return JSON.stringify(attr);
  if (typeof attr === "boolean") return String(attr);
  return `[${attr.map(attrKey).join(",")}]`;
}
