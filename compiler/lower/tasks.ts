/**
 * How a kernel's work is cut into tasks: by shape alone, never by the number of threads, so that results do not depend
 * on it. The cut runs along one axis (`rows`); kernels that cut the same extent cut it at the same places, so that a
 * value written and read row by row stays on one thread and needs no barrier in between.
 */
import { int, scalar, variable, type Expr } from "../../ir/loop/loop.ts";
import type { KernelWriter, Scope } from "./kernel-writer.ts";

/** The axis along which a kernel is cut. `threads`: how many share a task, on GPUs. */
export type TaskAxis = { readonly extent: number; readonly tasks: number; readonly threads?: number };

/** Rows a task has where there are enough: as many as the register tile of a product has. */
const rowsPerTask = 8;

/** More tasks than this only cost time: no machine has that many threads. */
const mostTasks = 256;

/** The cut of an axis. */
export function cut(extent: number): TaskAxis {
  if (extent <= rowsPerTask) return { extent, tasks: Math.max(1, extent) };
  return { extent, tasks: Math.min(Math.ceil(extent / rowsPerTask), mostTasks) };
}

/** First row of task `task`. */
export function rowBegin(axis: TaskAxis, task: Expr): Expr {
  if (axis.extent % axis.tasks === 0) return scalar("mul", task, int(axis.extent / axis.tasks));
  return scalar("div", scalar("mul", task, int(axis.extent)), int(axis.tasks));
}

/** Loops over all tasks that a thread was given. */
export function overTasks(
  writer: KernelWriter,
  axis: TaskAxis,
  scope: Scope,
  build: (inner: Scope, task: Expr) => void,
): void {
  writer.loop(writer.fresh("task"), variable("taskBegin"), variable("taskEnd"), build, scope, {
    mode: "tasks",
    range: { min: 0, max: axis.tasks - 1 },
  });
}

/** Loops over all rows of the tasks that a thread was given, one row at a time. */
export function overRows(
  writer: KernelWriter,
  axis: TaskAxis,
  scope: Scope,
  build: (inner: Scope, row: Expr) => void,
  vector = false,
): void {
  overTasks(writer, axis, scope, (inner, task) => {
    const end = rowBegin(axis, scalar("add", task, int(1)));
    const name = writer.fresh("row");
    writer.rows.set(name, 1);
    writer.loop(name, rowBegin(axis, task), end, build, inner, {
      mode: vector ? "vector" : "serial",
      range: { min: 0, max: axis.extent - 1 },
    });
  });
}
