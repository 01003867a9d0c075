/**
 * The memory of the loop-IR interpreter: typed arrays whose every access is checked. An index must lie inside, a local
 * array's element must have been written before it is read, no task may touch what another one writes, no thread of a task
 * what another one writes between the same two barriers, and within a vector loop no iteration what another one wrote.
 */
import type { DType } from "../type.ts";

/** The elements of a buffer. `i64` may also be given as float64, which holds every integer up to 2^53. */
export type LoopArray = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Int32Array | BigInt64Array;

/** Reports that a kernel broke a rule of memory; never returns. */
export type Fault = (what: string) => never;

/** Who is running: the task, the thread within it, and within a vector loop the iteration. */
export type Progress = {
  /** The task's number + 1. */
  task: number;
  thread: number;
  /** Threads of a task. */
  readonly threads: number;
  /** Counts the stretches between barriers, over all tasks. */
  epoch: number;
  /** Stamps count iterations of all vector loops of a run; `first` is that of the current loop's first iteration. */
  first: number;
  stamp: number;
  inVector: boolean;
};

/** In a table of who has read an element: more than one task. In a table of iterations: none. */
const several = -1;

/** One buffer or local array. */
export class LoopMemory {
  readonly name: string;
  readonly size: number;
  readonly #read: (index: number) => number;
  readonly #write: (index: number, value: number) => void;
  readonly #fault: Fault;
  readonly #progress: Progress;
  /** For locals: whether an element has been written since the array was declared. */
  readonly #written: Uint8Array | undefined;
  readonly #writers: Int32Array | undefined;
  readonly #readers: Int32Array | undefined;
  readonly #lastWrites: Float64Array | undefined;
  readonly #firstReads: Float64Array | undefined;
  /** Which thread of a task wrote or read an element last, and in which stretch: `epoch * threads + thread`. */
  readonly #threadWrites: Float64Array | undefined;
  readonly #threadReads: Float64Array | undefined;
  /** The stretch in which an element was last read. */
  readonly #readEpoch: Float64Array;
  /** Whether each thread has an array of its own. */
  readonly #perThread: boolean;

  /**
   * `kind`: `buffer`s are checked for races; `exempt` ones (status, generator) are not; a `group` array belongs to a task,
   * a `local` one to a thread, a `private` one to an iteration of a vector loop. `array`: elements of all threads.
   */
  constructor(
    name: string,
    size: number,
    array: LoopArray,
    kind: "buffer" | "exempt" | "group" | "local" | "private",
    context: { readonly fault: Fault; readonly progress: Progress },
  ) {
    this.name = name;
    this.size = size;
    this.#fault = context.fault;
    this.#progress = context.progress;
    if (array instanceof BigInt64Array) {
      this.#read = (index) => Number(array[index]);
      this.#write = (index, value) => (array[index] = BigInt(value));
    } else {
      this.#read = (index) => array[index] ?? Number.NaN;
      this.#write = (index, value) => (array[index] = value);
    }
    this.#readEpoch = new Float64Array(kind === "buffer" || kind === "group" ? size : 0);
    this.#perThread = kind === "local" || kind === "private";
    if (kind !== "buffer" && kind !== "exempt") this.#written = new Uint8Array(array.length);
    if (kind === "buffer") {
      this.#writers = new Int32Array(size);
      this.#readers = new Int32Array(size);
    }
    if ((kind === "buffer" || kind === "group") && context.progress.threads > 1) {
      this.#threadWrites = new Float64Array(size).fill(several);
      this.#threadReads = new Float64Array(size).fill(several);
    }
    if ((kind === "buffer" || kind === "local") && context.progress.threads === 1) {
      this.#lastWrites = new Float64Array(size).fill(several);
      this.#firstReads = new Float64Array(size).fill(several);
    }
  }

  /** Forgets what a local or shared array held. */
  reset(): void {
    if (this.#perThread) {
      const first = this.#progress.thread * this.size;
      this.#written?.fill(0, first, first + this.size);
    } else this.#written?.fill(0);
    this.#lastWrites?.fill(several);
    this.#firstReads?.fill(several);
  }

  /** Reads an element. */
  read(index: number): number {
    this.#check(index, "reads");
    const place = this.#perThread ? this.#progress.thread * this.size + index : index;
    if (this.#written !== undefined && this.#written[place] === 0) {
      this.#fault(`reads ${this.name}[${index}], which nothing has been written to`);
    }
    this.#noteThread(index, false);
    const { task, first, stamp, inVector } = this.#progress;
    if (this.#writers !== undefined && this.#readers !== undefined) {
      const writer = this.#writers[index] ?? 0;
      if (writer !== 0 && writer !== task) this.#race("reads", index, `task ${writer - 1} wrote`);
      const reader = this.#readers[index];
      this.#readers[index] = reader === 0 || reader === task ? task : several;
    }
    if (inVector && this.#lastWrites !== undefined && this.#firstReads !== undefined) {
      const last = this.#lastWrites[index] ?? several;
      if (last >= first && last !== stamp) this.#race("reads", index, "another iteration of a vector loop wrote");
      if ((this.#firstReads[index] ?? several) < first) this.#firstReads[index] = stamp;
    }
    return this.#read(place);
  }

  /** Writes an element. */
  write(index: number, value: number): void {
    this.#check(index, "writes");
    const place = this.#perThread ? this.#progress.thread * this.size + index : index;
    if (this.#written !== undefined) this.#written[place] = 1;
    this.#noteThread(index, true);
    const { task, first, stamp, inVector } = this.#progress;
    if (this.#writers !== undefined && this.#readers !== undefined) {
      const writer = this.#writers[index] ?? 0;
      const reader = this.#readers[index] ?? 0;
      if (writer !== 0 && writer !== task) this.#race("writes", index, `task ${writer - 1} wrote`);
      if (reader !== 0 && reader !== task) this.#race("writes", index, "another task read");
      this.#writers[index] = task;
    }
    if (inVector && this.#lastWrites !== undefined && this.#firstReads !== undefined) {
      for (const other of [this.#lastWrites[index] ?? several, this.#firstReads[index] ?? several]) {
        if (other >= first && other !== stamp)
          this.#race("writes", index, "another iteration of a vector loop touched");
      }
      this.#lastWrites[index] = stamp;
    }
    this.#write(place, value);
  }

  /** Threads of a task may not meet in an element between two barriers if one of them writes it. */
  #noteThread(index: number, writes: boolean): void {
    if (this.#threadWrites === undefined || this.#threadReads === undefined) return;
    const { epoch, threads, thread } = this.#progress;
    const first = epoch * threads;
    const now = first + thread;
    const wrote = this.#threadWrites[index] ?? several;
    const doing = writes ? "writes" : "reads";
    if (wrote >= first && wrote !== now)
      this.#race(doing, index, `thread ${wrote - first} wrote since the last barrier`);
    // `Infinity` stands for several readers, of the stretch that is noted beside it.
    const noted = this.#threadReads[index] ?? several;
    const read = noted === Infinity && this.#readEpoch[index] !== epoch ? several : noted;
    if (writes) {
      if (read >= first && read !== now) this.#race(doing, index, "another thread read since the last barrier");
      this.#threadWrites[index] = now;
      return;
    }
    this.#threadReads[index] = read < first || read === now ? now : Infinity;
    this.#readEpoch[index] = epoch;
  }

  #check(index: number, doing: string): void {
    if (Number.isInteger(index) && index >= 0 && index < this.size) return;
    this.#fault(`${doing} ${this.name}[${index}] of ${this.size} elements`);
  }

  #race(doing: string, index: number, other: string): never {
    const thread = this.#progress.threads > 1 ? ` thread ${this.#progress.thread}` : "";
    return this.#fault(
      `race: task ${this.#progress.task - 1}${thread} ${doing} ${this.name}[${index}], which ${other}`,
    );
  }
}

/** An array for the elements of a local: numbers as the interpreter keeps them. */
export function localArray(dtype: DType, size: number): LoopArray {
  return dtype === "f32" ? new Float32Array(size) : new Float64Array(size);
}
