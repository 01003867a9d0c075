/**
 * The check of what a GPU target launches: kernels that can be named and run, and bindings that lie inside the buffers
 * they are of. After it, a device is given nothing that leads outside its memory.
 */
import type {
  GpuTarget,
  ManifestBuffer,
  ManifestEntry,
  ManifestGpuKernel,
  ManifestLaunch,
} from "../ir/artifact/manifest.ts";
import { at, dtypeBytes, elementCount } from "../ir/type.ts";
import { bad, unique } from "./manifest-faults.ts";

/** What offsets of bindings are multiples of, by target: WebGPU's least common limit, and a 32-bit word. */
const alignments = { wgsl: 256, cuda: 4 } as const;

/** What lengths of bindings are multiples of: WebGPU's memory is words. */
const units = { wgsl: 4, cuda: 1 } as const;

/** Most threads of a work-group that any device has. */
const mostThreads = 1024;

/** Most work-groups of a launch: what CUDA's first grid axis takes. */
const mostGroups = 2 ** 31 - 1;

/** Throws unless the kernels of a target can be told apart and run. @throws UserError K3002. */
export function checkKernels(where: string, kernels: readonly ManifestGpuKernel[]): void {
  unique(
    where,
    kernels.map((kernel) => kernel.name),
  );
  for (const [i, { name, threads }] of kernels.entries()) {
    if (!/^[A-Za-z]\w*$/.test(name) || name.length > 1000)
      throw bad(`${where}.${i}.name`, "an identifier", name.slice(0, 100));
    if (threads < 1 || threads > mostThreads)
      throw bad(`${where}.${i}.threads`, `1 to ${mostThreads}`, String(threads));
  }
}

/** Throws unless every binding of an entry's launches lies inside its buffer. @throws UserError K3002. */
export function checkLaunches(where: string, entry: ManifestEntry, target: GpuTarget): void {
  const { launches } = entry;
  if (launches === undefined) throw bad(`${where}.launches`, "launches, on a GPU", "none");
  for (const [i, launch] of launches.entries()) checkLaunch(`${where}.launches.${i}`, launch, { entry, target });
}

type Context = { readonly entry: ManifestEntry; readonly target: GpuTarget };

function checkLaunch(where: string, launch: ManifestLaunch, { entry, target }: Context): void {
  const kernel = target.kernels[launch.kernel];
  if (kernel === undefined) throw bad(`${where}.kernel`, `below ${target.kernels.length}`, String(launch.kernel));
  if (launch.groups < 1 || launch.groups > mostGroups)
    throw bad(`${where}.groups`, `1 to ${mostGroups}`, String(launch.groups));
  const expected = kernel.bindings.length;
  if (launch.bindings.length !== expected)
    throw bad(`${where}.bindings`, `${expected} bindings, as the kernel has`, String(launch.bindings.length));
  const alignment = alignments[target.name];
  for (const [i, { buffer: index, offset, bytes }] of launch.bindings.entries()) {
    const place = `${where}.bindings.${i}`;
    if (index >= entry.buffers.length) throw bad(`${place}.buffer`, `below ${entry.buffers.length}`, String(index));
    const buffer = at(entry.buffers, index);
    if (buffer.role === "dataset") {
      if (offset !== 0) throw bad(`${place}.offset`, "0, since a data set is bound whole", String(offset));
      if (at(kernel.bindings, i) === "readwrite") throw bad(place, "a data set that is only read", "readwrite");
      continue;
    }
    if (offset % alignment !== 0) throw bad(`${place}.offset`, `a multiple of ${alignment}`, String(offset));
    const unit = units[target.name];
    if (bytes < 1 || bytes % unit !== 0) throw bad(`${place}.bytes`, `a positive multiple of ${unit}`, String(bytes));
    const room = roomOf(buffer, entry, target);
    if (offset + bytes > room)
      throw bad(place, `a place within the buffer of ${room} bytes`, `bytes up to ${offset + bytes}`);
  }
}

/** Bytes of a buffer in a step, in whole vectors of four words: uniform bindings come in such. */
function roomOf(buffer: ManifestBuffer, entry: ManifestEntry, target: GpuTarget): number {
  const bytes =
    buffer.role === "state"
      ? target.state.bytes
      : buffer.role === "arena"
        ? entry.arenaBytes
        : elementCount(buffer.shape) * dtypeBytes[buffer.stored];
  return Math.ceil(bytes / 16) * 16;
}
