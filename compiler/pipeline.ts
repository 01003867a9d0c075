/**
 * The back of the compiler as a list: a traced program becomes a planned one. Every arrow of the architecture is one
 * step here, timed, verified and open to dumps.
 */
import { printGraph } from "../ir/print.ts";
import { printKernel } from "../ir/loop/print.ts";
import { verifyKernel } from "../ir/loop/verify.ts";
import { verifyGraph } from "../ir/verify.ts";
import type { Graph } from "../ir/graph.ts";
import { storedType, type Machine } from "../ir/machine.ts";
import { entryLabel } from "../ir/program.ts";
import { orderedStrides } from "./memory/buffer.ts";
import { planProgram, stateBuffer, type Plan, type ScheduledEntry } from "./memory/plan.ts";
import { makePaddingExplicit } from "./passes/explicit-padding.ts";
import { hoistToHost } from "./passes/host-scalars.ts";
import { removeDeadNodes } from "./passes/liveness.ts";
import type { Pass } from "./passes/pass.ts";
import { pipeline } from "./passes/pipeline.ts";
import { reuseOutputs } from "./passes/reuse-outputs.ts";
import { runPasses } from "./passes/run.ts";
import { chooseLayouts, type Layouts } from "./schedule/layout.ts";
import { printSchedule } from "./schedule/print.ts";
import { scheduleGraph, type Schedule } from "./schedule/schedule.ts";
import type { StateDecl, TracedEntry, TracedProgram } from "./trace/traced.ts";

/** Passes that prepare a graph for scheduling, behind those that improve it. */
const preparation: readonly Pass[] = [
  { name: "host", doc: "leaves arithmetic between host scalars to the host", run: hoistToHost },
  { name: "reuse", doc: "lets gradients test an activation instead of its input", run: reuseOutputs },
  { name: "padding", doc: "makes the padding of convolutions a node of its own", run: makePaddingExplicit },
  { name: "merge", doc: "makes equal nodes one again", rules: [] },
  { name: "sweep", doc: "drops what preparation left behind", run: removeDeadNodes },
];

/** How much the wishes of an entry count when layouts are chosen; entries not named here count once. */
const entryWeights: Readonly<Record<string, number>> = { train: 4 };

/** What happened on the way, by the name of the stage. */
export type Observer = {
  /** The text of a stage, such as `train@64.03-fold.ir`. */
  readonly dump?: (name: string, text: string) => void;
  /** Milliseconds that a stage took. */
  readonly time?: (stage: string, milliseconds: number) => void;
};

/** What the back makes of a program. */
export type BackResult = {
  readonly plan: Plan;
  readonly layouts: Layouts;
  /** The graph of each entry after all passes. */
  readonly graphs: ReadonlyMap<string, Graph>;
  readonly schedules: ReadonlyMap<string, Schedule>;
};

/** Options of the back. */
export type BackOptions = {
  readonly machine: Machine;
  readonly name: string;
  /** What `optimiseTraced` gave, where several machines are planned for. */
  readonly graphs?: readonly Graph[];
  readonly observer?: Observer;
};

/** The graphs of a program's entries after all passes, which are the same for every machine. */
export function optimiseTraced(traced: TracedProgram, observer: Observer = {}): readonly Graph[] {
  return timed(observer, "passes", () => traced.entries.map((entry) => optimise(entry, observer)));
}

/** Optimises, schedules, lowers and plans a traced program. */
export function planTraced(traced: TracedProgram, options: BackOptions): BackResult {
  const { machine, name, observer = {} } = options;
  const { graphs = optimiseTraced(traced, observer) } = options;
  const voters = traced.entries.map((entry, i) => ({
    graph: graphs[i] ?? entry.graph,
    weight: entryWeights[entry.name] ?? 1,
  }));
  const layouts = timed(observer, "layout", () => chooseLayouts(voters, traced.states, machine));
  const stridesOf = stateStrides(traced.states, layouts);
  const updated = new Set(voters.flatMap(({ graph }) => graph.writes.map(({ state }) => state)));
  const schedules = timed(observer, "schedule", () =>
    voters.map(({ graph }) => scheduleGraph(graph, stridesOf, machine, updated)),
  );
  const entries = traced.entries.map((entry, i) => scheduledEntry(entry, schedules[i]));
  for (const entry of entries) observer.dump?.(`${entryLabel(entry)}.schedule`, printSchedule(entry.schedule));
  const buffers = traced.states.map((state) =>
    stateBuffer(state.name, storedType(machine, state.dtype), state.shape, layouts.get(state.name) ?? []),
  );
  const plan = timed(observer, "lower and plan", () => planProgram(name, entries, buffers, machine));
  for (const kernel of plan.program.kernels) verifyKernel(kernel);
  observer.dump?.("kernels.loop", plan.program.kernels.map(printKernel).join("\n"));
  return {
    plan,
    layouts,
    graphs: new Map(traced.entries.map((entry, i) => [entryLabel(entry), voters[i]?.graph ?? entry.graph])),
    schedules: new Map(entries.map((entry) => [entryLabel(entry), entry.schedule])),
  };
}

function timed<T>(observer: Observer, stage: string, run: () => T): T {
  const begin = performance.now();
  const result = run();
  observer.time?.(stage, performance.now() - begin);
  return result;
}

/** The graph of an entry after all passes. */
function optimise(entry: TracedEntry, observer: Observer): Graph {
  const label = entryLabel(entry);
  verifyGraph(entry.graph);
  observer.dump?.(`${label}.00-trace.ir`, printGraph(entry.graph));
  let step = 0;
  const { graph } = runPasses(entry.graph, {
    passes: [...pipeline, ...preparation],
    verify: true,
    dump: (pass, after) => {
      step++;
      observer.dump?.(`${label}.${String(step).padStart(2, "0")}-${pass}.ir`, printGraph(after));
    },
  });
  return graph;
}

function stateStrides(states: readonly StateDecl[], layouts: Layouts): (name: string) => readonly number[] {
  const shapes = new Map(states.map(({ name, shape }) => [name, shape]));
  return (name) => orderedStrides(shapes.get(name) ?? [], layouts.get(name) ?? []);
}

function scheduledEntry(entry: TracedEntry, schedule: Schedule | undefined): ScheduledEntry {
  if (schedule === undefined) throw new RangeError("an entry without a schedule");
  const { name, batch, increments } = entry;
  const inputs = entry.inputs.map(({ kind, name: input, type }) => ({
    kind,
    name: input,
    dtype: type.dtype,
    shape: type.shape,
  }));
  return { name, batch, increments, schedule, inputs };
}
