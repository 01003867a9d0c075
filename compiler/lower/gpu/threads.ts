/**
 * How the threads of a GPU share a kernel's work: by items, one a thread, cut into work-groups by their number alone. The
 * last work-group may have threads without an item, which do nothing.
 */
import { branch, int, scalar, variable, type Expr } from "../../../ir/loop/loop.ts";
import { Scope } from "../kernel-writer.ts";
import type { Draft } from "../lowered.ts";
import { overTasks, type TaskAxis } from "../tasks.ts";

/** Threads of a work-group where nothing asks for another number, and where there are few items. */
const usualThreads = 256;
const fewThreads = 64;

/** Number of the running thread within its work-group. */
export const thread: Expr = variable("thread");

/** Threads of the work-groups that share `items`. */
function threadsFor(items: number): number {
  return items >= 16 * usualThreads ? usualThreads : fewThreads;
}

/** Makes the range of `thread` known, and runs `build` for the work-groups of a kernel. */
export function overGroups(
  { writer, root }: Draft,
  tasks: number,
  threads: number,
  build: (scope: Scope, task: Expr) => void,
): TaskAxis {
  writer.ranges.set("thread", { min: 0, max: threads - 1 });
  const axis: TaskAxis = { extent: tasks, tasks, threads };
  overTasks(writer, axis, root, build);
  return axis;
}

/** Runs `build` for items 0 to `items` - 1, one a thread. */
export function overItems(
  draft: Draft,
  items: number,
  build: (scope: Scope, item: Expr) => void,
  threads = threadsFor(items),
): TaskAxis {
  const tasks = Math.max(1, Math.ceil(items / threads));
  return overGroups(draft, tasks, threads, (scope, task) => {
    const item = scalar("add", scalar("mul", task, int(threads)), thread);
    within(draft, scope, item, items, threads * tasks, build);
  });
}

/** Runs `build` where `number`, which is less than `most`, is less than `count`. */
function within(
  { writer }: Draft,
  scope: Scope,
  number: Expr,
  count: number,
  most: number,
  build: (scope: Scope, number: Expr) => void,
): void {
  if (most <= count) {
    build(scope, number);
    return;
  }
  const name = writer.bind(scope, number, "item");
  const inner = new Scope(scope, true);
  writer.knowing(name, { min: 0, max: Math.max(0, count - 1) }, () => build(inner, name));
  scope.add(branch(scalar("lt", name, int(count)), inner.statements));
}
