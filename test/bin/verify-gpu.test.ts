/**
 * `kiln verify --target` on GPUs: WGSL on the adapter of wgpu-native, CUDA on the emulated driver. Kernels that are right
 * pass, a file of the artifact with a planted mistake is named, and a machine without the device is a typed error.
 */
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { formatVerify, verifyArtifact, type VerifyReport } from "../../bin/verify.ts";
import { compileModel } from "../../compiler/compile.ts";
import type { Manifest } from "../../ir/artifact/manifest.ts";
import { smallModel } from "../end-to-end/small-model.ts";
import { failsWithAsync } from "../fails-with-async.ts";
import { EmulatedDriver, emulatedDriverMissing } from "../runtime/gpu/emulated-driver.ts";
import { openOrSkip } from "../runtime/gpu/open-wgpu.ts";

/** A text in which the first exponential of a kernel has the other sign. */
function damaged(text: string, kernel: string): string {
  const start = text.search(new RegExp(`\\b${kernel}\\(`));
  expect(start, kernel).to.be.greaterThan(-1);
  const [head, tail] = [text.slice(0, start), text.slice(start)];
  expect(tail).to.match(exponential);
  return head + tail.replace(exponential, "-$&");
}

const exponential = /\b(?:kiln_exp_f32|expf)\(/;

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

/** The one kernel that computes a maximum and exponentials of a softmax, as the report names it and its file. */
function softmaxOf({ kernels }: VerifyReport): { readonly kernel: string; readonly file: string } {
  const { kernel = "", file = "" } = kernels.find(({ doc }) => doc.includes("maxReduce")) ?? {};
  return { kernel, file };
}

describe("kiln verify on GPUs", () => {
  let folder: string;
  let artifact: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "kiln-verify-gpu-"));
    artifact = join(folder, "artifact");
    // The emulated driver runs the kernels' text, not what nvcc makes of it.
    const nvcc = process.env["KILN_NVCC"];
    process.env["KILN_NVCC"] = "";
    try {
      await compileModel(await smallModel(folder), { out: artifact, targets: ["wgsl", "cuda"] });
    } finally {
      restore("KILN_NVCC", nvcc);
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** A copy of the artifact with a file changed; `isSigned`: the manifest holds the new file's hash, too. */
  const changed = async (
    name: string,
    file: string,
    change: (text: string) => string,
    isSigned = false,
  ): Promise<string> => {
    const copy = join(folder, name);
    await cp(artifact, copy, { recursive: true });
    const text = change(await readFile(join(copy, file), "utf8"));
    await writeFile(join(copy, file), text);
    if (!isSigned) return copy;
    const path = join(copy, "manifest.json");
    const manifest = JSON.parse(await readFile(path, "utf8")) as Manifest; // as the compiler wrote it
    manifest.files[file] = createHash("sha256").update(text).digest("hex");
    await writeFile(path, JSON.stringify(manifest));
    return copy;
  };

  describe("wgsl", () => {
    let sound: VerifyReport;
    const lines: string[] = [];
    before(async function () {
      await (await openOrSkip(this)).close();
      sound = await verifyArtifact(artifact, { onLine: (line) => lines.push(line) });
    });

    it("passes the artifact's first target, draws and all", () => {
      expect(sound.ok, formatVerify(sound)).to.equal(true);
      expect(sound.target).to.equal("wgsl");
      for (const { kernel, elements } of sound.kernels) expect(elements, kernel).to.be.greaterThan(0);
      expect(sound.entries.map(({ entry, leftOut }) => [entry, leftOut])).to.deep.include(["train@16", undefined]);
      expect(sound.entries.every(({ elements }) => elements > 0)).to.equal(true);
      expect(lines.join("\n")).to.equal(formatVerify(sound));
      expect(lines[0]).to.match(/^target wgsl on \S/);
    });

    it("names a kernel whose file computes something else, and then does not run the program", async () => {
      const { kernel, file } = softmaxOf(sound);
      const name = /(\w+)\.wgsl$/.exec(file)?.[1] ?? "";
      const wrong = await changed("wrong", file, (text) => damaged(text, name));
      const report = await verifyArtifact(wrong, { target: "wgsl" });
      expect(report.ok).to.equal(false);
      expect(report.changed).to.deep.equal([file]);
      expect(report.kernels.filter(({ ok }) => !ok).map((each) => each.kernel)).to.deep.equal([kernel]);
      const text = formatVerify(report);
      expect(text).to.match(new RegExp(`DIFFERS +kernel ${kernel} \\(${file}\\)`));
      expect(text).to.match(
        new RegExp(`^first +kernel ${kernel} .*: \\w+\\[\\d+\\] is [\\d.e-]+, expected [\\d.e-]+$`, "m"),
      );
      expect(report.entries.every(({ leftOut }) => leftOut?.includes(file) === true)).to.equal(true);
    });

    it("refuses an artifact whose kernels are not those of its graphs", async () => {
      const copy = await changed("other", "manifest.json", (text) => {
        const manifest = JSON.parse(text) as Manifest; // as the compiler wrote it
        manifest.targets[0]?.entries[0]?.launches?.pop();
        return JSON.stringify(manifest);
      });
      const error = await failsWithAsync("K6063", () => verifyArtifact(copy, { target: "wgsl" }));
      expect(error.message).to.match(/hint:.*kiln compile/);
    });

    it("finds the mistake in the entries, too, where the compiler itself was wrong", async () => {
      const { kernel, file } = softmaxOf(sound);
      const name = /(\w+)\.wgsl$/.exec(file)?.[1] ?? "";
      const wrong = await changed("signed", file, (text) => damaged(text, name), true);
      const report = await verifyArtifact(wrong, { target: "wgsl" });
      expect(report.changed).to.deep.equal([]);
      expect(report.kernels.filter(({ ok }) => !ok).map((each) => each.kernel)).to.deep.equal([kernel]);
      expect(report.entries.some(({ ok }) => !ok)).to.equal(true);
    });
  });

  describe("cuda, on the emulated driver", () => {
    let driver: EmulatedDriver | undefined;
    before(function () {
      const missing = emulatedDriverMissing();
      if (missing === undefined) return void (driver = new EmulatedDriver());
      console.log(`      skipped: ${missing}`);
      return this.skip();
    });
    after(() => driver?.close());

    it("passes what is right and names what is not", async function () {
      this.timeout(300_000);
      const sound = await verifyArtifact(artifact, { target: "cuda", kernelSeconds: 0.1 });
      expect(sound.ok, formatVerify(sound)).to.equal(true);
      expect(sound.target).to.equal("cuda");
      const { kernel, file } = softmaxOf(sound);
      expect(file).to.equal("kernels/cuda/kernels.cu");
      const wrong = await changed("cuda", file, (text) => damaged(text, `kiln_k_${kernel}`), true);
      const report = await verifyArtifact(wrong, { target: "cuda", kernelSeconds: 0.1 });
      expect(report.kernels.filter(({ ok }) => !ok).map((each) => each.kernel)).to.deep.equal([kernel]);
      expect(driver?.complaints()).to.deep.equal([]);
    });
  });

  it("says what the artifact was compiled for", async () => {
    const error = await failsWithAsync("K5230", () => verifyArtifact(artifact, { target: "c" }));
    expect(error.message).to.match(/hint:.*--target wgsl,cuda,c/);
  });

  it("says what is missing where there is no driver", async () => {
    const before = process.env["KILN_CUDA_DRIVER"];
    process.env["KILN_CUDA_DRIVER"] = "no-such-driver.so";
    try {
      await failsWithAsync("K5420", () => verifyArtifact(artifact, { target: "cuda" }));
    } finally {
      restore("KILN_CUDA_DRIVER", before);
    }
  });
});
