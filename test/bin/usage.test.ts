/** The command line's form: help from the tables, suggestions, exit codes, JSON, and which stream says what. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { commands } from "../../bin/options.ts";
import { inspectStages } from "../../compiler/inspect.ts";
import { flagOf, helpOf } from "../../runtime/training/option-table.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { freshFolder, project, writeProject } from "../errors/project.ts";
import { kiln } from "./kiln.ts";

describe("kiln", () => {
  it("without words, and with --help, lists every command of the table", () => {
    for (const words of [[], ["--help"], ["-h"]]) {
      const { code, out, talk } = kiln(words);
      assert.equal(code, 0);
      assert.equal(talk, "");
      const listed = [...out.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name]) => name);
      assert.deepEqual(listed, Object.keys(commands));
    }
  });

  it("--version prints the package's version and nothing else", () => {
    const { code, out } = kiln(["--version"]);
    assert.equal(code, 0);
    assert.match(out, /^\d+\.\d+\.\d+\n$/);
  });

  for (const [name, spec] of Object.entries(commands)) {
    it(`${name} --help lists exactly the table's flags and arguments`, () => {
      const text = helpOf(spec);
      const flags = [...text.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, flag]) => flag);
      assert.deepEqual(flags, Object.keys(spec.options).map(flagOf));
      for (const { name, required } of spec.arguments) assert.include(text, required ? `<${name}>` : `[${name}]`);
      assert.include(text, `Usage: kiln ${name} `);
    });
  }

  it("a command's --help is what the table gives", () => {
    const { code, out } = kiln(["compile", "--help"]);
    assert.equal(code, 0);
    assert.equal(out, helpOf(commands.compile));
  });

  it("inspect knows every stage", () => {
    for (const stage of inspectStages) assert.include(commands.inspect.arguments[1]?.doc, stage);
  });
});

describe("mistakes of use end with exit code 2", () => {
  const mistakes: readonly (readonly [string, readonly string[], string, RegExp])[] = [
    ["an unknown command", ["compil"], "K6001", /Did you mean `compile`\?/],
    ["an unknown command like no other", ["xyzzy"], "K6001", /kiln --help/],
    ["an unknown flag", ["compile", "m.ts", "--ou", "x"], "K6002", /Did you mean `--out`\?/],
    ["an unknown flag with a value", ["train", "a", "--epoch=3"], "K6002", /Did you mean `--epochs`\?/],
    ["an unknown flag before a command", ["--versio"], "K6002", /Did you mean `--version`\?/],
    ["a missing argument", ["compile"], "K6004", /kiln compile --help/],
    ["one argument too many", ["verify", "a", "b"], "K6004", /kiln verify --help/],
    ["a flag without its value", ["compile", "m.ts", "--out"], "K6003", /--out/],
    ["a number that is none", ["train", "a", "--epochs", "many"], "K6003", /--epochs/],
    ["a stage that is none", ["inspect", "a", "soup"], "K6003", /traced/],
    ["a target that is none", ["compile", "m.ts", "--target", "cobol"], "K6003", /cobol/],
    ["a size that is none", ["compile", "m.ts", "--max-memory", "much"], "K6003", /500MB/],
  ];
  for (const [mistake, words, code, talk] of mistakes) {
    it(`${code}: ${mistake}`, () => {
      const outcome = kiln(words);
      assert.equal(outcome.code, 2, outcome.talk);
      assert.equal(outcome.out, "");
      assert.include(outcome.talk, `[${code}]`);
      assert.match(outcome.talk, talk);
    });
  }

  it("as JSON on stdout with --json", () => {
    const { code, json, talk } = kiln(["compile", "--json", "--ou", "x"]);
    assert.equal(code, 2);
    assert.equal(talk, "");
    const [error] = json();
    assert.include(error, { event: "error", code: "K6002", kind: "user", exitCode: 2 });
  });
});

describe("other failures", () => {
  it("no model: 1", () => {
    const { code, out, talk } = kiln(["compile", "no/such/model.ts"]);
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.include(talk, "[K1308]");
  });

  it("no artifact: 1, for every command that takes one", () => {
    const folder = freshFolder("no-artifact");
    mkdirSync(folder);
    for (const name of ["train", "eval", "predict", "inspect", "verify"]) {
      const words = name === "predict" ? [name, folder, "--index", "0"] : [name, folder];
      const { code, talk } = kiln(words);
      assert.equal(code, 1, `${name}: ${talk}`);
      assert.match(talk, /\[K(3001|3091|6052)\][^]*kiln compile/, name);
    }
  });

  it("a model where an artifact belongs says how to compile it", () => {
    const folder = writeProject(project());
    for (const model of [folder, join(folder, "model.ts")]) {
      const { code, talk } = kiln(["train", model]);
      assert.equal(code, 1, talk);
      assert.include(talk, "kiln compile");
      assert.include(talk, model);
    }
  });

  it("no C compiler: 3", () => {
    const folder = writeProject(project());
    const { code, talk } = kiln(["compile", folder, "--no-check", "--out", freshFolder("out")], folder, {
      KILN_CC: "/no/such/compiler",
    });
    assert.equal(code, 3, talk);
    assert.include(talk, "[K5110]");
    assert.include(talk, "hint:");
  });

  it("a mistake in the model: 1, with the source line and a caret under the place", () => {
    const folder = writeProject(project({ setup: "    const model = new Net();\n    model.missing.call();" }));
    const { code, talk } = kiln(["compile", "model.ts", "--no-check"], folder);
    assert.equal(code, 1, talk);
    const lines = talk.split("\n");
    const [, number, column] = /model\.ts:(\d+):(\d+)/.exec(talk) ?? [];
    const excerpt = lines.findIndex((line) => line.includes("| ") && line.includes("model.missing.call();"));
    assert.match(lines[excerpt] ?? "", new RegExp(`^ *${number} \\|`));
    const bar = (lines[excerpt + 1] ?? "").indexOf("|");
    assert.equal((lines[excerpt + 1] ?? "").indexOf("^"), bar + 1 + Number(column));
  });

  it("the line is found from another folder, too", () => {
    const folder = writeProject(project({ setup: "    const model = new Net();\n    model.missing.call();" }));
    const { talk } = kiln(["compile", folder, "--no-check", "--out", freshFolder("out")]);
    assert.include(talk, "model.missing.call();");
  });
});

describe("kiln doctor", () => {
  it("finds what there is", () => {
    const { code, json, talk } = kiln(["doctor", "--json"]);
    assert.equal(code, 0, talk);
    const [report] = json();
    assert.equal(report?.["ok"], true);
    type Finding = { readonly name: string; readonly ok: boolean; readonly needed: boolean };
    const findings = report?.["findings"] as readonly Finding[]; // checked below
    const names = findings.map(({ name }) => name);
    assert.includeMembers(names, ["node", "C compiler", "C++ compiler", "addon", "CPU", "cache", "data: MNIST"]);
    assert.includeMembers(names, ["wgpu library", "wgpu GPUs", "nvcc", "NVRTC", "CUDA GPU"]);
    assert.isTrue(findings.every(({ ok, needed }) => ok || !needed));
  });

  it("says what is missing, what to do, and ends with 3", () => {
    const { code, out } = kiln(["doctor"], undefined, { KILN_CC: "/no/such/compiler" });
    assert.equal(code, 3);
    const lines = out.split("\n");
    const line = lines.findIndex((text) => /^missing +C compiler/.test(text));
    assert.isAtLeast(line, 0, out);
    assert.match(lines[line + 1] ?? "", /^ +\S/);
  });

  it("needs no GPU, and says what each kind would need", () => {
    const env = { WGPU_NATIVE_PATH: "/no/such", KILN_NVCC: "", NVRTC_PATH: "/no/such", KILN_CUDA_DRIVER: "/no/such" };
    const { code, out } = kiln(["doctor"], undefined, env);
    assert.equal(code, 0, out);
    assert.match(out, /^missing +wgpu library .*\n +.*setup:wgpu/m);
    assert.match(out, /^missing +nvcc .*\n +.*--target cuda/m);
    assert.match(out, /^missing +NVRTC .*\n +.*pip install nvidia-cuda-nvrtc/m);
    assert.match(out, /^missing +CUDA GPU .*\n +.*KILN_CUDA_DRIVER/m);
  });

  it("does not need the data", () => {
    const empty = freshFolder("empty");
    mkdirSync(empty);
    const { code, out } = kiln(["doctor", "--data", empty]);
    assert.equal(code, 0, out);
    assert.match(out, /^missing +data: MNIST/m);
  });
});

describe("text for people and for programs", () => {
  it("has no colours where it is no terminal, nor bars", () => {
    const { out, talk } = kiln(["compil"]);
    assert.notInclude(out + talk, "\u001b");
  });

  it("has none on a build server, nor where NO_COLOR is set", () => {
    for (const env of [{ CI: "1" }, { NO_COLOR: "1", FORCE_COLOR: "1" }]) {
      assert.notInclude(kiln(["doctor"], undefined, env).out, "\u001b");
    }
  });

  it("ends quietly when its reader goes away", () => {
    const script = `"${process.execPath}" dist/bin/kiln.js compile --help | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync("bash", ["-c", script], { cwd: packageRoot(), encoding: "utf8" });
    assert.equal(stderr, "");
    assert.equal(stdout, "0\n");
  });

  it("shows control characters of names as escapes", () => {
    const { talk } = kiln(["compile", "\u001b[31mred.ts"]);
    assert.notInclude(talk, "\u001b");
  });

  it("reports a damaged manifest as one", () => {
    const folder = freshFolder("damaged");
    mkdirSync(folder);
    writeFileSync(join(folder, "manifest.json"), "{");
    const { code, talk } = kiln(["inspect", folder]);
    assert.equal(code, 1);
    assert.include(talk, "[K3091]");
  });
});
