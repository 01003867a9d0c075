/**
 * The plan of a program: kernels, each once, and for every entry the launches in order, grouped into phases, with the
 * place of every buffer. Takes the scheduled graphs; gives what a target's emitter takes, and a report of every launch
 * for people.
 */
import { at, dtypeBytes, elementCount, type DType } from "../../ir/type.ts";
import type { Kernel } from "../../ir/loop/loop.ts";
import { datasetType, storedType, type Gpu, type Machine } from "../../ir/machine.ts";
import type { Node } from "../../ir/graph.ts";
import type { Arg, Launch, PlannedBuffer, PlannedEntry, PlannedProgram } from "../../ir/program.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { lowerGroup } from "../lower/index.ts";
import type { Lowered, LowerContext } from "../lower/lowered.ts";
import { fitTogether, mergeLaunches } from "../lower/gpu/merge.ts";
import { lowerCopy } from "../lower/map.ts";
import { drawOf } from "../lower/random.ts";
import type { Group } from "../schedule/group.ts";
import type { Schedule } from "../schedule/schedule.ts";
import { paddedBytes, placeBuffers, type Life } from "./arena.ts";
import { bufferElements, createBuffer, type Buffer } from "./buffer.ts";
import { assignPhases, assignRounds, touchesOf, type Touch } from "./conflict.ts";
import { KernelTable } from "./kernel-table.ts";
import { placeValues, type Targets } from "./targets.ts";

/** An entry ready to be planned. */
export type ScheduledEntry = {
  readonly name: string;
  readonly batch: number;
  readonly schedule: Schedule;
  /** Every tensor the caller hands over, in order, whether the graph reads it or not. */
  readonly inputs: readonly {
    readonly kind: "feed" | "input";
    readonly name: string;
    readonly dtype: DType;
    readonly shape: readonly number[];
  }[];
  readonly increments: Readonly<Record<string, number>>;
};

/** A state's buffer and its offset in the state region, in bytes. */
export type PlacedState = { readonly buffer: Buffer; readonly offset: number };

/** One launch, for the report. */
export type LaunchReport = {
  readonly kernel: string;
  readonly phase: number;
  readonly tasks: number;
  readonly flops: number;
  /** Bytes of all buffers that it reads or writes. */
  readonly bytes: number;
  /** The ops it computes, with the module paths they come from. */
  readonly computes: readonly string[];
};

/** One entry's report. */
export type EntryReport = {
  readonly name: string;
  readonly batch: number;
  readonly phases: number;
  readonly arenaBytes: number;
  readonly launches: readonly LaunchReport[];
};

/** A planned program with its reports. */
export type Plan = {
  readonly program: PlannedProgram;
  readonly states: readonly PlacedState[];
  readonly stateBytes: number;
  readonly reports: readonly EntryReport[];
};

/** Lays the states out one after the other. */
function placeStates(
  buffers: readonly Buffer[],
  alignment: number | undefined,
): {
  readonly states: readonly PlacedState[];
  readonly bytes: number;
} {
  let offset = 0;
  const states = buffers.map((buffer) => {
    const placed = { buffer, offset };
    offset += paddedBytes(buffer, alignment);
    return placed;
  });
  return { states, bytes: offset };
}

/** Plans all entries of a program. */
export function planProgram(
  name: string,
  entries: readonly ScheduledEntry[],
  stateBuffers: readonly Buffer[],
  machine: Machine,
): Plan {
  const table = new KernelTable();
  const { states, bytes } = placeStates(stateBuffers, machine.alignment);
  const planned = entries.map((entry) => planEntry(entry, states, machine, table));
  return {
    program: { name, kernels: table.kernels, entries: planned.map(({ entry }) => entry) },
    states,
    stateBytes: bytes,
    reports: planned.map(({ report }) => report),
  };
}

type Step = {
  readonly lowered: Lowered;
  readonly touches: readonly Touch[];
  readonly nodes: readonly Node[];
  readonly kind: string;
};

function planEntry(
  entry: ScheduledEntry,
  states: readonly PlacedState[],
  machine: Machine,
  table: KernelTable,
): { readonly entry: PlannedEntry; readonly report: EntryReport } {
  const { schedule } = entry;
  const targets = placeValues(schedule, new Map(states.map(({ buffer }) => [buffer.name, buffer])), machine);
  const context: LowerContext = { places: targets.places, targets: targets.targets, machine };
  const lowered = lowerAll(schedule, targets, context);
  const { steps, phases } = machine.gpu === undefined ? inPhases(lowered) : inRounds(lowered, machine.gpu);
  const { offsets, bytes } = placeBuffers(livesOf(steps, phases), machine.alignment);
  const { buffers, argOf } = bindBuffers(entry, targets, steps, states, offsets, machine);
  const phaseCount = Math.max(0, ...phases.map((phase) => phase + 1));
  const byPhase: Launch[][] = Array.from({ length: phaseCount }, () => []);
  const launches: LaunchReport[] = [];
  steps.forEach((step, i) => {
    const phase = phases[i] ?? 0;
    const kernel = table.add(step.lowered, step.kind, step.nodes);
    byPhase[phase]?.push({ kernel: kernel.index, args: step.lowered.buffers.map(argOf) });
    launches.push(reportLaunch(step, phase, kernel.kernel));
  });
  const { name, batch, increments } = entry;
  return {
    entry: { name, batch, buffers, phases: byPhase, arenaBytes: bytes, scalars: targets.scalars, increments },
    report: { name, batch, phases: phaseCount, arenaBytes: bytes, launches },
  };
}

/** Steps with the phase of each. */
type Phased = { readonly steps: readonly Step[]; readonly phases: readonly number[] };

/** The steps as they are, each in the earliest phase. */
function inPhases(steps: readonly Step[]): Phased {
  return { steps, phases: assignPhases(steps.map(({ touches }) => touches)) };
}

/** Steps joined into launches: those whose results most others wait for first, and with each what fits beside it. */
function inRounds(steps: readonly Step[], gpu: Gpu): Phased {
  const rounds = assignRounds(
    steps.map(({ touches }) => touches),
    (members) =>
      fitTogether(
        members.map((i) => at(steps, i).lowered),
        gpu,
      ),
  );
  const joined = rounds.map((members): Step => {
    const parts = members.map((i) => at(steps, i));
    const [first] = parts;
    invariant(first !== undefined, "an empty round");
    if (parts.length === 1) return first;
    const lowered = mergeLaunches(parts.map((part) => part.lowered));
    return { lowered, touches: touchesOf(lowered), nodes: parts.flatMap(({ nodes }) => nodes), kind: first.kind };
  });
  return { steps: joined, phases: joined.map((_, i) => i) };
}

/** Lowers every group, in an order in which all that a group reads is there and nothing it needs is overwritten. */
function lowerAll(schedule: Schedule, targets: Targets, context: LowerContext): Step[] {
  const steps: Step[] = [];
  for (const group of orderGroups(schedule.grouping.groups, targets)) {
    const nodes = [...group.heavy, ...group.stores.map(({ node }) => node)];
    const isWritten = (node: Node): boolean => targets.targets(node).length > 0 && elementCount(node.type.shape) > 0;
    if (!nodes.some(isWritten) || (group.kind === "random" && context.machine.random === "host")) continue;
    const lowered = lowerGroup(group, context, schedule);
    steps.push({ lowered, touches: touchesOf(lowered), nodes, kind: group.kind });
  }
  for (const { node, target } of targets.lateCopies) {
    if (elementCount(node.type.shape) === 0) continue;
    const lowered = lowerCopy(node, target, context);
    steps.push({ lowered, touches: touchesOf(lowered), nodes: [node], kind: "copy" });
  }
  return steps;
}

/** Topological order; among groups that are ready, the one that was formed first. */
function orderGroups(groups: readonly Group[], targets: Targets): Group[] {
  const order: Group[] = [];
  const state = new Map<Group, "open" | "done">();
  const visit = (group: Group): void => {
    if (state.has(group)) {
      invariant(state.get(group) === "done", `group ${group.id} waits for itself`);
      return;
    }
    state.set(group, "open");
    const before = [...group.needs, ...(targets.readersFirst.get(group) ?? [])];
    for (const earlier of before.toSorted((a, b) => a.id - b.id)) visit(earlier);
    state.set(group, "done");
    order.push(group);
  };
  for (const group of groups) visit(group);
  return order;
}

/** The lives of the buffers that the planner places. */
function livesOf(steps: readonly Step[], phases: readonly number[]): Life[] {
  const lives = new Map<Buffer, { first: number; last: number }>();
  steps.forEach(({ touches }, i) => {
    const phase = phases[i] ?? 0;
    for (const { buffer } of touches) {
      if (buffer.role !== "arena") continue;
      const life = lives.get(buffer) ?? { first: phase, last: phase };
      lives.set(buffer, { first: Math.min(life.first, phase), last: Math.max(life.last, phase) });
    }
  });
  return [...lives].map(([buffer, life]) => ({ buffer, ...life }));
}

/** The buffers an entry is called with, and where each of a kernel's buffers lies in them. */
function bindBuffers(
  entry: ScheduledEntry,
  targets: Targets,
  steps: readonly Step[],
  states: readonly PlacedState[],
  offsets: ReadonlyMap<Buffer, number>,
  machine: Machine,
): { readonly buffers: readonly PlannedBuffer[]; readonly argOf: (buffer: Buffer) => Arg } {
  const used = new Set(steps.flatMap(({ lowered }) => lowered.buffers));
  const external: PlannedBuffer[] = [
    { role: "state", name: "state", dtype: "u8", stored: "u8", shape: [] },
    { role: "arena", name: "arena", dtype: "u8", stored: "u8", shape: [] },
  ];
  const feeds = entry.inputs.filter(({ kind }) => kind === "feed");
  for (const { kind, name, dtype, shape } of entry.inputs)
    external.push({
      role: kind === "feed" ? "dataset" : "input",
      name,
      dtype,
      stored: kind === "feed" ? datasetType(machine, dtype) : storedType(machine, dtype),
      shape,
    });
  if (feeds.length > 0)
    external.push({ role: "indices", name: "indices", dtype: "i32", stored: "i32", shape: [feeds[0]?.shape[0] ?? 1] });
  const { scalars, generator, key, status } = targets.places;
  for (const buffer of [scalars, generator, key, status]) if (used.has(buffer)) external.push(describe(buffer));
  for (const { buffer, node } of targets.draws)
    external.push({ ...describe(buffer), dtype: node.type.dtype, draw: drawOf(node) });
  for (const { name, value } of entry.schedule.graph.outputs)
    external.push({
      role: "output",
      name,
      dtype: value.type.dtype,
      stored: storedType(machine, value.type.dtype),
      shape: value.type.shape,
    });
  const indexOf = new Map(external.map(({ role, name }, index) => [`${role} ${name}`, index]));
  const stateOffsets = new Map(states.map(({ buffer, offset }) => [buffer, offset]));
  const argOf = (buffer: Buffer): Arg => {
    if (buffer.role === "state") return { buffer: 0, offset: stateOffsets.get(buffer) ?? 0 };
    if (buffer.role === "arena") return { buffer: 1, offset: offsets.get(buffer) ?? 0 };
    const index = indexOf.get(`${buffer.role} ${buffer.name}`);
    invariant(index !== undefined, `no ${buffer.role} buffer named ${buffer.name}`);
    return { buffer: index, offset: 0 };
  };
  return { buffers: external, argOf };
}

function describe({ role, name, dtype, shape }: Buffer): PlannedBuffer {
  return { role, name, dtype, stored: dtype, shape };
}

function reportLaunch({ lowered, nodes }: Step, phase: number, kernel: Kernel): LaunchReport {
  const bytes = lowered.buffers
    .filter(({ role }) => role !== "dataset" && role !== "status")
    .reduce((sum, buffer) => sum + bufferElements(buffer) * dtypeBytes[buffer.dtype], 0);
  const computes = nodes.map(({ op, source }) => (source?.module === undefined ? op : `${source.module}.${op}`));
  return { kernel: kernel.name, phase, tasks: lowered.tasks.tasks, flops: lowered.flops, bytes, computes };
}

/** A state's buffer in the given memory order. */
export function stateBuffer(name: string, dtype: DType, shape: readonly number[], order: readonly number[]): Buffer {
  return createBuffer("state", name, dtype, shape, order);
}
