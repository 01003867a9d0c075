/** The WGSL target: a module a kernel, which the driver or the browser compiles when it is loaded. */
import { emitWgsl } from "../../codegen/targets/wgsl/emit.ts";
import { wgslMachine } from "../../codegen/targets/wgsl/limits.ts";
import { at } from "../../ir/type.ts";
import { manifestEntries, manifestState } from "../artifact.ts";
import { drawingGpu, type Target } from "./target.ts";

/** The WGSL target. */
export const wgsl: Target = {
  name: "wgsl",
  doc: "GPUs by WebGPU, here or in a browser",
  machine: (options) => Promise.resolve(drawingGpu(wgslMachine, options)),
  build: async ({ traced, plan }, _options, time) => {
    const { kernels, launches } = await time("emit wgsl", () => emitWgsl(plan.program));
    const file = (name: string): string => `kernels/wgsl/${name}.wgsl`;
    const entries = manifestEntries(plan).map((entry, i) => ({
      ...entry,
      launches: at(launches, i).map(({ kernel, groups, bindings }) => ({ kernel, groups, bindings: [...bindings] })),
    }));
    return {
      target: {
        name: "wgsl",
        kernels: kernels.map(({ name, threads, sharedBytes, bindings }) => ({
          name,
          file: file(name),
          threads,
          sharedBytes,
          bindings: [...bindings],
        })),
        state: manifestState(traced, plan),
        entries,
      },
      files: new Map(kernels.map(({ name, text }) => [file(name), text])),
      cached: false,
    };
  },
};
