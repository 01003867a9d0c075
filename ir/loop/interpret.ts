/**
 * Runs a kernel without any device, on typed arrays, one task after another. Floats are rounded to their type after every
 * operation. Whatever no kernel may do is an error: an index outside its buffer, a read of an unwritten local, two tasks,
 * two threads between barriers, or two iterations of a vector loop that touch what one of them writes. Threads of a task
 * run one after another from barrier to barrier. What differs from a target's result is rounding
 * alone: targets may fuse multiply-adds and add up a vector loop's reduction in another order.
 */
import { fail, invariant, unreachable } from "../diagnostic/diagnostic.ts";
import { kernelFault } from "../diagnostic/messages.ts";
import type { DType } from "../type.ts";
import { runTogether, Team } from "./interpret-team.ts";
import { translateBody, type DrawNumbers, type Scope } from "./interpret-statement.ts";
import { LoopMemory, type Fault, type LoopArray, type Progress } from "./memory.ts";
import { unboundedSize, type Kernel, type Stmt } from "./loop.ts";
import { allStatements } from "./walk.ts";
import { verifyKernel } from "./verify.ts";

export type { LoopArray } from "./memory.ts";

/** Options of `interpretKernel`. */
export type InterpretOptions = {
  /** First task, and one past the last; all tasks by default. */
  readonly begin?: number;
  readonly end?: number;
  /** Makes the draws; a kernel that draws needs it. */
  readonly draw?: DrawNumbers;
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
  const { threads = 1 } = kernel;
  const progress: Progress = { task: 0, thread: 0, threads, epoch: 0, first: 0, stamp: 0, inVector: false };
  const exempt = exemptBuffers(kernel.body);
  const arrays = new Map<string, LoopMemory>();
  for (const { name, size: declared } of kernel.buffers) {
    const array = buffers[name];
    const size = declared === unboundedSize ? (array?.length ?? 0) : declared;
    if (array === undefined || array.length < size)
      fault(`needs ${size} elements for ${name}, got ${array?.length ?? 0}`);
    const kind = exempt.has(name) || options.races === false ? "exempt" : "buffer";
    arrays.set(name, new LoopMemory(name, size, array, kind, { fault, progress }));
  }
  const values: number[] = [];
  const places = new Map<string, number>();
  if (threads > 1) places.set("thread", values.push(0) - 1);
  const scope: Scope = { values, places, arrays, progress, fault, buffers, draw: options.draw, inVector: false };
  const run = threads === 1 ? translateBody(kernel.body, scope) : runTogether(kernel.body, scope, new Team(scope));
  for (let task = options.begin ?? 0; task < (options.end ?? kernel.tasks); task++) {
    progress.task = task + 1;
    progress.epoch++;
    run();
  }
}

/** Buffers that tasks share by design: they are only written by checks and draws. */
function exemptBuffers(body: readonly Stmt[]): Set<string> {
  return new Set(
    allStatements(body).flatMap((stmt) => {
      if (stmt.kind === "check") return [stmt.status];
      return stmt.kind === "draw" ? [stmt.generator] : [];
    }),
  );
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
