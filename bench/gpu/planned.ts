/** What is run on the GPU: a model's training step, or a single operation, planned and emitted for CUDA. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emitCuda, type CudaProgram } from "../../codegen/targets/cuda/emit.ts";
import { cudaMachine } from "../../codegen/targets/cuda/limits.ts";
import { buildCuda } from "../../compiler/build/cuda.ts";
import { compileModel } from "../../compiler/compile.ts";
import type { Plan } from "../../compiler/memory/plan.ts";
import { planTraced } from "../../compiler/pipeline.ts";
import type { TracedProgram } from "../../compiler/trace/traced.ts";
import { readArtifact } from "../../compiler/verify.ts";
import type { Machine } from "../../ir/machine.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import type { GpuProgramText } from "../../runtime/gpu/device.ts";
import { traceOperation, type Operation } from "../workloads/w6.ts";

/** A program for CUDA, down to what a device loads. */
export type CudaBuild = {
  readonly name: string;
  readonly plan: Plan;
  readonly cuda: CudaProgram;
  /** With the fat binary, where there is `nvcc`. */
  readonly text: GpuProgramText;
  /** Who compiles it: the line of `nvcc --version`, or NVRTC. */
  readonly compiler: string;
};

/** A model of `bench/models`, by its file's name. */
export async function buildModel(name: string, machine?: Machine): Promise<CudaBuild> {
  const folder = await mkdtemp(join(tmpdir(), "kiln-bench-"));
  try {
    await compileModel(join(packageRoot(), "bench", "models", `${name}.ts`), { out: folder });
    const { traced } = await readArtifact(folder);
    return await buildTraced(name, traced, machine);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A single operation. */
export async function buildOperation(operation: Operation, machine?: Machine): Promise<CudaBuild> {
  return buildTraced(operation.name, traceOperation(operation), machine);
}

async function buildTraced(name: string, traced: TracedProgram, machine: Machine = cudaMachine): Promise<CudaBuild> {
  const { plan } = planTraced(traced, { machine, name });
  const cuda = emitCuda(plan.program);
  const built = await buildCuda(cuda.text);
  const kernels = cuda.kernels.map((kernel) => ({ ...kernel, text: cuda.text }));
  const text = built === undefined ? { kernels } : { kernels, image: built.image };
  return { name, plan, cuda, text, compiler: built?.compiler ?? "NVRTC" };
}
