/**
 * Whole programs on CUDA without a GPU: the emitted kernels run under emulation, driven by the CUDA device as it would
 * drive a GPU. The first losses of a training must be the C target's.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { mnistSteps } from "../../bench/ours.ts";
import { compileModel } from "../../compiler/compile.ts";
import { openCuda } from "../../runtime/gpu/cuda.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { Program } from "../../runtime/program.ts";
import { emulationMissing } from "../codegen/targets/cuda/emulated-program.ts";
import { EmulatedDriver } from "../runtime/gpu/emulated-driver.ts";

const steps = 10;

async function losses(program: Program): Promise<number[]> {
  const train = mnistSteps(program);
  const all: number[] = [];
  while (all.length < steps) all.push(...(await train(steps - all.length)));
  return all;
}

describe("a training under CUDA's emulation", function () {
  // A step of the CNN takes seconds there.
  this.timeout(600_000);

  before(function () {
    const why = emulationMissing();
    if (why === undefined) return;
    process.stderr.write(`SKIPPED: trainings under CUDA's emulation: ${why}\n`);
    this.skip();
  });

  for (const model of ["mlp", "cnn"])
    it(`has the losses of the C target: ${model}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), "kiln-cuda-"));
      const driver = new EmulatedDriver();
      try {
        const file = join(packageRoot(), "bench", "models", `${model}.ts`);
        // Dropout's draws are PyTorch's on both.
        await compileModel(file, { out: folder, targets: ["c", "cuda"], random: "torch" });
        const cpu = await Program.load(folder, { device: "cpu", seed: 0 });
        const wanted = await losses(cpu);
        await cpu.dispose();
        const gpu = await openCuda();
        const cuda = await Program.load(folder, { device: "cuda", gpu, seed: 0 });
        const got = await losses(cuda);
        await cuda.dispose();
        await gpu.close();
        expect(got.length).to.equal(steps);
        got.forEach((loss, i) => {
          const expected = wanted[i] ?? NaN;
          expect(loss, `step ${i}`).to.be.closeTo(expected, 1e-5 * Math.abs(expected));
        });
      } finally {
        driver.close();
        await rm(folder, { recursive: true, force: true });
      }
    });
});
