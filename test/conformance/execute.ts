/**
 * Runs traced programs on a target: many small ones at once, each a job of one entry with its inputs and states. The
 * `reference` target is the graph interpreter in float64; the others compile batches of jobs into one program each, which
 * their machine runs. A job that cannot be compiled does not take the others of its batch with it.
 */
import type { Plan } from "../../compiler/memory/plan.ts";
import type { TracedProgram } from "../../compiler/trace/traced.ts";
import { evaluateHostExpr, type HostEnvironment, type HostExpr } from "../../ir/artifact/host-expr.ts";
import type { Node } from "../../ir/graph.ts";
import { interpret } from "../../ir/interpret.ts";
import { entryLabel, type PlannedEntry } from "../../ir/program.ts";
import { Generator } from "../../ir/random/generator.ts";
import { at, byteLength, elementCount, rowMajorStrides, type DType, type Shape } from "../../ir/type.ts";
import { typedArray } from "../../runtime/typed-array.ts";
import { drawer } from "./draws.ts";
import { bufferBytes, machines, type Compiled, type ConformanceMachine, type MachineName } from "./machines.ts";
import { fromNumbers, toNumbers, type NumberTensor } from "./tensors.ts";

/** Targets a conformance run can use. */
export type Target = "reference" | MachineName;

/** A program of one entry, and what it is called with. */
export type Job = {
  readonly traced: TracedProgram;
  readonly inputs: ReadonlyMap<string, Float64Array>;
  readonly states: ReadonlyMap<string, Float64Array>;
  /** Seed of the generator that the entry's draws take from. */
  readonly seed?: number;
  /**
   * Calls of the entry one after the other, each with inputs of its own beside `inputs`; states, counters and the
   * generator go on. One call if left out.
   */
  readonly calls?: readonly ReadonlyMap<string, Float64Array>[];
  /** Sets hyperparameters before call number `call`. */
  readonly beforeCall?: (call: number, hyper: Map<string, number>) => void;
};

/** What a job gave: its results (of the last call, and of each), and its states afterwards. */
export type JobResult = {
  readonly outputs: ReadonlyMap<string, NumberTensor>;
  readonly calls: readonly ReadonlyMap<string, NumberTensor>[];
  readonly states: ReadonlyMap<string, Float64Array>;
};

/** Runs jobs; gives for each its result or the error it ended with. */
export async function execute(
  target: Target,
  jobs: readonly Job[],
): Promise<(JobResult | { readonly error: unknown })[]> {
  if (target === "reference") return Promise.all(jobs.map(async (job) => attempt(() => interpretJob(job))));
  const results: (JobResult | { readonly error: unknown })[] = Array.from({ length: jobs.length });
  const machine = await machines[target]();
  const numbered = jobs.map((job, index) => ({ job, index }));
  const batches: Numbered[][] = [];
  for (let begin = 0; begin < jobs.length; begin += batchSize) batches.push(numbered.slice(begin, begin + batchSize));
  const worker = async (): Promise<void> => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift())
      await runBatch(machine, batch, results);
  };
  try {
    await Promise.all(Array.from({ length: machine.parallel }, worker));
  } finally {
    await machine.close();
  }
  return results;
}

/** Jobs compiled into one program. */
const batchSize = 24;

type Numbered = { readonly job: Job; readonly index: number };

async function attempt<T>(run: () => Promise<T>): Promise<T | { readonly error: unknown }> {
  try {
    return await run();
  } catch (error) {
    return { error };
  }
}

/** Runs the calls of a job with hyperparameters and counters that go on from one to the next. */
async function runCalls(
  job: Job,
  call: (
    inputs: ReadonlyMap<string, Float64Array>,
    environment: HostEnvironment,
  ) => ReadonlyMap<string, NumberTensor> | Promise<ReadonlyMap<string, NumberTensor>>,
): Promise<ReadonlyMap<string, NumberTensor>[]> {
  const { traced, inputs, calls = [new Map()], beforeCall } = job;
  const hyper = new Map(Object.entries(traced.hyper));
  const counters = new Map(traced.counters.map((name) => [name, 0]));
  const results: ReadonlyMap<string, NumberTensor>[] = [];
  for (const [i, own] of calls.entries()) {
    beforeCall?.(i, hyper);
    results.push(await call(new Map([...inputs, ...own]), { hyper, counters }));
    for (const [name, by] of Object.entries(at(traced.entries, 0).increments))
      counters.set(name, (counters.get(name) ?? 0) + by);
  }
  return results;
}

function lastOf(calls: readonly ReadonlyMap<string, NumberTensor>[]): ReadonlyMap<string, NumberTensor> {
  return calls.at(-1) ?? new Map();
}

async function interpretJob(job: Job): Promise<JobResult> {
  const { graph } = at(job.traced.entries, 0);
  const types = new Map(graph.outputs.map(({ name, value }) => [name, value.type]));
  const draw = drawer(job.seed ?? 0);
  let states = job.states;
  const calls = await runCalls(job, (inputs, environment) => {
    const hostScalar = (expr: HostExpr): number => evaluateHostExpr(expr, environment);
    const { outputs, writes } = interpret(graph, { inputs, states, draw, hostScalar });
    states = new Map([...states, ...writes]);
    return new Map(
      [...outputs].map(([name, values]) => [name, { type: types.get(name) ?? at(graph.nodes, 0).type, values }]),
    );
  });
  return { outputs: lastOf(calls), calls, states };
}

/** Compiles and runs a batch; if that fails as a whole, its halves, down to single jobs. */
async function runBatch(
  machine: ConformanceMachine,
  batch: readonly Numbered[],
  results: (JobResult | { readonly error: unknown })[],
): Promise<void> {
  const [only] = batch;
  if (only === undefined) return;
  try {
    const compiled = await machine.compile(merge(batch));
    try {
      for (const each of batch) results[each.index] = await attempt(() => runCompiled(compiled, each));
    } finally {
      compiled.close();
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
    const own = (state: string): string => `job${index}.${state}`;
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
    job.traced.states.map((state) => ({ ...state, name: `job${index}.${state.name}` })),
  );
  return { entries, states, init: [], hyper: {}, counters: [], training: undefined };
}

async function runCompiled(compiled: Compiled, { job, index }: Numbered): Promise<JobResult> {
  const { plan } = compiled;
  const name = `job${index}`;
  const entry = plan.program.entries.find((each) => each.name === name);
  if (entry === undefined) throw new Error(`the program has no entry ${name}`);
  const memories = entry.buffers.map((buffer) => {
    const memory = compiled.allocate(bufferBytes(plan, entry.arenaBytes, buffer));
    // Garbage where nothing was written yet gives itself away.
    if (buffer.role === "arena" || buffer.role === "output") memory.fill(0xff);
    return memory;
  });
  prepareStates(plan, entry, memories, job, index);
  const draw = drawer(job.seed ?? 0);
  const calls = await runCalls(job, async (inputs, environment) => {
    prepareCall(entry, memories, inputs, environment, draw);
    await compiled.run(entryLabel(entry), memories);
    return readOutputs(entry, memories);
  });
  return { outputs: lastOf(calls), calls, states: readStates(plan, entry, memories, index) };
}

function readOutputs(entry: PlannedEntry, memories: readonly Uint8Array[]): Map<string, NumberTensor> {
  const outputs = new Map<string, NumberTensor>();
  entry.buffers.forEach(({ role, name, dtype, stored, shape }, i) => {
    const bytes = at(memories, i).subarray(0, byteLength({ dtype: stored, shape }));
    if (role === "output")
      outputs.set(name, { type: { dtype, shape }, values: toNumbers(stored, typedArray(stored, bytes)) });
    if (role === "status" && new Int32Array(bytes.buffer, bytes.byteOffset, 1)[0] !== 0)
      throw new Error(
        `a kernel reports an error: ${[...new Int32Array(bytes.buffer, bytes.byteOffset, 4)].join(", ")}`,
      );
  });
  return outputs;
}

function write(memory: Uint8Array, stored: DType, values: ArrayLike<number>, offset = 0): void {
  const data = fromNumbers(stored, values);
  memory.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
}

function prepareCall(
  entry: PlannedEntry,
  memories: readonly Uint8Array[],
  inputs: ReadonlyMap<string, Float64Array>,
  environment: HostEnvironment,
  draw: ReturnType<typeof drawer>,
): void {
  entry.buffers.forEach((buffer, i) => {
    const { role, name, stored, shape } = buffer;
    const memory = at(memories, i);
    if (role === "input") write(memory, stored, inputs.get(name) ?? []);
    if (role === "draws" && buffer.draw !== undefined) write(memory, stored, draw(buffer.draw, elementCount(shape)));
    if (role === "scalars")
      write(
        memory,
        stored,
        entry.scalars.map((expr) => evaluateHostExpr(expr, environment)),
      );
  });
}

function prepareStates(
  plan: Plan,
  entry: PlannedEntry,
  memories: readonly Uint8Array[],
  job: Job,
  index: number,
): void {
  entry.buffers.forEach(({ role }, i) => {
    const memory = at(memories, i);
    if (role === "generator") memory.set(new Uint8Array(Generator.seeded(job.seed ?? 0).state.buffer));
    if (role !== "state") return;
    for (const { buffer: state, offset } of plan.states) {
      const values = job.states.get(state.name.replace(`job${index}.`, ""));
      if (!state.name.startsWith(`job${index}.`) || values === undefined) continue;
      const ordered = new Float64Array(values.length);
      overElements(state.shape, state.strides, (there, here) => {
        ordered[there] = values[here] ?? 0;
      });
      write(memory, state.dtype, ordered, offset);
    }
  });
}

function readStates(
  plan: Plan,
  entry: PlannedEntry,
  memories: readonly Uint8Array[],
  index: number,
): Map<string, Float64Array> {
  const states = new Map<string, Float64Array>();
  const place = entry.buffers.findIndex(({ role }) => role === "state");
  for (const { buffer, offset } of plan.states) {
    if (place < 0 || !buffer.name.startsWith(`job${index}.`)) continue;
    const bytes = at(memories, place).subarray(offset, offset + byteLength(buffer));
    const stored = toNumbers(buffer.dtype, typedArray(buffer.dtype, bytes));
    const values = new Float64Array(stored.length);
    overElements(buffer.shape, buffer.strides, (there, here) => {
      values[here] = stored[there] ?? 0;
    });
    states.set(buffer.name.replace(`job${index}.`, ""), values);
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
