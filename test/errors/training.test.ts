/** What goes wrong when a compiled program is trained: data that is not what was compiled for, labels, losses, folders. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RunFolder } from "../../runtime/training/run-folder.ts";
import { digitsProject, idx, kiln } from "../bin/kiln.ts";
import { checkOutcome, commandMistakes } from "./command.ts";
import { modelText, writeProject } from "./project.ts";

/** A data set of the user's own, one of whose samples is wrong in the way that the environment names. */
const ownData = `import { DataLoader, Dataset, type Sample } from "kilnjs/data";

class Own extends Dataset {
  length = 6;
  get(index: number): Sample {
    const way = index === 3 ? process.env["WAY"] : undefined;
    if (way === "throws") throw new Error("picture 3 is gone");
    if (way === "shapes") return [Float32Array.of(1, 2, 3), 1];
    if (way === "fields") return [Float32Array.of(1, 2, 3, 4)];
    if (way === "types") return [Float32Array.of(1, 2, 3, 4), 0.5];
    return [Float32Array.of(1, 2, 3, index), index % 2];
  }
}

export const data = () => ({ train: new DataLoader(new Own(), { batchSize: 2 }) });
`;

describe("mistakes: training", () => {
  let folder = "";

  /** Writes a folder of data of MNIST's form: `count` pictures of `size` × `size`, with these labels. */
  const writeData = (name: string, count: number, size = 4, label = (i: number): number => i % 3): void => {
    mkdirSync(join(folder, name), { recursive: true });
    for (const prefix of ["train", "t10k"]) {
      const bytes = Array.from({ length: count * size * size }, (_, i) => i % 256);
      writeFileSync(join(folder, name, `${prefix}-images-idx3-ubyte`), idx([count, size, size], bytes));
      writeFileSync(
        join(folder, name, `${prefix}-labels-idx1-ubyte`),
        idx(
          [count],
          Array.from({ length: count }, (_, i) => label(i)),
        ),
      );
    }
  };

  before(() => {
    folder = digitsProject();
    kiln(["compile", "digits", "--no-check"], folder);
    writeProject({ "own/model.ts": modelText(), "own/data.ts": ownData }, folder);
    kiln(["compile", "own", "--no-check"], folder);
  });

  commandMistakes(
    () => folder,
    [
      {
        mistake: "a learning rate so large that the loss is no number",
        words: ["train", "build/digits", "--lr", "1e38", "--out", "runs/nan"],
        exit: 1,
        error: {
          code: "K4001",
          what: /epoch 1, step \d/,
          expected: "a finite number",
          got: /NaN|Infinity/,
          hint: /--lr.*runs\/nan\/last\.safetensors/,
        },
      },
      {
        mistake: "a label beyond the last class",
        make: () => writeData("labels", 30, 4, (i) => (i === 17 ? 7 : i % 3)),
        words: ["train", "build/digits", "--data", "labels", "--out", "runs/labels"],
        exit: 1,
        error: { code: "K3011", what: "train", expected: "0 to 2", got: "7", hint: "labels" },
      },
      {
        mistake: "a folder with another number of pictures",
        make: () => writeData("more", 33),
        words: ["train", "build/digits", "--data", "more", "--out", "runs/more"],
        exit: 1,
        error: { code: "K4002", what: "a batch of 1 samples", expected: "8, 6", got: "33 samples", hint: "dropLast" },
      },
      {
        mistake: "pictures of another size",
        make: () => writeData("large", 30, 5),
        words: ["train", "build/digits", "--data", "large", "--out", "runs/large"],
        exit: 1,
        error: { code: "K4003", what: "field 0", expected: "u8[4,4]", got: "u8[5,5]", hint: "Compile" },
      },
      {
        mistake: "a folder of data that is not there",
        words: ["train", "build/digits", "--data", "nowhere", "--out", "runs/nowhere"],
        exit: 1,
        error: { code: "K2020", expected: "nowhere/train-images-idx3-ubyte", got: "no such file", hint: "folder" },
      },
      {
        mistake: "get() that throws in the midst of training",
        words: ["train", "build/own", "--out", "runs/own"],
        env: { WAY: "throws" },
        exit: 1,
        error: {
          code: "K2012",
          what: "sample 3 of Own",
          expected: "a sample",
          got: "picture 3 is gone",
          hint: "own code",
        },
        place: { file: "build/own/data.js", text: 'new Error("picture 3 is gone")' },
      },
      {
        mistake: "samples of different shapes",
        words: ["train", "build/own", "--out", "runs/own"],
        env: { WAY: "shapes" },
        exit: 1,
        error: {
          code: "K2011",
          what: "field 0 of sample 3 of Own",
          expected: "f32[4], as in sample 0",
          got: "f32[3]",
          hint: "fixed shapes",
        },
      },
      {
        mistake: "a sample without its label",
        words: ["train", "build/own", "--out", "runs/own"],
        env: { WAY: "fields" },
        exit: 1,
        error: { code: "K2010", what: "sample 3 of Own", expected: "2 fields", got: "1 fields", hint: "every index" },
      },
      {
        mistake: "a label with a fraction",
        words: ["train", "build/own", "--out", "runs/own"],
        env: { WAY: "types" },
        exit: 1,
        error: {
          code: "K2011",
          what: "field 1 of sample 3 of Own",
          expected: "i64",
          got: "0.5",
          hint: "whole number in sample 0",
        },
      },
      {
        mistake: "a run folder in the place of a file",
        make: () => writeFileSync(join(folder, "file"), "mine"),
        words: ["train", "build/digits", "--out", "file"],
        exit: 1,
        error: {
          code: "K3206",
          what: "file",
          expected: "create files",
          got: /EEXIST|EACCES|ENOTDIR/,
          hint: "--out DIR",
        },
      },
      {
        mistake: "a run folder that cannot be written",
        words: ["train", "build/digits", "--out", "/proc/sys/run"],
        exit: 1,
        error: {
          code: "K3206",
          what: "/proc/sys/run",
          expected: "create files",
          got: /ENOENT|EACCES|EROFS|EPERM/,
          hint: "--out DIR",
        },
      },
      {
        mistake: "a loader that was renamed in the trainer's data",
        make: () => {
          cpSync(join(folder, "build/own"), join(folder, "renamed"), { recursive: true });
          const file = join(folder, "renamed", "data.js");
          writeFileSync(file, readFileSync(file, "utf8").replace("train:", "training:"));
        },
        words: ["train", "renamed", "--out", "runs/renamed"],
        exit: 1,
        error: { code: "K4007", what: "train", expected: "`train`", got: "training", hint: "data()" },
      },
    ],
  );

  it("K3207: two trainers in one run folder", () => {
    const held = RunFolder.open(join(folder, "runs", "held"));
    try {
      checkOutcome(kiln(["train", "build/digits", "--out", "runs/held", "--json"], folder), {
        exit: 1,
        error: {
          code: "K3207",
          what: "runs/held",
          expected: "one trainer",
          got: `process ${process.pid}`,
          hint: "--out DIR",
        },
      });
    } finally {
      held.close();
    }
  });
});
