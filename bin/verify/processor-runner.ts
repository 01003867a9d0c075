/**
 * Kernels of the C target on this processor: a library is compiled in which each is an entry of its own, from the same
 * plan and by the same emitter as the artifact's.
 */
import { buildKernelLibrary, type KernelLibraryOptions } from "../../compiler/verify.ts";
import { unboundedSize } from "../../ir/loop/loop.ts";
import type { PlannedProgram } from "../../ir/program.ts";
import { at, dtypeBytes } from "../../ir/type.ts";
import { aligned, alignment } from "../../runtime/memory.ts";
import { callNative, loadNative } from "../../runtime/native.ts";
import type { KernelRunner, RunnableKernel } from "./runner.ts";

/** Options of `processorRunner`. */
export type ProcessorOptions = KernelLibraryOptions & { readonly threads: number };

/** Compiles the kernels. @throws TargetError if this machine cannot. */
export async function processorRunner(program: PlannedProgram, options: ProcessorOptions): Promise<KernelRunner> {
  const addon = await loadNative();
  const library = await buildKernelLibrary(program.name, program.kernels, options);
  const native = callNative(() => new addon.NativeProgram(library));
  const entries = new Map(native.entries.map(({ name }, entry) => [name, entry]));
  const kernels = runnable(program);
  return {
    kernels,
    allocate: (bytes) => callNative(() => addon.allocate(Math.max(aligned(bytes), alignment))),
    run: (index, regions) => {
      const { kernel } = at(kernels, index);
      const views = kernel.buffers.map(({ dtype, size }, i) => {
        const region = at(regions, i);
        return size === unboundedSize ? new Uint8Array(region) : new Uint8Array(region, 0, size * dtypeBytes[dtype]);
      });
      const strides = views.map(() => 0);
      const bytes = views.map(({ byteLength }) => byteLength);
      callNative(() => native.runSync(entries.get(kernel.name) ?? -1, 1, options.threads, views, strides, bytes));
      return Promise.resolve();
    },
    close: () => {
      native.close();
      return Promise.resolve();
    },
  };
}

/** The kernels that are launched, each with its buffers as its first launch has them, in regions of their own. */
function runnable({ entries, kernels }: PlannedProgram): RunnableKernel[] {
  const found = new Map<number, RunnableKernel>();
  for (const { buffers, phases } of entries)
    for (const { kernel, args } of phases.flat()) {
      if (found.has(kernel)) continue;
      const places = args.map(({ buffer }, region) => {
        const { role, shape } = at(buffers, buffer);
        return { role, shape, region, offset: 0 };
      });
      found.set(kernel, { kernel: at(kernels, kernel), places, regions: places.map(() => 0) });
    }
  return [...found].toSorted(([a], [b]) => a - b).map(([, each]) => each);
}
