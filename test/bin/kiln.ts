/**
 * The command line as a user meets it: `kiln` as a process of its own, in a project folder from which `kilnjs` resolves,
 * with a small data set of MNIST's form and a model for it.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../runtime/package-root.ts";
import { writeProject } from "../errors/project.ts";

/** What a command left: its exit code, what it wrote, and stdout as JSON, one value a line. */
export type Outcome = {
  readonly code: number | null;
  readonly out: string;
  readonly talk: string;
  readonly json: () => readonly Record<string, unknown>[];
};

/** Runs `kiln` with `words` in the folder `cwd`. Variables of `env` that are undefined are taken away. */
export function kiln(
  words: readonly string[],
  cwd: string = packageRoot(),
  env: Readonly<Record<string, string | undefined>> = {},
): Outcome {
  return runNode([join(packageRoot(), "dist", "bin", "kiln.js"), ...words], cwd, env);
}

/** Runs Node with `words`. */
export function runNode(
  words: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string | undefined>> = {},
): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, words, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 60_000,
  });
  const json = (): Record<string, unknown>[] =>
    stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>); // the assertions tell what is in it
  return { code: status, out: stdout, talk: stderr, json };
}

/** A model for 4 x 4 pictures of three kinds. */
const model = `import { nn, optim, defineTraining, type Tensor } from "kilnjs";
import { DataLoader, mnist, transforms } from "kilnjs/data";

class Net extends nn.Module {
  fc = new nn.Linear(16, 3);
  forward(x: Tensor): Tensor {
    return this.fc.forward(x.flatten(1));
  }
}

export default defineTraining({
  seed: 3,
  epochs: 4,
  logEvery: 2,
  data: () => ({
    train: new DataLoader(mnist({ split: "train", root: "data", transform: transforms.toTensor() }), { batchSize: 8, shuffle: true }),
    test: new DataLoader(mnist({ split: "test", root: "data", transform: transforms.toTensor() }), { batchSize: 5 }),
  }),
  setup() {
    const model = new Net();
    return { model, optimizer: new optim.SGD(model.parameters(), { lr: 1 }) };
  },
  trainStep({ model, optimizer }, [images, labels]) {
    const loss = nn.functional.crossEntropy(model.forward(images), labels);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return { loss };
  },
  evalStep({ model }, [images, labels]) {
    return { correct: model.forward(images).argmax(1).eq(labels).sum() };
  },
  predictStep({ model }, [images]) {
    const logits = model.forward(images);
    return { logits, digit: logits.argmax(1) };
  },
});
`;

/** Row `label` of the picture is white, the rest is dim. */
function picture(label: number, number: number): number[] {
  return Array.from({ length: 16 }, (_, i) => (Math.floor(i / 4) === label ? 255 : (31 * (i + number)) % 64));
}

/** An IDX file of unsigned bytes. */
export function idx(shape: readonly number[], bytes: readonly number[]): Uint8Array {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.set([0, 0, 8, shape.length]);
  shape.forEach((extent, axis) => header.writeUInt32BE(extent, 4 + 4 * axis));
  return Buffer.concat([header, Uint8Array.from(bytes)]);
}

/** Writes the project into a folder of its own: `digits/model.ts` and `data/` in IDX files; gives the folder. */
export function digitsProject(): string {
  const folder = writeProject({ "digits/model.ts": model });
  const data = join(folder, "data");
  mkdirSync(data);
  for (const [prefix, count] of [
    ["train", 30],
    ["t10k", 12],
  ] as const) {
    const labels = Array.from({ length: count }, (_, number) => number % 3);
    const pictures = labels.flatMap((label, number) => picture(label, number));
    writeFileSync(join(data, `${prefix}-images-idx3-ubyte`), idx([count, 4, 4], pictures));
    writeFileSync(join(data, `${prefix}-labels-idx1-ubyte`), idx([count], labels));
  }
  return folder;
}
