/**
 * `Module`, the base class of models. A subclass keeps its layers, parameters and buffers in properties and computes in a
 * method `forward`; nothing is registered. Calls of `forward` are noted, so that every op knows the module it ran in.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { Buffer, type Parameter } from "../trace/parameter.ts";
import type { Tensor } from "../trace/tensor.ts";
import { activeTrace, currentTrace } from "../trace/trace.ts";
import { held, isModuleLike, moduleBrand, type Held } from "./walk.ts";

/** A module that takes one tensor to another: what `Sequential` chains. */
export type Layer = Module & { forward(x: Tensor): Tensor };

/** Where a named tensor of a module lies. */
export type NamedTensor<T extends Tensor> = readonly [name: string, tensor: T];

/** Sets the path that errors and sources name a module by. */
export const setPath: unique symbol = Symbol("kiln.setPath");

const wrapped: unique symbol = Symbol("kiln.wrapped");

/** The base class of models and layers. */
export class Module {
  #training = true;
  #path: string | undefined = undefined;

  constructor() {
    const forward: unknown = Reflect.get(this, "forward");
    if (typeof forward === "function") noteCalls(this, forward);
  }

  /** Marks modules of every copy of the library. */
  get [moduleBrand](): true {
    return true;
  }

  /** Whether the module is in training mode: dropout drops, batch norm uses the batch's statistics. */
  get training(): boolean {
    return this.#training;
  }

  /** Path from the module that `setup` returned, such as `layers.3.attn`; `undefined` before `setup` has returned. */
  get path(): string | undefined {
    return this.#path;
  }

  /** The first path a module is given stays. A `forward` that is a property is noted here. */
  [setPath](path: string): void {
    this.#path ??= path;
    const own: unknown = Object.getOwnPropertyDescriptor(this, "forward")?.value;
    if (typeof own === "function" && !(wrapped in own)) noteCalls(this, own);
  }

  /** Modules held directly, each once, by the name it is first found under. */
  namedChildren(): [string, Module][] {
    const seen = new Set<Module>();
    return held(this).flatMap((each): [string, Module][] => {
      if (each.kind !== "module") return [];
      const child = requireModule(each.module);
      if (seen.has(child)) return [];
      seen.add(child);
      return [[each.name, child]];
    });
  }

  /** Modules held directly, each once. */
  children(): Module[] {
    return this.namedChildren().map(([, module]) => module);
  }

  /** This module (with path `prefix`) and all below it, each once, parents first. */
  namedModules(prefix: string = ""): [string, Module][] {
    const found = new Map<Module, string>();
    visit(this, prefix, [], (path, module) => {
      if (!found.has(module)) found.set(module, path);
    });
    return [...found].map(([module, path]) => [path, module]);
  }

  /** This module and all below it, each once. */
  modules(): Module[] {
    return this.namedModules().map(([, module]) => module);
  }

  /** Parameters with their names, each once, in order of definition. */
  namedParameters(prefix: string = ""): NamedTensor<Parameter>[] {
    return uniqueByTensor(tensorsOf(this, prefix, (each) => (each.kind === "parameter" ? each.tensor : undefined)));
  }

  /** Parameters, each once. */
  parameters(): Parameter[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** Buffers with their names, each once. */
  namedBuffers(prefix: string = ""): NamedTensor<Buffer>[] {
    return uniqueByTensor(tensorsOf(this, prefix, (each) => (each.kind === "buffer" ? each.tensor : undefined)));
  }

  /** Buffers, each once. */
  buffers(): Buffer[] {
    return this.namedBuffers().map(([, buffer]) => buffer);
  }

  /** Parameters and persistent buffers under PyTorch's keys; a shared tensor is listed under each of its names. */
  stateDict(prefix: string = ""): Map<string, Tensor> {
    const all: NamedTensor<Tensor>[] = [];
    visit(this, prefix, [], (path, inner) => {
      const own = held(inner);
      // A module's parameters come before its buffers, whatever their order of definition.
      for (const each of own) if (each.kind === "parameter") all.push([join(path, each.name), each.tensor]);
      for (const each of own)
        if (each.kind === "buffer" && each.tensor.persistent) all.push([join(path, each.name), each.tensor]);
    });
    return new Map(all);
  }

  /** Copies the values of `state` into the tensors of the same names: in `setup`, or in a step under `noGrad`. */
  loadStateDict(state: ReadonlyMap<string, Tensor>): this {
    const own = this.stateDict();
    const missing = [...own.keys()].filter((name) => !state.has(name));
    const unexpected = [...state.keys()].filter((name) => !own.has(name));
    if (missing.length + unexpected.length > 0)
      throw fail(messages.stateDictMismatch(missing, unexpected), currentTrace("loadStateDict").here());
    currentTrace("loadStateDict").withGrad(false, () => {
      for (const [name, tensor] of own) tensor.copy_(state.get(name) ?? tensor);
    });
    return this;
  }

  /** Puts this module and all below it in training mode, or (`false`) in evaluation mode. */
  train(mode: boolean = true): this {
    for (const module of this.modules()) module.#training = mode;
    return this;
  }

  /** Puts this module and all below it in evaluation mode. */
  eval(): this {
    return this.train(false);
  }

  /** Calls `visitor` with every module below this one and then this one. */
  apply(visitor: (module: Module) => void): this {
    for (const child of this.children()) child.apply(visitor);
    visitor(this);
    return this;
  }

  /** Makes gradients flow into all parameters, or stops them. */
  requiresGrad_(flag: boolean = true): this {
    for (const parameter of this.parameters()) parameter.requiresGrad_(flag);
    return this;
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.grad = undefined;
  }

  /** Makes `tensor` a buffer under the property `name`; declare it in the class: `declare name: Tensor`. */
  registerBuffer(name: string, tensor: Tensor, options: { readonly persistent?: boolean } = {}): void {
    const value = new Buffer(tensor, options);
    Object.defineProperty(this, name, { value, enumerable: true, configurable: true, writable: true });
  }
}

/** A module of this copy of the library. */
export function requireModule(x: unknown): Module {
  if (x instanceof Module) return x;
  throw fail(messages.twoCopies("a module"), activeTrace()?.here());
}

/** Whether `x` is a module; one of another copy of the library is a `UserError`. */
export function isModule(x: unknown): x is Module {
  return isModuleLike(x) && requireModule(x) === x;
}

/** Replaces `forward` on the object itself by one that notes which module runs. */
function noteCalls(module: Module, forward: Function): void {
  const noted = (...args: readonly unknown[]): unknown => {
    const trace = activeTrace();
    const call = (): unknown => {
      const result: unknown = Reflect.apply(forward, module, args);
      if (!(result instanceof Promise)) return result;
      result.catch(() => undefined);
      throw fail(messages.asyncInTrace("forward"), trace?.here());
    };
    return trace === undefined || module.path === undefined ? call() : trace.inModule(module.path, call);
  };
  Object.defineProperty(noted, wrapped, { value: true });
  Object.defineProperty(module, "forward", { value: noted, enumerable: false, configurable: true, writable: true });
}

/** Calls `found` for `module` and all below it, under every path. */
function visit(
  module: Module,
  path: string,
  above: readonly Module[],
  found: (path: string, module: Module) => void,
): void {
  if (above.includes(module)) throw fail(messages.moduleCycle(path));
  found(path, module);
  for (const each of held(module)) {
    if (each.kind === "module") visit(requireModule(each.module), join(path, each.name), [...above, module], found);
  }
}

/** Tensors below a module under every path, a module's own before those of its children, as PyTorch orders them. */
function tensorsOf<T extends Tensor>(
  module: Module,
  prefix: string,
  pick: (each: Held) => T | undefined,
): NamedTensor<T>[] {
  const found: NamedTensor<T>[] = [];
  visit(module, prefix, [], (path, inner) => {
    for (const each of held(inner)) {
      const tensor = pick(each);
      if (tensor !== undefined) found.push([join(path, each.name), tensor]);
    }
  });
  return found;
}

function uniqueByTensor<T extends Tensor>(all: readonly NamedTensor<T>[]): NamedTensor<T>[] {
  const seen = new Set<T>();
  return all.filter(([, tensor]) => !seen.has(tensor) && seen.add(tensor));
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
