/** Commands, flags and arguments that are mistyped, missing or out of range. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kiln } from "../bin/kiln.ts";
import { commandMistakes } from "./command.ts";
import { modelText, defaultData, writeProject } from "./project.ts";

describe("mistakes: the command line", () => {
  let folder = "";

  before(() => {
    folder = writeProject({ "plain/model.ts": modelText(), "plain/data.ts": defaultData });
    kiln(["compile", "plain", "--no-check", "--out", "artifact"], folder);
  });

  commandMistakes(
    () => folder,
    [
      {
        mistake: "a mistyped command",
        words: ["compil", "digits"],
        exit: 2,
        error: { code: "K6001", expected: "a command", got: "compil", hint: "Did you mean `compile`" },
      },
      {
        mistake: "a mistyped flag",
        words: ["compile", "plain", "--outt", "x"],
        exit: 2,
        error: { code: "K6002", expected: "kiln compile", got: "--outt", hint: "Did you mean `--out`" },
      },
      {
        mistake: "a flag of another command",
        words: ["compile", "plain", "--epochs", "3"],
        exit: 2,
        error: { code: "K6002", expected: "kiln compile", got: "--epochs", hint: "--help" },
      },
      {
        mistake: "a mistyped flag of a trainer",
        words: ["artifact/trainer.js", "--epoch", "3"],
        exit: 2,
        error: { code: "K6002", expected: "trainer.js", got: "--epoch", hint: "Did you mean `--epochs`" },
      },
      {
        mistake: "a number in words",
        words: ["train", "artifact", "--epochs", "three"],
        exit: 2,
        error: { code: "K6003", what: "--epochs", expected: "an integer, at least 0", got: "three", hint: "--epochs" },
      },
      {
        mistake: "no threads",
        words: ["train", "artifact", "--threads", "0"],
        exit: 2,
        error: { code: "K6003", what: "--threads", expected: "1", got: "0", hint: "--threads" },
      },
      {
        mistake: "a learning rate in words",
        words: ["train", "artifact", "--lr", "fast"],
        exit: 2,
        error: { code: "K6003", what: "--lr", expected: "a finite number", got: "fast", hint: "--lr" },
      },
      {
        mistake: "a learning rate of an optimizer that there is not",
        words: ["train", "artifact", "--lr", "adam=0.1"],
        exit: 1,
        error: { code: "K4004", what: "adam", expected: "optimizer.0.lr", got: "adam", hint: "--lr optimizer=0.01" },
      },
      {
        mistake: "a flag without its value",
        words: ["compile", "plain", "--out"],
        exit: 2,
        error: { code: "K6003", what: "--out", expected: "DIR", got: "nothing, before --json", hint: "--out" },
      },
      {
        mistake: "a target that there is not",
        words: ["compile", "plain", "--target", "tpu"],
        exit: 2,
        error: { code: "K6003", what: "--target", expected: "c", got: "tpu", hint: "--target" },
      },
      {
        mistake: "no model",
        words: ["compile"],
        exit: 2,
        error: { code: "K6004", what: "model", expected: "usage", got: "model", hint: "kiln compile --help" },
      },
      {
        mistake: "two models",
        words: ["compile", "plain", "plain"],
        exit: 2,
        error: { code: "K6004", expected: "usage", got: "got 2", hint: "kiln compile --help" },
      },
      {
        mistake: "a model that is not there",
        words: ["compile", "nothing"],
        exit: 1,
        error: { code: "K1308", what: "nothing", expected: "model.ts", got: "no such file", hint: "kiln compile" },
      },
      {
        mistake: "a size in words",
        words: ["compile", "plain", "--max-memory", "lots"],
        exit: 2,
        error: { code: "K6003", what: "--max-memory", expected: "500MB", got: "lots", hint: "--max-memory" },
      },
      {
        mistake: "a model larger than its memory",
        words: ["compile", "plain", "--max-memory", "100B", "--no-check"],
        exit: 1,
        error: { code: "K1090", expected: "at most 0.0 MB", got: "parameters", hint: "smaller batch" },
      },
      {
        mistake: "a processor that is none",
        words: ["compile", "plain", "--march", "-native;ls", "--no-check"],
        exit: 1,
        error: { code: "K5114", expected: "x86-64-v3", got: "-native;ls", hint: "--march" },
      },
      {
        mistake: "a processor that the compiler does not know",
        words: ["compile", "plain", "--march", "pentium-nine", "--no-check"],
        exit: 3,
        error: { code: "K5111", kind: "target", expected: "a C compiler", got: "pentium-nine", hint: "--march" },
      },
      {
        mistake: "an artifact in the place of a file",
        words: ["compile", "plain", "--out", "taken"],
        make: () => writeFileSync(join(folder, "taken"), "mine"),
        exit: 1,
        error: { code: "K1607", what: "taken", expected: "empty folder", got: "a file", hint: "--out" },
      },
      {
        mistake: "an artifact in the place of the model",
        words: ["compile", "plain", "--out", "plain"],
        exit: 1,
        error: { code: "K1607", what: "plain", expected: "empty folder", got: "model.ts", hint: "Nothing was changed" },
      },
      {
        mistake: "an artifact below a file",
        words: ["compile", "plain", "--no-check", "--out", "plain/model.ts/artifact"],
        exit: 1,
        error: { code: "K3090", what: "plain/model.ts/artifact", expected: "a folder", got: "ENOTDIR", hint: "--out" },
      },
      {
        mistake: "training an empty folder",
        words: ["train", "empty"],
        make: () => mkdirSync(join(folder, "empty")),
        exit: 1,
        error: { code: "K3001", what: "empty", expected: "manifest.json", got: "ENOENT", hint: "compile" },
      },
      {
        mistake: "inspecting an empty folder",
        words: ["inspect", "nothing"],
        exit: 1,
        error: { code: "K3091", what: "nothing", expected: "kiln compile", got: "manifest", hint: "Compile the model" },
      },
      {
        mistake: "training a model that is not compiled",
        words: ["train", "plain"],
        exit: 1,
        error: { code: "K6053", what: "plain", expected: "kiln compile", got: "model.ts", hint: "kiln compile plain" },
      },
      {
        mistake: "a kernel that there is not",
        words: ["inspect", "artifact", "--kernel", "fast"],
        exit: 1,
        error: { code: "K3092", what: "fast", expected: "one of", got: "fast", hint: "kiln inspect" },
      },
      {
        mistake: "weights that are not there",
        words: ["eval", "artifact", "--checkpoint", "runs/none"],
        exit: 1,
        error: { code: "K3201", what: "runs/none", expected: ".safetensors", got: "nothing", hint: "path" },
      },
      {
        mistake: "predicting with a model without predictStep",
        words: ["predict", "artifact", "--index", "0"],
        make: () => kiln(["train", "artifact", "--out", "runs/plain"], folder),
        exit: 1,
        error: { code: "K4006", what: "predict", expected: "predict", got: "without it", hint: "predictStep" },
      },
    ],
  );
});
