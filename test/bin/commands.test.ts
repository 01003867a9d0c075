/** From a model file to predictions through the command line alone, on a small data set of MNIST's form. */
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { encodeSafetensors } from "../../runtime/safetensors-bytes.ts";
import { digitsProject, idx, kiln, runNode, type Outcome } from "./kiln.ts";

describe("compile, train, eval, predict, inspect", () => {
  let folder = "";
  let compiled: Outcome;
  let trained: Outcome;

  before(() => {
    folder = digitsProject();
    compiled = kiln(["compile", "digits", "--no-check"], folder);
    trained = kiln(["train", "build/digits"], folder);
  });

  it("compile says what was traced, fused, planned and written", () => {
    assert.equal(compiled.code, 0, compiled.talk);
    assert.equal(compiled.talk, "");
    assert.match(compiled.out, /^traced +digits: 2 parameters, 51 values/m);
    assert.match(compiled.out, /^fused +\d+ operations -> \d+ kernels, \d+ launches/m);
    assert.match(compiled.out, /^memory +peak .* = parameters 0\.2 KB \+ activations/m);
    assert.match(compiled.out, /^wrote +build\/digits/m);
    assert.includeMembers(readdirSync(join(folder, "build", "digits")), ["manifest.json", "trainer.ts", "trainer.js"]);
  });

  it("compile --json gives one object, and a second compile finds its objects in the cache", () => {
    const { code, json } = kiln(["compile", "digits", "--no-check", "--out", "other", "--json"], folder);
    assert.equal(code, 0);
    const report = json()[0] ?? {};
    assert.include(report, { out: "other", name: "digits", cached: true, typeCheck: null });
    assert.containsAllKeys(report, ["memory", "kernels", "stages", "seconds", "operations", "launches"]);
    const bytes = (name: string): Buffer[] =>
      ["manifest.json", "program.so", "trainer.js"].map((file) => readFileSync(join(folder, name, file)));
    assert.deepEqual(bytes("other"), bytes("build/digits"));
  });

  it("compile --dump writes the program after every pass", () => {
    const { code } = kiln(["compile", "digits", "--no-check", "--out", "dumped", "--dump", "stages"], folder);
    assert.equal(code, 0);
    assert.isAbove(readdirSync(join(folder, "stages")).length, 5);
  });

  it("compile --max-memory refuses what does not fit", () => {
    const { code, talk } = kiln(["compile", "digits", "--no-check", "--out", "tight", "--max-memory", "1KB"], folder);
    assert.equal(code, 1);
    assert.match(talk, /parameters/);
    assert.isFalse(existsSync(join(folder, "tight")));
  });

  it("train prints the tutorial's lines and leaves a checkpoint and the curve", () => {
    assert.equal(trained.code, 0, trained.talk);
    const lines = trained.out.trimEnd().split("\n");
    assert.match(lines[0] ?? "", /^Epoch \[1\/4\], Step \[2\/4\], Loss: \d+\.\d{4}$/);
    assert.lengthOf(lines, 9);
    assert.match(lines[8] ?? "", /^Accuracy of the network on the 12 test images: \d+\.\d\d %$/);
    assert.includeMembers(readdirSync(join(folder, "runs", "digits")), ["last.safetensors", "loss.svg"]);
    assert.notInclude(trained.out + trained.talk, "\u001b");
  });

  it("the trainer by itself prints the same, and so does a training in two halves", () => {
    const alone = runNode(["build/digits/trainer.js", "--out", "runs/alone"], folder);
    assert.equal(alone.code, 0, alone.talk);
    assert.equal(alone.out, trained.out);
    const first = kiln(["train", "build/digits", "--out", "runs/half", "--epochs", "2"], folder);
    const second = kiln(["train", "build/digits", "--out", "runs/half", "--resume"], folder);
    const lines = [...first.out.split("\n").slice(0, 4), ...second.out.split("\n")];
    assert.equal(lines.join("\n").replaceAll("/2]", "/4]"), trained.out.replaceAll("/2]", "/4]"));
  });

  it("train --json gives one object a line", () => {
    const { code, json, talk } = kiln(["train", "build/digits", "--out", "runs/json", "--json"], folder);
    assert.equal(code, 0);
    assert.equal(talk, "");
    const events = json().map(({ event }) => event);
    assert.equal(events[0], "start");
    assert.includeMembers(events, ["step", "save", "evaluate"]);
    assert.equal(events.at(-1), "end");
  });

  it("train --data takes the files of another folder", () => {
    renameSync(join(folder, "data"), join(folder, "moved"));
    try {
      const without = kiln(["train", "build/digits", "--out", "runs/moved"], folder);
      assert.equal(without.code, 1);
      assert.include(without.talk, "[K2020]");
      const withData = kiln(["train", "build/digits", "--out", "runs/moved", "--data", "moved"], folder);
      assert.equal(withData.code, 0, withData.talk);
      assert.equal(withData.out, trained.out);
    } finally {
      renameSync(join(folder, "moved"), join(folder, "data"));
    }
  });

  it("eval counts as the trainer did", () => {
    const { code, json } = kiln(["eval", "build/digits", "--json"], folder);
    assert.equal(code, 0);
    const evaluation = json()[0] ?? {};
    assert.include(evaluation, { loader: "test", samples: 12 });
    const { correct } = evaluation["results"] as { readonly correct: number }; // the model's own result
    assert.include(trained.out, `${((100 * correct) / 12).toFixed(2)} %`);
    const text = kiln(
      ["eval", "build/digits", "--loader", "test", "--checkpoint", "runs/digits/last.safetensors"],
      folder,
    );
    assert.equal(text.code, 0, text.talk);
    assert.include(text.out, "12");
  });

  it("eval names the loaders there are, and what is wrong with the weights", () => {
    const loader = kiln(["eval", "build/digits", "--loader", "tset"], folder);
    assert.equal(loader.code, 1);
    assert.match(loader.talk, /train, test/);
    const missing = kiln(["eval", "build/digits", "--checkpoint", "runs/none"], folder);
    assert.equal(missing.code, 1);
    assert.match(missing.talk, /runs\/none/);
  });

  it("predict gives the same for a sample of the data, of an IDX file, .npy and .safetensors", () => {
    const idxFile = "data/t10k-images-idx3-ubyte";
    const ofData = kiln(["predict", "build/digits", "--index", "4", "--json"], folder).json()[0] ?? {};
    assert.equal(ofData["sample"], 4);
    const ofFile = kiln(["predict", "build/digits", "--input", idxFile, "--index", "4", "--json"], folder);
    assert.deepEqual(ofFile.json(), [ofData], ofFile.talk);
    const all = kiln(["predict", "build/digits", "--input", idxFile, "--json"], folder).json();
    assert.lengthOf(all, 12);
    assert.deepEqual(all[4], ofData);

    const bytes = readFileSync(join(folder, idxFile)).subarray(16 + 4 * 16, 16 + 5 * 16);
    const tensors = new Map([["images", { dtype: "u8", shape: [4, 4], bytes }] as const]);
    writeFileSync(join(folder, "one.safetensors"), Buffer.concat([...encodeSafetensors(tensors, new Map())]));
    writeFileSync(join(folder, "one.npy"), npy("|u1", "(1, 4, 4)", bytes));
    for (const file of ["one.safetensors", "one.npy"]) {
      const [one] = kiln(["predict", "build/digits", "--input", file, "--json"], folder).json();
      assert.deepEqual(one?.["results"], ofData["results"], file);
    }
    assert.match(kiln(["predict", "build/digits", "--index", "4"], folder).out, /^4: logits \[.*\] {2}digit [0-2]\n$/);
  });

  it("predict refuses what does not fit", () => {
    writeFileSync(join(folder, "wide.idx"), idx([1, 4, 5], Array<number>(20).fill(1)));
    writeFileSync(join(folder, "cut.npy"), npy("|u1", "(2, 4, 4)", new Uint8Array(16)));
    writeFileSync(join(folder, "float.npy"), npy("<f4", "(1, 4, 4)", new Uint8Array(64)));
    for (const file of ["wide.idx", "cut.npy", "float.npy", "none.npy"]) {
      const { code, talk } = kiln(["predict", "build/digits", "--input", file], folder);
      assert.equal(code, 1, talk);
      assert.include(talk, file);
    }
    const far = kiln(["predict", "build/digits", "--index", "12"], folder);
    assert.equal(far.code, 1);
    assert.match(far.talk, /below 12/);
    assert.equal(kiln(["predict", "build/digits"], folder).code, 2);
  });

  it("inspect shows the overview, every stage, one entry, and a kernel", () => {
    const overview = kiln(["inspect", "build/digits"], folder);
    assert.match(overview.out, /train@8: \d+ launches/);
    const [data] = [JSON.parse(kiln(["inspect", "build/digits", "--json"], folder).out) as { readonly name: string }];
    assert.equal(data.name, "digits");
    const traced = kiln(["inspect", "build/digits", "traced", "--entry", "train@8"], folder);
    assert.match(traced.out, /entry train/);
    assert.notMatch(traced.out, /entry evaluate/);
    const kernel = /^ +\d+ {2}(\w+)/m.exec(overview.out)?.[1] ?? "";
    const shown = kiln(["inspect", "build/digits", "--kernel", kernel], folder);
    assert.match(shown.out, new RegExp(`${kernel}[^]*MFLOP[^]*void`));
    const wrong = kiln(["inspect", "build/digits", "--kernel", "nothing"], folder);
    assert.equal(wrong.code, 1);
    assert.include(wrong.talk, kernel);
  });

  it("verify finds that all agrees", function () {
    this.timeout(60_000);
    const { code, json, talk } = kiln(["verify", "build/digits", "--json"], folder);
    assert.equal(code, 0, talk);
    assert.equal(json()[0]?.["ok"], true);
  });

  it("an error in the user's data code is the user's, at its line; one of ours is a bug", () => {
    const trainer = join(folder, "other", "trainer.js");
    const text = readFileSync(trainer, "utf8");
    writeFileSync(trainer, text.replace("export const data = () => ({", "export const data = () => ({ ...missing,"));
    const { code, talk } = kiln(["train", "other", "--out", "runs/other"], folder);
    assert.equal(code, 1, talk);
    assert.match(talk, /other\/trainer\.js:\d+:\d+: .*missing is not defined/);
    assert.match(talk, /\n *\d+ \| export const data = .*\.\.\.missing,\n *\| *\^\n/);
    writeFileSync(trainer, text.replace("session.begin(seed, data)", "session.begin(seed, undefined)"));
    const bug = kiln(["train", "other", "--out", "runs/other"], folder);
    assert.equal(bug.code, 70, bug.talk);
    assert.include(bug.talk, "report it");
  });

  it("an artifact without training data code cannot be trained", () => {
    rmSync(join(folder, "other", "trainer.js"));
    const { code, talk } = kiln(["train", "other"], folder);
    assert.equal(code, 1);
    assert.include(talk, "[K6052]");
  });
});

/** A .npy file, format 1.0. */
function npy(descr: string, shape: string, bytes: Uint8Array): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`;
  const text = `${header.padEnd(117)}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(text.length);
  return Buffer.concat([Buffer.from("\u0093NUMPY\u0001\u0000", "latin1"), length, Buffer.from(text, "latin1"), bytes]);
}
