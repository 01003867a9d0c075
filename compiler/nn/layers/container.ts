/** Modules that hold others. */
import type { Tensor } from "../../trace/tensor.ts";
import { Module, type Layer } from "../module.ts";

/** Puts `module` under an own property, as a name of the state dict. */
function hold(owner: Module, name: string, module: Module): void {
  Object.defineProperty(owner, name, { value: module, enumerable: true, configurable: true, writable: true });
}

/** Layers one after the other: `0`, `1`, … in the state dict, or the given names. */
export class Sequential extends Module {
  readonly #layers: Layer[] = [];

  constructor(...layers: readonly Layer[] | readonly [Readonly<Record<string, Layer>>]) {
    super();
    const [first] = layers;
    const named = first !== undefined && !(first instanceof Module) ? Object.entries(first) : undefined;
    for (const [name, layer] of named ?? Object.entries(layers as readonly Layer[])) {
      hold(this, name, layer);
      this.#layers.push(layer);
    }
  }

  /** Number of layers. */
  get length(): number {
    return this.#layers.length;
  }

  /** Layer `index`, negative from the end. */
  at(index: number): Layer | undefined {
    return this.#layers.at(index);
  }

  /** Adds a layer at the end. */
  append(layer: Layer): this {
    hold(this, String(this.#layers.length), layer);
    this.#layers.push(layer);
    return this;
  }

  /** The layers in order. */
  [Symbol.iterator](): ArrayIterator<Layer> {
    return this.#layers.values();
  }

  /** x through all layers in order. */
  forward(x: Tensor): Tensor {
    return this.#layers.reduce((value, layer) => layer.forward(value), x);
  }
}

/** A list of modules, `0`, `1`, … in the state dict. */
export class ModuleList<T extends Module = Module> extends Module {
  readonly #list: T[] = [];

  constructor(modules: Iterable<T> = []) {
    super();
    for (const module of modules) this.append(module);
  }

  /** Number of modules. */
  get length(): number {
    return this.#list.length;
  }

  /** Module `index`, negative from the end. */
  at(index: number): T | undefined {
    return this.#list.at(index);
  }

  /** Adds a module at the end. */
  append(module: T): this {
    hold(this, String(this.#list.length), module);
    this.#list.push(module);
    return this;
  }

  /** What `transform` makes of each module. */
  map<U>(transform: (module: T, index: number) => U): U[] {
    return this.#list.map(transform);
  }

  /** The modules in order. */
  [Symbol.iterator](): ArrayIterator<T> {
    return this.#list.values();
  }
}

/** Modules by name. */
export class ModuleDict<T extends Module = Module> extends Module {
  readonly #modules = new Map<string, T>();

  constructor(modules: Readonly<Record<string, T>> = {}) {
    super();
    for (const [name, module] of Object.entries(modules)) {
      hold(this, name, module);
      this.#modules.set(name, module);
    }
  }

  /** The module of that name. */
  get(name: string): T | undefined {
    return this.#modules.get(name);
  }

  /** Names and modules, in order of definition. */
  entries(): MapIterator<[string, T]> {
    return this.#modules.entries();
  }
}
