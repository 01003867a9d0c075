/**
 * Runs traced programs on a target: many small ones at once, each a job of one entry with its inputs and states. The
 * `reference` target is the graph interpreter in float64; `c` compiles batches of jobs into one program each and calls it
 * through the addon. A job that cannot be compiled does not take the others of its batch with it.
 */
import { availableParallelism } from "node:os";
import { emitC } from "../../codegen/targets/c/emit.ts";
import { buildC } from "../../compiler/build/c.ts";
import { cpuProfile, type CpuProfile } from "../../compiler/build/features.ts";
import type { Plan } from "../../compiler/memory/plan.ts";
import { planTraced } from "../../compiler/pipeline.ts";
import type { TracedProgram } from "../../compiler/trace/traced.ts";
import { evaluateHostExpr } from "../../ir/artifact/host-expr.ts";
import type { Node } from "../../ir/graph.ts";
import { interpret } from "../../ir/interpret.ts";
import type { PlannedEntry } from "../../ir/program.ts";
import { at, byteLength, elementCount, rowMajorStrides, type Shape } from "../../ir/type.ts";
import { loadNative, slackBytes, type NativeAddon, type NativeProgram, type NativeView } from "../../runtime/native.ts";
import { typedArray } from "../../runtime/typed-array.ts";
import { drawer } from "./draws.ts";
import { fromNumbers, toNumbers, type NumberTensor } from "./tensors.ts";

/** Targets a conformance run can use. */
export type Target = "reference" | "c";

/** A program of one entry, and what it is called with. */
export type Job = {
  readonly traced: TracedProgram;
  readonly inputs: ReadonlyMap<string, Float64Array>;
  readonly states: ReadonlyMap<string, Float64Array>;
  /** Seed of the generator that the entry's draws take from. */
  readonly seed?: number;
};

/** What a job gave: its results, and its states afterwards. */
export type JobResult = {
  readonly outputs: ReadonlyMap<string, NumberTensor>;
  readonly states: ReadonlyMap<string, Float64Array>;
};

/** Runs jobs; gives for each its result or the error it ended with. */
export async function execute(target: Target, jobs: readonly Job[]): Promise<(JobResult | { readonly error: unknown })[]> {
  if (target === "reference") return jobs.map((job) => attempt(() => interpretJob(job)));
  const results: (JobResult | { readonly error: unknown })[] = Array.from({ length: jobs.length });
  const profile = await cpuProfile();
  const addon = await loadNative();
  const numbered = jobs.map((job, index) => ({ job, index }));
  const batches: Numbered[][] = [];
  for (let begin = 0; begin < jobs.length; begin += batchSize) batches.push(numbered.slice(begin, begin + batchSize));
  const worker = async (): Promise<void> => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift())
      await runBatch({ profile, addon }, batch, results);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return results;
}

/** Jobs compiled into one shared object. */
const batchSize = 24;

type Numbered = { readonly job: Job; readonly index: number };
type Machine = { readonly profile: CpuProfile; readonly addon: NativeAddon };

function attempt<T>(run: () => T): T | { readonly error: unknown } {
  try {
    return run();
  } catch (error) {
    return { error };
  }
}

function interpretJob({ traced, inputs, states, seed }: Job): JobResult {
  const { graph } = at(traced.entries, 0);
  const { outputs, writes } = interpret(graph, {
    inputs,
    states,
    draw: drawer(seed ?? 0),
    hostScalar: (expr) => evaluateHostExpr(expr, environmentOf(traced)),
  });
  const types = new Map(graph.outputs.map(({ name, value }) => [name, value.type]));
  return {
    outputs: new Map([...outputs].map(([name, values]) => [name, { type: types.get(name) ?? at(graph.nodes, 0).type, values }])),
    states: new Map([...states, ...writes]),
  };
}

function environmentOf({ hyper, counters }: TracedProgram): { hyper: Map<string, number>; counters: Map<string, number> } {
  return { hyper: new Map(Object.entries(hyper)), counters: new Map(counters.map((name) => [name, 0])) };
}

/** Compiles and runs a batch; if that fails as a whole, its halves, down to single jobs. */
async function runBatch(
  machine: Machine,
  batch: readonly Numbered[],
  results: (JobResult | { readonly error: unknown })[],
): Promise<void> {
  const [only] = batch;
  if (only === undefined) return;
  try {
    const program = merge(batch);
    const { plan } = planTraced(program, { vectors: machine.profile, name: "conformance" });
    const { library } = await buildC(emitC(plan.program, { files: 1 }), { level: 1 });
    const native = new machine.addon.NativeProgram(library);
    try {
      for (const each of batch) results[each.index] = attempt(() => runNative(machine.addon, native, plan, each));
    } finally {
      native.close();
    }
  } catch (error) {
    if (batch.length === 1) {
      results[only.index] = { error };
      return;
    }
    const half = batch.length >> 1;
    await runBatch(machine, batch.slice(0, half), results);
    await runBatch(machine, batch.slice(half), results);
  }
}

/** One program of all jobs' entries, with the names of entries and states made unique by the job's number. */
function merge(batch: readonly Numbered[]): TracedProgram {
  const entries = batch.map(({ job: { traced }, index }) => {
    const entry = at(traced.entries, 0);
    const own = (state: string): string => `${index}.${state}`;
    const moved: Node[] = [];
    for (const node of entry.graph.nodes) {
      const attrs = node.op === "read" ? { ...node.attrs, state: own(String(node.attrs["state"])) } : node.attrs;
      moved.push({ ...node, attrs, inputs: node.inputs.map((input) => at(moved, input.id)) });
    }
    const graph = {
      name: `job${index}`,
      nodes: moved,
      outputs: entry.graph.outputs.map(({ name, value }) => ({ name, value: at(moved, value.id) })),
      writes: entry.graph.writes.map(({ state, value }) => ({ state: own(state), value: at(moved, value.id) })),
    };
    const inputs = entry.inputs.map((input) => ({ ...input, leaf: at(moved, input.leaf.id) }));
    return { ...entry, name: `job${index}`, graph, inputs };
  });
  const states = batch.flatMap(({ job, index }) =>
    job.traced.states.map((state) => ({ ...state, name: `${index}.${state.name}` })),
  );
  return { entries, states, init: [], hyper: {}, counters: [], training: undefined };
}

function runNative(addon: NativeAddon, native: NativeProgram, plan: Plan, { job, index }: Numbered): JobResult {
  const name = `job${index}`;
  const entry = plan.program.entries.find((each) => each.name === name);
  const place = native.entries.findIndex((each) => each.name === name);
  if (entry === undefined || place < 0) throw new Error(`the program has no entry ${name}`);
  const memories = entry.buffers.map((buffer) => {
    const bytes =
      buffer.role === "state" ? plan.stateBytes : buffer.role === "arena" ? entry.arenaBytes : byteLength(buffer);
    const memory = addon.allocate(bytes + slackBytes);
    // Garbage where nothing was written yet gives itself away.
    if (buffer.role === "arena" || buffer.role === "output") new Uint8Array(memory).fill(0xff);
    return { memory, bytes };
  });
  prepare(plan, entry, memories, job, index);
  const views: NativeView[] = memories.map(({ memory }) => new Uint8Array(memory));
  const zero = views.map(() => 0);
  native.runSync(place, 1, 1, views, zero, memories.map(({ bytes }) => bytes));
  const outputs = new Map<string, NumberTensor>();
  entry.buffers.forEach(({ role, name: output, dtype, shape }, i) => {
    const bytes = new Uint8Array(at(memories, i).memory, 0, byteLength({ dtype, shape }));
    if (role === "output") outputs.set(output, { type: { dtype, shape }, values: toNumbers(dtype, typedArray(dtype, bytes)) });
    if (role === "status" && new Int32Array(bytes.buffer, 0, 1)[0] !== 0)
      throw new Error(`a kernel reports an error: ${[...new Int32Array(bytes.buffer, 0, 4)].join(", ")}`);
  });
  return { outputs, states: readStates(plan, entry, memories, index) };
}

type Memory = { readonly memory: ArrayBuffer; readonly bytes: number };

function prepare(plan: Plan, entry: PlannedEntry, memories: readonly Memory[], job: Job, index: number): void {
  entry.buffers.forEach((buffer, i) => {
    const { memory } = at(memories, i);
    const write = (values: ArrayLike<number>): void => {
      const data = fromNumbers(buffer.dtype, values);
      new Uint8Array(memory).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    };
    if (buffer.role === "input") write(job.inputs.get(buffer.name) ?? []);
    if (buffer.role === "scalars") write(entry.scalars.map((expr) => evaluateHostExpr(expr, environmentOf(job.traced))));
    if (buffer.role === "state")
      for (const { buffer: state, offset } of plan.states) {
        const values = job.states.get(state.name.replace(`${index}.`, ""));
        if (!state.name.startsWith(`${index}.`) || values === undefined) continue;
        const ordered = new Float64Array(values.length);
        overElements(state.shape, state.strides, (there, here) => {
          ordered[there] = values[here] ?? 0;
        });
        const data = fromNumbers(state.dtype, ordered);
        new Uint8Array(memory).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
      }
  });
}

function readStates(plan: Plan, entry: PlannedEntry, memories: readonly Memory[], index: number): Map<string, Float64Array> {
  const states = new Map<string, Float64Array>();
  const place = entry.buffers.findIndex(({ role }) => role === "state");
  for (const { buffer, offset } of plan.states) {
    if (place < 0 || !buffer.name.startsWith(`${index}.`)) continue;
    const bytes = new Uint8Array(at(memories, place).memory, offset, byteLength(buffer));
    const stored = toNumbers(buffer.dtype, typedArray(buffer.dtype, bytes));
    const values = new Float64Array(stored.length);
    overElements(buffer.shape, buffer.strides, (there, here) => {
      values[here] = stored[there] ?? 0;
    });
    states.set(buffer.name.replace(`${index}.`, ""), values);
  }
  return states;
}

/** Visits the elements of a tensor: the place of each by `strides`, and its row-major number. */
function overElements(shape: Shape, strides: readonly number[], visit: (place: number, i: number) => void): void {
  const dense = rowMajorStrides(shape);
  for (let i = 0; i < elementCount(shape); i++) {
    const place = shape.reduce(
      (sum, extent, axis) => sum + (Math.floor(i / at(dense, axis)) % extent) * at(strides, axis),
      0,
    );
    visit(place, i);
  }
}
