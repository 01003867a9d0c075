/** The CUDA target: one source of all kernels, and what `nvcc` makes of it; without `nvcc` it is compiled when it is loaded. */
import { emitCuda } from "../../codegen/targets/cuda/emit.ts";
import { cudaMachine } from "../../codegen/targets/cuda/limits.ts";
import { at } from "../../ir/type.ts";
import { manifestEntries, manifestState } from "../artifact.ts";
import { buildCuda } from "../build/cuda.ts";
import type { Target } from "./target.ts";

/** Path of the source of all kernels in an artifact. */
const sourcePath = "kernels/cuda/kernels.cu";

/** Path of the fat binary. */
const imagePath = "kernels/cuda/kernels.fatbin";

/** The CUDA target. */
export const cuda: Target = {
  name: "cuda",
  doc: "NVIDIA's GPUs, by CUDA",
  machine: () => Promise.resolve(cudaMachine),
  build: async ({ traced, plan }, _options, time) => {
    const { text, kernels, entries: emitted } = await time("emit cuda", () => emitCuda(plan.program));
    const built = await time("compile cuda", () => buildCuda(text));
    const entries = manifestEntries(plan).map((entry, i) => ({
      ...entry,
      launches: at(emitted, i).launches.map(({ kernel, groups, bindings }) => ({
        kernel,
        groups,
        bindings: bindings.map(({ buffer, offset, bytes }) => ({ buffer, offset, bytes })),
      })),
    }));
    return {
      target: {
        name: "cuda",
        kernels: kernels.map(({ name, threads, sharedBytes, bindings }) => ({
          name,
          file: sourcePath,
          threads,
          sharedBytes,
          bindings: [...bindings],
        })),
        image: built === undefined ? null : imagePath,
        state: manifestState(traced, plan),
        entries,
      },
      files: new Map<string, string | Uint8Array>([
        [sourcePath, text],
        ...(built === undefined ? [] : [[imagePath, built.image] as const]),
      ]),
      cached: built?.cached ?? true,
    };
  },
};
