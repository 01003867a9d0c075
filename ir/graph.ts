/**
 * The graph IR: one graph per entry, nodes in program order, every node one shape. Nodes are immutable and made only by
 * `createBuilder`, which checks them by their op's type rule; ids count up within a graph, so output is a function of
 * input. State is read by `read` nodes (the value at the start of the entry) and written by the graph's list of writes
 * (which take effect at its end). Draws from the generator are ordered by a token operand: each draw takes the value of
 * the draw before it.
 */
import type { SourceLocation } from "./diagnostic/diagnostic.ts";
import { fail, locating } from "./diagnostic/diagnostic.ts";
import * as messages from "./diagnostic/messages.ts";
import type { Arity, Attrs, NoAttrs, OpDef, Operands, Value } from "./op.ts";
import * as ops from "./ops/index.ts";

type Table = typeof ops;

/** Name of an op. */
export type OpName = keyof Table;

/** Number of operands of an op. */
export type ArityOf<K extends OpName> = Table[K] extends OpDef<string, infer N, infer _A> ? N : never;

/** Attributes of an op. */
export type AttrsOf<K extends OpName> = Table[K] extends OpDef<string, infer _N, infer A> ? A : never;

/** Each export of `ops/` is an op under its own name; anything else makes this type an error below. */
type Misnamed = {
  [K in OpName]: Table[K] extends OpDef<infer Name, infer _N, infer _A>
    ? Name extends K
      ? K extends Name
        ? never
        : K
      : K
    : K;
}[OpName];
const everyExportIsAnOp: [Misnamed] extends [never] ? true : Misnamed = true;
void everyExportIsAnOp;

/** A node, and at the same time its result. */
export type Node = Value & {
  readonly op: OpName;
  readonly inputs: readonly Node[];
  readonly attrs: Attrs;
  readonly source: SourceLocation | undefined;
};

/** A named result of an entry. */
export type Output = { readonly name: string; readonly value: Node };

/** A new value of a state, effective at the end of the entry. */
export type Write = { readonly state: string; readonly value: Node };

/** One entry's graph. `nodes` holds every node once, operands before users. */
export type Graph = {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly outputs: readonly Output[];
  readonly writes: readonly Write[];
};

/** One typed method per op, derived from the table. */
export type GraphBuilder = {
  readonly [K in OpName]: AttrsOf<K> extends NoAttrs
    ? (...inputs: Operands<ArityOf<K>, Value>) => Node
    : (...args: [...inputs: Operands<ArityOf<K>, Value>, attrs: AttrsOf<K>]) => Node;
};

/** A definition with its own types forgotten, for code that treats all ops alike. */
export type AnyOpDef = OpDef<string, Arity, Attrs>;

const definitions: Readonly<Record<OpName, unknown>> = { ...ops };

/** The definition of an op. */
export function opDef(name: OpName): AnyOpDef {
  // The table's entries differ in arity and attributes; generic code passes them only what they made themselves.
  return definitions[name] as AnyOpDef;
}

/** All op names, in the order of the table. */
export const opNames: readonly OpName[] = (Object.keys(ops) as OpName[]).toSorted();

/** Whether `name` is an op. */
export function isOpName(name: string): name is OpName {
  return Object.hasOwn(ops, name);
}

/** Collects the nodes of a graph under construction. */
export type GraphWriter = {
  /** One method per op; checks operands and appends a node. */
  readonly g: GraphBuilder;
  /** Appends a node of any op, for code that treats all ops alike. */
  readonly append: (op: OpName, inputs: readonly Value[], attrs: Attrs) => Node;
  /** All nodes so far, in order. */
  readonly nodes: readonly Node[];
};

/** A writer of a new graph. `source` gives the location to note in each node. */
export function createWriter(source: () => SourceLocation | undefined): GraphWriter {
  const nodes: Node[] = [];
  const append = (op: OpName, inputs: readonly Value[], attrs: Attrs): Node => {
    const definition = opDef(op);
    const operands = inputs.map((input) => own(nodes, input));
    const place = source();
    if (definition.arity !== "variadic" && definition.arity !== operands.length)
      throw fail(messages.wrongArity(op, definition.arity, operands.length), place);
    const types = operands.map((operand) => operand.type);
    const type = locating(place, () => definition.type(types, attrs));
    const node: Node = { id: nodes.length, op, inputs: operands, attrs, type, source: place };
    nodes.push(node);
    return node;
  };
  const g = createBuilder(append);
  return { g, append, nodes };
}

/** The typed methods over an `append`: whoever intercepts the appending of nodes (a rewriter) gets a builder of its own. */
export function createBuilder(append: GraphWriter["append"]): GraphBuilder {
  const method =
    (op: OpName) =>
    (...args: readonly unknown[]): Node => {
      const takesAttrs = args.length > 0 && !isValue(args.at(-1));
      const inputs = (takesAttrs ? args.slice(0, -1) : args) as readonly Value[];
      return append(op, inputs, (takesAttrs ? args.at(-1) : {}) as Attrs);
    };
  // One method per key of the table; the mapped type says which operands and attributes each takes.
  return Object.fromEntries(opNames.map((op) => [op, method(op)])) as unknown as GraphBuilder;
}

function isValue(x: unknown): boolean {
  return typeof x === "object" && x !== null && "id" in x && "type" in x && "op" in x;
}

/** The node of this graph that `value` is; a value of another graph is a bug of the caller. */
function own(nodes: readonly Node[], value: Value): Node {
  const node = nodes[value.id];
  if (node !== value) throw fail(messages.foreignValue(value.id));
  return node;
}
