/**
 * Variants of kernels: the same kernel with another text, for devices that offer more than all do. What a device offers is
 * measured on it, once, when a program with variants is loaded: drivers do not tell it, or only in part.
 */
import type { GpuFeatures, ManifestGpuKernel } from "../../ir/artifact/manifest.ts";
import type { GpuDevice, GpuKernel } from "./device.ts";

/** Threads of the kernel that measures: more than any subgroup has. */
const threads = 256;

/**
 * Writes for each thread how many threads its subgroup has, or 0 where a shuffle does not read what the thread of the
 * number asked for has: nothing promises that subgroups are full and in the order of their threads' numbers.
 */
const text = `@group(0) @binding(0) var<storage, read_write> sizes: array<u32>;
@compute @workgroup_size(${threads})
fn kiln_measure(
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_size) size: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let near = subgroupShuffleXor(thread, 1u);
  let far = subgroupShuffleXor(thread, size / 2u);
  let fits = lane == thread % size && near == (thread ^ 1u) && far == (thread ^ (size / 2u));
  sizes[thread] = select(0u, size, fits);
}
`;

/** The kernel that measures subgroups; a device that has none does not accept it. */
const measuring: GpuKernel = {
  name: "kiln_measure",
  text,
  threads,
  sharedBytes: 0,
  bindings: ["readwrite"],
  needs: { subgroup: 2, f16: false },
};

/** Least size of the subgroups of GPUs that vary it from kernel to kernel, where the driver does not tell it. */
const leastVarying = 8;

/**
 * How many threads read each other's values by shuffles on a device that has subgroups; 1 if it cannot be relied on.
 *
 * @param told the least size of a subgroup as the driver tells it, 0 if it does not
 */
export async function measureSubgroup(device: Measured, told: number): Promise<number> {
  const module = await device.load({ kernels: [measuring] });
  const memory = device.allocate(4 * threads);
  const binding = { memory, offset: 0, bytes: memory.bytes, stride: 0 };
  const sequence = device.sequence(module, [{ kernel: 0, groups: 1, bindings: [binding] }]);
  try {
    await sequence.run(1);
    const sizes = new Uint32Array(threads);
    await device.read(memory, 0, new Uint8Array(sizes.buffer));
    return Math.max(1, Math.min(told === 0 ? leastVarying : told, ...sizes));
  } finally {
    sequence.free();
    memory.free();
    module.free();
  }
}

type Measured = Pick<GpuDevice, "allocate" | "load" | "sequence" | "read">;

/** Each kernel as the most demanding of its variants that a device can run. */
export function chooseVariants(kernels: readonly GpuKernel[], features: GpuFeatures): readonly GpuKernel[] {
  return kernels.map((kernel) => {
    const { variants = [], ...core } = kernel;
    const best = variants.findLast(({ needs }) => needs.subgroup <= features.subgroup && (features.f16 || !needs.f16));
    return best === undefined ? core : { ...core, ...best };
  });
}

/** The files with a kernel's texts. */
export function kernelFiles({ file, variants = [] }: ManifestGpuKernel): string[] {
  return [file, ...variants.map((variant) => variant.file)];
}

/** A kernel's text behind what WGSL wants said of the features it needs. */
export function enabling({ text, needs }: GpuKernel, names: { readonly subgroups: boolean }): string {
  if (needs === undefined) return text;
  const features = [...(needs.f16 ? ["f16"] : []), ...(needs.subgroup > 1 && names.subgroups ? ["subgroups"] : [])];
  return features.length === 0 ? text : `enable ${features.join(", ")};\n${text}`;
}

/** Whether a device has to be measured for these kernels. */
export function haveVariants(kernels: readonly GpuKernel[]): boolean {
  return kernels.some(({ variants = [] }) => variants.length > 0);
}
