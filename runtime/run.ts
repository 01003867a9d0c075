/**
 * One run of an entry: a number of steps over given inputs. It checks all that it was given before anything runs, hands
 * the steps to the executor in stretches short enough to stop between, computes each step's host scalars, makes its
 * draws, and gathers the results. It knows nothing of queues, promises or devices: the program drives it.
 */
import { evaluateHostExpr } from "../ir/artifact/host-expr.ts";
import type { ManifestBuffer, ManifestEntry } from "../ir/artifact/manifest.ts";
import { fail, invariant, unreachable } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { byteLength, elementCount, formatType, type Shape } from "../ir/type.ts";
import { fillDraw } from "../ir/random/draw.ts";
import type { Generator } from "../ir/random/generator.ts";
import type { Executor, Work } from "./executor.ts";
import { newTypedArray, type TypedArray } from "./typed-array.ts";

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
  /** Called from time to time (every 50 ms or so on processors, 200 ms on GPUs, and at the end) with the number of steps done. */
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
  readonly executor: Executor;
  readonly generator: Generator;
  readonly hyper: ReadonlyMap<string, number>;
  readonly counters: Map<string, number>;
  /** Nanoseconds a step of this entry took last; `undefined` before the first. */
  readonly pace: number | undefined;
};

/** Most steps of a stretch. */
const longestStretch = 256;

/** Code in the status buffer for an index outside its axis. */
const indexOutOfRange = 1;

/** A stretch under way, and what to go back to if not all of it is done. */
type Stretch = {
  readonly work: Work;
  readonly counters: ReadonlyMap<string, number>;
  /** The generator's state, if the host draws from it. */
  readonly generator: Uint32Array | undefined;
};

/** One run, driven as `while ((work = run.next())) run.finish(await executor.run(work))`. */
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
  #stretch: Stretch | undefined;

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
  next(): Work | undefined {
    const left = this.steps - this.#done;
    if (left === 0) return undefined;
    const { counters, executor, generator } = this.#context;
    const affordable =
      this.#pace === undefined ? 1 : Math.floor((1e6 * executor.stretchTime) / Math.max(this.#pace, 1));
    const steps = Math.max(1, Math.min(left, affordable, longestStretch, executor.mostSteps(this.entry)));
    const work = { entry: this.entry, steps, given: this.entry.buffers.map((buffer) => this.#give(buffer, steps)) };
    const draws = this.entry.buffers.some(({ role }) => role === "draws" || role === "key");
    this.#stretch = { work, counters: new Map(counters), generator: draws ? generator.save() : undefined };
    this.#advance(work);
    return work;
  }

  /**
   * Takes the results of the stretch: `done` of its steps were done, in `nanoseconds`.
   *
   * @throws UserError K3011 if a step met an index outside its axis.
   */
  finish(done: number, nanoseconds: number): void {
    const stretch = this.#stretch;
    invariant(stretch !== undefined, "a stretch is finished before it began");
    if (done < stretch.work.steps) this.#rewind(stretch, done);
    if (done > 0) {
      // Grows slowly from the first measurement, which may have been an unusual one.
      const pace = nanoseconds / done;
      const unusual = (1e6 * this.#context.executor.stretchTime) / 16;
      this.#pace = this.#pace === undefined ? Math.max(pace, unusual) : (this.#pace + 3 * pace) / 4;
    }
    this.#checkStatus();
    for (const [place, buffer] of this.entry.buffers.entries())
      if (buffer.role === "output") this.#collect(place, buffer, done);
    this.#done += done;
  }

  /** Gives up the stretch under way: its steps count as not done. */
  abandon(): void {
    if (this.#stretch !== undefined) this.#rewind(this.#stretch, 0);
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
    } else if (buffer.role === "generator" && this.#context.generator.state.byteLength < byteLength(buffer)) {
      throw refuse(`at most ${this.#context.generator.state.byteLength} bytes of generator state`, formatType(buffer));
    }
  }

  #checkIndices(indices: Int32Array): void {
    const rows = Math.min(...[...this.#datasets.values()].map(rowsOf));
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i] ?? 0;
      if (index < 0 || index >= rows) throw fail(messages.sampleNumberOutside(this.entry.name, i, index, rows));
    }
  }

  /** What the executor is given for a buffer in a stretch. */
  #give(buffer: ManifestBuffer, steps: number): TypedArray | Uint32Array | undefined {
    const elements = elementCount(buffer.shape);
    const part = (view: TypedArray | undefined): TypedArray => {
      invariant(view !== undefined, `what was given for ${buffer.name} is gone`);
      return view.subarray(this.#done * elements, (this.#done + steps) * elements);
    };
    switch (buffer.role) {
      case "state":
      case "arena":
      case "output":
      case "status":
        return undefined;
      case "generator":
        return this.#context.generator.state;
      case "scalars":
      case "draws":
      case "key":
        return newTypedArray(buffer.dtype, elements * steps);
      case "input":
        return part(this.#inputs.get(buffer.name));
      case "indices":
        return part(this.#options.indices);
      case "dataset":
        return this.#datasets.get(buffer.name)?.data;
      default:
        return unreachable(buffer.role);
    }
  }

  /** Computes the host scalars of steps, makes their draws and counts them. */
  #advance({ steps, given }: Work): void {
    const { hyper, counters } = this.#context;
    const place = this.entry.buffers.findIndex((buffer) => buffer.role === "scalars");
    const scalars = given[place];
    const stride = (scalars?.length ?? 0) / steps;
    const environment = { hyper, counters };
    const increments = Object.entries(this.entry.increments);
    for (let step = 0; step < steps; step++) {
      if (this.#done + step > 0) this.#options.onStep?.(this.#done + step);
      if (scalars !== undefined)
        for (const [i, formula] of this.entry.scalars.entries())
          scalars[step * stride + i] = evaluateHostExpr(formula, environment);
      this.#draw(given, step);
      for (const [name, amount] of increments) counters.set(name, (counters.get(name) ?? 0) + amount);
    }
  }

  /** Makes the draws of a step of the stretch, in the order of the entry's buffers. */
  #draw(given: Work["given"], step: number): void {
    const { generator } = this.#context;
    for (const [place, { role, shape, draw }] of this.entry.buffers.entries()) {
      const view = given[place];
      const elements = elementCount(shape);
      const part = view?.subarray(step * elements, (step + 1) * elements);
      if (role === "draws" && draw !== undefined && isDrawable(part)) fillDraw(generator, part, draw);
      // Two words of seed and two that tell the step apart: all of the generator, whose state a checkpoint keeps.
      if (role === "key" && part instanceof Int32Array) for (let i = 0; i < 4; i++) part[i] = generator.nextU32() | 0;
    }
  }

  /** Sets counters and generator to what they are after `done` steps of the stretch. */
  #rewind({ work, counters, generator }: Stretch, done: number): void {
    for (const [name, value] of counters)
      this.#context.counters.set(name, value + done * (this.entry.increments[name] ?? 0));
    if (generator === undefined) return;
    this.#context.generator.restore(generator);
    for (let step = 0; step < done; step++) this.#draw(work.given, step);
  }

  #checkStatus(): void {
    if (!this.entry.buffers.some((buffer) => buffer.role === "status")) return;
    const status = this.#context.executor.status();
    const [code = 0, value = 0, limit = 0] = [status[0], status[1], status[2]];
    if (code === 0) return;
    if (code === indexOutOfRange) throw fail(messages.indexOutside(this.entry.name, value, limit));
    throw fail(messages.unknownStatus(this.entry.name, [code, value, limit]));
  }

  /** Takes over what the first `done` steps of the stretch wrote to an output. */
  #collect(place: number, buffer: ManifestBuffer, done: number): void {
    const all = this.#outputs.get(buffer.name);
    invariant(all !== undefined, "an output without memory");
    const elements = elementCount(buffer.shape);
    this.#context.executor.collect(place, all.subarray(this.#done * elements, (this.#done + done) * elements));
  }
}

/** Things by name as a map. */
export function entriesOf<T>(named: Named<T> | undefined): ReadonlyMap<string, T> {
  if (named === undefined) return new Map();
  return named instanceof Map ? named : new Map(Object.entries(named));
}

/** Whether an array is of a kind that draws fill. */
function isDrawable(part: unknown): part is Uint8Array | Float32Array | Float64Array {
  return part instanceof Float32Array || part instanceof Float64Array || part instanceof Uint8Array;
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
