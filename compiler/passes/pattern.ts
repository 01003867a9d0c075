/**
 * The pattern language of rewrite rules. A pattern is plain data that describes a node and, below it, its operands:
 * an op with patterns for its operands, a constant (a `full`), or anything at all under a name. `matchPattern` finds the
 * ways in which a node fits; operands of commutative ops are tried in both orders, and a name that stands twice in a
 * pattern stands for one and the same node. The names are part of the pattern's type, so that a rule can only ask for
 * what its pattern captures.
 */
import { opDef, type AttrsOf, type Node, type OpName } from "../../ir/graph.ts";
import { invariant, unreachable } from "../../ir/diagnostic/diagnostic.ts";

/** A pattern; `C` is the union of the names it captures. */
export type Pattern<C extends string = string> =
  | { readonly kind: "any"; readonly name: C; readonly when: ((node: Node) => boolean) | undefined }
  | { readonly kind: "constant"; readonly name: C | undefined; readonly value: number | undefined }
  | {
      readonly kind: "op";
      readonly ops: readonly OpName[];
      /** `undefined`: whatever operands. */
      readonly operands: readonly Pattern<C>[] | undefined;
      readonly name: C | undefined;
      readonly once: boolean;
    };

/** The nodes that a pattern's names stand for. */
export type Match<C extends string = string> = Readonly<Record<C, Node>>;

/** What a match may ask about the graph being rewritten. */
export type MatchContext = {
  /** How often the graph uses a node: as an operand, an output or a write. */
  readonly uses: (node: Node) => number;
};

/** Any node, captured under a name. */
export function any<C extends string>(name: C, when?: (node: Node) => boolean): Pattern<C> {
  return { kind: "any", name, when };
}

/** A `full` of this very value (0 and -0 differ, NaN equals NaN). */
export function constant(value: number): Pattern<never> {
  return { kind: "constant", name: undefined, value };
}

/** A `full` of any value, captured under a name. */
export function anyConstant<C extends string>(name: C): Pattern<C> {
  return { kind: "constant", name, value: undefined };
}

/** A node of one of these ops, whose operands fit the patterns in order (or in any order, if the op is commutative). */
export function op<C extends string = never>(
  ops: OpName | readonly OpName[],
  ...operands: readonly Pattern<C>[]
): Pattern<C> {
  return { kind: "op", ops: typeof ops === "string" ? [ops] : ops, operands, name: undefined, once: false };
}

/** A node of one of these ops with whatever operands, captured under a name. */
export function opNamed<C extends string>(name: C, ops: OpName | readonly OpName[]): Pattern<C> {
  return { kind: "op", ops: typeof ops === "string" ? [ops] : ops, operands: undefined, name, once: false };
}

/** An op pattern that also captures its node. */
export function as<C extends string, D extends string>(name: C, pattern: Pattern<D>): Pattern<C | D> {
  invariant(pattern.kind === "op", `\`${name}\`: only an op pattern can be named afterwards`);
  return { ...pattern, name };
}

/** An op pattern that fits only a node which nothing else uses, so that replacing it saves its computation. */
export function once<C extends string>(pattern: Pattern<C>): Pattern<C> {
  invariant(pattern.kind === "op", "only an op pattern can be asked to be the only use");
  return { ...pattern, once: true };
}

/** The ops that the root of a pattern may be; `undefined` if it may be any. */
export function rootOps(pattern: Pattern): readonly OpName[] | undefined {
  switch (pattern.kind) {
    case "op":
      return pattern.ops;
    case "constant":
      return ["full"];
    case "any":
      return undefined;
    default:
      return unreachable(pattern);
  }
}

/** The attributes of a node that is known to be of this op. */
export function attrsOf<K extends OpName>(node: Node, name: K): AttrsOf<K> {
  invariant(node.op === name, `attributes of \`${name}\` asked of a \`${node.op}\``);
  // The builder's types tie an op to its attributes; a node has forgotten that.
  return node.attrs as unknown as AttrsOf<K>;
}

/** The value of a `full`; `undefined` for any other node. */
export function constantValue(node: Node): number | undefined {
  return node.op === "full" ? attrsOf(node, "full").value : undefined;
}

type Bindings = Readonly<Record<string, Node>>;

/**
 * The first way in which `node` fits `pattern` and `accept` returns something; what it returned. Ways differ where
 * operands of commutative ops are swapped.
 */
export function matchPattern<T>(
  pattern: Pattern,
  node: Node,
  context: MatchContext,
  accept: (match: Match) => T | undefined,
): T | undefined {
  return step(pattern, node, context, {}, accept);
}

/** Fits one node; goes on with `next` for the rest, which may refuse and so send the search to the next way. */
function step<T>(
  pattern: Pattern,
  node: Node,
  context: MatchContext,
  bound: Bindings,
  next: (bound: Bindings) => T | undefined,
): T | undefined {
  switch (pattern.kind) {
    case "any":
      if (pattern.when !== undefined && !pattern.when(node)) return undefined;
      return bind(pattern.name, node, bound, next);
    case "constant": {
      const value = constantValue(node);
      if (value === undefined || (pattern.value !== undefined && !Object.is(value, pattern.value))) return undefined;
      return bind(pattern.name, node, bound, next);
    }
    case "op": {
      if (!pattern.ops.includes(node.op)) return undefined;
      if (pattern.once && context.uses(node) > 1) return undefined;
      const { operands } = pattern;
      if (operands === undefined) return bind(pattern.name, node, bound, next);
      if (operands.length !== node.inputs.length) return undefined;
      return bind(pattern.name, node, bound, (named) => {
        const found = sequence(operands, node.inputs, context, named, next);
        if (found !== undefined || operands.length !== 2 || !opDef(node.op).commutative) return found;
        return sequence(operands, node.inputs.toReversed(), context, named, next);
      });
    }
    default:
      return unreachable(pattern);
  }
}

/** Fits the operands one after the other. */
function sequence<T>(
  patterns: readonly Pattern[],
  nodes: readonly Node[],
  context: MatchContext,
  bound: Bindings,
  next: (bound: Bindings) => T | undefined,
): T | undefined {
  const [pattern, ...otherPatterns] = patterns;
  const [node, ...otherNodes] = nodes;
  if (pattern === undefined || node === undefined) return next(bound);
  return step(pattern, node, context, bound, (more) => sequence(otherPatterns, otherNodes, context, more, next));
}

function bind<T>(
  name: string | undefined,
  node: Node,
  bound: Bindings,
  next: (bound: Bindings) => T | undefined,
): T | undefined {
  if (name === undefined) return next(bound);
  const before = bound[name];
  if (before !== undefined) return before === node ? next(bound) : undefined;
  return next({ ...bound, [name]: node });
}
