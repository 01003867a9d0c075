/** The CUDA target: one source of all kernels, and what `nvcc` makes of it; without `nvcc` it is compiled when it is loaded. */
import { emitCuda } from "../../codegen/targets/cuda/emit.ts";
import { cudaMachine } from "../../codegen/targets/cuda/limits.ts";
import { manifestState } from "../artifact.ts";
import { buildCuda } from "../build/cuda.ts";
import { gpuEntries, gpuKernels } from "./gpu.ts";
import type { Target } from "./target.ts";

/** Paths of the source of all kernels and of the fat binary in an artifact. */
const sourcePath = "kernels/cuda/kernels.cu";
const imagePath = "kernels/cuda/kernels.fatbin";

/** The CUDA target. */
export const cuda: Target = {
  name: "cuda",
  doc: "NVIDIA's GPUs, by CUDA",
  machine: () => Promise.resolve(cudaMachine),
  build: async ({ traced, plan }, _options, time) => {
    const { text, kernels, entries } = await time("emit cuda", () => emitCuda(plan.program));
    const built = await time("compile cuda", () => buildCuda(text));
    const launches = entries.map((entry) => entry.launches);
    return {
      target: {
        name: "cuda",
        kernels: gpuKernels(kernels, () => sourcePath),
        image: built === undefined ? null : imagePath,
        state: manifestState(traced, plan),
        entries: gpuEntries(plan, launches),
      },
      files: new Map<string, Uint8Array | string>([
        [sourcePath, text],
        ...(built === undefined ? [] : [[imagePath, built.image] as const]),
      ]),
      cached: built?.cached ?? false,
    };
  },
};
