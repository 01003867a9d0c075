/** `kiln verify` on a small compiled model: right kernels pass, a kernel with a planted mistake is named. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { formatVerify, verifyArtifact } from "../../bin/verify.ts";
import type { CProgram } from "../../codegen/targets/c/emit.ts";
import { compileModel } from "../../compiler/compile.ts";
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
