/**
 * Proves that a plan needs no more barriers than it has. Independent of how the planner found its phases: it reads the
 * kernels' loops, bounds the bytes that each task of each launch may touch, and demands that within a phase no two tasks
 * that may run on different threads meet in bytes that one of them writes. Tasks surely share a thread only if they have
 * the same number in launches of equally many tasks. Also checks that every argument lies inside its buffer.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { int, unboundedSize, variable, type Expr, type Kernel, type Stmt } from "../../ir/loop/loop.ts";
import { partsOf } from "../../ir/loop/walk.ts";
import { entryLabel, type Launch, type PlannedEntry, type PlannedProgram } from "../../ir/program.ts";
import { at, dtypeBytes, elementCount } from "../../ir/type.ts";
import { narrowed, rangeOf, substitute, type Range } from "../lower/index-math.ts";
import { slackElements } from "./buffer.ts";

/** Bytes of one buffer of the entry that a task may touch: [begin, end). */
type Span = { readonly buffer: number; readonly begin: number; readonly end: number; readonly writes: boolean };

/** What the tasks of a launch may touch, by task. */
type Footprint = { readonly kernel: Kernel; readonly tasks: readonly (readonly Span[])[] };

/** Throws an `InternalError` K9021 if a phase of any entry could race, or an argument leaves its buffer. */
export function verifyPlan(program: PlannedProgram, stateBytes: number): void {
  const known = new Map<string, Footprint>();
  for (const entry of program.entries) {
    const sizes = entry.buffers.map(({ role, stored, shape }) => {
      if (role === "state") return stateBytes;
      if (role === "arena") return entry.arenaBytes;
      return role === "dataset" ? Infinity : elementCount(shape) * dtypeBytes[stored];
    });
    for (const [phase, launches] of entry.phases.entries()) {
      const footprints = launches.map((launch) => footprintOf(launch, program, entry, sizes, known));
      verifyPhase(entry, phase, footprints);
    }
  }
}

function footprintOf(
  launch: Launch,
  program: PlannedProgram,
  entry: PlannedEntry,
  sizes: readonly number[],
  known: Map<string, Footprint>,
): Footprint {
  const kernel = at(program.kernels, launch.kernel);
  launch.args.forEach(({ buffer, offset }, i) => {
    const { size, dtype, name } = at(kernel.buffers, i);
    const bytes = size === unboundedSize ? 0 : Math.max(0, size - slackElements) * dtypeBytes[dtype];
    if (offset < 0 || offset + bytes > at(sizes, buffer))
      throw fail(messages.planFault(entryLabel(entry), `${kernel.name} reaches beyond the buffer behind ${name}`));
  });
  const key = JSON.stringify([launch.kernel, launch.args]);
  const found = known.get(key);
  if (found !== undefined) return found;
  const tasks = Array.from({ length: kernel.tasks }, (_, task) => spansOf(kernel, launch, task));
  const footprint = { kernel, tasks };
  known.set(key, footprint);
  return footprint;
}

/** Bounds of all that one task touches, one span for reads and one for writes of each buffer. */
function spansOf(kernel: Kernel, launch: Launch, task: number): Span[] {
  let ranges: ReadonlyMap<string, Range> = new Map();
  const know = (name: string, range: Range): void => {
    ranges = new Map([...ranges, [name, range]]);
  };
  const bounds = new Map<string, { begin: number; end: number }>();
  const touch = (name: string, index: Expr, lanes: number, writes: boolean): void => {
    const param = kernel.buffers.find((buffer) => buffer.name === name);
    if (param === undefined) return;
    const range = rangeOf(index, ranges);
    const key = `${name} ${writes}`;
    const limit = param.size === unboundedSize ? Infinity : param.size;
    const begin = Math.max(0, range.min);
    // Lanes past the end are slack, which holds nothing.
    const end = Math.min(limit, range.max + lanes);
    const before = bounds.get(key) ?? { begin, end };
    bounds.set(key, { begin: Math.min(before.begin, begin), end: Math.max(before.end, end) });
  };
  const whole = (name: string, writes: boolean): void => touch(name, variable("anywhere"), 1, writes);
  const ownTask = new Map<string, Expr>([
    ["taskBegin", int(task)],
    ["taskEnd", int(task + 1)],
  ]);
  const readAll = (expr: Expr): void => {
    if (expr.kind === "load") touch(expr.buffer, expr.index, expr.type.lanes, false);
    if (expr.kind === "random") touch(expr.key, int(0), 4, false);
    partsOf(expr).forEach(readAll);
  };
  const visit = (stmt: Stmt): void => {
    switch (stmt.kind) {
      case "for": {
        const begin = rangeOf(substitute(stmt.begin, ownTask), ranges);
        const end = rangeOf(substitute(stmt.end, ownTask), ranges);
        if (end.max <= begin.min) return;
        know(stmt.name, { min: begin.min, max: end.max - 1 });
        stmt.body.forEach(visit);
        return;
      }
      case "let":
        readAll(stmt.value);
        if (stmt.value.type.dtype === "i64" && stmt.value.type.lanes === 1)
          know(stmt.name, rangeOf(stmt.value, ranges));
        return;
      case "mutable":
      case "assign":
        readAll(stmt.value);
        return;
      case "store":
        readAll(stmt.value);
        touch(stmt.buffer, stmt.index, stmt.value.type.lanes, true);
        return;
      case "if": {
        readAll(stmt.condition);
        const outside = ranges;
        ranges = narrowed(stmt.condition, ranges);
        stmt.then.forEach(visit);
        ranges = outside;
        stmt.otherwise.forEach(visit);
        return;
      }
      case "draw":
        for (const name of [stmt.generator, stmt.buffer]) whole(name, true);
        return;
      case "shuffle":
        stmt.values.forEach(readAll);
        return;
      case "dot":
      case "mma":
        for (const operand of [...stmt.a, ...stmt.b]) readAll(operand);
        return;
      case "check":
        readAll(stmt.condition);
        return;
      default:
        return;
    }
  };
  know("thread", { min: 0, max: (kernel.threads ?? 1) - 1 });
  kernel.body.forEach(visit);
  return [...bounds].map(([key, { begin, end }]) => {
    const [name, writes] = key.split(" ");
    const position = kernel.buffers.findIndex((buffer) => buffer.name === name);
    const { dtype } = at(kernel.buffers, position);
    const { buffer, offset } = at(launch.args, position);
    const size = dtypeBytes[dtype];
    return { buffer, begin: offset + begin * size, end: offset + end * size, writes: writes === "true" };
  });
}

function verifyPhase(entry: PlannedEntry, phase: number, footprints: readonly Footprint[]): void {
  footprints.forEach((a, i) => {
    for (const b of footprints.slice(i + 1)) {
      const aligned = a.tasks.length === b.tasks.length;
      a.tasks.forEach((mine, task) => {
        b.tasks.forEach((theirs, other) => {
          if (aligned && task === other) return;
          const met = mine.find((x) => theirs.some((y) => meet(x, y)));
          if (met === undefined) return;
          const buffer = at(entry.buffers, met.buffer);
          const what = `phase ${phase}: task ${task} of ${a.kernel.name} and task ${other} of ${b.kernel.name} meet in ${buffer.role} ${buffer.name}, bytes ${met.begin} to ${met.end}`;
          throw fail(messages.planFault(entryLabel(entry), what));
        });
      });
    }
  });
}

function meet(a: Span, b: Span): boolean {
  return a.buffer === b.buffer && (a.writes || b.writes) && a.begin < b.end && b.begin < a.end;
}
