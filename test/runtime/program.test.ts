/** A program loaded from an artifact: its steps, state, scalars, queue and faults. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { DiagnosticError } from "../../ir/diagnostic/diagnostic.ts";
import { defaultGenerator } from "../../ir/random/default.ts";
import { at } from "../../ir/type.ts";
import { loadNative } from "../../runtime/native.ts";
import { Program } from "../../runtime/program.ts";
import { removeFolders, tinyLibrary, tinyManifest, tinyTarget, writeArtifact } from "./tiny-artifact.ts";

/** Asserts that a promise is rejected with a coded error. */
async function rejects(code: string, promise: Promise<unknown>): Promise<DiagnosticError> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    expect(error.code, error.message).to.equal(code);
    return error;
  }
  throw new Error(`expected an error ${code}`);
}

function throws(code: string, call: () => unknown): void {
  expect(call).to.throw(DiagnosticError).with.property("code", code);
}

describe("Program", () => {
  let folder: string;
  before(() => {
    folder = writeArtifact();
  });
  after(removeFolders);

  it("gives the same results for every number of threads", async () => {
    const inputs = { x: Float32Array.from({ length: 4 * 300 }, (_, i) => Math.fround(Math.sin(i) / 3)) };
    const results = [];
    for (const threads of [1, 2, 3, 4]) {
      await using program = await Program.load(folder, { threads });
      const { outputs } = await program.run({ entry: "add", batch: 4, steps: 300, inputs });
      results.push([outputs["y"], program.stateDict().get("total")?.data]);
    }
    for (const result of results) expect(result).to.deep.equal(results[0]);
    const squares = inputs.x.subarray(0, 4).reduce((sum, x) => Math.fround(sum + Math.fround(x * x)), 0);
    expect(results[0]?.[0]?.[0]).to.equal(Math.fround(squares + 0.25));
  });

  it("computes the scalars of each step in float64 and counts the steps", async () => {
    await using program = await Program.load(pathToFileURL(folder), { threads: 1 });
    const inputs = { x: new Float32Array(2 * 40) };
    const { outputs } = await program.run({
      entry: "add",
      batch: 2,
      steps: 40,
      inputs,
      onStep: (step) => void program.hyper.set("bias", step),
    });
    const expected = Array.from({ length: 40 }, (_, step) => [step || 0.25, Math.fround(1 - 0.5 ** (step + 1))]).flat();
    expect([...(outputs["y"] ?? [])]).to.deep.equal(expected);
    expect(program.counters.get("step")).to.equal(40);
    throws("K3010", () => program.hyper.set("lr", 1));
    throws("K3015", () => program.hyper.set("bias", Number.NaN));
    throws("K3015", () => program.counters.set("step", -1));
  });

  it("finds the batch size of a call and names those there are", async () => {
    await using program = await Program.load(folder);
    expect((await program.call("add", { x: [1, 2] }))["y"]?.[0]).to.equal(5.25);
    expect(program.callSync("add", new Map([["x", Float32Array.of(1, 1, 1, 1)]]))["y"]?.[0]).to.equal(4.25);
    const error = await rejects("K3006", program.call("add", { x: [1, 2, 3] }));
    expect(error.message).to.include("4 or 2").and.to.include("3");
    await rejects("K3006", program.run({ entry: "add", inputs: { x: new Float32Array(4) } }));
    expect(program.batchSizes("add")).to.deep.equal([4, 2]);
  });

  it("refuses what does not fit, before anything runs", async () => {
    await using program = await Program.load(folder);
    const x = new Float32Array(4);
    await rejects("K3005", program.call("train"));
    await rejects("K3007", program.run({ entry: "add", batch: 4 }));
    await rejects("K3007", program.run({ entry: "add", batch: 4, inputs: { x: new Float64Array(4) } }));
    await rejects("K3007", program.run({ entry: "add", batch: 4, steps: 2, inputs: { x } }));
    await rejects("K3007", program.run({ entry: "add", batch: 4, inputs: { x, y: x } }));
    await rejects("K3015", program.run({ entry: "add", batch: 4, steps: 0, inputs: { x } }));
    structuredClone(x.buffer, { transfer: [x.buffer] });
    await rejects("K3007", program.run({ entry: "add", batch: 4, inputs: { x } }));
    expect(program.counters.get("step")).to.equal(0);
  });

  it("gathers rows of a data set and refuses samples that are not in it", async () => {
    await using program = await Program.load(folder);
    const rows = { data: Float32Array.from({ length: 15 }, (_, i) => i), rows: 5 };
    const indices = Int32Array.of(4, 0, 2, 2);
    const run = { entry: "gather", steps: 2, datasets: { rows }, indices };
    const { outputs } = await program.run(run);
    expect([...(outputs["y"] ?? [])]).to.deep.equal([12, 13, 14, 0, 1, 2, 6, 7, 8, 6, 7, 8]);
    for (const bad of [-1, 5]) await rejects("K3008", program.run({ ...run, indices: Int32Array.of(0, 0, 0, bad) }));
    const shaped = { data: rows.data, shape: [5, 3] };
    expect((await program.run({ ...run, datasets: { rows: shaped } })).outputs).to.deep.equal(outputs);
    await rejects("K3007", program.run({ ...run, datasets: { rows: { ...rows, rows: 6 } } }));
    await rejects("K3007", program.run({ ...run, datasets: {} }));
  });

  it("turns a failed check into an error", async () => {
    await using program = await Program.load(folder);
    await program.call("check", { index: 9 });
    const error = await rejects("K3011", program.call("check", { index: 10 }));
    expect(error.message).to.include("0 to 9").and.to.include("10");
    await program.call("check", { index: 0 });
  });

  it("lends the default generator to its steps", async () => {
    await using program = await Program.load(folder);
    defaultGenerator.manualSeed(5);
    const { outputs } = await program.run({ entry: "draw", steps: 3 });
    expect([...(outputs["y"] ?? [])]).to.deep.equal([5, 6, 7]);
    expect(defaultGenerator.state[0]).to.equal(8);
  });

  it("queues overlapping calls in their order", async () => {
    await using program = await Program.load(folder, { threads: 2 });
    const order: number[] = [];
    const totals = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const outputs = await program.call("add", { x: [i, 0] });
        order.push(i);
        return outputs["y"]?.[0];
      }),
    );
    expect(order).to.deep.equal(Array.from({ length: 20 }, (_, i) => i));
    expect(totals).to.deep.equal(Array.from({ length: 20 }, (_, i) => i * i + 0.25));
  });

  it("stops after the step under way and says how many were done", async () => {
    await using program = await Program.load(folder, { threads: 2 });
    const running = program.run({ entry: "slow", steps: 100_000 });
    const queued = program.run({ entry: "slow", steps: 5 });
    await new Promise((resolve) => setTimeout(resolve, 60));
    const start = performance.now();
    program.stop();
    const { steps, outputs } = await running;
    expect(performance.now() - start).to.be.below(60);
    expect(steps).to.be.within(1, 200);
    expect(outputs["y"]?.length).to.equal(steps);
    expect(outputs["y"]?.every((y) => y === 7)).to.equal(true);
    expect((await queued).steps).to.equal(0);
    expect((await program.run({ entry: "slow", steps: 2 })).steps).to.equal(2);
  });

  it("counts only the steps that were done when it is stopped from onProgress", async () => {
    await using program = await Program.load(folder);
    const seen: number[] = [];
    const { steps } = await program.run({
      entry: "add",
      batch: 2,
      steps: 10_000,
      inputs: { x: new Float32Array(20_000) },
      onProgress(done) {
        seen.push(done);
        if (done > 100) program.stop();
      },
    });
    expect(steps).to.be.within(101, 9_999);
    expect(seen.at(-1)).to.equal(steps);
    expect(program.counters.get("step")).to.equal(steps);
  });

  it("keeps its state from being read while it runs", async () => {
    const program = await Program.load(folder);
    const running = program.run({ entry: "slow", steps: 3 });
    for (const call of [() => program.stateDict(), () => program.initialize(), () => program.callSync("slow")])
      throws("K3012", call);
    await running;
    program.stateDict();
    await program.dispose();
    await program.dispose();
    throws("K3013", () => program.stateDict());
    await rejects("K3013", program.call("slow"));
  });

  it("initialises from the seed", async () => {
    await using first = await Program.load(folder, { seed: 3 });
    await using second = await Program.load(folder, { seed: 3 });
    await using other = await Program.load(folder, { seed: 4 });
    const weight = first.stateDict().get("fc.weight");
    expect(weight?.shape).to.deep.equal([3, 2]);
    expect(weight?.data.every((x) => x !== 0 && Math.abs(Number(x)) <= 1)).to.equal(true);
    expect(second.stateDict()).to.deep.equal(first.stateDict());
    expect(other.stateDict()).not.to.deep.equal(first.stateDict());
    expect(first.stateDict().get("total")?.data[0]).to.equal(2);
  });

  it("converts state between PyTorch's layout and its own", async () => {
    await using program = await Program.load(folder);
    const data = Float32Array.of(1, 2, 3, 4, 5, 6);
    const state = program.stateDict();
    expect([...state.keys()]).to.deep.equal(["total", "fc.weight", "fc.count"]);
    state.set("fc.weight", { dtype: "f32", shape: [3, 2], data });
    state.set("fc.count", { dtype: "i64", shape: [], data: BigInt64Array.of(2n ** 60n + 1n) });
    program.loadStateDict(state);
    expect(program.stateDict()).to.deep.equal(state);
    const slots = program.optimizerState();
    const even = { dtype: "f32", shape: [3, 2], data } as const;
    const odd = { dtype: "f32", shape: [3, 2], data: data.map((x) => -x) } as const;
    program.loadOptimizerState(
      new Map([
        ["adam.even.fc.weight", even],
        ["adam.odd.fc.weight", odd],
      ]),
    );
    expect([...slots.keys()]).to.deep.equal(["adam.even.fc.weight", "adam.odd.fc.weight"]);
    expect(program.optimizerState().get("adam.even.fc.weight")).to.deep.equal(even);
    expect(program.optimizerState().get("adam.odd.fc.weight")).to.deep.equal(odd);
  });

  it("loads all of a state or nothing, and lists every difference", async () => {
    await using program = await Program.load(folder, { seed: 1 });
    const before = program.stateDict();
    const wrong = new Map(before);
    wrong.delete("total");
    wrong.set("fc.weight", { dtype: "f32", shape: [2, 3], data: new Float32Array(6) });
    wrong.set("fc.bias", { dtype: "f32", shape: [3], data: new Float32Array(3) });
    const load = (): void => program.loadStateDict(wrong);
    throws("K3009", load);
    expect(load).to.throw(/missing: total[\s\S]*fc\.weight: expected f32\[3,2\], got f32\[2,3\][\s\S]*fc\.bias/);
    expect(program.stateDict()).to.deep.equal(before);
    wrong.set("fc.weight", { dtype: "f32", shape: [3, 2], data: new Float32Array(6) });
    throws("K3009", load);
    program.loadStateDict(wrong, { strict: false });
    expect(program.stateDict().get("total")).to.deep.equal(before.get("total"));
    wrong.set("total", { dtype: "f32", shape: [], data: new Float32Array(2) });
    throws("K3009", () => program.loadStateDict(wrong, { strict: false }));
  });

  it("flushes denormals in steps and never in JavaScript", async () => {
    const native = await loadNative();
    const denormal = (): number => [5e-324].reduce((sum, x) => sum + x, 0) * 1;
    const mode = native.floatMode();
    const fast = tinyLibrary("-ffast-math");
    await using program = await Program.load(writeArtifact(tinyManifest(fast), fast), { threads: 3 });
    expect(native.floatMode()).to.equal(mode);
    expect(program.callSync("flush")["y"]?.[0]).to.equal(0);
    expect((await program.call("flush"))["y"]?.[0]).to.equal(0);
    expect(native.floatMode()).to.equal(mode);
    expect(denormal()).to.equal(5e-324);
  });

  it("refuses damaged, foreign and unfit libraries", async () => {
    const good = tinyLibrary();
    const damaged = writeArtifact();
    writeFileSync(join(damaged, "program.so"), good.subarray(0, 1000));
    await rejects("K3003", Program.load(damaged));
    for (const library of [good.subarray(0, 500), Buffer.from("no library"), new Uint8Array(0)])
      await rejects("K5003", Program.load(writeArtifact(tinyManifest(library), library)));
    const newer = tinyLibrary("-DABI=2u");
    expect((await rejects("K5003", Program.load(writeArtifact(tinyManifest(newer), newer)))).message).to.include(
      "version 2",
    );
    const target = tinyTarget();
    for (const entry of [
      { ...at(target.entries, 0), name: "sub" },
      { ...at(target.entries, 3), phases: 2 },
    ])
      await rejects("K5008", Program.load(writeArtifact(tinyManifest(good, { ...target, entries: [entry] }))));
    await rejects("K5001", Program.load(writeArtifact(tinyManifest(good, { ...target, arch: "riscv" }))));
    if (process.platform === "linux" && process.arch === "x64") {
      const thoughtful = tinyManifest(good, { ...target, features: ["sse2", "fast_thoughts"] });
      const error = await rejects("K5002", Program.load(writeArtifact(thoughtful)));
      expect(error.message).to.include("fast_thoughts").and.not.to.include("sse2");
    }
    await rejects("K3001", Program.load(join(damaged, "none")));
    await rejects("K3015", Program.load(folder, { threads: 0 }));
  });

  it("runs what lies in the folder now, though an older one from the same place is still open", async () => {
    const place = writeArtifact();
    await using older = await Program.load(place);
    const library = tinyLibrary("-DNDEBUG", "-O2");
    writeFileSync(join(place, "program.so"), library);
    writeFileSync(join(place, "manifest.json"), JSON.stringify(tinyManifest(library)));
    await using newer = await Program.load(place);
    for (const program of [older, newer]) expect((await program.call("add", { x: [3, 0] }))["y"]?.[0]).to.equal(9.25);
  });
});
