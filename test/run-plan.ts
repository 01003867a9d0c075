/**
 * Runs a planned program by the loop-IR interpreter: all kernels of an entry in order on one memory, as a device would.
 * For tests that compare what the back of the compiler makes of a graph with what the graph means.
 */
import { evaluateHostExpr } from "../ir/artifact/host-expr.ts";
import type { Plan } from "../compiler/memory/plan.ts";
import { interpretKernel, type LoopArray } from "../ir/loop/interpret.ts";
import { unboundedSize } from "../ir/loop/loop.ts";
import type { PlannedEntry } from "../ir/program.ts";
import { at, dtypeBytes, elementCount, type DType } from "../ir/type.ts";

const arrays: Readonly<Record<DType, (buffer: ArrayBuffer, offset: number, length: number) => LoopArray>> = {
  f32: (buffer, offset, length) => new Float32Array(buffer, offset, length),
  f64: (buffer, offset, length) => new Float64Array(buffer, offset, length),
  f16: () => unsupported(),
  bf16: () => unsupported(),
  i8: (buffer, offset, length) => new Int8Array(buffer, offset, length),
  u8: (buffer, offset, length) => new Uint8Array(buffer, offset, length),
  i16: (buffer, offset, length) => new Int16Array(buffer, offset, length),
  i32: (buffer, offset, length) => new Int32Array(buffer, offset, length),
  i64: (buffer, offset, length) => new BigInt64Array(buffer, offset, length),
  bool: (buffer, offset, length) => new Uint8Array(buffer, offset, length),
};

function unsupported(): never {
  throw new Error("no half floats here");
}

/** What an entry is run with: values by name, as plain numbers in logical row-major order. */
export type PlanInputs = {
  readonly inputs?: ReadonlyMap<string, ArrayLike<number>>;
  readonly states?: ReadonlyMap<string, ArrayLike<number>>;
  readonly hyper?: ReadonlyMap<string, number>;
  readonly counters?: ReadonlyMap<string, number>;
  /** Key of counter-based random numbers: seed low, seed high, step low, step high. */
  readonly key?: readonly number[];
};

/** What it gives: outputs and all states afterwards, as plain numbers in logical row-major order. */
export type PlanResults = {
  readonly outputs: ReadonlyMap<string, Float64Array>;
  readonly states: ReadonlyMap<string, Float64Array>;
  readonly status: readonly number[];
};

/** Slack behind every buffer: vector reads may run over the end. */
const slackBytes = 256;

/** Runs one entry once. */
export function runPlan(plan: Plan, entry: PlannedEntry, given: PlanInputs): PlanResults {
  const memories = entry.buffers.map((buffer) => {
    const bytes =
      buffer.role === "state"
        ? plan.stateBytes
        : buffer.role === "arena"
          ? entry.arenaBytes
          : elementCount(buffer.shape) * dtypeBytes[buffer.stored];
    return new ArrayBuffer(Math.ceil((bytes + slackBytes) / 64) * 64);
  });
  // Garbage where nothing was written yet: a kernel that reads it gives itself away.
  for (const memory of memories) new Uint8Array(memory).fill(0xff);
  entry.buffers.forEach((buffer, i) => {
    const memory = at(memories, i);
    const length = elementCount(buffer.shape);
    if (buffer.role === "input") fill(arrays[buffer.stored](memory, 0, length), given.inputs?.get(buffer.name));
    if (buffer.role === "key") new Int32Array(memory).set(given.key ?? [0, 0, 0, 0]);
    if (buffer.role === "status") new Uint8Array(memory).fill(0);
    if (buffer.role === "scalars") {
      const environment = { hyper: given.hyper ?? new Map(), counters: given.counters ?? new Map() };
      fill(
        new Float32Array(memory, 0, length),
        entry.scalars.map((expr) => evaluateHostExpr(expr, environment)),
      );
    }
  });
  const stateMemory = at(memories, 0);
  for (const { buffer, offset } of plan.states) {
    const array = arrays[buffer.dtype](stateMemory, offset, elementCount(buffer.shape));
    const values = given.states?.get(buffer.name);
    overElements(buffer.shape, buffer.strides, (place, i) => set(array, place, values?.[i] ?? 0));
  }
  for (const phase of entry.phases)
    for (const launch of phase) {
      const kernel = at(plan.program.kernels, launch.kernel);
      const buffers = Object.fromEntries(
        kernel.buffers.map(({ name, dtype, size }, i) => {
          const arg = at(launch.args, i);
          const memory = at(memories, arg.buffer);
          const room = Math.floor((memory.byteLength - arg.offset) / dtypeBytes[dtype]);
          return [name, arrays[dtype](memory, arg.offset, size === unboundedSize ? room : Math.min(size, room))];
        }),
      );
      interpretKernel(kernel, buffers);
    }
  const outputs = new Map<string, Float64Array>();
  let status: number[] = [0, 0, 0, 0];
  entry.buffers.forEach(({ role, name, stored, shape }, i) => {
    const memory = at(memories, i);
    if (role === "output") outputs.set(name, numbers(arrays[stored](memory, 0, elementCount(shape))));
    if (role === "status") status = [...new Int32Array(memory, 0, 4)];
  });
  const states = new Map<string, Float64Array>();
  for (const { buffer, offset } of plan.states) {
    const array = arrays[buffer.dtype](stateMemory, offset, elementCount(buffer.shape));
    const values = new Float64Array(array.length);
    overElements(buffer.shape, buffer.strides, (place, i) => {
      values[i] = Number(array[place]);
    });
    states.set(buffer.name, values);
  }
  return { outputs, states, status };
}

function set(array: LoopArray, index: number, value: number): void {
  if (array instanceof BigInt64Array) array[index] = BigInt(Math.trunc(value));
  else array[index] = value;
}

function fill(array: LoopArray, values: ArrayLike<number> | undefined): void {
  for (let i = 0; i < array.length; i++) set(array, i, values?.[i] ?? 0);
}

function numbers(array: LoopArray): Float64Array {
  return Float64Array.from(array as ArrayLike<number | bigint>, Number);
}

/** Visits the elements of a strided tensor: the place of each, and its row-major number. */
function overElements(
  shape: readonly number[],
  strides: readonly number[],
  visit: (place: number, i: number) => void,
): void {
  const count = elementCount(shape);
  for (let i = 0; i < count; i++) {
    let rest = i;
    let place = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += (rest % at(shape, axis)) * at(strides, axis);
      rest = Math.floor(rest / at(shape, axis));
    }
    visit(place, i);
  }
}
