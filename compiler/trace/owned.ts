/**
 * What `setup` returned: modules, optimizers, schedulers and drawn tensors, found in its record, in arrays and in plain
 * objects. Here states get their names. If one module only has parameters (or, where none has, buffers), its states are named as in its own state dict
 * (`fc1.weight`); with several, each one's key comes first (`generator.fc1.weight`).
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { isModule, setPath, type Module } from "../nn/module.ts";
import { LRScheduler, schedulerBrand } from "../optim/lr-scheduler.ts";
import { Optimizer, optimizerBrand, setName } from "../optim/optimizer.ts";
import { stateBehind } from "./parameter.ts";
import type { ProgramTrace } from "./program-trace.ts";
import { isTensor } from "./tensor.ts";

/** All that `setup` returned, by path. */
export type Owned = {
  readonly modules: readonly (readonly [path: string, module: Module])[];
  readonly optimizers: readonly Optimizer[];
  readonly schedulers: readonly LRScheduler[];
};

type Found = {
  readonly modules: [string, Module][];
  readonly optimizers: [string, Optimizer][];
  readonly schedulers: LRScheduler[];
};

/** Finds and names what `setup` returned. */
export function claim(program: ProgramTrace, returned: unknown): Owned {
  const found: Found = { modules: [], optimizers: [], schedulers: [] };
  find(program, "", returned, found, []);
  nameModules(program, found.modules);
  for (const [path, optimizer] of found.optimizers) optimizer[setName](path === "" ? "optimizer" : path);
  const optimizers = found.optimizers.map(([, optimizer]) => optimizer);
  return { modules: found.modules, optimizers, schedulers: found.schedulers };
}

function find(program: ProgramTrace, path: string, value: unknown, found: Found, inside: readonly unknown[]): void {
  if (typeof value !== "object" || value === null || inside.includes(value)) return;
  if (isModule(value)) found.modules.push([path, value]);
  else if (optimizerBrand in value) found.optimizers.push([path, ours(value, Optimizer, "an optimizer")]);
  else if (schedulerBrand in value) found.schedulers.push(ours(value, LRScheduler, "a scheduler"));
  else if (isTensor(value)) {
    const state = stateBehind(value);
    if (state !== undefined && !state.adopted) {
      state.adopted = true;
      program.nameState(state, path);
    }
  } else if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype) {
    for (const [key, part] of Object.entries(value))
      find(program, path === "" ? key : `${path}.${key}`, part, found, [...inside, value]);
  }
}

/** `value` as an instance of this copy's class. */
function ours<T>(value: object, type: abstract new (...args: never) => T, what: string): T {
  if (value instanceof type) return value;
  throw fail(messages.twoCopies(what));
}

function nameModules(program: ProgramTrace, found: readonly (readonly [string, Module])[]): void {
  const below = (module: Module): Module[] => module.modules().filter((each) => each !== module);
  const inner = new Set(found.flatMap(([, module]) => below(module)));
  const outer = found.filter(([, module], i) => !inner.has(module) && found.findIndex(([, m]) => m === module) === i);
  const withParameters = outer.filter(([, module]) => module.parameters().length > 0);
  const withState = outer.filter(([, module]) => module.buffers().length > 0);
  const main = withParameters.length > 0 ? withParameters : withState;
  for (const [key, module] of outer) {
    const prefix = main.length === 1 && main[0]?.[1] === module ? "" : key;
    for (const [path, each] of module.namedModules(prefix)) each[setPath](path);
    for (const [name, tensor] of [...module.namedParameters(prefix), ...module.namedBuffers(prefix)]) {
      const state = stateBehind(tensor);
      if (state !== undefined && state.name === undefined) program.nameState(state, name);
    }
  }
}
