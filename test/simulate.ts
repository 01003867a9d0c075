/**
 * Runs a traced program on the reference interpreter: states, counters and hyperparameters live between the steps as they
 * would in the runtime.
 */
import { evaluateHostExpr } from "../ir/artifact/host-expr.ts";
import { interpret } from "../ir/interpret.ts";
import type { Elements } from "../ir/op.ts";
import { elementCount } from "../ir/type.ts";
import type { TracedProgram } from "../compiler/trace/traced.ts";

/** A traced program with its states. */
export class Simulation {
  readonly program: TracedProgram;
  readonly states: Map<string, Elements> = new Map();
  readonly hyper: Map<string, number>;
  readonly counters: Map<string, number>;

  /** `initial`: first values of states; those without are initialised from the program's constants, else 0. */
  constructor(program: TracedProgram, initial: ReadonlyMap<string, ArrayLike<number>> = new Map()) {
    this.program = program;
    this.hyper = new Map(Object.entries(program.hyper));
    this.counters = new Map(program.counters.map((name) => [name, 0]));
    for (const { name, shape } of program.states) this.states.set(name, new Float64Array(elementCount(shape)));
    for (const step of program.init) if (step.kind === "constant") this.states.get(step.state)?.fill(step.value);
    for (const [name, values] of initial) {
      if (!this.states.has(name)) throw new Error(`no state ${name}; there are ${[...this.states.keys()].join(", ")}`);
      this.states.set(name, Float64Array.from(values));
    }
  }

  /** Runs one entry and keeps what it writes. */
  run(entryName: string, inputs: Readonly<Record<string, ArrayLike<number>>> = {}): ReadonlyMap<string, Elements> {
    const entry = this.program.entries.find(({ name }) => name === entryName);
    if (entry === undefined) throw new Error(`no entry ${entryName}`);
    const given = new Map(Object.entries(inputs).map(([name, values]) => [name, Float64Array.from(values)]));
    const { outputs, writes } = interpret(entry.graph, {
      inputs: given,
      feeds: given,
      states: this.states,
      hostScalar: (expr) => evaluateHostExpr(expr, { hyper: this.hyper, counters: this.counters }),
    });
    for (const [name, value] of writes) this.states.set(name, value);
    for (const [name, by] of Object.entries(entry.increments)) {
      this.counters.set(name, (this.counters.get(name) ?? 0) + by);
    }
    return outputs;
  }

  /** The elements of a state. */
  state(name: string): Elements {
    const value = this.states.get(name);
    if (value === undefined) throw new Error(`no state ${name}`);
    return value;
  }
}
