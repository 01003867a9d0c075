/**
 * Runs a kernel without any device, on typed arrays, one task after another. Floats are rounded to their type after every
 * operation. Whatever no kernel may do is an error: an index outside its buffer, a read of an unwritten local, two tasks
 * or two iterations of a vector loop that touch what one of them writes. What differs from a target's result is rounding
 * alone: targets may fuse multiply-adds and add up a vector loop's reduction in another order.
 */
import { fail, invariant, unreachable } from "../diagnostic/diagnostic.ts";
import { kernelFault } from "../diagnostic/messages.ts";
import type { DType } from "../type.ts";
import { evaluator, type Frame } from "./evaluate.ts";
import { localArray, LoopMemory, type Fault, type LoopArray, type Progress } from "./memory.ts";
import { unboundedSize, type Draw, type Kernel, type Stmt } from "./loop.ts";
import { verifyKernel } from "./verify.ts";

export type { LoopArray } from "./memory.ts";

/** Options of `interpretKernel`. */
export type InterpretOptions = {
  /** First task, and one past the last; all tasks by default. */
  readonly begin?: number;
  readonly end?: number;
  /** Makes the draws: `count` numbers from the generator whose state is `generator`. A kernel that draws needs it. */
  readonly draw?: (draw: Draw, generator: LoopArray, count: number) => ArrayLike<number>;
  /** Whether to look for races on the buffers, which takes 24 bytes an element; true by default. */
  readonly races?: boolean;
};

/**
 * Verifies a kernel and runs it on `buffers` (by name, each at least as long as the kernel says). Throws an
 * `InternalError`: K5102 if the kernel is malformed, K5103 if it does what no kernel may.
 */
export function interpretKernel(
  kernel: Kernel,
  buffers: Readonly<Record<string, LoopArray>>,
  options: InterpretOptions = {},
): void {
  verifyKernel(kernel);
  const fault: Fault = (what) => {
    throw fail(kernelFault(kernel.name, what));
  };
  const progress: Progress = { task: 0, first: 0, stamp: 0, inVector: false };
  const exempt = exemptBuffers(kernel.body);
  const arrays = new Map<string, LoopMemory>();
  for (const { name, size: declared } of kernel.buffers) {
    const array = buffers[name];
    const size = declared === unboundedSize ? (array?.length ?? 0) : declared;
    if (array === undefined || array.length < size)
      fault(`needs ${size} elements for ${name}, got ${array?.length ?? 0}`);
    const kind = exempt.has(name) || options.races === false ? "exempt" : "shared";
    arrays.set(name, new LoopMemory(name, size, array, kind, { fault, progress }));
  }
  const values: number[] = [];
  const scope: Scope = { values, places: new Map(), arrays, progress, fault, buffers, options, inVector: false };
  const run = translateBody(kernel.body, scope);
  for (let task = options.begin ?? 0; task < (options.end ?? kernel.tasks); task++) {
    progress.task = task + 1;
    run();
  }
}

type Run = () => void;

type Scope = Frame & {
  readonly progress: Progress;
  readonly fault: Fault;
  readonly buffers: Readonly<Record<string, LoopArray>>;
  readonly options: InterpretOptions;
  readonly inVector: boolean;
};

/** Buffers that tasks share by design: they are only written by checks and draws. */
function exemptBuffers(body: readonly Stmt[]): Set<string> {
  const names = new Set<string>();
  for (const stmt of body) {
    if (stmt.kind === "check") names.add(stmt.status);
    if (stmt.kind === "draw") names.add(stmt.generator);
    const inner = stmt.kind === "for" ? stmt.body : stmt.kind === "if" ? [...stmt.then, ...stmt.otherwise] : [];
    for (const name of exemptBuffers(inner)) names.add(name);
  }
  return names;
}

function translateBody(body: readonly Stmt[], outer: Scope): Run {
  const places = new Map(outer.places);
  const arrays = new Map(outer.arrays);
  const scope = { ...outer, places, arrays };
  const runs = body.map((stmt) => translate(stmt, scope, places, arrays));
  return () => {
    for (const run of runs) run();
  };
}

function translate(stmt: Stmt, scope: Scope, places: Map<string, number>, arrays: Map<string, LoopMemory>): Run {
  const { values, fault, progress } = scope;
  switch (stmt.kind) {
    case "for":
      return translateLoop(stmt, scope);
    case "let":
    case "mutable":
    case "assign": {
      const value = evaluator(stmt.value, scope);
      const { lanes } = stmt.value.type;
      const place = stmt.kind === "assign" ? scope.places.get(stmt.name) : values.length;
      invariant(place !== undefined, `no variable ${stmt.name}`);
      if (stmt.kind !== "assign") {
        places.set(stmt.name, place);
        for (let lane = 0; lane < lanes; lane++) values.push(0);
      }
      if (lanes === 1) return () => void (values[place] = value(0));
      return () => {
        for (let lane = 0; lane < lanes; lane++) values[place + lane] = value(lane);
      };
    }
    case "local": {
      const kind = scope.inVector ? "private" : "local";
      const memory = new LoopMemory(stmt.name, stmt.size, localArray(stmt.dtype, stmt.size), kind, { fault, progress });
      arrays.set(stmt.name, memory);
      return () => memory.reset();
    }
    case "store":
      return translateStore(stmt, scope);
    case "if": {
      const condition = evaluator(stmt.condition, scope);
      const then = translateBody(stmt.then, scope);
      const otherwise = translateBody(stmt.otherwise, scope);
      return () => (condition(0) === 0 ? otherwise() : then());
    }
    case "draw":
      return translateDraw(stmt, scope);
    case "check":
      return translateCheck(stmt, scope);
    case "note":
      return () => undefined;
    default:
      return unreachable(stmt);
  }
}

function translateLoop(stmt: Extract<Stmt, { kind: "for" }>, scope: Scope): Run {
  const { values, progress } = scope;
  const place = values.push(0) - 1;
  const places = new Map(scope.places).set(stmt.name, place);
  const vector = stmt.mode === "vector";
  const run = translateBody(stmt.body, { ...scope, places, inVector: scope.inVector || vector });
  if (stmt.mode === "tasks") {
    return () => {
      values[place] = progress.task - 1;
      run();
    };
  }
  const begin = evaluator(stmt.begin, scope);
  const end = evaluator(stmt.end, scope);
  const { step } = stmt;
  return () => {
    const last = end(0);
    if (vector) {
      progress.inVector = true;
      progress.first = progress.stamp + 1;
    }
    for (let index = begin(0); index < last; index += step) {
      values[place] = index;
      if (vector) progress.stamp++;
      run();
    }
    if (vector) progress.inVector = false;
  };
}

function translateStore(stmt: Extract<Stmt, { kind: "store" }>, scope: Scope): Run {
  const array = arrayOf(stmt.buffer, scope);
  const index = evaluator(stmt.index, scope);
  const value = evaluator(stmt.value, scope);
  const { lanes } = stmt.value.type;
  if (lanes === 1) return () => array.write(index(0), value(0));
  const whole: number[] = [];
  return () => {
    const first = index(0);
    // All lanes are read before any is written.
    for (let lane = 0; lane < lanes; lane++) whole[lane] = value(lane);
    for (let lane = 0; lane < lanes; lane++) array.write(first + lane, whole[lane] ?? 0);
  };
}

function translateCheck(stmt: Extract<Stmt, { kind: "check" }>, scope: Scope): Run {
  const status = arrayOf(stmt.status, scope);
  const [condition, value, limit] = [stmt.condition, stmt.value, stmt.limit].map((expr) => evaluator(expr, scope));
  invariant(condition !== undefined && value !== undefined && limit !== undefined, "a check has three expressions");
  return () => {
    if (condition(0) !== 0 || status.read(0) !== 0) return;
    status.write(0, stmt.code);
    status.write(1, value(0) | 0);
    status.write(2, limit(0) | 0);
  };
}

function translateDraw(stmt: Extract<Stmt, { kind: "draw" }>, scope: Scope): Run {
  const array = arrayOf(stmt.buffer, scope);
  const generator = scope.buffers[stmt.generator];
  const { draw } = scope.options;
  if (draw === undefined || generator === undefined) scope.fault("draws, but nothing was given to draw with");
  return () => {
    const numbers = draw(stmt.draw, generator, stmt.count);
    for (let index = 0; index < stmt.count; index++) array.write(index, numbers[index] ?? Number.NaN);
  };
}

function arrayOf(name: string, scope: Scope): LoopMemory {
  const array = scope.arrays.get(name);
  invariant(array !== undefined, `no buffer ${name}`);
  return array;
}

/** A fresh, zeroed array for `size` elements of a dtype, as `interpretKernel` takes it. */
export function loopArray(dtype: DType, size: number): LoopArray {
  invariant(dtype !== "f16" && dtype !== "bf16", `loop IR does not compute with ${dtype}`);
  switch (dtype) {
    case "f32":
      return new Float32Array(size);
    case "f64":
      return new Float64Array(size);
    case "i8":
      return new Int8Array(size);
    case "u8":
    case "bool":
      return new Uint8Array(size);
    case "i16":
      return new Int16Array(size);
    case "i32":
      return new Int32Array(size);
    case "i64":
      return new BigInt64Array(size);
    default:
      return unreachable(dtype);
  }
}
