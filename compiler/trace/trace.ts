/**
 * The one tracing context. A `Trace` records the ops of one entry (or of `setup`) into a graph, remembers for every node
 * whether a gradient flows through it, holds what the entry has read and written of the state, and the token that orders
 * its draws. `runTrace` makes a trace the current one; there is never more than one.
 */
import type { HostExpr } from "../../ir/artifact/host-expr.ts";
import { fail, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import {
  createBuilder,
  createWriter,
  opDef,
  type GraphBuilder,
  type GraphWriter,
  type Node,
  type OpName,
} from "../../ir/graph.ts";
import type { Attrs, Value } from "../../ir/op.ts";
import type { InitStep } from "../../ir/random/init.ts";
import { isFloat, sameType, type Shape, type TensorType } from "../../ir/type.ts";
import { State, type ProgramTrace } from "./program-trace.ts";
import { captureSource } from "./source.ts";

/** What a tensor stands for: a node of a trace, or a state whose value the trace looks up. */
export type Origin =
  | { readonly kind: "node"; readonly trace: Trace; readonly node: Node }
  | { readonly kind: "state"; readonly state: State };

/** What an entry has done to a state. */
type Written = { value: Node; readonly flows: boolean; leaf: Node | undefined };

/** What a leaf of the gradient belongs to: a state, or the node itself. */
export type LeafOwner = State | Node;

/** A draw of `setup`. */
export type SetupDraw =
  | { readonly kind: "uniform"; readonly shape: Shape; readonly low: number; readonly high: number }
  | { readonly kind: "normal"; readonly shape: Shape; readonly mean: number; readonly std: number };

/** Which part of a program is being traced. */
export type TraceKind = "setup" | "entry";

/** Records one graph. */
export class Trace {
  readonly program: ProgramTrace;
  readonly kind: TraceKind;
  readonly name: string;
  /** One checked method per op; every node made through it is noted. */
  readonly g: GraphBuilder;
  /** Whether ops record gradients (`noGrad` switches it off). */
  gradEnabled = true;
  /** Gradients that `backward()` has accumulated, by leaf. */
  readonly grads: Map<LeafOwner, Node> = new Map();
  /** Counters this entry increments, and by how much. */
  readonly increments: Map<string, number> = new Map();
  /** States this entry has written, in order of the first write. */
  readonly written: Map<State, Written> = new Map();
  /** Leaves of the gradient: the node, and what it is the value of. */
  readonly leaves: Map<Node, LeafOwner> = new Map();
  readonly #writer: GraphWriter;
  readonly #requires: boolean[] = [];
  readonly #stopped: boolean[] = [];
  readonly #reads: Map<State, { flowing?: Node; plain?: Node }> = new Map();
  readonly #imported: Map<Node, Node> = new Map();
  readonly #setupReads: Map<Node, State> = new Map();
  readonly #scalars: Map<string, Node> = new Map();
  readonly #modules: string[] = [];
  #place: SourceLocation | undefined = undefined;
  #token: Node | undefined = undefined;

  constructor(program: ProgramTrace, kind: TraceKind, name: string) {
    this.program = program;
    this.kind = kind;
    this.name = name;
    this.#writer = createWriter(() => this.here());
    this.g = createBuilder((op, inputs, attrs) => this.#append(op, inputs, attrs));
  }

  /** All nodes so far. */
  get nodes(): readonly Node[] {
    return this.#writer.nodes;
  }

  /** The user's place of the op being recorded, with the module it runs in. */
  here(): SourceLocation | undefined {
    if (this.#place !== undefined) return this.#place;
    const place = captureSource(this.program.root);
    const module = this.#modules.at(-1);
    return place === undefined || module === undefined || module === "" ? place : { ...place, module };
  }

  /** Runs `body` with every node attributed to `place`: for composed ops, and for gradients of an op. */
  at<T>(place: SourceLocation | undefined, body: () => T): T {
    const before = this.#place;
    this.#place = place;
    try {
      return body();
    } finally {
      this.#place = before;
    }
  }

  /** Runs `body` inside the module of the given path. */
  inModule<T>(path: string, body: () => T): T {
    this.#modules.push(path);
    try {
      return body();
    } finally {
      this.#modules.pop();
    }
  }

  /** Runs `body` with gradient recording on or off. */
  withGrad<T>(enabled: boolean, body: () => T): T {
    const before = this.gradEnabled;
    this.gradEnabled = enabled;
    try {
      return body();
    } finally {
      this.gradEnabled = before;
    }
  }

  /** Whether a gradient flows into this node. */
  requires(node: Node): boolean {
    return this.#requires[node.id] ?? false;
  }

  /** Whether a gradient that reaches this node goes no further. */
  stops(node: Node): boolean {
    return this.#stopped[node.id] ?? false;
  }

  /** Makes `node` a leaf that gradients flow into and not through. */
  makeLeaf(node: Node, owner: LeafOwner): Node {
    this.leaves.set(node, owner);
    this.#requires[node.id] = true;
    this.#stopped[node.id] = true;
    return node;
  }

  /** The same value as a node of its own, through which no gradient flows. */
  detached(node: Node): Node {
    return this.withGrad(false, () => this.#identity(node));
  }

  /** The node in this trace that `origin` stands for. */
  resolve(origin: Origin): Node {
    if (origin.kind === "state") return this.read(origin.state);
    if (origin.trace === this) return origin.node;
    if (origin.trace.kind === "setup" && origin.trace.program === this.program)
      return this.#import(origin.trace, origin.node);
    throw fail(messages.tensorOfAnotherTrace(origin.trace.name, this.name), this.here());
  }

  /** The value of a state at this point of the entry. */
  read(state: State): Node {
    const flows = state.requiresGrad && isFloat(state.type.dtype);
    const written = this.written.get(state);
    if (written !== undefined) return this.#readWritten(state, written, flows);
    const reads = this.#reads.get(state) ?? {};
    this.#reads.set(state, reads);
    const known = flows ? reads.flowing : reads.plain;
    if (known !== undefined) return known;
    const node = this.#readNode(state);
    if (flows) this.makeLeaf(node, state);
    reads[flows ? "flowing" : "plain"] = node;
    return node;
  }

  /** Records that `state` has a new value from here on. */
  write(state: State, value: Node): void {
    if (state.name === undefined) throw fail(messages.unownedState(state.role), this.here());
    if (!sameType(state.type, value.type))
      throw fail(messages.stateTypeChanged(state.name, state.type, value.type), this.here());
    const flows = this.gradEnabled && this.requires(value);
    if (flows && state.requiresGrad) throw fail(messages.inPlaceOnLeaf(state.name), this.here());
    this.written.set(state, { value, flows, leaf: undefined });
  }

  /** The token for the next draw from the default generator; `draw` makes the node, which is the token after it. */
  draw(make: (token: Node) => Node): Node {
    const node = make(this.#token ?? this.g.generator());
    this.#token = node;
    return node;
  }

  /** A host scalar; the same formula is one node. */
  hostScalar(expr: HostExpr): Node {
    const key = JSON.stringify(expr);
    const node = this.#scalars.get(key) ?? this.g.hostScalar({ expr });
    this.#scalars.set(key, node);
    return node;
  }

  /** A tensor drawn in `setup`: a state without an owner yet, with its draw as the next initialisation step. */
  drawState(draw: SetupDraw): State {
    const state = this.setupState({ dtype: "f32", shape: draw.shape });
    const step = (nameOf: (state: State) => string): InitStep =>
      draw.kind === "uniform"
        ? { kind: "uniform", state: nameOf(state), low: draw.low, high: draw.high }
        : { kind: "normal", state: nameOf(state), mean: draw.mean, std: draw.std };
    this.program.addStep({ state, draws: true, from: undefined, step });
    return state;
  }

  /** A tensor of `setup` that lives in memory of its own, until a Parameter or Buffer takes it over. */
  setupState(type: TensorType): State {
    return this.program.addState(
      new State({ role: "buffer", type, source: this.here(), requiresGrad: false, adopted: false }),
    );
  }

  /** The state that a `read` node of a setup trace stands for. */
  setupRead(node: Node): State | undefined {
    return this.#setupReads.get(node);
  }

  /** Counts one more step of a counter; returns how many this entry had counted before. */
  increment(counter: string): number {
    const before = this.increments.get(counter) ?? 0;
    this.program.counters.add(counter);
    this.increments.set(counter, before + 1);
    return before;
  }

  /** Appends a node and notes whether a gradient flows through it. */
  #append(op: OpName, inputs: readonly Value[], attrs: Attrs): Node {
    const node = this.#writer.append(op, inputs, attrs);
    this.#requires[node.id] =
      this.gradEnabled &&
      isFloat(node.type.dtype) &&
      opDef(op).vjp !== null &&
      node.inputs.some((input) => this.requires(input));
    this.#stopped[node.id] = !this.requires(node);
    return node;
  }

  #identity(node: Node): Node {
    return this.g.reshape(node, { shape: node.type.shape });
  }

  #readWritten(state: State, written: Written, flows: boolean): Node {
    if (written.flows && !flows) return written.value;
    if (!flows && this.stops(written.value)) return written.value;
    if (written.leaf === undefined || this.requires(written.leaf) !== flows) {
      written.leaf = this.detached(written.value);
      if (flows) this.makeLeaf(written.leaf, state);
    }
    return written.leaf;
  }

  #readNode(state: State): Node {
    const { dtype, shape } = state.type;
    if (this.kind === "setup") {
      const node = this.g.read({ state: `setup.${this.#setupReads.size}`, dtype, shape });
      this.#setupReads.set(node, state);
      return node;
    }
    if (state.name === undefined) throw fail(messages.unownedState(state.role), this.here());
    return this.g.read({ state: state.name, dtype, shape });
  }

  /** Copies what `setup` computed into this graph; it may depend on constants only. */
  #import(setup: Trace, node: Node): Node {
    const known = this.#imported.get(node);
    if (known !== undefined) return known;
    const state = setup.setupRead(node);
    if (state !== undefined) throw fail(messages.computedInSetup(), this.here());
    const inputs = node.inputs.map((input) => this.#import(setup, input));
    const copy = this.at(node.source, () => this.withGrad(false, () => this.#append(node.op, inputs, node.attrs)));
    this.#imported.set(node, copy);
    return copy;
  }
}

let current: Trace | undefined;

/** The trace that ops are recorded into; a `UserError` outside `setup` and the steps. `what`: what was tried. */
export function currentTrace(what = "a tensor operation"): Trace {
  if (current === undefined) throw fail(messages.outsideTrace(what), captureSource(process.cwd()));
  return current;
}

/** The current trace, if there is one. */
export function activeTrace(): Trace | undefined {
  return current;
}

/** Runs `body` with `trace` as the current one. Traces do not nest. */
export function runTrace<T>(trace: Trace, body: () => T): T {
  if (current !== undefined)
    throw fail(messages.nestedTrace(current.name, trace.name), captureSource(trace.program.root));
  current = trace;
  try {
    const result = body();
    if (result instanceof Promise) {
      result.catch(() => undefined);
      throw fail(messages.asyncInTrace(trace.name));
    }
    return result;
  } finally {
    current = undefined;
  }
}
