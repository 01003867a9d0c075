/** What the targets for GPUs have in common: how what an emitter gives stands in the manifest. */
import type { GpuFeatures, ManifestEntry, ManifestGpuKernel, ManifestLaunch } from "../../ir/artifact/manifest.ts";
import { at } from "../../ir/type.ts";
import { manifestEntries } from "../artifact.ts";
import type { Plan } from "../memory/plan.ts";

/** A kernel as the emitters of GPU targets describe it. */
type EmittedKernel = {
  readonly name: string;
  readonly threads: number;
  readonly sharedBytes: number;
  readonly bindings: readonly ManifestGpuKernel["bindings"][number][];
  readonly variants?: readonly { readonly sharedBytes: number; readonly needs: GpuFeatures }[];
};

/** A launch as they describe it. */
type EmittedLaunch = Pick<ManifestLaunch, "kernel" | "groups"> & {
  readonly bindings: readonly Readonly<ManifestLaunch["bindings"][number]>[];
};

/** The kernels of a program; `file` says in which file each text stands. */
export function gpuKernels(
  kernels: readonly EmittedKernel[],
  file: (name: string, needs?: GpuFeatures) => string,
): ManifestGpuKernel[] {
  return kernels.map(({ name, threads, sharedBytes, bindings, variants = [] }) => ({
    name,
    file: file(name),
    threads,
    sharedBytes,
    bindings: [...bindings],
    ...(variants.length === 0
      ? {}
      : {
          variants: variants.map(({ sharedBytes: own, needs }) => ({
            file: file(name, needs),
            sharedBytes: own,
            needs,
          })),
        }),
  }));
}

/** The entries of a plan with their launches, which are in the entries' order. */
export function gpuEntries(plan: Plan, launches: readonly (readonly EmittedLaunch[])[]): ManifestEntry[] {
  return manifestEntries(plan).map((entry, i) => ({
    ...entry,
    launches: at(launches, i).map(({ kernel, groups, bindings }) => ({
      kernel,
      groups,
      bindings: bindings.map(({ buffer, offset, bytes }) => ({ buffer, offset, bytes })),
    })),
  }));
}
