/** Checkpoints and weights that are damaged, missing or another program's. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeSafetensors, type StoredTensor } from "../../runtime/safetensors-bytes.ts";
import { readSafetensors } from "../../runtime/safetensors.ts";
import { digitsProject, idx, kiln } from "../bin/kiln.ts";
import { commandMistakes } from "./command.ts";

describe("mistakes: checkpoints and weights", () => {
  let folder = "";
  const file = (name: string): string => join(folder, name);

  /** Writes the weights of the run as a file of their own, changed by `change`. */
  const writeWeights = (name: string, change: (tensors: Map<string, StoredTensor>) => void = () => undefined): void => {
    const tensors = new Map(readSafetensors(file("runs/digits/last.safetensors")).tensors);
    change(tensors);
    writeFileSync(file(name), Buffer.concat([...encodeSafetensors(tensors, new Map())]));
  };

  before(() => {
    folder = digitsProject();
    const model = readFileSync(file("digits/model.ts"), "utf8");
    mkdirSync(file("wide"));
    writeFileSync(file("wide/model.ts"), model.replace("nn.Linear(16, 3)", "nn.Linear(16, 4)"));
    mkdirSync(file("other"));
    writeFileSync(file("other/model.ts"), model.replace("x.flatten(1))", "x.flatten(1)).relu()"));
    for (const name of ["digits", "wide", "other"]) kiln(["compile", name, "--no-check"], folder);
    kiln(["train", "build/digits", "--epochs", "1"], folder);
  });

  commandMistakes(
    () => folder,
    [
      {
        mistake: "a checkpoint that is not there",
        words: ["train", "build/digits", "--out", "runs/a", "--resume", "runs/none.safetensors"],
        exit: 1,
        error: {
          code: "K3201",
          what: "runs/none.safetensors",
          expected: ".safetensors",
          got: "nothing",
          hint: "--resume",
        },
      },
      {
        mistake: "a truncated checkpoint",
        make: () => {
          copyFileSync(file("runs/digits/last.safetensors"), file("cut.safetensors"));
          truncateSync(file("cut.safetensors"), 700);
        },
        words: ["train", "build/digits", "--out", "runs/b", "--resume", "cut.safetensors"],
        exit: 1,
        error: {
          code: "K3202",
          what: "cut.safetensors",
          expected: "a complete checkpoint",
          got: /./,
          hint: "previous.safetensors",
        },
      },
      {
        mistake: "a checkpoint with a changed byte",
        make: () => {
          const bytes = readFileSync(file("runs/digits/last.safetensors"));
          bytes[bytes.length - 3] = (bytes[bytes.length - 3] ?? 0) ^ 1;
          writeFileSync(file("changed.safetensors"), bytes);
        },
        words: ["train", "build/digits", "--out", "runs/c", "--resume", "changed.safetensors"],
        exit: 1,
        error: {
          code: "K3202",
          what: "changed.safetensors",
          expected: "checksum",
          got: "checksum",
          hint: "another copy",
        },
      },
      {
        mistake: "a checkpoint of a model with other layers",
        words: ["train", "build/wide", "--out", "runs/d", "--resume", "runs/digits"],
        exit: 1,
        error: {
          code: "K3203",
          what: "runs/digits/last.safetensors",
          expected: "the same tensors",
          got: "fc.weight: expected f32[4,16], got f32[3,16]",
          hint: "Nothing was loaded",
        },
      },
      {
        mistake: "a checkpoint of a model that computes something else",
        words: ["train", "build/other", "--out", "runs/e", "--resume", "runs/digits"],
        exit: 1,
        error: { code: "K3205", what: "another program", expected: "running", got: "digits", hint: "--init" },
      },
      {
        mistake: "plain weights to resume from",
        make: () => writeWeights("weights.safetensors"),
        words: ["train", "build/digits", "--out", "runs/f", "--resume", "weights.safetensors"],
        exit: 1,
        error: {
          code: "K3204",
          what: "weights.safetensors",
          expected: "optimizer state",
          got: "without",
          hint: "--init",
        },
      },
      {
        mistake: "a resumed training with another seed",
        words: ["train", "build/digits", "--out", "runs/g", "--resume", "runs/digits", "--seed", "9"],
        exit: 1,
        error: { code: "K3209", what: "runs/digits", expected: "3", got: "9", hint: "Leave --seed out" },
      },
      {
        mistake: "a resumed training with other data",
        make: () => {
          mkdirSync(file("fewer"));
          for (const prefix of ["train", "t10k"]) {
            const labels = Array.from({ length: 22 }, (_, i) => i % 3);
            writeFileSync(file(`fewer/${prefix}-images-idx3-ubyte`), idx([22, 4, 4], Array<number>(22 * 16).fill(5)));
            writeFileSync(file(`fewer/${prefix}-labels-idx1-ubyte`), idx([22], labels));
          }
          kiln(["train", "build/digits", "--out", "runs/mid", "--epochs", "1", "--save-every", "1"], folder);
        },
        words: [
          "train",
          "build/digits",
          "--out",
          "runs/h",
          "--resume",
          "runs/mid/previous.safetensors",
          "--data",
          "fewer",
        ],
        exit: 1,
        error: { code: "K3210", what: "runs/mid", expected: "30 samples", got: "22 samples", hint: "--data DIR" },
      },
      {
        mistake: "weights with another element type",
        make: () =>
          writeWeights("halves.safetensors", (tensors) => {
            tensors.set("fc.weight", { dtype: "f16", shape: [3, 16], bytes: new Uint8Array(96) });
          }),
        words: ["train", "build/digits", "--out", "runs/i", "--init", "halves.safetensors"],
        exit: 1,
        error: {
          code: "K3203",
          what: "halves",
          expected: "same tensors",
          got: "fc.weight: expected f32[3,16], got f16[3,16]",
          hint: "Nothing",
        },
      },
      {
        mistake: "weights with a layer missing and one too many",
        make: () =>
          writeWeights("odd.safetensors", (tensors) => {
            tensors.delete("fc.bias");
            tensors.set("fc9.bias", { dtype: "f32", shape: [1], bytes: new Uint8Array(4) });
          }),
        words: ["train", "build/digits", "--out", "runs/j", "--init", "odd.safetensors"],
        exit: 1,
        error: {
          code: "K3203",
          expected: "same tensors",
          got: /missing: fc\.bias f32\[3\][^]*fc9\.bias f32\[1\]/,
          hint: "Nothing was loaded",
        },
      },
      {
        mistake: "weights that are not there",
        words: ["train", "build/digits", "--out", "runs/k", "--init", "none.safetensors"],
        exit: 1,
        error: { code: "K3201", what: "none.safetensors", expected: ".safetensors", got: "nothing", hint: "path" },
      },
      {
        mistake: "weights that are no safetensors file",
        make: () => writeFileSync(file("weights.pt"), "PK\u0003\u0004 a file of torch.save, perhaps"),
        words: ["train", "build/digits", "--out", "runs/l", "--init", "weights.pt"],
        exit: 1,
        error: { code: "K3202", what: "weights.pt", expected: "complete", got: /./, hint: "copy" },
      },
      {
        mistake: "a folder where a file of weights belongs",
        words: ["train", "build/digits", "--out", "runs/m", "--init", "digits"],
        exit: 1,
        error: { code: "K3201", what: "digits", expected: ".safetensors file", got: "nothing", hint: "path" },
      },
      {
        mistake: "an empty file of weights",
        make: () => writeFileSync(file("empty.safetensors"), ""),
        words: ["eval", "build/digits", "--checkpoint", "empty.safetensors"],
        exit: 1,
        error: { code: "K3202", what: "empty.safetensors", expected: "complete", got: /./, hint: "copy" },
      },
      {
        mistake: "a picture of another size to predict",
        make: () => writeFileSync(file("wide.idx"), idx([1, 4, 5], Array<number>(20).fill(1))),
        words: ["predict", "build/digits", "--input", "wide.idx"],
        exit: 1,
        error: { code: "K6051", what: "wide.idx", expected: "u8[4,4] as `images`", got: "u8[1,4,5]", hint: "compile" },
      },
      {
        mistake: "both checkpoints of a run damaged",
        make: () => {
          rmSync(file("runs/mid/previous.safetensors"), { force: true });
          truncateSync(file("runs/mid/last.safetensors"), 100);
        },
        words: ["train", "build/digits", "--out", "runs/mid", "--resume"],
        exit: 1,
        error: { code: "K3202", what: "runs/mid/last.safetensors", expected: "complete", got: /./, hint: "copy" },
      },
    ],
  );
});
