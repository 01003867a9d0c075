/**
 * What one program gathers while it is traced, across `setup` and all entries: its states in order of declaration, the
 * steps that initialise them in order of the draws, hyperparameters and counters. States are named only when `setup` has
 * returned, so steps are kept with the state itself and turned into plain data by `finishInit`.
 */
import { fail, invariant, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { InitStep } from "../../ir/random/init.ts";
import type { TensorType } from "../../ir/type.ts";
import type { StateDecl } from "./traced.ts";

/** A value that lives between calls. Has identity: two states never share storage. */
export class State {
  role: StateDecl["role"];
  readonly type: TensorType;
  /** Where the user's code made it. */
  readonly source: SourceLocation | undefined;
  /** Its path once `setup` has returned; `undefined` while nobody owns it. */
  name: string | undefined = undefined;
  /** Whether reads of it start a gradient. */
  requiresGrad: boolean;
  /** Whether a Parameter or Buffer stands for it already; a drawn tensor of `setup` waits for one. */
  adopted: boolean;

  constructor(options: {
    readonly role: StateDecl["role"];
    readonly type: TensorType;
    readonly source: SourceLocation | undefined;
    readonly requiresGrad: boolean;
    readonly adopted: boolean;
  }) {
    this.role = options.role;
    this.type = options.type;
    this.source = options.source;
    this.requiresGrad = options.requiresGrad;
    this.adopted = options.adopted;
  }
}

/** An initialisation step that does not know its state's name yet. */
export type PendingStep = {
  readonly state: State;
  /** Whether it takes numbers from the generator. */
  readonly draws: boolean;
  /** The state it copies, if it does. */
  readonly from: State | undefined;
  readonly step: (nameOf: (state: State) => string) => InitStep;
};

/** Shared by all traces of one program. */
export class ProgramTrace {
  /** Folder that file names in source locations are relative to. */
  readonly root: string;
  readonly states: State[] = [];
  readonly init: PendingStep[] = [];
  /** First values of hyperparameters by name. */
  readonly hyper: Map<string, number> = new Map();
  readonly counters: Set<string> = new Set();

  constructor(root: string) {
    this.root = root;
  }

  /** Declares a state. */
  addState(state: State): State {
    this.states.push(state);
    return state;
  }

  /** Appends an initialisation step of `state`. */
  addStep(pending: PendingStep): void {
    this.init.push(pending);
  }

  /** What `body` makes, without the initialisation steps it records: for modules that start as copies of others. */
  withoutSteps<T>(body: () => T): T {
    const count = this.init.length;
    const made = body();
    this.init.length = count;
    return made;
  }

  /** Names a state; two states of one name are the user's mistake. */
  nameState(state: State, name: string): void {
    const other = this.states.find((candidate) => candidate.name === name);
    if (other !== undefined && other !== state) throw fail(messages.duplicateStateName(name), state.source);
    state.name = name;
  }

  /**
   * Declarations of the states that have names, and the initialisation as plain data. What nobody owns is dropped, unless
   * its initialisation draws random numbers or another's starts from it: the draws happen all the same, on a `scratch`
   * tensor.
   */
  finish(): { readonly states: StateDecl[]; readonly init: InitStep[] } {
    const scratch = new Map<State, string>();
    for (const { state, draws, from } of this.init) {
      for (const needed of [draws ? state : undefined, from]) {
        if (needed !== undefined && needed.name === undefined && !scratch.has(needed))
          scratch.set(needed, `setup.${scratch.size}`);
      }
    }
    const nameOf = (state: State): string => {
      const name = state.name ?? scratch.get(state);
      invariant(name !== undefined, "an initialisation step of a dropped state");
      return name;
    };
    const init: InitStep[] = [...scratch].map(([state, name]) => ({ kind: "scratch", state: name, ...state.type }));
    for (const { state, step } of this.init) {
      if (state.name !== undefined || scratch.has(state)) init.push(step(nameOf));
    }
    return { states: this.states.flatMap(declaration), init };
  }
}

function declaration({ name, role, type }: State): StateDecl[] {
  return name === undefined ? [] : [{ name, role, dtype: type.dtype, shape: type.shape }];
}
