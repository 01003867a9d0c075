/**
 * Kernels on a WebGPU device, for the tests of what WGSL text does: each is emitted as a program of its own, given buffers
 * as loop IR has them, and run once. Where there is no device, tests skip and say why.
 */
import type { Context } from "mocha";
import { emitWgsl, type WgslProgram } from "../../../../codegen/targets/wgsl/emit.ts";
import { TargetError } from "../../../../ir/diagnostic/diagnostic.ts";
import type { LoopArray } from "../../../../ir/loop/interpret.ts";
import { unboundedSize, type Kernel } from "../../../../ir/loop/loop.ts";
import type { PlannedEntry } from "../../../../ir/program.ts";
import { at } from "../../../../ir/type.ts";
import type { GpuDevice, GpuMemory } from "../../../../runtime/gpu/device.ts";
import { openWgpu } from "../../../../runtime/gpu/wgpu.ts";

/** Buffers that are bound as uniform are named by their role. */
function uniform(name: string): name is "key" | "indices" {
  return name === "key" || name === "indices";
}

/** An entry that launches a kernel once, with each of its buffers in a buffer of its own. */
export function soleLaunch(kernels: readonly Kernel[], kernel: number): PlannedEntry {
  const { name, buffers } = at(kernels, kernel);
  return {
    name,
    batch: 0,
    arenaBytes: 0,
    buffers: buffers.map((buffer) => ({
      role: buffer.size === unboundedSize ? "dataset" : uniform(buffer.name) ? buffer.name : "input",
      name: buffer.name,
      dtype: buffer.dtype,
      stored: buffer.dtype,
      shape: [buffer.size],
    })),
    phases: [[{ kernel, args: buffers.map((_, buffer) => ({ buffer, offset: 0 })) }]],
    scalars: [],
    increments: {},
  };
}

/** The modules of kernels, each launched once by an entry of its own. */
export function emitKernels(kernels: readonly Kernel[]): WgslProgram {
  return emitWgsl({ name: "sample", kernels, entries: kernels.map((_, index) => soleLaunch(kernels, index)) });
}

/** The device that tests run on; skips the test, loudly, if there is none. */
export async function requireDevice(context: Context): Promise<GpuDevice> {
  try {
    return await openWgpu();
  } catch (error) {
    if (!(error instanceof TargetError) || (error.code !== "K5201" && error.code !== "K5202")) throw error;
    console.log(`      skipped: ${error.message}`);
    return context.skip();
  }
}

/**
 * Runs kernels, each once on its buffers, and copies back what they wrote: as the device chooses among their variants, or
 * the `core` text that every device takes.
 */
export async function runOnDevice(
  device: GpuDevice,
  kernels: readonly Kernel[],
  buffers: readonly Readonly<Record<string, LoopArray>>[],
  texts: "core" | "chosen" = "chosen",
): Promise<void> {
  const { kernels: modules, launches } = emitKernels(kernels);
  const module = await device.load({
    kernels: texts === "core" ? modules.map((each) => ({ ...each, variants: [] })) : modules,
  });
  for (const [index, kernel] of kernels.entries()) {
    const arrays = kernel.buffers.map(({ name }) => arrayOf(at(buffers, index), name));
    const memories = kernel.buffers.map(({ size }, which) => upload(device, at(arrays, which), size === unboundedSize));
    const steps = at(launches, index).map((launch) => ({
      kernel: launch.kernel,
      groups: launch.groups,
      bindings: launch.bindings.map(({ buffer, offset, bytes }) => {
        const memory = at(memories, buffer);
        return { memory, offset, bytes: bytes === 0 ? memory.bytes : bytes, stride: 0 };
      }),
    }));
    const sequence = device.sequence(module, steps);
    await sequence.run(1);
    for (const [which, { access }] of kernel.buffers.entries()) {
      if (access !== "read") await download(device, at(memories, which), at(arrays, which));
    }
    sequence.free();
    for (const memory of memories) memory.free();
  }
  module.free();
}

function arrayOf(buffers: Readonly<Record<string, LoopArray>>, name: string): LoopArray {
  const array = buffers[name];
  if (array === undefined) throw new Error(`no buffer ${name}`);
  return array;
}

/** Memory that holds an array as WGSL kernels see it: data sets as bytes, everything else as words. */
function upload(device: GpuDevice, array: LoopArray, asBytes: boolean): GpuMemory {
  const words = asBytes || array instanceof Float32Array ? array : Int32Array.from(array, Number);
  // A uniform binding is whole vectors of four words.
  const memory = device.allocate(Math.ceil(Math.max(4, words.byteLength) / 16) * 16);
  const bytes = new Uint8Array(memory.bytes);
  bytes.set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
  device.write(memory, 0, bytes);
  return memory;
}

async function download(device: GpuDevice, memory: GpuMemory, into: LoopArray): Promise<void> {
  const bytes = new Uint8Array(memory.bytes);
  await device.read(memory, 0, bytes);
  const words = into instanceof Float32Array ? new Float32Array(bytes.buffer) : new Int32Array(bytes.buffer);
  for (let i = 0; i < into.length; i++) {
    const word = words[i] ?? Number.NaN;
    if (into instanceof BigInt64Array) into[i] = BigInt(word);
    else into[i] = word;
  }
}
