/**
 * A small training for end-to-end tests: a project with a model of two layers (with dropout, Adam and a scheduler, so that
 * a checkpoint must hold generator, slots and rates) on a small data set in IDX files, and what runs its trainer in a
 * process of its own.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { packageRoot } from "../../runtime/package-root.ts";
import { randomNumbers } from "../random-numbers.ts";

const side = 8;
const hidden = 128;

/** Samples to train with: 37 whole batches of 16 and one of 8. */
const trainSamples = 600;
const testSamples = 40;

/** Writes the project into `folder`, `kilnjs` beside it; resolves to the path of the model file. */
export async function smallModel(folder: string, dataFolder: string = join(folder, "idx")): Promise<string> {
  await mkdir(join(folder, "node_modules"), { recursive: true });
  await symlink(packageRoot(), join(folder, "node_modules", "kilnjs"), "dir");
  await mkdir(dataFolder, { recursive: true });
  await writePictures(dataFolder, "train", trainSamples);
  await writePictures(dataFolder, "t10k", testSamples);
  const file = join(folder, "model.ts");
  await writeFile(file, modelText(dataFolder));
  return file;
}

function modelText(dataFolder: string): string {
  return `import { nn, optim, defineTraining, type Tensor } from "kilnjs";
import { DataLoader, mnist, transforms } from "kilnjs/data";

class Net extends nn.Module {
  fc1 = new nn.Linear(${side * side}, ${hidden});
  dropout = new nn.Dropout(0.2);
  fc2 = new nn.Linear(${hidden}, 10);

  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.dropout.forward(this.fc1.forward(x.flatten(1)).relu()));
  }
}

const root = ${JSON.stringify(dataFolder)};

export default defineTraining({
  seed: 3,
  epochs: 30,
  data() {
    const transform = transforms.toTensor();
    return {
      train: new DataLoader(mnist({ split: "train", root, transform }), { batchSize: 16, shuffle: true }),
      test: new DataLoader(mnist({ split: "test", root, transform }), { batchSize: 16 }),
    };
  },
  setup() {
    const model = new Net();
    const criterion = new nn.CrossEntropyLoss();
    const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
    const scheduler = new optim.lrScheduler.StepLR(optimizer, { stepSize: 2, gamma: 0.9 });
    return { model, criterion, optimizer, scheduler };
  },
  trainStep({ model, criterion, optimizer }, [images, labels]) {
    const loss = criterion.forward(model.forward(images), labels);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return { loss };
  },
  evalStep({ model }, [images, labels]) {
    return { correct: model.forward(images).argmax(1).eq(labels).sum() };
  },
});
`;
}

/** Pictures whose bright rows tell their label, with noise, as IDX files. */
async function writePictures(folder: string, prefix: string, count: number): Promise<void> {
  const random = randomNumbers(count);
  const pictures = new Uint8Array(16 + count * side * side);
  const labels = new Uint8Array(8 + count);
  const header = new DataView(pictures.buffer);
  [0x803, count, side, side].forEach((word, i) => header.setUint32(4 * i, word));
  const labelHeader = new DataView(labels.buffer);
  [0x801, count].forEach((word, i) => labelHeader.setUint32(4 * i, word));
  for (let i = 0; i < count; i++) {
    const label = Math.floor(random() * 10);
    labels[8 + i] = label;
    for (let pixel = 0; pixel < side * side; pixel++)
      pictures[16 + i * side * side + pixel] =
        Math.floor(random() * 120) + ((pixel * 7 + label * 13) % 10 === 0 ? 120 : 0);
  }
  await writeFile(join(folder, `${prefix}-images-idx3-ubyte`), pictures);
  await writeFile(join(folder, `${prefix}-labels-idx1-ubyte`), labels);
}

/** How a process ended, and what it printed. */
export type Ended = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
};

/** Options of `start`. */
export type StartOptions = { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv };

/** Starts a program; `ended` resolves when it is over. */
export function start(
  file: string,
  words: readonly string[],
  options: StartOptions = {},
): { readonly process: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(file, words, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { process: child, ended };
}

/** Runs a trainer to its end. */
export async function train(artifact: string, words: readonly string[], options: StartOptions = {}): Promise<Ended> {
  return start(process.execPath, [join(artifact, "trainer.js"), ...words], options).ended;
}

/** The bytes of a run's last checkpoint. */
export async function lastCheckpoint(run: string): Promise<Buffer> {
  return readFile(join(run, "last.safetensors"));
}
