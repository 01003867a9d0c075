/** `kiln verify` on a small compiled model: right kernels pass, a kernel with a planted mistake is named. */
import { mkdtemp, rm } from "node:fs/promises";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { formatVerify, verifyArtifact } from "../../bin/verify.ts";
import type { CProgram } from "../../codegen/targets/c/emit.ts";
import { compileModel } from "../../compiler/compile.ts";
import { parseManifest } from "../../runtime/manifest-check.ts";
import { describeWgpu } from "../../runtime/gpu/wgpu.ts";
import { failsWithAsync } from "../fails-with-async.ts";
import { smallModel } from "../end-to-end/small-model.ts";

/** The program with `from` replaced by `to`, once, in one kernel's text. */
function planted(kernel: string, from: RegExp, to: string): (program: CProgram) => CProgram {
  return ({ files }) => ({
    files: files.map((file) => {
      const start = file.kind === "source" ? file.text.search(new RegExp(`${kernel}\\([^;]*\\{`)) : -1;
      if (start < 0) return file;
      const [head, tail] = [file.text.slice(0, start), file.text.slice(start)];
      expect(tail).to.match(from);
      return { ...file, text: head + tail.replace(from, to) };
    }),
  });
}

describe("kiln verify --target wgsl", () => {
  let folder: string;
  let artifact: string;
  before(async function () {
    const { adapters, library } = await describeWgpu();
    if (adapters.length === 0) {
      console.log(`      skipped: no WebGPU adapter here (${library})`);
      this.skip();
    }
    folder = await mkdtemp(join(tmpdir(), "kiln-verify-"));
    artifact = join(folder, "artifact");
    await compileModel(await smallModel(folder), { out: artifact, targets: ["c", "wgsl"] });
  });
  after(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  it("passes an artifact that is right", async () => {
    const report = await verifyArtifact(artifact, { target: "wgsl", kernelSeconds: 0.1, entrySeconds: 5 });
    expect(report.ok, formatVerify(report)).to.equal(true);
    const { targets } = parseManifest(JSON.parse(readFileSync(join(artifact, "manifest.json"), "utf8")));
    const wgsl = targets.find(({ name }) => name === "wgsl");
    expect(report.kernels.length).to.equal(wgsl?.name === "wgsl" ? wgsl.kernels.length : 0);
    for (const kernel of report.kernels) expect(kernel.elements, kernel.kernel).to.be.greaterThan(0);
    const checked = report.entries.filter(({ leftOut }) => leftOut === undefined).map(({ entry }) => entry);
    expect(checked).to.include("evaluate@16");
  });

  it("names a kernel whose text computes something else, and the first wrong element", async () => {
    const path = join(artifact, "manifest.json");
    const manifest = parseManifest(JSON.parse(readFileSync(path, "utf8")));
    const wgsl = manifest.targets.find(({ name }) => name === "wgsl");
    const kernels = wgsl?.name === "wgsl" ? wgsl.kernels : [];
    const texts = kernels.map(({ file }) => ({ file, text: readFileSync(join(artifact, file), "utf8") }));
    const victim = texts.find(({ text }) => /max\(/.test(text) && /exp/.test(text)) ?? texts.at(0);
    expect(victim).not.to.equal(undefined);
    const { file = "", text = "" } = victim ?? {};
    // What is stored last is doubled.
    const wrong = text.replace(/^( *\w+\[[^=]*\] = )(.*);(?![^]*^ *\w+\[[^=]*\] = )/m, "$1$2 + $2;");
    expect(wrong).not.to.equal(text);
    writeFileSync(join(artifact, file), wrong);
    const files = { ...manifest.files, [file]: createHash("sha256").update(wrong).digest("hex") };
    writeFileSync(path, JSON.stringify({ ...manifest, files }));
    const report = await verifyArtifact(artifact, { target: "wgsl", kernelSeconds: 0.1, entrySeconds: 0 });
    expect(report.ok).to.equal(false);
    const differing = report.kernels.filter(({ ok }) => !ok).map(({ kernel }) => kernel);
    expect(differing.length, formatVerify(report)).to.equal(1);
    expect(file).to.include(`kiln_k_${differing[0]}`);
    expect(report.kernels.find(({ ok }) => !ok)?.difference).not.to.equal(undefined);
  });

  it("says which targets there are", async () => {
    await failsWithAsync("K3092", () => verifyArtifact(artifact, { target: "cuda" }));
  });
});

describe("kiln verify", () => {
  let folder: string;
  let artifact: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "kiln-verify-"));
    const model = await smallModel(folder);
    artifact = join(folder, "artifact");
    await compileModel(model, { out: artifact });
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("passes an artifact that is right", async () => {
    const lines: string[] = [];
    const report = await verifyArtifact(artifact, { onLine: (line) => lines.push(line) });
    expect(report.ok, formatVerify(report)).to.equal(true);
    expect(report.kernels.length).to.be.greaterThan(5);
    for (const kernel of report.kernels) expect(kernel.elements, kernel.kernel).to.be.greaterThan(0);
    expect(report.entries.map(({ entry }) => entry)).to.include("train@16");
    expect(report.entries.every(({ elements }) => elements > 0)).to.equal(true);
    // All at once, and each of two layers' weights and biases.
    expect(report.gradients.map(({ states }) => states.length)).to.deep.equal([4, 1, 1, 1, 1]);
    expect(lines.join("\n")).to.equal(formatVerify(report));
  });

  it("names a kernel that computes something else, and the first wrong element", async () => {
    const sound = await verifyArtifact(artifact);
    const victim = sound.kernels.find(({ doc }) => doc.includes("maxReduce"))?.kernel ?? "";
    const report = await verifyArtifact(artifact, {
      alter: planted(victim, /kiln_exp_f32\((\w+)\)/, "(1.01f * kiln_exp_f32($1))"),
    });
    expect(report.ok).to.equal(false);
    const wrong = report.kernels.filter(({ ok }) => !ok);
    expect(wrong.map(({ kernel }) => kernel)).to.deep.equal([victim]);
    expect(wrong[0]?.difference?.got).to.not.equal(wrong[0]?.difference?.expected);
    expect(formatVerify(report)).to.match(new RegExp(`DIFFERS.*kernel ${victim}`));
  });
});
