/**
 * The machines that conformance jobs run on: each compiles a traced program and runs its entries on the bytes of their
 * buffers. Beside a target's emitter and its device there is nothing here that the compiler and the runtime do not use.
 */
import { emitC } from "../../codegen/targets/c/emit.ts";
import { cudaMachine } from "../../codegen/targets/cuda/limits.ts";
import { emitWgsl, type WgslLaunch } from "../../codegen/targets/wgsl/emit.ts";
import { wgslMachine } from "../../codegen/targets/wgsl/limits.ts";
import { buildC } from "../../compiler/build/c.ts";
import { cpuProfile } from "../../compiler/build/features.ts";
import type { Plan } from "../../compiler/memory/plan.ts";
import { planTraced } from "../../compiler/pipeline.ts";
import type { TracedProgram } from "../../compiler/trace/traced.ts";
import { entryLabel } from "../../ir/program.ts";
import { at, byteLength, type DType, type Shape } from "../../ir/type.ts";
import type { GpuDevice, GpuModule } from "../../runtime/gpu/device.ts";
import { openWgpu } from "../../runtime/gpu/wgpu.ts";
import { loadNative, slackBytes } from "../../runtime/native.ts";
import { emulate } from "../codegen/targets/cuda/emulated-program.ts";
import { findChromium } from "../web/chromium.ts";
import { JobRunner } from "../web/jobs.ts";

/** A compiled program. */
export type Compiled = {
  readonly plan: Plan;
  /** Memory for the bytes of a buffer, as `run` takes it. */
  allocate(bytes: number): Uint8Array;
  /** Runs an entry once, by its label, on its buffers, in place. */
  run(label: string, buffers: readonly Uint8Array[]): void | Promise<void>;
  close(): void;
};

/** A target with something to run it on. */
export type ConformanceMachine = {
  /** How many programs are compiled at a time. */
  readonly parallel: number;
  compile(traced: TracedProgram): Promise<Compiled>;
  close(): Promise<void>;
};

/** Targets that compile. */
export const machineNames = ["c", "wgsl", "cuda", "browser"] as const;

/** One of them. */
export type MachineName = (typeof machineNames)[number];

/** Opens a machine: C on this processor, WGSL on the adapter of wgpu-native or in Chromium, CUDA under emulation. */
export const machines: Readonly<Record<MachineName, () => Promise<ConformanceMachine>>> = {
  c: processor,
  wgsl: webGpu,
  cuda: emulatedCuda,
  browser: chromium,
};

/** Bytes of an entry's buffer on the device. */
export function bufferBytes(
  plan: Plan,
  arenaBytes: number,
  { role, stored, shape }: { readonly role: string; readonly stored: DType; readonly shape: Shape },
): number {
  if (role === "state") return plan.stateBytes;
  return role === "arena" ? arenaBytes : byteLength({ dtype: stored, shape });
}

async function processor(): Promise<ConformanceMachine> {
  const profile = await cpuProfile();
  const addon = await loadNative();
  const compile = async (traced: TracedProgram): Promise<Compiled> => {
    const { plan } = planTraced(traced, { machine: profile, name: "conformance" });
    const { library } = await buildC(emitC(plan.program, { files: 1 }), { level: 1 });
    const native = new addon.NativeProgram(library);
    const places = new Map(native.entries.map(({ name }, place) => [name, place]));
    return {
      plan,
      allocate: (bytes) => new Uint8Array(addon.allocate(bytes + slackBytes), 0, bytes),
      run: (label, buffers) => {
        const zeros = buffers.map(() => 0);
        const bytes = buffers.map(({ byteLength: length }) => length);
        native.runSync(places.get(label) ?? -1, 1, 1, buffers, zeros, bytes);
      },
      close: () => native.close(),
    };
  };
  return { parallel: 2, compile, close: () => Promise.resolve() };
}

async function webGpu(): Promise<ConformanceMachine> {
  const device = await openWgpu();
  const compile = async (traced: TracedProgram): Promise<Compiled> => {
    const { plan } = planTraced(traced, { machine: { ...wgslMachine, random: "host" }, name: "conformance" });
    const { kernels, launches } = emitWgsl(plan.program);
    const module = await device.load({ kernels });
    const byLabel = new Map(plan.program.entries.map((entry, i) => [entryLabel(entry), at(launches, i)]));
    return {
      plan,
      allocate: padded,
      run: (label, buffers) => runOnDevice(device, module, byLabel.get(label) ?? [], buffers),
      close: () => module.free(),
    };
  };
  return { parallel: 1, compile, close: () => device.close() };
}

/** Memory of whole vectors, as devices bind it. */
function padded(bytes: number): Uint8Array {
  return new Uint8Array(Math.max(16, Math.ceil(bytes / 16) * 16));
}

function runOnDevice(
  device: GpuDevice,
  module: GpuModule,
  launches: readonly WgslLaunch[],
  buffers: readonly Uint8Array[],
): void {
  const memories = buffers.map((bytes) => {
    const memory = device.allocate(bytes.byteLength);
    device.write(memory, 0, bytes);
    return memory;
  });
  try {
    const sequence = device.sequence(
      module,
      launches.map(({ kernel, groups, bindings }) => ({
        kernel,
        groups,
        bindings: bindings.map(({ buffer, offset, bytes }) => ({
          memory: at(memories, buffer),
          offset,
          bytes,
          stride: 0,
        })),
      })),
    );
    sequence.runSync?.(1);
    memories.forEach((memory, i) => device.readSync?.(memory, 0, at(buffers, i)));
    sequence.free();
  } finally {
    for (const memory of memories) memory.free();
  }
}

/** WGSL in headless Chromium, whose validation is Dawn's. */
async function chromium(): Promise<ConformanceMachine> {
  const path = findChromium();
  if (path === undefined) throw new Error("there is no Chromium");
  const runner = await JobRunner.start(path);
  const compile = async (traced: TracedProgram): Promise<Compiled> => {
    const { plan } = planTraced(traced, { machine: { ...wgslMachine, random: "host" }, name: "conformance" });
    const { kernels, launches } = emitWgsl(plan.program);
    const byLabel = new Map(plan.program.entries.map((entry, i) => [entryLabel(entry), at(launches, i)]));
    const run = async (label: string, buffers: readonly Uint8Array[]): Promise<void> => {
      const used = byLabel.get(label) ?? [];
      // A page compiles the kernels of a job anew, so it is given only those that run.
      const needed = [...new Set(used.map(({ kernel }) => kernel))];
      const own = used.map((launch) => ({ ...launch, kernel: needed.indexOf(launch.kernel) }));
      const results = buffers.map((_, i) => i);
      const result = await runner.run({ kernels: needed.map((k) => at(kernels, k)), buffers, launches: own, results });
      if ("code" in result) throw new Error(`${result.code}: ${result.message}`);
      buffers.forEach((buffer, i) => buffer.set(at(result.buffers, i).subarray(0, buffer.byteLength)));
    };
    await Promise.resolve();
    return { plan, allocate: padded, run, close: () => undefined };
  };
  return { parallel: 1, compile, close: () => runner.close() };
}

async function emulatedCuda(): Promise<ConformanceMachine> {
  const compile = async (traced: TracedProgram): Promise<Compiled> => {
    const { plan } = planTraced(traced, { machine: { ...cudaMachine, random: "host" }, name: "conformance" });
    const emulated = await emulate([plan.program]);
    const program = at(emulated.programs, 0);
    return {
      plan,
      allocate: padded,
      run: (label, buffers) => program.run(label, buffers),
      close: () => emulated.close(),
    };
  };
  return { parallel: 2, compile, close: () => Promise.resolve() };
}
