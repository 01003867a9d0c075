/** One artifact, two devices: a training moves between the processor and a GPU, by its checkpoints and from any step. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { compileModel } from "../../compiler/compile.ts";
import { describeWgpu } from "../../runtime/gpu/wgpu.ts";
import { Program } from "../../runtime/program.ts";
import { readCheckpoint } from "../../runtime/checkpoint.ts";
import { smallModel, start, train } from "./small-model.ts";

describe("an artifact for two targets", () => {
  let folder = "";
  let artifact = "";
  before(async function () {
    const { adapters, library } = await describeWgpu();
    if (adapters.length === 0) {
      console.log(`      skipped: no WebGPU adapter here (${library})`);
      this.skip();
    }
    folder = await mkdtemp(join(tmpdir(), "kiln-devices-"));
    artifact = join(folder, "artifact");
    await compileModel(await smallModel(folder), { out: artifact, targets: ["c", "wgsl"] });
  });
  after(async () => {
    if (folder !== "") await rm(folder, { recursive: true, force: true });
  });

  it("goes on from each other's checkpoints, and learns", async () => {
    const run = join(folder, "moved");
    const losses: number[] = [];
    for (const [epochs, device] of [
      ["2", "cpu"],
      ["4", "wgpu"],
      ["6", "cpu"],
      ["8", "wgpu"],
    ] as const) {
      const words = ["--epochs", epochs, "--device", device, "--out", run, "--resume", "--json"];
      const ended = await train(artifact, words, { cwd: folder });
      expect(ended.code, ended.stderr + ended.stdout).to.equal(0);
      const { progress } = readCheckpoint(join(run, "last.safetensors"));
      expect(progress.totalSteps).to.equal(38 * Number(epochs));
      expect(progress.counters["optimizer.step"]).to.equal(progress.totalSteps);
      losses.push(progress.history.points.at(-1) ?? NaN);
    }
    expect(losses[3], losses.join(" ")).to.be.below(losses[0] ?? 0);
  });

  it("is stopped on a GPU between two steps, and ends with the bits of a training that was not", async () => {
    const whole = await train(artifact, ["--epochs", "6", "--device", "wgpu", "--out", join(folder, "whole")]);
    expect(whole.code, whole.stderr).to.equal(0);
    const run = join(folder, "stopped");
    const words = [join(artifact, "trainer.js"), "--epochs", "6", "--device", "wgpu", "--out", run, "--json"];
    const { process: child, ended } = start(process.execPath, words);
    child.stdout?.once("data", () => child.kill("SIGINT"));
    expect((await ended).code).to.equal(130);
    const rest = await train(artifact, ["--epochs", "6", "--device", "wgpu", "--out", run, "--resume"]);
    expect(rest.code, rest.stderr).to.equal(0);
    const [expected, got] = ["whole", "stopped"].map((name) => readCheckpoint(join(folder, name, "last.safetensors")));
    expect(got?.tensors).to.deep.equal(expected?.tensors);
    expect(got?.progress.generator).to.equal(expected?.progress.generator);
  });

  it("computes alike on both", async () => {
    await using cpu = await Program.load(artifact, { device: "cpu", seed: 5 });
    await using gpu = await Program.load(artifact, { device: "wgpu", seed: 5 });
    expect(gpu.stateDict()).to.deep.equal(cpu.stateDict());
    const datasets = {
      images: { data: Uint8Array.from({ length: 30 * 64 }, (_, i) => (i * 37) % 256), rows: 30 },
      labels: { data: BigInt64Array.from({ length: 30 }, (_, i) => BigInt(i % 10)), rows: 30 },
    };
    const indices = Int32Array.from({ length: 32 }, (_, i) => (i * 11) % 30);
    const names = cpu.manifest.entries.find(({ name }) => name === "evaluate")?.buffers ?? [];
    const fields = names.filter(({ role }) => role === "dataset").map(({ name }) => name);
    const given = Object.fromEntries([datasets.images, datasets.labels].map((data, i) => [fields[i] ?? "", data]));
    const call = { entry: "evaluate", batch: 16, steps: 2, datasets: given, indices };
    expect((await gpu.run(call)).outputs).to.deep.equal((await cpu.run(call)).outputs);
  });
});
