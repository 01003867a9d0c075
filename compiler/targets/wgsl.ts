/** The WGSL target: a module a kernel, which the driver or the browser compiles when it is loaded. */
import { emitWgsl } from "../../codegen/targets/wgsl/emit.ts";
import { wgslF16Machine, wgslMachine } from "../../codegen/targets/wgsl/limits.ts";
import type { GpuFeatures } from "../../ir/artifact/manifest.ts";
import { manifestState } from "../artifact.ts";
import { gpuEntries, gpuKernels } from "./gpu.ts";
import { drawingGpu, type Target } from "./target.ts";

/** Path of a kernel's module in an artifact; of the one for devices with these features. */
function fileOf(name: string, needs?: GpuFeatures): string {
  const { f16 = false, subgroup = 1 } = needs ?? {};
  return `kernels/wgsl/${name}${f16 ? ".f16" : ""}${subgroup > 1 ? `.subgroup${subgroup}` : ""}.wgsl`;
}

/** The WGSL target. */
export const wgsl: Target = {
  name: "wgsl",
  doc: "GPUs by WebGPU, here or in a browser",
  precisions: ["f32", "f16"],
  machine: (options) =>
    Promise.resolve(drawingGpu(options.precision === "f16" ? wgslF16Machine : wgslMachine, options)),
  build: async ({ traced, plan }, _options, time) => {
    const { kernels, launches } = await time("emit wgsl", () => emitWgsl(plan.program));
    const state = manifestState(traced, plan);
    return {
      target: { name: "wgsl", kernels: gpuKernels(kernels, fileOf), state, entries: gpuEntries(plan, launches) },
      files: new Map(
        kernels.flatMap(({ name, text, variants }) => [
          [fileOf(name), text] as const,
          ...variants.map((variant) => [fileOf(name, variant.needs), variant.text] as const),
        ]),
      ),
      cached: false,
    };
  },
};
