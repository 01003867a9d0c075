/**
 * Tracing a whole program: `setup` once, then every entry. Takes functions, gives plain graphs, states and
 * initialisation; keeps nothing between programs. Modules are put back into the mode that `setup` left them in before each
 * entry, so that the order of entries does not matter.
 */
import { fail, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { opDef, type Graph, type Node } from "../../ir/graph.ts";
import type { TensorType } from "../../ir/type.ts";
import { blaming, type Blame } from "./blame.ts";
import { nodeOf } from "./handle.ts";
import { claim, type Owned } from "./owned.ts";
import { ProgramTrace } from "./program-trace.ts";
import { isTensor, Tensor } from "./tensor.ts";
import { runTrace, Trace } from "./trace.ts";
import type { TracedEntry, TracedInput, TracedProgram } from "./traced.ts";

/** A tensor an entry is called with. */
export type InputSpec = { readonly kind: TracedInput["kind"]; readonly name: string; readonly type: TensorType };

/** An entry to be traced. */
export type EntrySpec<S> = {
  readonly name: string;
  readonly batch: number;
  /** `train` leaves modules as `setup` left them; `eval` puts them in evaluation mode and records no gradients. */
  readonly mode: "train" | "eval";
  readonly inputs: readonly InputSpec[];
  /** Where inputs are said to come from. */
  readonly place: SourceLocation | undefined;
  readonly run: (setup: S, inputs: Tensor[]) => unknown;
};

/** What tracing needs to know of the surroundings. */
export type TraceOptions = {
  /** Folder that file names in sources are relative to; the current folder by default. */
  readonly root?: string;
};

/** A traced program, and the objects that `setup` returned. */
export type ProgramResult = { readonly program: Omit<TracedProgram, "training">; readonly owned: Owned };

/** Traces `setup` and all entries. */
export function traceProgram<S>(
  setup: () => S,
  entries: readonly EntrySpec<S>[],
  options: TraceOptions = {},
): ProgramResult {
  const program = new ProgramTrace(options.root ?? process.cwd());
  const blame: Blame = { what: "setup()", root: program.root, place: entries[0]?.place };
  const { returned, owned } = blaming(blame, () => {
    const made = runTrace(new Trace(program, "setup", "setup"), setup);
    return { returned: made, owned: claim(program, made) };
  });
  const restore = remember(program, owned);
  const traced = entries.map((entry) => {
    restore();
    return traceEntry(program, owned, returned, entry);
  });
  restore();
  const { states, init } = program.finish();
  const counters = [...program.counters];
  return {
    program: { entries: traced, states, init, hyper: Object.fromEntries(program.hyper), counters },
    owned,
  };
}

/** A function that puts modes and gradient flags back as they are now. */
function remember(program: ProgramTrace, owned: Owned): () => void {
  const modes = owned.modules.flatMap(([, module]) => module.modules().map((each) => [each, each.training] as const));
  const flags = program.states.map((state) => [state, state.requiresGrad] as const);
  return () => {
    // Children come after their parents, so each ends in its own mode.
    for (const [module, mode] of modes) module.train(mode);
    for (const [state, flag] of flags) state.requiresGrad = flag;
  };
}

function traceEntry<S>(program: ProgramTrace, owned: Owned, returned: S, entry: EntrySpec<S>): TracedEntry {
  const trace = new Trace(program, "entry", entry.name);
  if (entry.mode === "eval") for (const [, module] of owned.modules) module.eval();
  const blame: Blame = { what: `the step \`${entry.name}\``, root: program.root, place: entry.place };
  const record = (): TracedEntry => {
    const leaves = trace.at(entry.place, () => entry.inputs.map((input) => inputLeaf(trace, input)));
    const tensors = leaves.map((node) => new Tensor({ kind: "node", trace, node }));
    const results = trace.withGrad(entry.mode === "train", () => entry.run(returned, tensors));
    if (results instanceof Promise) {
      results.catch(() => undefined);
      throw fail(messages.asyncInTrace(entry.name));
    }
    const outputs = namedResults(entry.name, results).map(([name, tensor]) => ({ name, node: nodeOf(tensor) }));
    const { graph, moved } = finishGraph(trace, leaves, outputs);
    const inputs = entry.inputs.map(({ kind, name, type }, i) => ({ kind, name, type, leaf: moved(leaves[i]) }));
    return { name: entry.name, batch: entry.batch, graph, inputs, increments: Object.fromEntries(trace.increments) };
  };
  return blaming(blame, () => runTrace(trace, record));
}

function inputLeaf(trace: Trace, { kind, name, type }: InputSpec): Node {
  return kind === "feed" ? trace.g.feed({ field: name, ...type }) : trace.g.input({ name, ...type });
}

/** Results by name: a record as it is, one tensor as `output`, a list as `output0`, `output1`, …. */
function namedResults(entry: string, results: unknown): [string, Tensor][] {
  if (isTensor(results)) return [["output", results]];
  if (typeof results !== "object" || results === null) throw fail(messages.badResults(entry, typeof results));
  return Object.entries(results).map(([key, value]): [string, Tensor] => {
    if (key === "__proto__") throw fail(messages.reservedName("result", key));
    if (!isTensor(value)) throw fail(messages.badResult(entry, key, typeof value));
    return [Array.isArray(results) ? `output${key}` : key, value];
  });
}

/**
 * The graph without what nothing needs: nodes are kept that results, writes, inputs or draws reach, and numbered anew in
 * their order. `moved` gives a kept node's successor.
 */
function finishGraph(
  trace: Trace,
  leaves: readonly Node[],
  outputs: readonly { readonly name: string; readonly node: Node }[],
): { readonly graph: Graph; readonly moved: (node: Node | undefined) => Node } {
  const writes = [...trace.written].map(([state, { value }]) => ({ state: state.name ?? "", node: value }));
  const needed: boolean[] = [];
  for (const { node } of [...outputs, ...writes]) needed[node.id] = true;
  for (const leaf of leaves) needed[leaf.id] = true;
  for (let id = trace.nodes.length - 1; id >= 0; id--) {
    const node = trace.nodes[id];
    if (node === undefined) continue;
    if (opDef(node.op).effect) needed[id] = true;
    if (needed[id] === true) for (const input of node.inputs) needed[input.id] = true;
  }
  const copies = new Map<Node, Node>();
  const moved = (node: Node | undefined): Node => {
    const copy = node === undefined ? undefined : copies.get(node);
    if (copy === undefined) throw fail(messages.foreignValue(node?.id ?? -1));
    return copy;
  };
  for (const node of trace.nodes) {
    if (needed[node.id] === true) copies.set(node, { ...node, id: copies.size, inputs: node.inputs.map(moved) });
  }
  const graph = {
    name: trace.name,
    nodes: [...copies.values()],
    outputs: outputs.map(({ name, node }) => ({ name, value: moved(node) })),
    writes: writes.map(({ state, node }) => ({ state, value: moved(node) })),
  };
  return { graph, moved };
}
