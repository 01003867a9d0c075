/** Programs on a GPU, on a device made of the interpreter: everything between a call and the device's memory. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import type { Manifest } from "../../../ir/artifact/manifest.ts";
import { randomBits } from "../../../ir/random/counter.ts";
import { defaultGenerator } from "../../../ir/random/default.ts";
import { fillUniform } from "../../../ir/random/draw.ts";
import { at } from "../../../ir/type.ts";
import type { GpuInfo } from "../../../runtime/gpu/device.ts";
import { Program } from "../../../runtime/program.ts";
import { failsWithAsync } from "../../fails-with-async.ts";
import { failsWith } from "../../fails-with.ts";
import { removeFolders, temporaryFolder, tinyManifest } from "../tiny-artifact.ts";
import { InterpretedDevice } from "./interpreted-device.ts";
import { tinyGpuTarget, tinyKernels } from "./tiny-gpu.ts";

/** An artifact with the hand-written target alone. */
function writeGpuArtifact(): string {
  const folder = join(temporaryFolder(), "tiny-gpu");
  const target = tinyGpuTarget();
  const files: Record<string, string> = {};
  for (const { name, file } of target.kernels) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), name);
    files[file] = createHash("sha256").update(name).digest("hex");
  }
  const init: Manifest["init"] = [{ kind: "constant", state: "total", value: 2 }];
  const manifest = { ...tinyManifest(new Uint8Array()), files, targets: [target], init };
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
  return folder;
}

describe("Program on a GPU", () => {
  let folder: string;
  before(() => {
    folder = writeGpuArtifact();
  });
  after(removeFolders);

  type Opened = { readonly program: Program; readonly gpu: InterpretedDevice };
  async function open(options: { waits?: boolean; info?: Partial<GpuInfo>; seed?: number } = {}): Promise<Opened> {
    const gpu = new InterpretedDevice(tinyKernels(), options);
    const seed = options.seed === undefined ? {} : { seed: options.seed };
    return { program: await Program.load(folder, { gpu, ...seed }), gpu };
  }

  it("runs many steps, with the scalars and inputs of each", async () => {
    const { program } = await open({ seed: 0 });
    expect(program.device).to.equal("wgpu");
    const inputs = { x: Float32Array.from({ length: 6 * 40 }, (_, i) => i % 7) };
    const onStep = (step: number): void => void program.hyper.set("bias", step);
    const { outputs, steps } = await program.run({ entry: "add", steps: 40, inputs, onStep });
    expect(steps).to.equal(40);
    const expected = Array.from({ length: 40 }, (_, step) => {
      const squares = [...inputs.x.subarray(step * 6, step * 6 + 6)].reduce((sum, x) => sum + x * x, 0);
      return [squares + (step || 0.25), step + 1];
    });
    expect([...(outputs["y"] ?? [])]).to.deep.equal(expected.flat());
    expect(program.counters.get("step")).to.equal(40);
    const total = expected.reduce((sum, [y = 0]) => sum + y, 2);
    expect(program.stateDict().get("total")?.data[0]).to.equal(total);
  });

  it("gives one thread's callers the same by waiting", async () => {
    const { program } = await open({ seed: 0 });
    expect([...(program.callSync("add", { x: [1, 2, 3, 0, 0, 0] })["y"] ?? [])]).to.deep.equal([14.25, 1]);
    expect([...((await program.call("add", { x: [1, 0, 0, 0, 0, 0] }))["y"] ?? [])]).to.deep.equal([1.25, 2]);
    expect(program.stateDict().get("total")?.data[0]).to.equal(17.5);
  });

  it("copies the state only when one side has changed it", async () => {
    const { program, gpu } = await open({ seed: 0 });
    const { traffic } = gpu;
    const written = traffic.writtenBytes;
    await program.call("add", { x: [0, 0, 0, 0, 0, 0] });
    // The first step takes the initial state along: 512 bytes, and a record of inputs and scalars.
    expect(traffic.writtenBytes - written).to.equal(512 + 512);
    await program.call("add", { x: [0, 0, 0, 0, 0, 0] });
    expect(traffic.writtenBytes - written).to.equal(512 + 2 * 512);
    const read = traffic.readBytes;
    await program.settle();
    program.stateDict();
    program.optimizerState();
    expect(traffic.readBytes - read).to.equal(512);
    program.loadStateDict(new Map([["total", { dtype: "f32", shape: [], data: Float32Array.of(5) }]]), {
      strict: false,
    });
    await program.call("add", { x: [0, 0, 0, 0, 0, 0] });
    expect(program.stateDict().get("total")?.data[0]).to.equal(5.25);
    // What only reads a data set leaves the host's copy current.
    const before = traffic.readBytes;
    const datasets = rows([1, 2]);
    await program.run({ entry: "rows", datasets, indices: Int32Array.of(0, 1) });
    const results = traffic.readBytes;
    program.stateDict();
    expect(traffic.readBytes).to.equal(results);
    expect(results - before).to.equal(256 + 16);
  });

  function rows(
    labels: readonly number[],
  ): Record<string, { data: Float32Array | Uint8Array | BigInt64Array; rows: number }> {
    const count = labels.length;
    return {
      floats: { data: Float32Array.from(labels, (_, i) => i / 2), rows: count },
      bytes: { data: Uint8Array.from(labels, (_, i) => 250 + i), rows: count },
      labels: { data: BigInt64Array.from(labels, BigInt), rows: count },
    };
  }

  it("uploads a data set once, whatever its type, and again for other arrays", async () => {
    const { program, gpu } = await open();
    const datasets = rows([7, 8, 9]);
    const run = { entry: "rows", steps: 2, datasets, indices: Int32Array.of(2, 0, 1, 1) };
    const { outputs } = await program.run(run);
    expect([...(outputs["out"] ?? [])]).to.deep.equal([1, 252, 9, 0, 250, 7, 0.5, 251, 8, 0.5, 251, 8]);
    const { writes, sequences } = gpu.traffic;
    await program.run({ ...run, steps: 1, indices: Int32Array.of(0, 0) });
    // The step's record and its status.
    expect(gpu.traffic.writes - writes).to.equal(2);
    expect(gpu.traffic.sequences).to.equal(sequences);
    const others = await program.run({ ...run, steps: 1, datasets: rows([1, 2]), indices: Int32Array.of(1, 0) });
    expect([...(others.outputs["out"] ?? [])]).to.deep.equal([0.5, 251, 2, 0, 250, 1]);
    expect((await program.run(run)).outputs).to.deep.equal(outputs);
  });

  it("turns a failed check into an error, once", async () => {
    const { program } = await open();
    const datasets = rows([3, 12]);
    const error = await failsWithAsync("K3011", () =>
      program.run({ entry: "rows", datasets, indices: Int32Array.of(0, 1) }),
    );
    expect(error.message).to.include("0 to 9").and.to.include("12");
    await program.run({ entry: "rows", datasets, indices: Int32Array.of(0, 0) });
  });

  it("converts small and long integers at the border, and refuses what does not fit", async () => {
    const { program } = await open({ seed: 0 });
    const outputs = await program.call("types", { flags: [true, false, true], whole: [-5, 2 ** 31 - 2, 0] });
    expect(outputs["not"]).to.deep.equal(Uint8Array.of(0, 1, 0));
    expect(outputs["more"]).to.deep.equal(BigInt64Array.of(-4n, 2n ** 31n - 1n, 1n));
    expect(program.stateDict().get("seen")?.data).to.deep.equal(BigInt64Array.of(1n, 0n, 1n));
    const state = program.stateDict();
    state.set("seen", { dtype: "i64", shape: [3], data: BigInt64Array.of(-1n, 5n, 2n ** 31n) });
    const before = program.stateDict();
    state.set("total", { dtype: "f32", shape: [], data: Float32Array.of(9) });
    expect(failsWith("K5231", () => program.loadStateDict(state)).message).to.match(/seen.*2147483648/);
    expect(program.stateDict()).to.deep.equal(before);
    state.set("seen", { dtype: "i64", shape: [3], data: BigInt64Array.of(-1n, 5n, -(2n ** 31n)) });
    program.loadStateDict(state);
    await program.call("types", { flags: [true, true, true], whole: [0, 0, 0] });
    expect(program.stateDict().get("seen")?.data).to.deep.equal(BigInt64Array.of(0n, 6n, 1n - 2n ** 31n));
    const whole = BigInt64Array.of(0n, -(2n ** 31n) - 1n, 0n);
    const refused = await failsWithAsync("K5231", () => program.call("types", { flags: [0, 0, 0], whole }));
    expect(refused.message).to.include("-2147483649").and.to.include("element 1");
    const labels = rows([1, 2 ** 32]);
    await failsWithAsync("K5231", () => program.run({ entry: "rows", datasets: labels, indices: Int32Array.of(0, 0) }));
  });

  it("draws on the host from the default generator, and makes a key of it", async () => {
    const { program } = await open();
    program.seed(4);
    const expected = defaultGenerator.clone();
    const { outputs } = await program.run({ entry: "noise", steps: 3 });
    for (let step = 0; step < 3; step++) {
      const drawn = new Float32Array(3);
      fillUniform(expected, drawn, -1, 1);
      const key = Array.from({ length: 4 }, () => expected.nextU32());
      expect([...(outputs["drawn"]?.subarray(3 * step, 3 * step + 3) ?? [])]).to.deep.equal([...drawn]);
      const bits = [0, 1, 2].map((element) => randomBits(key, 5, element));
      expect([...(outputs["bits"]?.subarray(3 * step, 3 * step + 3) ?? [])]).to.deep.equal(bits);
    }
    expect(defaultGenerator.save()).to.deep.equal(expected.save());
  });

  it("draws again what was drawn for steps that a stop left undone", async () => {
    const { program, gpu } = await open();
    program.seed(11);
    const whole = (await program.run({ entry: "noise", steps: 60 })).outputs["drawn"];
    program.seed(11);
    let count = 0;
    gpu.onStep = () => void (++count === 12 && program.stop());
    const first = await program.run({ entry: "noise", steps: 60 });
    expect(first.steps).to.equal(12);
    const rest = await program.run({ entry: "noise", steps: 60 - first.steps });
    const joined = [...(first.outputs["drawn"] ?? []), ...(rest.outputs["drawn"] ?? [])].map(Number);
    expect(joined).to.deep.equal([...(whole ?? [])].map(Number));
  });

  it("says so where a thread cannot wait, and does without", async () => {
    const { program } = await open({ waits: false, seed: 0 });
    failsWith("K5232", () => program.callSync("noise"));
    await program.call("add", { x: [1, 0, 0, 0, 0, 0] });
    failsWith("K5232", () => program.stateDict());
    await program.settle();
    expect(program.stateDict().get("total")?.data[0]).to.equal(3.25);
  });

  it("keeps to the room that a device has", async () => {
    // A step of `add` takes 512 bytes of input and 256 of output.
    const { program } = await open({ info: { memoryBytes: 2048 } });
    const { outputs } = await program.run({ entry: "add", steps: 30, inputs: { x: new Float32Array(180) } });
    expect(at([...(outputs["y"] ?? [])], 59)).to.equal(30);
    const small: readonly Partial<GpuInfo>[] = [
      { bindings: 5 },
      { threads: 2 },
      { memoryBytes: 500 },
      { bindingBytes: 16 },
    ];
    for (const info of small) await failsWithAsync("K5233", () => open({ info }));
  });

  it("gives everything back, and leaves a device alone that is not its own", async () => {
    const { program, gpu } = await open();
    await program.run({ entry: "rows", datasets: rows([1, 2]), indices: Int32Array.of(0, 1) });
    await program.call("add", { x: [1, 0, 0, 0, 0, 0] });
    await program.dispose();
    expect(gpu.memories.length).to.be.above(5);
    expect(gpu.memories.filter(({ isFree }) => !isFree)).to.deep.equal([]);
    expect(gpu.isClosed).to.equal(false);
    failsWith("K3013", () => program.stateDict());
  });

  it("counts no step of a device that was lost", async () => {
    const { program, gpu } = await open({ seed: 0 });
    await program.call("add", { x: [1, 0, 0, 0, 0, 0] });
    program.seed(3);
    const generator = defaultGenerator.save();
    gpu.isLost = true;
    await failsWithAsync("K5205", () => program.call("add", { x: [1, 0, 0, 0, 0, 0] }));
    await failsWithAsync("K5205", () => program.run({ entry: "noise" }));
    expect(program.counters.get("step")).to.equal(1);
    expect(defaultGenerator.save()).to.deep.equal(generator);
    failsWith("K5205", () => program.stateDict());
    await program.dispose();
  });
});
