/**
 * Checks an artifact's kernels one by one: native code and the loop-IR interpreter run on the same random buffers, at the
 * sizes that the artifact has, and every element that the interpreter wrote is compared. Where a kernel has too many
 * tasks for the interpreter, a sample spread over all of them is run; native code always runs all.
 */
import type { KernelLibrary } from "../../compiler/verify.ts";
import { InternalError } from "../../ir/diagnostic/diagnostic.ts";
import { interpretKernel, type InterpretOptions, type LoopArray } from "../../ir/loop/interpret.ts";
import type { Draw, Kernel } from "../../ir/loop/loop.ts";
import { allStatements } from "../../ir/loop/walk.ts";
import { fillDraw } from "../../ir/random/draw.ts";
import { Generator } from "../../ir/random/generator.ts";
import { at, isFloat } from "../../ir/type.ts";
import { callNative, type NativeAddon, type NativeProgram } from "../../runtime/native.ts";
import { distance, isBeyond, nudge, nudges, numberAt, tolerance, type Difference, type Sum } from "./compare.ts";
import { chooseCuts, shorten, type Cut, type Side } from "./shorten.ts";
import { bufferUses, kernelMemory, type KernelBuffer } from "./kernel-memory.ts";

/** What the check of one kernel found. */
export type KernelCheck = {
  readonly kernel: string;
  /** What it computes. */
  readonly doc: string;
  readonly tasks: number;
  /** How many tasks the interpreter ran, and whether it ran them to the end: long ones are run in part. */
  readonly checkedTasks: number;
  readonly wholeTasks: boolean;
  /** Elements that were compared. */
  readonly elements: number;
  /** The largest distance of a float from its expected value, relative to that value or to 1. */
  readonly worstError: number;
  /**
   * Elements that differ but are left out, since the expected value itself moves as far when the operands change by some
   * millionths: a comparison of nearly equal numbers, a division by nearly nothing.
   */
  readonly unstable: number;
  readonly ok: boolean;
  /** The first wrong element. */
  readonly difference?: Difference;
  /** What the interpreter found wrong with the kernel itself. */
  readonly fault?: string;
};

/** Options of `checkKernels`. */
export type KernelOptions = {
  readonly random: Generator;
  /** Milliseconds that the interpreter may spend on a kernel, about. */
  readonly milliseconds: number;
  readonly threads: number;
  /** Told of each result as it is there. */
  readonly onCheck?: (check: KernelCheck) => void;
};

/** Some tasks, and the kernel, perhaps shortened, that the interpreter ran for them. */
type Part = { readonly kernel: Kernel; readonly begin: number; readonly end: number };

/** Above this many elements in all buffers, races are not looked for: the tables would take too much memory. */
const raceLimit = 2 ** 22;

/** What the interpreter does of a task, in floating-point operations, for each millisecond it has for the kernel. */
const workPerMillisecond = 2000;

/** A first task that takes this many times as long as a kernel may is the only one. */
const patience = 4;

/** Into how many places a sample of tasks is spread. */
const samplePlaces = 8;

/** Checks every kernel, in order; all of them, whether or not one differs. */
export function checkKernels(addon: NativeAddon, built: KernelLibrary, options: KernelOptions): KernelCheck[] {
  const native = callNative(() => new addon.NativeProgram(built.library));
  try {
    const places = new Map(native.entries.map(({ name }, place) => [name, place]));
    const uses = bufferUses(built.planned.plan.program);
    const checks: KernelCheck[] = [];
    built.kernels.forEach((kernel, index) => {
      const place = places.get(kernel.name);
      const used = uses.get(index);
      if (place === undefined || used === undefined) return;
      const run = (buffers: readonly KernelBuffer[]): void => runNative(native, place, options.threads, buffers);
      const memory = (positive: boolean): KernelBuffer[] =>
        kernelMemory(addon, kernel, used, { random: options.random, positive });
      const check = checkKernel(kernel, { memory, run, options });
      options.onCheck?.(check);
      checks.push(check);
    });
    return checks;
  } finally {
    native.close();
  }
}

/** How one kernel is run. */
export type KernelContext = {
  /** Fresh memory with random contents, as `kernelMemory` fills it. */
  readonly memory: (positive: boolean) => readonly KernelBuffer[];
  /** Runs the kernel on the `native` arrays of such memory. */
  readonly run: (buffers: readonly KernelBuffer[]) => void;
  readonly options: Pick<KernelOptions, "random" | "milliseconds">;
};

/** Runs a kernel on plain random numbers and, should any result be NaN, once more on positive ones. */
export function checkKernel(kernel: Kernel, context: KernelContext): KernelCheck {
  const about = { kernel: kernel.name, doc: kernel.doc, tasks: kernel.tasks };
  try {
    const plain = trial(kernel, context, false);
    const second =
      plain.undefinedResults > 0 && plain.difference === undefined ? trial(kernel, context, true) : undefined;
    const difference = plain.difference ?? second?.difference;
    return {
      ...about,
      checkedTasks: plain.tasks,
      wholeTasks: plain.whole,
      elements: plain.elements + (second?.elements ?? 0),
      worstError: Math.max(plain.worst, second?.worst ?? 0),
      unstable: plain.unstable + (second?.unstable ?? 0),
      ok: difference === undefined,
      ...(difference === undefined ? {} : { difference }),
    };
  } catch (error) {
    // A device that fails is no fault of the kernel.
    if (!(error instanceof InternalError)) throw error;
    const fault = error.diagnostic.what;
    return { ...about, checkedTasks: 0, wholeTasks: true, elements: 0, worstError: 0, unstable: 0, ok: false, fault };
  }
}

type Trial = {
  readonly tasks: number;
  readonly whole: boolean;
  readonly elements: number;
  readonly undefinedResults: number;
  readonly worst: number;
  readonly unstable: number;
  readonly difference: Difference | undefined;
};

function trial(kernel: Kernel, { memory, run, options }: KernelContext, positive: boolean): Trial {
  const buffers = memory(positive);
  const parts = interpretSample(kernel, buffers, options.milliseconds);
  const tasks = parts.reduce((sum, { begin, end }) => sum + end - begin, 0);
  run(buffers);
  const whole = parts.every((part) => part.kernel.body === kernel.body);
  const all = whole && tasks === kernel.tasks;
  const written = buffers.filter(({ param, role }) => param.access !== "read" && role !== "status");
  const terms =
    kernel.flops /
    Math.max(
      1,
      written.reduce((sum, { native }) => sum + native.length, 0),
    );
  const halves = allStatements(kernel.body).some(({ kind }) => kind === "dot");
  const found = compare(written, all, { terms, halves });
  if (found.differences.length === 0) return { ...found, tasks, whole, unstable: 0, difference: undefined };
  const stable = stableOnes({ buffers, parts, random: options.random }, found.differences);
  return { ...found, tasks, whole, unstable: found.differences.length - stable.length, difference: stable[0] };
}

function runNative(native: NativeProgram, place: number, threads: number, buffers: readonly KernelBuffer[]): void {
  const views = buffers.map((buffer) => buffer.native);
  const strides = views.map(() => 0);
  const bytes = views.map((view) => view.byteLength);
  callNative(() => native.runSync(place, 1, threads, views, strides, bytes));
}

/** Interprets all tasks if there is time for them, else the first, the last, and some between; tells which. */
function interpretSample(kernel: Kernel, buffers: readonly KernelBuffer[], milliseconds: number): Part[] {
  const arrays = Object.fromEntries(buffers.map(({ param, reference }) => [param.name, reference]));
  const elements = buffers.reduce((sum, { native }) => sum + native.length, 0);
  const cuts = soundCuts(kernel, buffers, workPerMillisecond * milliseconds);
  const sides = { first: shorten(kernel, cuts, "first"), last: shorten(kernel, cuts, "last") };
  const start = performance.now();
  const parts: Part[] = [];
  const timed = (begin: number, end: number, side: Side): number => {
    const before = performance.now();
    interpretKernel(sides[side], arrays, { begin, end, draw: drawNumbers, races: elements <= raceLimit });
    parts.push({ kernel: sides[side], begin, end });
    return performance.now() - before;
  };
  let each = timed(0, 1, "first");
  // The first run also warms up; the second is a better measure.
  if (kernel.tasks > 1 && each < patience * milliseconds) each = timed(kernel.tasks - 1, kernel.tasks, "last");
  const left = kernel.tasks - 2;
  if (left <= 0 || each > milliseconds) return parts;
  const affordable = Math.floor((milliseconds - (performance.now() - start)) / Math.max(each, 1e-3));
  if (affordable >= left) {
    timed(1, kernel.tasks - 1, "first");
    return parts;
  }
  const places = Math.min(samplePlaces, affordable);
  for (let place = 0; place < places; place++) {
    const begin = 1 + Math.floor((left * place) / places);
    timed(begin, begin + Math.floor(affordable / places), place % 2 === 0 ? "last" : "first");
  }
  return parts;
}

/**
 * The cuts that change nothing about the elements that are still written. A kernel that reads what it writes may put an
 * element together in several iterations; that is seen by running one iteration more, on the first task.
 */
function soundCuts(kernel: Kernel, buffers: readonly KernelBuffer[], work: number): Cut[] {
  const cuts = chooseCuts(kernel, work);
  const updated = buffers.filter(({ param }) => param.access === "readwrite");
  if (updated.length === 0 || cuts.length === 0) return cuts;
  const interpreted = (kept: readonly Cut[]): ReadonlyMap<string, LoopArray> => {
    const arrays = new Map(buffers.map(({ param, native, first }) => [param.name, first?.slice() ?? native]));
    const options: InterpretOptions = { begin: 0, end: 1, draw: drawNumbers, races: false };
    interpretKernel(shorten(kernel, kept, "first"), Object.fromEntries(arrays), options);
    return arrays;
  };
  const short = interpreted(cuts);
  return cuts.filter((cut) => {
    const long = interpreted(cuts.map((each) => (each === cut ? { ...cut, keep: cut.keep + 1 } : each)));
    return updated.every(({ param, first }) => {
      const [before, after] = [short.get(param.name), long.get(param.name)];
      if (first === undefined || before === undefined || after === undefined) return true;
      for (let i = 0; i < first.length; i++)
        if (!Object.is(first[i], before[i]) && !Object.is(before[i], after[i])) return false;
      return true;
    });
  });
}

/** Draws as `ir/random` defines them, from a generator's state in a kernel's buffer. */
function drawNumbers(draw: Draw, state: LoopArray, count: number): ArrayLike<number> {
  const generator = new Generator(new Uint32Array(state.buffer, state.byteOffset, state.length));
  const numbers = new Float32Array(count);
  fillDraw(generator, numbers, draw);
  return numbers;
}

type Comparison = Pick<Trial, "elements" | "undefinedResults" | "worst"> & {
  readonly differences: readonly Difference[];
};

/** Compares what was written: all elements if all tasks were interpreted, else those that the interpreter changed. */
function compare(written: readonly KernelBuffer[], all: boolean, sum: Sum): Comparison {
  const differences: Difference[] = [];
  let [elements, undefinedResults, worst] = [0, 0, 0];
  for (const { param, native, reference, first } of written) {
    if (first === undefined) continue;
    for (let element = 0; element < reference.length; element++) {
      const expected = numberAt(reference, element);
      if (Object.is(expected, numberAt(first, element)) && !all) continue;
      elements++;
      if (Number.isNaN(expected)) undefinedResults++;
      const got = numberAt(native, element);
      const apart = distance(got, expected);
      if (apart > tolerance(param.dtype, expected, sum))
        differences.push({ where: param.name, element, got, expected });
      else if (isFloat(param.dtype) && Number.isFinite(expected))
        worst = Math.max(worst, apart / Math.max(1, Math.abs(expected)));
    }
  }
  return { elements, undefinedResults, worst, differences };
}

type StabilityContext = {
  readonly buffers: readonly KernelBuffer[];
  readonly parts: readonly Part[];
  readonly random: Generator;
};

/** Those differences that are no rounding: further away than the expected value moves when operands change by 8e-6. */
function stableOnes(context: StabilityContext, differences: readonly Difference[]): Difference[] {
  const { buffers, parts, random } = context;
  let stable = [...differences];
  for (let repeat = 0; repeat < nudges && stable.length > 0; repeat++) {
    const nudged = new Map(
      buffers.map(({ param, native, first }) => {
        const array = (first ?? native).slice();
        if (array instanceof Float32Array || array instanceof Float64Array)
          for (let i = 0; i < array.length; i++) array[i] = at(array, i) * (1 + nudge * (2 * random.nextFloat24() - 1));
        return [param.name, array];
      }),
    );
    const arrays = Object.fromEntries(nudged);
    for (const { kernel, begin, end } of parts)
      interpretKernel(kernel, arrays, { begin, end, draw: drawNumbers, races: false });
    stable = stable.filter(({ where, element, got, expected }) => {
      const array = nudged.get(where);
      return array === undefined || isBeyond(distance(got, expected), distance(numberAt(array, element), expected));
    });
  }
  return stable;
}
