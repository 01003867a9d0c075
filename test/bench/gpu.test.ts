/** The measurement on a GPU, as far as an emulated driver can show it: it runs to its end, and finds kernels that are wrong. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { checkKernels, difference } from "../../bench/gpu/check.ts";
import { LoadedEntry } from "../../bench/gpu/entry.ts";
import type { Row } from "../../bench/gpu/parts.ts";
import { buildModel } from "../../bench/gpu/planned.ts";
import { peaksOf, roof } from "../../bench/gpu/roofline.ts";
import { openCuda } from "../../runtime/gpu/cuda.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { emulatedDriverOrSkip, emulatedImage, type EmulatedDriver } from "../runtime/gpu/emulated-driver.ts";

describe("bench on a GPU", function () {
  this.timeout(300_000);
  let driver: EmulatedDriver;

  before(function () {
    driver = emulatedDriverOrSkip(this);
  });
  after(() => driver?.close());

  function run(...words: string[]): { readonly rows: readonly Row[]; readonly status: number | null } {
    const folder = mkdtempSync(join(tmpdir(), "kiln-test-"));
    try {
      const out = join(folder, "gpu.json");
      const script = join(packageRoot(), "dist", "bench", "gpu", "run.js");
      const args = [script, "--seconds", "0.001", "--out", out, ...words];
      const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
      expect(stderr).to.equal("");
      // What the script wrote is what its own type says.
      return { rows: (JSON.parse(readFileSync(out, "utf8")) as { readonly rows: Row[] }).rows, status };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  it("checks and times kernels and steps, and goes on after what cannot run", () => {
    driver.reset({ memory: 2 ** 32 });
    const { rows, status } = run("--only", "nonsense,operations,W1,training,peers", "--case", "matmul 64x784x128");
    expect(status).to.equal(0);
    expect(rows.find(({ part }) => part === "nonsense")?.note).to.contain("no such part");
    const kernels = rows.filter(({ checked }) => checked !== undefined);
    expect(kernels.length).to.be.greaterThan(5);
    for (const { name, isRight, microseconds } of kernels) {
      expect(isRight, name).to.equal(true);
      expect(microseconds, name).to.be.greaterThan(0);
    }
    const steps = rows.filter(({ part }) => part === "steps").map(({ name }) => name);
    expect(steps).to.include.members(["W1 step", "matmul 64x784x128"]);
    expect(rows.find(({ part }) => part === "training")?.isRight).to.equal(true);
    expect(driver.complaints()).to.deep.equal([]);
  });

  it("says why where there is no GPU", () => {
    driver.reset({ gpus: 0 });
    const { rows, status } = run("--only", "W1");
    expect(status).to.equal(3);
    expect(rows.find(({ part }) => part === "device")?.note).to.contain("K5421");
    expect(rows.find(({ part }) => part === "W1")?.note).to.contain("no GPU");
  });

  it("finds a kernel that is wrong", async () => {
    driver.reset();
    const build = await buildModel("mlp");
    const device = await openCuda();
    const right = await LoadedEntry.load(device, build, { ...build.text, image: emulatedImage(build.cuda.text) });
    expect(checkKernels(build, right, undefined).filter(({ isRight }) => !isRight)).to.deep.equal([]);
    const altered = build.cuda.text.replaceAll("expf(", "sinf(");
    expect(altered).not.to.equal(build.cuda.text);
    const wrong = await LoadedEntry.load(device, build, { ...build.text, image: emulatedImage(altered) });
    expect(checkKernels(build, wrong, right).some(({ isRight }) => !isRight)).to.equal(true);
    await device.close();
  });

  it("measures differences against the largest number, and peaks by the driver's figures", () => {
    const bytes = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
    expect(difference("f32", bytes(1, 4), bytes(1, 4))).to.equal(0);
    expect(difference("f32", bytes(1, 4), bytes(2, 4))).to.equal(0.25);
    expect(difference("f32", bytes(NaN, 4), bytes(NaN, 4))).to.equal(0);
    expect(difference("f32", bytes(NaN, 4), bytes(1, 4))).to.equal(1);
    expect(difference("i32", new Uint8Array([1]), new Uint8Array([2]))).to.equal(1);
    // An H100: 132 multiprocessors at 1.98 GHz, 5120 bits at 2.619 GHz.
    const traits = { name: "", driver: 0, memoryBytes: 0, threads: 0, sharedBytes: 0, groups: 0, major: 9, minor: 0 };
    const clocks = { multiprocessors: 132, clock: 1_980_000, memoryClock: 2_619_000, memoryBus: 5120 };
    const peaks = peaksOf({ ...traits, ...clocks });
    expect(peaks.flops / 1e12).to.be.closeTo(66.9, 0.1);
    expect(peaks.bytes / 1e12).to.be.closeTo(3.35, 0.01);
    expect(roof(peaks, { flops: peaks.flops, bytes: 0 }, 2)).to.equal(0.5);
  });
});
