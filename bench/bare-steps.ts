/**
 * A program's entries called without what `Program` does around a call: memory of its own, the state a training begins
 * with, real batches. For measuring parts of a step.
 */
import { evaluateHostExpr } from "../ir/artifact/host-expr.ts";
import type { ManifestBuffer } from "../ir/artifact/manifest.ts";
import { Generator } from "../ir/random/generator.ts";
import { initialize } from "../ir/random/initialize.ts";
import { at, byteLength, elementCount } from "../ir/type.ts";
import { aligned } from "../runtime/memory.ts";
import type { NativeAddon, NativeProgram, NativeView } from "../runtime/native.ts";
import { StateRegion, type StateTensor } from "../runtime/state.ts";
import { bytesOf, newTypedArray } from "../runtime/typed-array.ts";
import type { TakenApart } from "./launches.ts";

/** Steps of training before anything is timed. */
export const warmSteps = 200;

/** A program in memory of its own, called without what `Program` does around a call. Times in microseconds. */
export class Steps {
  readonly #parts: TakenApart;
  readonly #threads: number;
  readonly #native: NativeProgram;
  readonly #places: ReadonlyMap<string, number>;
  readonly #views: NativeView[];
  readonly #bytes: readonly number[];
  readonly #zeros: readonly number[];
  readonly #whole: string;
  readonly #order: Int32Array;
  #next = 0;

  constructor(parts: TakenApart, addon: NativeAddon, threads: number) {
    const { entry, loader } = parts;
    this.#parts = parts;
    this.#threads = threads;
    this.#native = new addon.NativeProgram(parts.image);
    this.#places = new Map(this.#native.entries.map(({ name }, place) => [name, place]));
    this.#whole = `${entry.name}@${entry.batch}`;
    this.#order = loader.epoch().order;
    const fields = [...(loader.resident()?.fields ?? [])];
    this.#views = entry.buffers.map((buffer) => {
      if (buffer.role === "state") return initialState(parts, addon);
      if (buffer.role === "dataset") return copyOf(addon, bytesOf(at(fields.splice(0, 1), 0).data));
      if (buffer.role === "generator") return seeded().state;
      return allocate(addon, buffer.role === "arena" ? entry.arenaBytes : byteLength(buffer));
    });
    this.#bytes = this.#views.map((view) => view.byteLength);
    this.#zeros = entry.buffers.map(() => 0);
    this.#fillScalars();
  }

  /** Chooses the next batch. */
  nextBatch(): void {
    const { batch } = this.#parts.entry;
    if (this.#next + batch > this.#order.length) this.#next = 0;
    const view = this.#view("indices");
    if (view !== undefined)
      new Int32Array(view.buffer, view.byteOffset, batch).set(this.#order.subarray(this.#next, this.#next + batch));
    this.#next += batch;
  }

  /** Runs whole steps, a call each; gives the time of all. */
  runWhole(steps: number): number {
    let time = 0;
    for (let step = 0; step < steps; step++) {
      this.nextBatch();
      time += this.runEntry(this.#whole);
    }
    return time;
  }

  /** Runs an entry of the library once. */
  runEntry(label: string): number {
    const place = this.#places.get(label) ?? 0;
    const begin = process.hrtime.bigint();
    this.#native.runSync(place, 1, this.#threads, this.#views, this.#zeros, this.#bytes);
    return Number(process.hrtime.bigint() - begin) / 1e3;
  }

  /** The host's scalars as they are some way into a training. */
  #fillScalars(): void {
    const { entry, manifest } = this.#parts;
    const view = this.#view("scalars");
    if (view === undefined) return;
    const values = new Float32Array(view.buffer, view.byteOffset, entry.scalars.length);
    const counters = new Map(manifest.counters.map((name) => [name, warmSteps]));
    const hyper = new Map(Object.entries(manifest.hyper));
    for (const [i, formula] of entry.scalars.entries()) values[i] = evaluateHostExpr(formula, { hyper, counters });
  }

  #view(role: ManifestBuffer["role"]): NativeView | undefined {
    return this.#views[this.#parts.entry.buffers.findIndex((buffer) => buffer.role === role)];
  }
}

/** A generator that has been seeded, as a training's is. */
function seeded(): Generator {
  const generator = new Generator();
  generator.manualSeed(0);
  return generator;
}

function allocate(addon: NativeAddon, bytes: number): Uint8Array {
  return new Uint8Array(addon.allocate(aligned(bytes)), 0, bytes);
}

function copyOf(addon: NativeAddon, bytes: Uint8Array): Uint8Array {
  const copy = allocate(addon, bytes.byteLength);
  copy.set(bytes);
  return copy;
}

/** A state region with the values that a training begins with. */
function initialState({ manifest }: TakenApart, addon: NativeAddon): Uint8Array {
  const memory = addon.allocate(aligned(manifest.state.bytes));
  const region = new StateRegion(manifest.state.values, memory);
  const tensors = new Map<string, StateTensor>();
  for (const { name, dtype, shape } of region.values)
    tensors.set(name, { dtype, shape, data: newTypedArray(dtype, elementCount(shape)) });
  initialize(manifest.init, tensors, seeded());
  region.write(["parameter", "buffer", "slot"], tensors);
  return new Uint8Array(memory, 0, manifest.state.bytes);
}
