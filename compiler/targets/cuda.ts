/** The CUDA target: one source of all kernels, and what `nvcc` makes of it; without `nvcc` it is compiled when it is loaded. */
import { emitCuda } from "../../codegen/targets/cuda/emit.ts";
import { cudaBf16Machine, cudaF16Machine, cudaMachine, cudaTf32Machine } from "../../codegen/targets/cuda/limits.ts";
import type { Machine } from "../../ir/machine.ts";
import { manifestState } from "../artifact.ts";
import { buildCuda } from "../build/cuda.ts";
import { gpuEntries, gpuKernels } from "./gpu.ts";
import { drawingGpu, precisions, type Precision, type Target } from "./target.ts";

/** Paths of the source of all kernels and of the fat binary in an artifact. */
const sourcePath = "kernels/cuda/kernels.cu";
const imagePath = "kernels/cuda/kernels.fatbin";

const machines: Readonly<Record<Precision, Machine>> = {
  f32: cudaMachine,
  tf32: cudaTf32Machine,
  bf16: cudaBf16Machine,
  f16: cudaF16Machine,
};

/** The CUDA target. */
export const cuda: Target = {
  name: "cuda",
  doc: "NVIDIA's GPUs, by CUDA",
  precisions,
  machine: (options) => Promise.resolve(drawingGpu(machines[options.precision ?? "f32"], options)),
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
