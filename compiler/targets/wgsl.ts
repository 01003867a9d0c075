/** The WGSL target: a module a kernel, which the driver or the browser compiles when it is loaded. */
import { emitWgsl } from "../../codegen/targets/wgsl/emit.ts";
import { wgslMachine } from "../../codegen/targets/wgsl/limits.ts";
import { manifestState } from "../artifact.ts";
import { gpuEntries, gpuKernels } from "./gpu.ts";
import { drawingGpu, type Target } from "./target.ts";

/** Path of a kernel's module in an artifact. */
function fileOf(name: string): string {
  return `kernels/wgsl/${name}.wgsl`;
}

/** The WGSL target. */
export const wgsl: Target = {
  name: "wgsl",
  doc: "GPUs by WebGPU, here or in a browser",
  machine: (options) => Promise.resolve(drawingGpu(wgslMachine, options)),
  build: async ({ traced, plan }, _options, time) => {
    const { kernels, launches } = await time("emit wgsl", () => emitWgsl(plan.program));
    const state = manifestState(traced, plan);
    return {
      target: { name: "wgsl", kernels: gpuKernels(kernels, fileOf), state, entries: gpuEntries(plan, launches) },
      files: new Map(kernels.map(({ name, text }) => [fileOf(name), text])),
      cached: false,
    };
  },
};
