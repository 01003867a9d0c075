/**
 * A user's project in a temporary folder: files as the user wrote them, beside a `node_modules` from which `kilnjs`
 * resolves. Everything lies below one folder that is removed when the process ends.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { packageRoot } from "../../runtime/package-root.ts";

/** Files of a project by their path in it. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

let base: string | undefined;
let count = 0;

/** The folder that holds all projects. */
export function baseFolder(): string {
  if (base !== undefined) return base;
  const folder = mkdtempSync(join(tmpdir(), "kiln-errors-"));
  base = folder;
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(packageRoot(), join(folder, "node_modules", "kilnjs"), "dir");
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A new folder, not there yet. */
export function freshFolder(name: string = "folder"): string {
  return join(baseFolder(), `${name}-${count++}`);
}

/** Writes a project into a folder of its own, or into `folder`; gives the folder. */
export function writeProject(files: Files, folder: string = freshFolder("project")): string {
  for (const [name, contents] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, contents);
  }
  return folder;
}

/** Stands in a user's file right before the expression that an error must point at. */
export const mark = "/*here*/";

/** A place in a file of a project. */
export type Place = { readonly file: string; readonly line: number; readonly column: number };

/** Where `mark` stands in the files, as an error gives it: the expression behind it. */
export function markedPlace(files: Files): Place | undefined {
  for (const [file, text] of Object.entries(files)) {
    if (typeof text !== "string") continue;
    const before = text.split(mark, 1)[0] ?? "";
    if (before.length === text.length) continue;
    const lines = before.split("\n");
    return { file, line: lines.length, column: (lines.at(-1) ?? "").length + mark.length + 1 };
  }
  return undefined;
}

/** The parts of a model that a case replaces; the rest is a small training that works. */
export type ModelParts = {
  /** Statements before the class. */
  readonly top?: string;
  /** Members of the class `Net`. */
  readonly net?: string;
  readonly data?: string;
  readonly setup?: string;
  readonly trainStep?: string;
  /** Further properties of the definition. */
  readonly more?: string;
};

/** Four inputs and two classes. */
export const defaultData = `import { DataLoader, TensorDataset } from "kilnjs/data";

const inputs = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i));
const labels = BigInt64Array.from({ length: 6 }, (_, i) => BigInt(i % 2));

export const data = () => ({
  train: new DataLoader(new TensorDataset({ data: inputs, shape: [6, 4] }, { data: labels, shape: [6] }), {
    batchSize: 2,
  }),
});
`;

const defaultNet = `  fc = new nn.Linear(4, 2);
  forward(x: Tensor): Tensor {
    return this.fc.forward(x);
  }`;

const defaultSetup = `    const model = new Net();
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    return { model, optimizer };`;

const defaultTrainStep = `    const loss = nn.functional.crossEntropy(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return { loss };`;

/** A whole project: `model.ts` and the `data.ts` that it imports. */
export function project(parts: ModelParts = {}): Files {
  return { "model.ts": modelText(parts), "data.ts": parts.data ?? defaultData };
}

/** The text of a model file. */
export function modelText(parts: ModelParts = {}): string {
  return `import { nn, optim, defineTraining, grad, noGrad, cat, stack, tensor, where, zeros, type Tensor } from "kilnjs";
import { data } from "./data.ts";
${parts.top ?? ""}
class Net extends nn.Module {
${parts.net ?? defaultNet}
}

export default defineTraining({
  data,
  setup() {
${parts.setup ?? defaultSetup}
  },
  trainStep({ model, optimizer }, [x, y]) {
${parts.trainStep ?? defaultTrainStep}
  },
${parts.more ?? ""}
});
`;
}
