/**
 * `kiln verify --target` on GPUs: entries that draw, however they draw; CUDA's kernels on the emulated driver; and a mistake
 * in one kernel, of which the first wrong element is told.
 */
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { formatVerify, verifyArtifact, type VerifyReport } from "../../bin/verify.ts";
import { compileModel } from "../../compiler/compile.ts";
import type { Manifest, TargetName } from "../../ir/artifact/manifest.ts";
import { smallModel } from "../end-to-end/small-model.ts";
import { failsWithAsync } from "../fails-with-async.ts";
import { emulatedDriverOrSkip, type EmulatedDriver } from "../runtime/gpu/emulated-driver.ts";
import { openOrSkip } from "../runtime/gpu/open-wgpu.ts";

/** Runs with a variable of the environment set, and puts it back. */
async function withVariable<T>(name: string, value: string, run: () => Promise<T>): Promise<T> {
  const before = process.env[name];
  process.env[name] = value;
  try {
    return await run();
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
}

/** A text in which the first exponential of a kernel has the other sign. */
function damaged(text: string, kernel: string): string {
  const start = text.search(new RegExp(`\\bkiln_k_${kernel}\\(`));
  expect(start, kernel).to.be.greaterThan(-1);
  const [head, tail] = [text.slice(0, start), text.slice(start)];
  const exponential = /\b(?:kiln_exp_f32|expf)\(/;
  expect(tail).to.match(exponential);
  return head + tail.replace(exponential, "-$&");
}

describe("kiln verify on GPUs", () => {
  let folder: string;
  let artifact: string;
  /** The same, drawing the other way round: the processor by a counter, GPUs PyTorch's numbers. */
  const otherwise = { c: "", wgsl: "" };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "kiln-verify-gpu-"));
    artifact = join(folder, "artifact");
    const model = await smallModel(folder);
    // The emulated driver runs the kernels' text, not what nvcc makes of it.
    await withVariable("KILN_NVCC", "", () => compileModel(model, { out: artifact, targets: ["wgsl", "cuda"] }));
    for (const [target, random] of [
      ["c", "counter"],
      ["wgsl", "torch"],
    ] as const) {
      otherwise[target] = join(folder, `${target}-${random}`);
      await compileModel(model, { out: otherwise[target], targets: [target], random });
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const quick = { kernelSeconds: 0.1, entrySeconds: 5 } as const;

  /** Asserts that all agrees, training with its dropout included. */
  const passes = async (path: string, target: TargetName): Promise<VerifyReport> => {
    const report = await verifyArtifact(path, { target, ...quick });
    expect(report.ok, formatVerify(report)).to.equal(true);
    for (const { kernel, elements } of report.kernels) expect(elements, kernel).to.be.greaterThan(0);
    const done = report.entries.filter(({ leftOut }) => leftOut === undefined).map(({ entry }) => entry);
    expect(done).to.include.members(["train@16", "train@8", "evaluate@16", "evaluate@8"]);
    return report;
  };

  /** Damages one kernel's text, hash and all; asserts that the report names it alone, and where it is wrong. */
  const namesDamaged = async ({ kernels }: VerifyReport, target: "wgsl" | "cuda"): Promise<void> => {
    const kernel = kernels.find(({ doc }) => doc.includes("maxReduce"))?.kernel ?? "";
    const copy = join(folder, `damaged-${target}`);
    await cp(artifact, copy, { recursive: true });
    const file = target === "cuda" ? "kernels/cuda/kernels.cu" : `kernels/wgsl/kiln_k_${kernel}.wgsl`;
    const text = damaged(await readFile(join(copy, file), "utf8"), kernel);
    await writeFile(join(copy, file), text);
    const path = join(copy, "manifest.json");
    const manifest = JSON.parse(await readFile(path, "utf8")) as Manifest; // as the compiler wrote it
    manifest.files[file] = createHash("sha256").update(text).digest("hex");
    await writeFile(path, JSON.stringify(manifest));
    const report = await verifyArtifact(copy, { target, ...quick });
    expect(report.ok).to.equal(false);
    expect(report.kernels.filter(({ ok }) => !ok).map((each) => each.kernel)).to.deep.equal([kernel]);
    const { where, element, got, expected } = report.kernels.find(({ ok }) => !ok)?.difference ?? {};
    const sentence = `kernel ${kernel}: ${where}[${element}] is ${got}, expected ${expected}`;
    expect(formatVerify(report).split("\n")).to.include(`first   ${sentence}`);
    expect(report.entries.some(({ ok }) => !ok)).to.equal(true);
  };

  it("wgsl: passes what is right and names what is not", async function () {
    await (await openOrSkip(this)).close();
    await namesDamaged(await passes(artifact, "wgsl"), "wgsl");
  });

  it("wgsl: numbers that the host draws", async function () {
    await (await openOrSkip(this)).close();
    await passes(otherwise.wgsl, "wgsl");
  });

  it("wgsl: products in half precision, as exact as halves are", async function () {
    await (await openOrSkip(this)).close();
    const halves = join(folder, "halves");
    await compileModel(join(folder, "model.ts"), { out: halves, targets: ["wgsl"], precision: "f16" });
    const { kernels } = await passes(halves, "wgsl");
    expect(kernels.filter(({ worstError }) => worstError > 2e-4)).to.not.deep.equal([]);
  });

  it("c: numbers by a counter", async () => {
    await passes(otherwise.c, "c");
  });

  describe("cuda, on the emulated driver", () => {
    let driver: EmulatedDriver | undefined;
    before(function () {
      driver = emulatedDriverOrSkip(this);
    });
    after(() => {
      const complaints = driver?.complaints() ?? [];
      driver?.close();
      expect(complaints).to.deep.equal([]);
    });

    it("passes what is right and names what is not", async function () {
      this.timeout(300_000);
      await namesDamaged(await passes(artifact, "cuda"), "cuda");
    });

    it("passes tensor cores in the least precise format", async function () {
      this.timeout(300_000);
      const rounded = join(folder, "bf16");
      await withVariable("KILN_NVCC", "", () =>
        compileModel(join(folder, "model.ts"), { out: rounded, targets: ["cuda"], precision: "bf16" }),
      );
      const { entries } = await passes(rounded, "cuda");
      expect(Math.max(...entries.map(({ worstError }) => worstError))).to.be.greaterThan(2e-3);
    });
  });

  it("cuda without a driver is the target's error", async () => {
    const run = (): Promise<unknown> => verifyArtifact(artifact, { target: "cuda" });
    await withVariable("KILN_CUDA_DRIVER", "no-such-driver.so", () => failsWithAsync("K5420", run));
  });
});
