/**
 * Kernels of an artifact on a GPU: the texts that lie in it, by the launches that its manifest has. Which kernel of the
 * plan a launch runs follows from its number, since a target emits a plan's launches in order. A file that is not what was
 * compiled is taken as it is, and named: what it computes is what is to be found out.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { GpuTarget, LoadedManifest, ManifestEntry, ManifestLaunch } from "../../ir/artifact/manifest.ts";
import { DiagnosticError, fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { entryLabel, type Launch, type PlannedEntry, type PlannedProgram } from "../../ir/program.ts";
import { at } from "../../ir/type.ts";
import type { GpuDevice, GpuMemory, GpuModule } from "../../runtime/gpu/device.ts";
import { readKernels } from "../../runtime/gpu/program.ts";
import { readArtifactFile } from "../../runtime/manifest.ts";
import type { KernelRunner, RunnableKernel } from "./runner.ts";

/** A runner, and the artifact's files that are not what was compiled. */
export type GpuRunner = { readonly runner: KernelRunner; readonly changed: readonly string[] };

/**
 * Loads an artifact's kernels into a device, which stays the caller's.
 *
 * @throws UserError K6063 if the artifact's launches are not those of the plan; TargetError for what the device refuses.
 */
export async function gpuRunner(
  folder: string,
  manifest: LoadedManifest & { readonly target: GpuTarget },
  program: PlannedProgram,
  gpu: GpuDevice,
): Promise<GpuRunner> {
  const { target } = manifest;
  const bound = boundKernels(manifest.name, target, program);
  const changed: string[] = [];
  const read = async (file: string): Promise<Uint8Array> => {
    try {
      return await readArtifactFile(folder, manifest, file);
    } catch (error) {
      if (!(error instanceof DiagnosticError) || error.code !== "K3003") throw error;
      changed.push(file);
      return readFile(join(folder, file));
    }
  };
  const module = await gpu.load(await readKernels(target, read));
  const runner: KernelRunner = {
    kernels: bound.map(({ runnable }) => runnable),
    allocate: (bytes) => new ArrayBuffer(Math.max(1, Math.ceil(bytes / 16)) * 16),
    run: async (index, regions) => runOnce(gpu, module, at(bound, index), regions),
    close: () => {
      module.free();
      return Promise.resolve();
    },
  };
  return { runner, changed: changed.toSorted() };
}

/** A kernel, and its first launch with bindings that name regions in place of the entry's buffers. */
type BoundKernel = { readonly runnable: RunnableKernel; readonly launch: ManifestLaunch };

/** The target's kernels, each with its first launch, in the order of the plan's kernels. */
function boundKernels(name: string, target: GpuTarget, program: PlannedProgram): BoundKernel[] {
  const found = new Map<number, BoundKernel & { readonly planned: number }>();
  const unlike = (what: string): never => {
    throw fail(messages.otherPlan(name, target.name, what));
  };
  for (const entry of program.entries) {
    const label = entryLabel(entry);
    const compiled = target.entries.find((each) => entryLabel(each) === label) ?? unlike(`no entry ${label}`);
    const planned = entry.phases.flat().filter(({ kernel }) => at(program.kernels, kernel).tasks > 0);
    const launches = compiled.launches ?? [];
    if (!isSameLayout(entry, compiled) || planned.length !== launches.length)
      unlike(`other buffers or launches in ${label}`);
    planned.forEach((launch, i) => {
      const bound = at(launches, i);
      const kernel = at(program.kernels, launch.kernel);
      const text = at(target.kernels, bound.kernel);
      if (kernel.tasks !== bound.groups || (kernel.threads ?? 1) !== text.threads || !text.name.includes(kernel.name))
        unlike(`${text.name} as launch ${i} of ${label}`);
      if (!found.has(bound.kernel))
        found.set(bound.kernel, { planned: launch.kernel, ...bindRegions(program, entry, launch, bound, text.file) });
    });
  }
  return [...found.values()].toSorted((a, b) => a.planned - b.planned);
}

/** Whether an entry's buffers are as planned. */
function isSameLayout(entry: PlannedEntry, compiled: ManifestEntry): boolean {
  return (
    entry.arenaBytes === compiled.arenaBytes &&
    entry.buffers.length === compiled.buffers.length &&
    entry.buffers.every(({ role, stored }, i) => {
      const other = at(compiled.buffers, i);
      return role === other.role && stored === other.stored;
    })
  );
}

/** A launch on regions of its own: of each of the entry's buffers that it is given, the part between its bindings' ends. */
function bindRegions(
  program: PlannedProgram,
  { buffers }: PlannedEntry,
  { kernel, args }: Launch,
  launch: ManifestLaunch,
  file: string,
): BoundKernel {
  const used = [...new Set(launch.bindings.map(({ buffer }) => buffer))];
  const bases = used.map((buffer) => {
    const offsets = [...launch.bindings, ...args].filter((place) => place.buffer === buffer);
    return Math.min(...offsets.map(({ offset }) => offset));
  });
  const placed = ({ buffer, offset }: { readonly buffer: number; readonly offset: number }) => {
    const region = used.indexOf(buffer);
    return { region, offset: offset - at(bases, region) };
  };
  const bindings = launch.bindings.map((binding) => {
    const { region, offset } = placed(binding);
    return { buffer: region, offset, bytes: binding.bytes };
  });
  const regions = used.map((_, region) =>
    Math.max(...bindings.map(({ buffer, offset, bytes }) => (buffer === region ? offset + bytes : 0))),
  );
  const places = args.map((arg) => {
    const { role, shape } = at(buffers, arg.buffer);
    return { role, shape, ...placed(arg) };
  });
  return {
    runnable: { kernel: at(program.kernels, kernel), file, places, regions },
    launch: { ...launch, bindings },
  };
}

/** Copies the regions to the device, launches once, and copies them back. */
async function runOnce(
  gpu: GpuDevice,
  module: GpuModule,
  { launch }: BoundKernel,
  regions: readonly ArrayBuffer[],
): Promise<void> {
  const memories: GpuMemory[] = [];
  try {
    for (const region of regions) {
      const memory = gpu.allocate(region.byteLength);
      memories.push(memory);
      gpu.write(memory, 0, new Uint8Array(region));
    }
    const bindings = launch.bindings.map(({ buffer, offset, bytes }) => {
      const memory = at(memories, buffer);
      // A data set is bound whole.
      return { memory, offset, bytes: bytes === 0 ? memory.bytes : bytes, stride: 0 };
    });
    const sequence = gpu.sequence(module, [{ kernel: launch.kernel, groups: launch.groups, bindings }]);
    try {
      await sequence.run(1);
      for (const [i, memory] of memories.entries()) await gpu.read(memory, 0, new Uint8Array(at(regions, i)));
    } finally {
      sequence.free();
    }
  } finally {
    for (const memory of memories) memory.free();
  }
}
