/**
 * Several targets through the command line: one artifact holds them all, `--device` chooses where it runs, and what one
 * device has begun another one goes on with. What needs a GPU (or a driver in software) is skipped, loudly, without one.
 */
import { cpSync, existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { inspect } from "../../compiler/inspect.ts";
import type { Manifest } from "../../ir/artifact/manifest.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { freshFolder } from "../errors/project.ts";
import { openOrSkip } from "../runtime/gpu/open-wgpu.ts";
import { digitsProject, kiln, type Outcome } from "./kiln.ts";

/** Without what nvcc makes of the kernels, which takes longer than all the rest. */
const withoutNvcc = { KILN_NVCC: "" };

function manifestOf(artifact: string): Manifest {
  return JSON.parse(readFileSync(join(artifact, "manifest.json"), "utf8")) as Manifest; // as the compiler wrote it
}

/** All files below a folder, by their paths in it. */
function filesIn(folder: string): readonly string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)).toSorted();
}

/** The losses that a training printed as JSON. */
function lossesOf(outcome: Outcome): readonly number[] {
  assert.equal(outcome.code, 0, outcome.talk);
  const steps = outcome.json().filter(({ event }) => event === "step");
  return steps.map(({ results }) => (results as { readonly loss: number }).loss); // the model's own result
}

function assertClose(got: readonly number[], wanted: readonly number[]): void {
  assert.equal(got.length, wanted.length);
  got.forEach((loss, i) => assert.closeTo(loss, wanted[i] ?? Number.NaN, 1e-5 * Math.abs(wanted[i] ?? 0), `loss ${i}`));
}

describe("an artifact for several targets", () => {
  let folder = "";
  let artifact = "";

  before(() => {
    folder = digitsProject();
    artifact = join(folder, "build", "digits");
    const words = ["compile", "digits", "--no-check", "--target", "c,wgsl,cuda"];
    const { code, talk } = kiln(words, folder, withoutNvcc);
    assert.equal(code, 0, talk);
    // What needs only a part of them.
    const one = kiln(["compile", "digits", "--no-check", "--out", "only-c"], folder);
    assert.equal(one.code, 0, one.talk);
  });

  it("holds the kernels, schedules and plans of each, one trainer, and a manifest with all", () => {
    const { targets, files } = manifestOf(artifact);
    assert.deepEqual(
      targets.map(({ name }) => name),
      ["c", "wgsl", "cuda"],
    );
    const there = filesIn(artifact);
    assert.deepEqual(there, [...Object.keys(files), "manifest.json"].toSorted());
    assert.includeMembers([...there], ["program.so", "trainer.js", "kernels/c/kernels.h", "kernels/cuda/kernels.cu"]);
    for (const name of ["c", "wgsl", "cuda"])
      for (const file of ["kernels.loop", "plan.txt", "report.json", "train@8.schedule"])
        assert.include(there, `ir/${name}/${file}`);
    for (const target of targets)
      if (target.name !== "c") for (const { file } of target.kernels) assert.include(there, file);
    // The same entries under the same names, whatever runs them.
    const entries = targets.map((target) => target.entries.map(({ name, batch }) => `${name}@${batch}`));
    for (const each of entries) assert.deepEqual(each, entries[0]);
  });

  it("holds the first target's parts as an artifact for it alone does", () => {
    const alone = join(folder, "only-c");
    for (const file of filesIn(alone).filter((name) => name !== "manifest.json" && !name.startsWith("trainer")))
      assert.isTrue(readFileSync(join(alone, file)).equals(readFileSync(join(artifact, file))), file);
    assert.deepEqual(manifestOf(alone).targets, manifestOf(artifact).targets.slice(0, 1));
  });

  it("takes each target once, in the order they were named", () => {
    const words = ["compile", "digits", "--no-check", "--target", "wgsl,c,wgsl", "--out", "twice", "--json"];
    const { code, json, talk } = kiln(words, folder);
    assert.equal(code, 0, talk);
    assert.deepEqual(json()[0]?.["targets"], ["wgsl", "c"]);
    assert.deepEqual(
      manifestOf(join(folder, "twice")).targets.map(({ name }) => name),
      ["wgsl", "c"],
    );
  });

  it("has equal bytes from another folder and working directory, with a cold cache", () => {
    const elsewhere = freshFolder("elsewhere");
    for (const part of ["digits", "data"]) cpSync(join(folder, part), join(elsewhere, part), { recursive: true });
    const words = ["compile", "digits", "--no-check", "--target", "c,wgsl,cuda", "--out", "artifact"];
    const { code, talk } = kiln(words, elsewhere, { ...withoutNvcc, KILN_CACHE: join(elsewhere, "cache") });
    assert.equal(code, 0, talk);
    const other = join(elsewhere, "artifact");
    assert.deepEqual(filesIn(other), filesIn(artifact));
    for (const file of filesIn(artifact)) {
      const bytes = readFileSync(join(artifact, file));
      assert.isTrue(readFileSync(join(other, file)).equals(bytes), file);
      for (const place of [folder, packageRoot()]) assert.isFalse(bytes.includes(place), `${place} in ${file}`);
    }
  });

  it("refuses a target that there is not, before anything is written", () => {
    const { code, talk } = kiln(["compile", "digits", "--target", "c,metal", "--out", "none"], folder);
    assert.equal(code, 2);
    assert.match(talk, /\[K6003\][^]*c, wgsl, cuda[^]*metal/);
    assert.isFalse(existsSync(join(folder, "none")));
  });

  it("refuses a precision that no target has, and names those that have it", () => {
    for (const [precision, targets, able] of [
      ["f16", "c", /wgsl or cuda/],
      ["bf16", "c,wgsl", /or cuda/],
    ] as const) {
      const words = ["compile", "digits", "--target", targets, "--precision", precision, "--out", "none"];
      const { code, talk } = kiln(words, folder);
      assert.equal(code, 2);
      assert.match(talk, /\[K6003\][^]*--precision/);
      assert.match(talk, able);
      assert.isFalse(existsSync(join(folder, "none")));
    }
  });

  it("multiplies in half precision where it is asked to and a target can, in float32 elsewhere", () => {
    const words = [
      "compile",
      "digits",
      "--no-check",
      "--target",
      "c,wgsl,cuda",
      "--precision",
      "f16",
      "--out",
      "halves",
    ];
    const { code, talk } = kiln(words, folder, withoutNvcc);
    assert.equal(code, 0, talk);
    const read = (file: string): string => readFileSync(join(folder, "halves", file), "utf8");
    assert.match(read("ir/wgsl/kernels.loop"), /^ *dot f16 /m);
    assert.match(read("ir/cuda/kernels.loop"), /^ *mma f16 /m);
    assert.equal(read("ir/c/kernels.loop"), readFileSync(join(artifact, "ir/c/kernels.loop"), "utf8"));
    const halves = filesIn(join(folder, "halves")).filter((file) => file.endsWith(".f16.wgsl"));
    assert.isNotEmpty(halves);
    for (const file of halves) {
      assert.match(read(file), /\bf16\(|\bvec4<f16>\(/);
      assert.notMatch(read(file.replace(".f16.wgsl", ".wgsl")), /\bf16\b/);
    }
  });

  it("inspect shows the target that is named, the first otherwise", () => {
    const stage = (...words: readonly string[]): string => kiln(["inspect", artifact, ...words], folder).out;
    assert.equal(stage("plan"), stage("plan", "--target", "c"));
    for (const [target, text] of [
      ["c", "#include"],
      ["wgsl", "@compute"],
      ["cuda", "__global__"],
    ] as const) {
      assert.include(stage("source", "--target", target), text);
      assert.match(stage("schedule", "--target", target, "--entry", "train@8"), /^group 0 /m);
      const shown = JSON.parse(stage("--target", target, "--json")) as { readonly target: { readonly name: string } };
      assert.equal(shown.target.name, target);
    }
    const lacking = kiln(["inspect", "only-c", "--target", "wgsl"], folder);
    assert.equal(lacking.code, 1);
    assert.match(lacking.talk, /\[K3092\][^]*one of c\b/);
  });

  it("inspect shows texts of kernels alone, not what a compiler made of them", () => {
    cpSync(artifact, join(folder, "with-image"), { recursive: true });
    writeFileSync(join(folder, "with-image", "kernels", "cuda", "kernels.fatbin"), "BINARY");
    const { out } = kiln(["inspect", "with-image", "source", "--target", "cuda"], folder);
    assert.match(out, /^\/\/ kernels\.cu$/m);
    assert.notInclude(out, "BINARY");
  });

  it("inspect --kernel shows a kernel on every target that has it", () => {
    const { code, out } = kiln(["inspect", artifact, "--kernel", "maxReduce_1"], folder);
    assert.equal(code, 0);
    const titles = [...out.matchAll(/^== (\w+) ==$/gm)].map(([, name]) => name);
    assert.deepEqual(titles, ["c", "wgsl", "cuda"]);
    // Loops and source of each, whole.
    const parts = out.split(/^== \w+ ==$/m).slice(1);
    const heads = [
      /^void kiln_k_maxReduce_1\(.*\{$/m,
      /^fn kiln_k_maxReduce_1\(/m,
      /__global__ .*kiln_k_maxReduce_1\(/,
    ];
    parts.forEach((part, i) => {
      assert.match(part, /^kernel maxReduce_1 tasks/m);
      assert.match(part, heads[i] ?? /$^/);
      assert.equal(part.trimEnd().split("\n").at(-1), "}");
      assert.lengthOf([...part.matchAll(/\bkiln_k_\w+\(/g)], 1, "other kernels");
    });
    const one = kiln(["inspect", artifact, "--kernel", "maxReduce_1", "--target", "wgsl"], folder);
    assert.notMatch(one.out, /^== /m);
    assert.include(one.out, "@compute");
  });

  it("inspect --kernel shows targets beside each other where there is room", async () => {
    const texts = await Promise.all([160, 159].map((width) => inspect(artifact, { kernel: "maxReduce_1", width })));
    const [wide = "", narrow = ""] = texts;
    assert.match(wide, /^== c == +\| == wgsl == +\| == cuda ==$/m);
    assert.isTrue(wide.split("\n").every((line) => line.length <= 160));
    assert.equal(narrow, kiln(["inspect", artifact, "--kernel", "maxReduce_1"], folder).out);
    // No part of a line gets lost.
    const letters = (text: string): number => text.replaceAll(/[\s|]/g, "").length;
    assert.equal(letters(wide), letters(narrow));
  });

  it("verify takes the target that is named", function () {
    this.timeout(60_000);
    const { code, json, talk } = kiln(["verify", artifact, "--target", "c", "--json"], folder);
    assert.equal(code, 0, talk);
    assert.equal(json()[0]?.["ok"], true);
  });

  it("cuda without a driver is the target's error, for every command", () => {
    const commands = [
      ["train", artifact],
      ["eval", artifact],
      ["predict", artifact, "--index", "0"],
    ];
    const trained = kiln(["train", artifact, "--epochs", "1"], folder);
    assert.equal(trained.code, 0, trained.talk);
    for (const words of commands) {
      const outcome = kiln([...words, "--device", "cuda"], folder, { KILN_CUDA_DRIVER: "no-such-driver.so" });
      assert.equal(outcome.code, 3, outcome.talk);
      assert.match(outcome.talk, /\[K5420\][^]*hint:/);
    }
    const verified = kiln(["verify", artifact, "--target", "cuda"], folder, { KILN_CUDA_DRIVER: "no-such-driver.so" });
    assert.equal(verified.code, 3, verified.talk);
    assert.include(verified.talk, "[K5420]");
  });

  describe("on a WebGPU device", () => {
    before(async function () {
      await (await openOrSkip(this)).close();
    });

    it("trains with the processor's losses", () => {
      const cpu = lossesOf(kiln(["train", artifact, "--device", "cpu", "--out", "runs/cpu", "--json"], folder));
      const gpu = lossesOf(kiln(["train", artifact, "--device", "wgpu", "--out", "runs/wgpu", "--json"], folder));
      assert.isAbove(cpu.length, 4);
      assertClose(gpu, cpu);
    });

    it("trains in half precision nearly as well", () => {
      const words = ["compile", "digits", "--no-check", "--target", "c,wgsl", "--precision", "f16", "--out", "rough"];
      assert.equal(kiln(words, folder).code, 0);
      const [cpu, gpu] = ["cpu", "wgpu"].map((device) =>
        lossesOf(kiln(["train", "rough", "--device", device, "--out", `runs/rough-${device}`, "--json"], folder)),
      );
      assert.isAbove(cpu?.length ?? 0, 4);
      gpu?.forEach((loss, i) => assert.closeTo(loss, cpu?.[i] ?? Number.NaN, 5e-3, `loss ${i}`));
    });

    it("goes on with what the processor began, and the processor with what it has done", () => {
      const train = (run: string, device: string, epochs: number, ...more: readonly string[]): readonly number[] => {
        const words = ["train", artifact, "--device", device, "--out", run, "--epochs", String(epochs), "--json"];
        return lossesOf(kiln([...words, ...more], folder));
      };
      const whole = train("runs/whole", "cpu", 4);
      for (const [first, second] of [
        ["cpu", "wgpu"],
        ["wgpu", "cpu"],
      ] as const) {
        const run = `runs/${first}-${second}`;
        const parts = [
          train(run, first, 1),
          train(run, second, 2, "--resume"),
          train(run, first, 3, "--resume"),
          train(run, second, 4, "--resume"),
        ];
        assertClose(parts.flat(), whole);
      }
    });

    it("evaluates and predicts as the processor does", () => {
      lossesOf(kiln(["train", artifact, "--out", "runs/digits", "--json"], folder));
      const on = (device: string, ...words: readonly string[]): readonly Record<string, unknown>[] => {
        const { code, json, talk } = kiln([...words, "--device", device, "--json"], folder);
        assert.equal(code, 0, talk);
        return json();
      };
      assert.deepEqual(on("wgpu", "eval", artifact), on("cpu", "eval", artifact));
      type Result = { readonly values: readonly number[] };
      // The model's own results.
      const [gpu, cpu] = ["wgpu", "cpu"].map(
        (device) => on(device, "predict", artifact, "--index", "3")[0]?.["results"] as Readonly<Record<string, Result>>,
      );
      assert.deepEqual(gpu?.["digit"], cpu?.["digit"]);
      const logits = gpu?.["logits"]?.values ?? [];
      assert.lengthOf(logits, 3);
      logits.forEach((value, i) => assert.closeTo(value, cpu?.["logits"]?.values[i] ?? Number.NaN, 1e-4));
    });

    it("is what an artifact without the processor's target runs on by itself", () => {
      const words = ["compile", "digits", "--no-check", "--target", "wgsl", "--out", "only-wgsl"];
      assert.equal(kiln(words, folder).code, 0);
      const losses = lossesOf(kiln(["train", "only-wgsl", "--out", "runs/auto", "--json"], folder));
      const forced = lossesOf(
        kiln(["train", "only-wgsl", "--out", "runs/forced", "--device", "wgpu", "--json"], folder),
      );
      assert.deepEqual(losses, forced);
    });
  });
});
