/** The text of an emitted program. */
import { expect } from "chai";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { emitC } from "../../../../codegen/targets/c/emit.ts";
import { programInterface } from "../../../../codegen/targets/c/entries.ts";
import { constant, draw, int, load, scalar, store, variable, type Kernel } from "../../../../ir/loop/loop.ts";
import type { PlannedEntry, PlannedProgram } from "../../../../ir/program.ts";
import { checkedGather, elementwiseChain, param, rowSoftmax, tasksLoop } from "../../../ir/loop/sample-kernels.ts";

const root = join(import.meta.dirname, "../../../../..");

const entry: PlannedEntry = {
  name: "train",
  batch: 4,
  arenaBytes: 4096,
  buffers: [
    { role: "arena", name: "arena", dtype: "u8", stored: "u8", shape: [4096] },
    { role: "input", name: 'images "*/\n', dtype: "f32", stored: "f32", shape: [400] },
  ],
  phases: [],
  scalars: [],
  increments: {},
};

/** A program of one entry that launches kernel 0 once, with its buffers at the given byte offsets in the arena. */
function program(kernels: readonly Kernel[], offsets: readonly number[]): PlannedProgram {
  const args = offsets.map((offset) => ({ buffer: 0, offset }));
  return { name: "sample", kernels, entries: [{ ...entry, phases: [[{ kernel: 0, args }]] }] };
}

function textOf(name: string, from: PlannedProgram): string {
  return emitC(from).files.find((file) => file.name === name)?.text ?? "";
}

const byName = (x = "", y = ""): number => x.localeCompare(y);

describe("C emitter", () => {
  it("writes the golden text of a small program", () => {
    const folder = join(root, "test/golden/c");
    const { files } = emitC(program([elementwiseChain(), rowSoftmax(), checkedGather()], [0, 1600, 2048]));
    if (process.env["UPDATE_SNAPSHOTS"] === "1") mkdirSync(folder, { recursive: true });
    for (const { name, text } of files) {
      const path = join(folder, `${name}.txt`);
      if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(path, text);
      expect(text, name).to.equal(readFileSync(path, "utf8"));
    }
    expect(files.map(({ name }) => name)).to.deep.equal(["kernels.h", "kernels_0.c", "kernels_1.c", "program.c"]);
  });

  it("declares what runtime/native/program.h declares", () => {
    const header = readFileSync(join(root, "runtime/native/program.h"), "utf8");
    const plain = (text: string): string =>
      text
        .replace(/\/\/.*$/gm, "")
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "" && !/^#(ifndef|endif)|KILN_PROGRAM_H/.test(line))
        .join("\n");
    expect(plain(programInterface)).to.equal(plain(header));
  });

  it("takes `restrict` from buffers that overlap what is written, and only from them", () => {
    const heads = (offsets: readonly number[]): string => textOf("kernels_0.c", program([elementwiseChain()], offsets));
    expect(heads([0, 1600, 2048])).to.include("const float *restrict x, const float *restrict bias, float *restrict y");
    expect(heads([0, 1600, 0])).to.include("const float *x, const float *restrict bias, float *y");
    expect(heads([0, 0, 2048])).to.include("const float *restrict x, const float *restrict bias, float *restrict y");
  });

  it("refuses launches that fit neither kernel nor entry", () => {
    expect(() => emitC(program([elementwiseChain()], [0, 4]))).to.throw("gets 2 buffers for 3");
    expect(() => emitC(program([elementwiseChain()], [0, 4, 6]))).to.throw("offset 6 is not aligned");
    expect(() => emitC(program([], [0]))).to.throw("launches kernel 0 of 0");
    expect(() => emitC(program([elementwiseChain(), elementwiseChain()], [0, 1600, 2048]))).to.throw("two kernels");
  });

  it("lets no name out of its comment or string", () => {
    const text = textOf("program.c", program([elementwiseChain()], [0, 1600, 2048]));
    expect(text).to.include('//   1 input images "*/?\n');
    const hostile = { ...elementwiseChain(), doc: "a \\\n*/ int x;" };
    expect(textOf("kernels_0.c", program([hostile], [0, 1600, 2048]))).to.include("// a /?*/ int x;\n");
  });

  it("adds random.c where a kernel draws, without contraction", () => {
    const body = [tasksLoop([draw({ kind: "bernoulli", p: 0.5 }, "rng", "mask", 8)])];
    const buffers = [param("rng", "i32", 630, "readwrite"), param("mask", "bool", 8, "write")];
    const drawing: Kernel = { name: "mask", doc: "", tasks: 1, flops: 0, buffers, body };
    const { files } = emitC(program([drawing], [0, 2560]));
    const random = files.find(({ name }) => name === "random.c");
    expect(random?.flags).to.include("-ffp-contract=off");
    expect(files.find(({ name }) => name === "kernels_0.c")?.text).to.include(
      "kiln_draw_bernoulli_u8((uint32_t *)rng, mask, 8, 0.5);",
    );
  });

  it("says which types C has not", () => {
    const buffers = [param("x", "bf16", 8), param("y", "bf16", 8, "write")];
    const body = [tasksLoop([store("y", int(0), scalar("neg", load("x", "bf16", variable("task"))))])];
    const half: Kernel = { name: "half", doc: "", tasks: 1, flops: 0, buffers, body };
    expect(() => emitC(program([half], [0, 64]))).to.throw("K5104");
    const one = { ...half, buffers: [], body: [tasksLoop([store("y", int(0), constant("f16", 1))])] };
    expect(() => emitC(program([one], []))).to.throw("K5104");
  });

  it("spreads kernels over as many files as asked, in order within each", () => {
    const kernels = Array.from({ length: 5 }, (_, index) => ({ ...rowSoftmax(index + 2), name: `s${index}` }));
    const { files } = emitC({ name: "many", kernels, entries: [] }, { files: 3 });
    const sources = files.filter(({ name }) => name.startsWith("kernels_"));
    const found = sources.map(({ text }) => Array.from(text.matchAll(/kiln_k_(s\d)/g), (match) => match[1]));
    expect(found.map((names) => names.length)).to.have.members([2, 2, 1]);
    for (const names of found) expect(names).to.deep.equal(names.toSorted(byName));
    expect(found.flat().toSorted(byName)).to.deep.equal(["s0", "s1", "s2", "s3", "s4"]);
  });
});
