/**
 * Checks the kernels of an artifact's GPU target one by one: the artifact's own text runs on a device, the loop-IR
 * interpreter runs what the text was made of, both on the same random memory, laid out as the kernel's first launch lays
 * it out. Every element that the interpreter wrote is compared.
 */
import type { ArtifactProgram, PlannedLaunch } from "../../compiler/verify.ts";
import { fail, invariant } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at, dtypeBytes } from "../../ir/type.ts";
import type { GpuDevice, GpuMemory, GpuModule } from "../../runtime/gpu/device.ts";
import { readKernels } from "../../runtime/gpu/program.ts";
import { readArtifactFile } from "../../runtime/manifest.ts";
import { arrayOn, fillBuffer, sizeOf, type KernelBuffer } from "./kernel-memory.ts";
import { checkKernel, type KernelCheck, type KernelOptions } from "./kernels.ts";

/** What is checked, and where. */
export type GpuKernelParts = {
  readonly folder: string;
  readonly program: ArtifactProgram;
  /** The first launch of each kernel. */
  readonly launches: readonly PlannedLaunch[];
  readonly gpu: GpuDevice;
};

/** Checks every kernel, in order; all of them, whether or not one differs. */
export async function checkGpuKernels(parts: GpuKernelParts, options: KernelOptions): Promise<KernelCheck[]> {
  const { folder, program, launches, gpu } = parts;
  const { manifest } = program;
  invariant(manifest.target.name !== "c", "a processor's kernels for a GPU");
  const module = await gpu.load(await readKernels(manifest.target, (file) => readArtifactFile(folder, manifest, file)));
  try {
    return launches.map((launch) => {
      const check = checkLaunch(launch, gpu, module, options);
      options.onCheck?.(check);
      return check;
    });
  } finally {
    module.free();
  }
}

/** Host memory of one buffer of the entry: what the device works on, and what the interpreter does. */
type Region = { readonly native: ArrayBuffer; readonly reference: ArrayBuffer; readonly first: ArrayBuffer };

function checkLaunch(planned: PlannedLaunch, gpu: GpuDevice, module: GpuModule, options: KernelOptions): KernelCheck {
  const { kernel } = planned;
  let regions: ReadonlyMap<number, Region> = new Map();
  const memory = (positive: boolean): KernelBuffer[] => {
    regions = makeRegions(planned);
    return fillRegions(planned, regions, options, positive);
  };
  const run = (): void => runLaunch(planned, regions, gpu, module);
  return checkKernel(kernel, { memory, run, options });
}

/** Memory for every buffer of the entry that the launch binds, as long as what it binds of it. */
function makeRegions({ kernel, buffers, args, launch }: PlannedLaunch): Map<number, Region> {
  const ends = new Map<number, number>();
  const reach = (buffer: number, end: number): void => void ends.set(buffer, Math.max(end, ends.get(buffer) ?? 0));
  for (const { buffer, offset, bytes } of launch.bindings) reach(buffer, offset + bytes);
  for (const [i, param] of kernel.buffers.entries()) {
    const { buffer, offset } = at(args, i);
    reach(buffer, offset + sizeOf(param, at(buffers, buffer).shape) * dtypeBytes[param.dtype]);
  }
  return new Map(
    [...ends].map(([buffer, end]) => {
      const make = (): ArrayBuffer => new ArrayBuffer(Math.max(1, Math.ceil(end / 16)) * 16);
      return [buffer, { native: make(), reference: make(), first: make() }];
    }),
  );
}

/** The kernel's buffers as parts of the regions, with first contents. Buffers that share memory share what is in it. */
function fillRegions(
  { kernel, buffers, args }: PlannedLaunch,
  regions: ReadonlyMap<number, Region>,
  { random }: KernelOptions,
  positive: boolean,
): KernelBuffer[] {
  const views = kernel.buffers.map((param, i) => {
    const { buffer, offset } = at(args, i);
    const { role, shape } = at(buffers, buffer);
    const region = regions.get(buffer);
    invariant(region !== undefined, "a buffer without memory");
    const view = (of: keyof Region) => arrayOn(param.dtype, region[of], offset, sizeOf(param, shape));
    return { param, role, view };
  });
  // What is only written comes first: where it shares memory with something that is read, that counts.
  const inOrder = [...views].sort((a, b) => Number(b.param.access === "write") - Number(a.param.access === "write"));
  for (const { param, role, view } of inOrder) fillBuffer(view("first"), { param, role, random, positive });
  for (const { native, reference, first } of regions.values())
    for (const copy of [native, reference]) new Uint8Array(copy).set(new Uint8Array(first));
  return views.map(({ param, role, view }) => ({
    param,
    role,
    native: view("native"),
    reference: view("reference"),
    first: view("first"),
  }));
}

/** Runs the launch on the device and brings back all that it may have written. */
function runLaunch(
  { buffers, launch }: PlannedLaunch,
  regions: ReadonlyMap<number, Region>,
  gpu: GpuDevice,
  module: GpuModule,
): void {
  const memories = new Map<number, GpuMemory>();
  try {
    for (const [buffer, { native }] of regions) {
      const memory = gpu.allocate(native.byteLength);
      memories.set(buffer, memory);
      gpu.write(memory, 0, new Uint8Array(native));
    }
    const bindings = launch.bindings.map(({ buffer, offset, bytes }) => {
      const memory = memories.get(buffer);
      invariant(memory !== undefined, "a binding without memory");
      const whole = at(buffers, buffer).role === "dataset";
      return { memory, offset, bytes: whole ? memory.bytes : bytes, stride: 0 };
    });
    const sequence = gpu.sequence(module, [{ kernel: launch.kernel, groups: launch.groups, bindings }]);
    if (sequence.runSync === undefined || gpu.readSync === undefined)
      throw fail(messages.deviceCannotWait("verify", "call"));
    sequence.runSync(1);
    for (const [buffer, { native }] of regions) {
      const memory = memories.get(buffer);
      if (memory !== undefined) gpu.readSync(memory, 0, new Uint8Array(native));
    }
    sequence.free();
  } finally {
    for (const memory of memories.values()) memory.free();
  }
}
