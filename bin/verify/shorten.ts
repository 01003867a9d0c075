/**
 * Shorter kernels for the interpreter: the same tasks, of which each does only the first or the last iterations of its
 * outer loops, so that a sample of a task's elements is computed instead of all. Only loops that are alone in their body
 * are cut, so that nothing but buffers can carry something from one iteration to the next; whether buffers do must be
 * seen by running (`kernels.ts`).
 */
import type { Expr, Kernel, Stmt } from "../../ir/loop/loop.ts";
import { int, scalar } from "../../ir/loop/loop.ts";

type Loop = Extract<Stmt, { kind: "for" }>;

/** Which iterations of a loop are kept. */
export type Cut = {
  /** How many loops lie around it. */
  readonly depth: number;
  /** Iterations it has, and how many are kept. */
  readonly count: number;
  readonly keep: number;
};

/** Which end of a loop is kept. */
export type Side = "first" | "last";

/** Cuts that leave about `work` of what a task costs. */
export function chooseCuts(kernel: Kernel, work: number): Cut[] {
  const cuts: Cut[] = [];
  let excess = costOfTask(kernel) / work;
  outerLoops(kernel).forEach((loop, depth) => {
    const count = iterations(loop);
    if (count === undefined || count < 2 || excess <= 1) return;
    const keep = Math.max(1, Math.floor(count / excess));
    if (keep === count) return;
    cuts.push({ depth, count, keep });
    excess /= count / keep;
  });
  return cuts;
}

/** The kernel with only the kept iterations of its loops. */
export function shorten(kernel: Kernel, cuts: readonly Cut[], side: Side): Kernel {
  if (cuts.length === 0) return kernel;
  const rebuild = (body: readonly Stmt[], depth: number): readonly Stmt[] => {
    const loop = onlyLoop(body);
    if (loop === undefined) return body;
    const cut = cuts.find((each) => each.depth === depth);
    const inner = { ...loop, body: rebuild(loop.body, depth + 1) };
    const changed = cut === undefined ? inner : cutLoop(inner, cut, side);
    return body.map((stmt) => (stmt === loop ? changed : stmt));
  };
  return { ...kernel, body: rebuild(kernel.body, 0) };
}

function cutLoop(loop: Loop, { count, keep }: Cut, side: Side): Loop {
  const after = (iteration: number): Expr => scalar("add", loop.begin, int(iteration * loop.step));
  return side === "first" ? { ...loop, end: after(keep) } : { ...loop, begin: after(count - keep) };
}

/** Floating-point operations of a task, or elements it touches if those are more. */
function costOfTask({ flops, tasks, buffers }: Kernel): number {
  const elements = buffers.reduce((sum, { size, access }) => sum + (access === "read" ? 0 : size), 0);
  return Math.max(flops, elements) / Math.max(1, tasks);
}

/** The outermost loops, each alone in the body of the one before; that over tasks is one of them. */
function outerLoops(kernel: Kernel): Loop[] {
  const loops: Loop[] = [];
  for (let loop = onlyLoop(kernel.body); loop !== undefined; loop = onlyLoop(loop.body)) loops.push(loop);
  return loops;
}

/** The loop in a body that holds nothing else but bindings. */
function onlyLoop(body: readonly Stmt[]): Loop | undefined {
  const others = body.filter(({ kind }) => kind !== "let" && kind !== "note");
  const [loop] = others;
  return others.length === 1 && loop?.kind === "for" ? loop : undefined;
}

/** How many iterations a loop has, where that does not depend on the task. */
function iterations({ begin, end, step }: Loop): number | undefined {
  const length = distanceBetween(begin, end);
  return length === undefined ? undefined : Math.ceil(length / step);
}

/** `end - begin` where it is a constant: of two constants, or of some expression and the same plus a constant. */
function distanceBetween(begin: Expr, end: Expr): number | undefined {
  if (begin.kind === "constant" && end.kind === "constant") return end.value - begin.value;
  if (end.kind !== "scalar" || end.op !== "add") return undefined;
  const [left, right] = end.args;
  if (left === undefined || right?.kind !== "constant") return undefined;
  return JSON.stringify(left) === JSON.stringify(begin) ? right.value : undefined;
}
