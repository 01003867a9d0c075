/**
 * One run of an entry: a number of steps over given inputs. It checks all that it was given before anything runs, hands
 * the steps to the device in stretches short enough to stop between, computes each step's host scalars, and gathers the
 * results. It knows nothing of queues or promises: the program drives it.
 */
import { evaluateHostExpr } from "../ir/artifact/host-expr.ts";
import type { ManifestBuffer, ManifestEntry } from "../ir/artifact/manifest.ts";
import { fail, invariant, unreachable } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { at, byteLength, elementCount, formatType, type Shape } from "../ir/type.ts";
import { aligned, type Staging } from "./memory.ts";
import type { NativeBuffers, NativeView } from "./native.ts";
import { bytesOf, newTypedArray, type TypedArray } from "./typed-array.ts";

/** Things by name. */
export type Named<T> = ReadonlyMap<string, T> | Readonly<Record<string, T>>;

/** A whole field of a data set, `[rows, ...shape]`, densely packed. It must not change while the program is in use. */
export type DatasetField = { readonly data: TypedArray } & ({ readonly rows: number } | { readonly shape: Shape });

/** What a run is given. */
export type RunOptions = {
  readonly entry: string;
  /** Batch size; may be left out if the entry was compiled for one only. */
  readonly batch?: number;
  /** Number of steps; 1 if left out. */
  readonly steps?: number;
  /** For each input, the batches of all steps behind each other. */
  readonly inputs?: Named<TypedArray>;
  /** For each resident field, all of it. */
  readonly datasets?: Named<DatasetField>;
  /** Sample numbers of all steps behind each other, `[steps, batch]`. */
  readonly indices?: Int32Array;
  /** Called before each step but the first, with the number of steps before it; what it changes of `hyper` holds from there. */
  readonly onStep?: (step: number) => void;
  /** Called from time to time (every 50 ms or so, and at the end) with the number of steps done. */
  readonly onProgress?: (done: number) => void | Promise<void>;
};

/** What a run gives. */
export type RunResult = {
  /** Steps done; fewer than asked for only after `stop`. */
  readonly steps: number;
  /** For each output, the results of all steps done behind each other. */
  readonly outputs: Readonly<Record<string, TypedArray>>;
};

/** What a run works with besides its options: the parts of a program it may touch. */
export type RunContext = {
  readonly state: Float64Array;
  readonly arena: Float64Array;
  readonly generator: Uint32Array;
  readonly staging: Staging;
  readonly hyper: ReadonlyMap<string, number>;
  readonly counters: Map<string, number>;
  /** Nanoseconds a step of this entry took last; `undefined` before the first. */
  readonly pace: number | undefined;
};

/** Longest stretch of steps: in steps, and in nanoseconds. */
const longestStretch = 256;
const stretchTime = 50e6;

/** Code in the status buffer for an index outside its axis. */
const indexOutOfRange = 1;

/** A stretch of steps, ready for the device. */
export type Stretch = { readonly steps: number; readonly buffers: NativeBuffers };

/** One run, driven as `while ((stretch = run.next())) run.finish(await device(stretch))`. */
export class Run {
  readonly entry: ManifestEntry;
  readonly steps: number;
  #done = 0;
  #pace: number | undefined;
  readonly #options: RunOptions;
  readonly #context: RunContext;
  readonly #inputs: ReadonlyMap<string, TypedArray>;
  readonly #datasets: ReadonlyMap<string, DatasetField>;
  readonly #outputs: Map<string, TypedArray> = new Map();
  #stretch: { readonly steps: number; readonly counters: ReadonlyMap<string, number> } | undefined;

  /** @throws UserError K3007, K3008, K3015 if what is given does not fit the entry. */
  constructor(entry: ManifestEntry, options: RunOptions, context: RunContext) {
    this.entry = entry;
    this.steps = options.steps ?? 1;
    this.#options = options;
    this.#context = context;
    this.#pace = context.pace;
    if (!Number.isSafeInteger(this.steps) || this.steps < 1)
      throw fail(messages.badRuntimeOption("steps", "a whole number of at least 1", String(options.steps)));
    this.#inputs = entriesOf(options.inputs);
    this.#datasets = entriesOf(options.datasets);
    this.#checkNames("input", this.#inputs);
    this.#checkNames("dataset", this.#datasets);
    for (const buffer of entry.buffers) this.#checkBuffer(buffer);
    for (const buffer of entry.buffers)
      if (buffer.role === "output")
        this.#outputs.set(buffer.name, newTypedArray(buffer.dtype, this.steps * elementCount(buffer.shape)));
  }

  /** Steps that are done. */
  get done(): number {
    return this.#done;
  }

  /** Nanoseconds a step takes. */
  get pace(): number | undefined {
    return this.#pace;
  }

  /** The next stretch of steps; `undefined` when all are done. */
  next(): Stretch | undefined {
    const left = this.steps - this.#done;
    if (left === 0) return undefined;
    const affordable = this.#pace === undefined ? 1 : Math.floor(stretchTime / Math.max(this.#pace, 1));
    const steps = Math.max(1, Math.min(left, affordable, longestStretch));
    const { counters } = this.#context;
    this.#stretch = { steps, counters: new Map(counters) };
    const views: NativeView[] = [];
    const strides: number[] = [];
    const bytes: number[] = [];
    for (const buffer of this.entry.buffers) {
      const { view, stride, size } = this.#bind(buffer, steps);
      views.push(view);
      strides.push(stride);
      bytes.push(size);
    }
    this.#advance(steps, views);
    return { steps, buffers: { views, strides, bytes } };
  }

  /**
   * Takes the results of the stretch: `done` of its steps were done, in `nanoseconds`.
   *
   * @throws UserError K3011 if a step met an index outside its axis.
   */
  finish(done: number, nanoseconds: number): void {
    const stretch = this.#stretch;
    invariant(stretch !== undefined, "a stretch is finished before it began");
    if (done < stretch.steps) this.#rewind(stretch.counters, done);
    if (done > 0) {
      // Grows slowly from the first measurement, which may have been an unusual one.
      const pace = nanoseconds / done;
      this.#pace = this.#pace === undefined ? Math.max(pace, stretchTime / 16) : (this.#pace + 3 * pace) / 4;
    }
    this.#checkStatus();
    for (const buffer of this.entry.buffers) if (buffer.role === "output") this.#collect(buffer, done);
    this.#done += done;
  }

  /** Gives up the stretch under way: its steps count as not done. */
  abandon(): void {
    if (this.#stretch !== undefined) this.#rewind(this.#stretch.counters, 0);
  }

  /** The results so far. */
  result(): RunResult {
    const outputs: Record<string, TypedArray> = Object.create(null) as Record<string, TypedArray>; // names are data
    for (const buffer of this.entry.buffers) {
      if (buffer.role !== "output") continue;
      const all = this.#outputs.get(buffer.name);
      invariant(all !== undefined, "an output without memory");
      outputs[buffer.name] = this.#done === this.steps ? all : all.slice(0, this.#done * elementCount(buffer.shape));
    }
    return { steps: this.#done, outputs };
  }

  #checkNames(role: "input" | "dataset", given: ReadonlyMap<string, unknown>): void {
    const known = this.entry.buffers.filter((buffer) => buffer.role === role).map((buffer) => buffer.name);
    for (const name of given.keys())
      if (!known.includes(name))
        throw fail(
          messages.badEntryInput(
            this.entry.name,
            name,
            `one of the ${role}s: ${known.join(", ") || "none"}`,
            "another name",
          ),
        );
  }

  #checkBuffer(buffer: ManifestBuffer): void {
    const refuse = (expected: string, got: string): Error =>
      fail(messages.badEntryInput(this.entry.name, buffer.name, expected, got));
    const count = this.steps * elementCount(buffer.shape);
    if (buffer.role === "input") {
      const view = this.#inputs.get(buffer.name);
      const expected = `${this.steps} × ${formatType(buffer)}, ${count} elements`;
      if (view === undefined) throw refuse(expected, "nothing");
      if (!holds(view, buffer.dtype) || view.length !== count) throw refuse(expected, nameOf(view));
    } else if (buffer.role === "dataset") {
      const field = this.#datasets.get(buffer.name);
      const row = elementCount(buffer.shape.slice(1));
      const expected = `rows of ${formatType({ dtype: buffer.dtype, shape: buffer.shape.slice(1) })}`;
      if (field === undefined) throw refuse(expected, "nothing");
      const { data } = field;
      const rows = rowsOf(field);
      if (!Number.isSafeInteger(rows) || rows < 1 || rows > 2 ** 31) throw refuse(expected, `${rows} rows`);
      if (!holds(data, buffer.dtype) || data.length !== rows * row)
        throw refuse(expected, `${nameOf(data)} as ${rows} rows`);
    } else if (buffer.role === "indices") {
      const { indices } = this.#options;
      if (!(indices instanceof Int32Array) || indices.length !== count)
        throw refuse(`an Int32Array of ${count} sample numbers`, indices === undefined ? "nothing" : nameOf(indices));
      this.#checkIndices(indices);
    } else if (buffer.role === "generator" && this.#context.generator.byteLength < byteLength(buffer)) {
      throw refuse(`at most ${this.#context.generator.byteLength} bytes of generator state`, formatType(buffer));
    }
  }

  #checkIndices(indices: Int32Array): void {
    const rows = Math.min(...[...this.#datasets.values()].map(rowsOf));
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i] ?? 0;
      if (index < 0 || index >= rows) throw fail(messages.sampleNumberOutside(this.entry.name, i, index, rows));
    }
  }

  /** What the device is given for a buffer in a stretch. */
  #bind(
    buffer: ManifestBuffer,
    steps: number,
  ): { readonly view: NativeView; readonly stride: number; readonly size: number } {
    const { state, arena, generator, staging } = this.#context;
    const size = byteLength(buffer);
    const elements = elementCount(buffer.shape);
    const part = (view: TypedArray): TypedArray =>
      view.subarray(this.#done * elements, (this.#done + steps) * elements);
    switch (buffer.role) {
      case "state":
        return { view: state, stride: 0, size: state.byteLength };
      case "arena":
        return { view: arena, stride: 0, size: this.entry.arenaBytes };
      case "generator":
        return { view: generator, stride: 0, size };
      case "status":
        return { view: staging.place("status", size).fill(0), stride: 0, size };
      case "scalars":
        return { view: staging.place("scalars", aligned(size) * steps), stride: aligned(size), size };
      case "output":
        return { view: staging.place(`output ${buffer.name}`, aligned(size) * steps), stride: aligned(size), size };
      case "input": {
        const view = this.#inputs.get(buffer.name);
        invariant(view !== undefined, "an input that was checked is gone");
        return { view: staging.passing(`input ${buffer.name}`, part(view)), stride: size, size };
      }
      case "indices": {
        const { indices } = this.#options;
        invariant(indices !== undefined, "indices that were checked are gone");
        return { view: staging.passing("indices", part(indices)), stride: size, size };
      }
      case "dataset": {
        const field = this.#datasets.get(buffer.name);
        invariant(field !== undefined, "a data set that was checked is gone");
        return { view: staging.lasting(field.data), stride: 0, size: field.data.byteLength };
      }
      case "draws":
      case "key":
        throw new RangeError(`${buffer.role} on a processor`);
      default:
        return unreachable(buffer.role);
    }
  }

  /** Computes the host scalars of steps and counts the steps. */
  #advance(steps: number, views: readonly NativeView[]): void {
    const { hyper, counters } = this.#context;
    const place = this.entry.buffers.findIndex((buffer) => buffer.role === "scalars");
    const view = place < 0 ? undefined : at(views, place);
    const scalars = view === undefined ? undefined : new Float32Array(view.buffer, view.byteOffset);
    const stride = place < 0 ? 0 : aligned(byteLength(at(this.entry.buffers, place))) / 4;
    const environment = { hyper, counters };
    const increments = Object.entries(this.entry.increments);
    for (let step = 0; step < steps; step++) {
      if (this.#done + step > 0) this.#options.onStep?.(this.#done + step);
      if (scalars !== undefined)
        for (const [i, formula] of this.entry.scalars.entries())
          scalars[step * stride + i] = evaluateHostExpr(formula, environment);
      for (const [name, amount] of increments) counters.set(name, (counters.get(name) ?? 0) + amount);
    }
  }

  /** Sets the counters to what they are after `done` steps of the stretch. */
  #rewind(before: ReadonlyMap<string, number>, done: number): void {
    for (const [name, value] of before)
      this.#context.counters.set(name, value + done * (this.entry.increments[name] ?? 0));
  }

  #checkStatus(): void {
    if (!this.entry.buffers.some((buffer) => buffer.role === "status")) return;
    const [code = 0, value = 0, limit = 0] = new Int32Array(this.#context.staging.place("status", 16).buffer, 0, 4);
    if (code === 0) return;
    if (code === indexOutOfRange) throw fail(messages.indexOutside(this.entry.name, value, limit));
    throw fail(messages.unknownStatus(this.entry.name, [code, value, limit]));
  }

  /** Copies an output of the stretch to its place, closing the gaps that align each step's. */
  #collect(buffer: ManifestBuffer, done: number): void {
    const all = this.#outputs.get(buffer.name);
    invariant(all !== undefined, "an output without memory");
    const size = byteLength(buffer);
    const stride = aligned(size);
    const to = bytesOf(all);
    const from = bytesOf(this.#context.staging.place(`output ${buffer.name}`, 0));
    for (let step = 0; step < done; step++)
      to.set(from.subarray(step * stride, step * stride + size), (this.#done + step) * size);
  }
}

/** Things by name as a map. */
export function entriesOf<T>(named: Named<T> | undefined): ReadonlyMap<string, T> {
  if (named === undefined) return new Map();
  return named instanceof Map ? named : new Map(Object.entries(named));
}

/** Number of rows of a field. */
function rowsOf(field: DatasetField): number {
  return "rows" in field ? field.rows : (field.shape[0] ?? 0);
}

/** Whether an array is of the kind that holds elements of `dtype`. */
function holds(view: TypedArray, dtype: ManifestBuffer["dtype"]): boolean {
  return view instanceof newTypedArray(dtype, 0).constructor;
}

function nameOf(view: unknown): string {
  return ArrayBuffer.isView(view) && "length" in view
    ? `a ${view.constructor.name} of ${String(view.length)}`
    : typeof view;
}
