/**
 * Whole trainings of a small network through the generated trainer, as separate processes: what they print, and that
 * stopping, killing and resuming them changes no bit of the result.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { compileModel } from "../../../compiler/compile.ts";
import { readCheckpoint } from "../../../runtime/checkpoint.ts";
import { encodeSafetensors } from "../../../runtime/safetensors-bytes.ts";
import { readSafetensors } from "../../../runtime/safetensors.ts";
import { freshFolder, project, writeProject } from "../../errors/project.ts";

const data = `import { DataLoader, TensorDataset, randomSplit } from "kilnjs/data";

const count = 250;
const inputs = Float32Array.from({ length: 4 * count }, (_, i) => Math.sin(i * i));
const labels = BigInt64Array.from({ length: count }, (_, i) => BigInt(Math.sin(16 * i * i) > 0 ? 1 : 0));

export const data = () => {
  const all = new TensorDataset({ data: inputs, shape: [count, 4] }, { data: labels, shape: [count] });
  const [train, validation, test] = randomSplit(all, [150, 50, 50]);
  return {
    train: new DataLoader(train, { batchSize: 4, shuffle: true }),
    validation: new DataLoader(validation, { batchSize: 8 }),
    test: new DataLoader(test, { batchSize: 8 }),
  };
};
`;

/** A network with dropout, momentum and two schedulers, one of them per step: all that a resumed run must continue. */
const files = project({
  data,
  net: `  fc1 = new nn.Linear(4, 8);
  drop = new nn.Dropout(0.25);
  fc2 = new nn.Linear(8, 2);
  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.drop.forward(this.fc1.forward(x).relu()));
  }`,
  setup: `    const model = new Net();
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
    const epochly = new optim.lrScheduler.StepLR(optimizer, { stepSize: 1, gamma: 0.5 });
    const stepwise = new optim.lrScheduler.ExponentialLR(optimizer, { gamma: 0.999, per: "step" });
    return { model, optimizer, epochly, stepwise };`,
  more: `  seed: 3,
  epochs: 3,
  logEvery: 10,
  metrics: { loss: "mean", correct: "sum" },
  evalStep({ model }, [x, y]) {
    const logits = model.forward(x);
    return { loss: nn.functional.crossEntropy(logits, y), correct: logits.argmax(1).eq(y).sum() };
  },`,
});

let artifact = "";

type Outcome = { readonly code: number | null; readonly out: string; readonly talk: string };

function train(...words: readonly string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(artifact, "trainer.js"), ...words], {
    encoding: "utf8",
    cwd: join(artifact, ".."),
  });
  return { code: status, out: stdout, talk: stderr };
}

/** Everything a checkpoint says, comparable. */
function stateOf(run: string): unknown {
  const { tensors, progress } = readCheckpoint(join(run, "last.safetensors"));
  return {
    tensors: [...tensors].map(([name, { bytes }]) => [name, Buffer.from(bytes).toString("hex")]),
    progress,
  };
}

describe("the generated trainer", function () {
  this.timeout(60_000);

  let whole = "";
  let first: Outcome;

  before(async () => {
    const folder = writeProject({ ...files, "package.json": `{ "type": "module" }` });
    artifact = join(folder, "build");
    await compileModel(join(folder, "model.ts"), { out: artifact });
    whole = freshFolder("run");
    first = train("--out", whole);
  });

  it("prints the tutorial's lines on stdout and nothing else", () => {
    assert.equal(first.code, 0, first.talk);
    const lines = first.out.trimEnd().split("\n");
    const step = /^Epoch \[([123])\/3\], Step \[(10|20|30)\/38\], Loss: \d+\.\d{4}$/;
    const validation = /^Epoch \[[123]\/3\], Validation Loss: \d+\.\d{4}, Validation Accuracy: \d+\.\d\d %$/;
    for (let epoch = 0; epoch < 3; epoch++) {
      for (let i = 0; i < 3; i++) assert.match(lines[4 * epoch + i] ?? "", step);
      assert.match(lines[4 * epoch + 3] ?? "", validation);
    }
    assert.match(lines[12] ?? "", /^Accuracy of the network on the 50 test samples: \d+\.\d\d %$/);
    assert.lengthOf(lines, 13);
    assert.match(readFileSync(join(whole, "loss.svg"), "utf8"), /^<svg/);
    assert.isFalse(existsSync(join(whole, "lock")));
  });

  it("prints JSON lines with --json, with the same numbers", () => {
    const { out, code } = train("--json", "--out", freshFolder("run"));
    assert.equal(code, 0);
    const events = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; step?: number; results?: { loss: number } }); // our own output
    const steps = events.filter(({ event }) => event === "step");
    assert.lengthOf(steps, 9);
    assert.include(first.out, `Loss: ${steps[4]?.results?.loss.toFixed(4)}`);
    assert.equal(events.filter(({ event }) => event === "evaluate").length, 4);
  });

  it("ends with the same state on any number of threads", () => {
    const run = freshFolder("run");
    assert.equal(train("--threads", "3", "--out", run).code, 0);
    assert.deepEqual(stateOf(run), stateOf(whole));
  });

  it("ends with the same state when killed and resumed anywhere", async () => {
    const run = freshFolder("run");
    for (let kill = 0; ; kill++) {
      const words = [join(artifact, "trainer.js"), "--out", run, "--resume", "--save-every", "7"];
      const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "ignore"] });
      // The first ones are killed while they start, later ones after a line of the log.
      if (kill < 6) {
        if (kill % 2 === 0) setTimeout(() => child.kill("SIGKILL"), 40 * kill);
        else child.stdout.once("data", () => child.kill(kill === 3 ? "SIGTERM" : "SIGKILL"));
      }
      const code = await new Promise((resolve) => child.once("exit", resolve));
      if (code === 0) break;
      assert.isBelow(kill, 7, "it does not come to an end");
    }
    assert.deepEqual(stateOf(run), stateOf(whole));
  });

  it("saves and ends with the signal's code when it is stopped", async () => {
    const run = freshFolder("run");
    const words = [join(artifact, "trainer.js"), "--out", run, "--epochs", "100000"];
    const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.once("data", () => child.kill("SIGINT"));
    child.stdout.resume();
    const talk: Buffer[] = [];
    child.stderr.on("data", (part: Buffer) => talk.push(part));
    const code = await new Promise((resolve) => child.once("exit", resolve));
    assert.equal(code, 130);
    assert.match(Buffer.concat(talk).toString(), /Stopped at epoch \d+, step \d+; saved .*last\.safetensors/);
    assert.isAbove(readCheckpoint(join(run, "last.safetensors")).progress.totalSteps, 0);
  });

  it("goes on to more epochs as if it had been asked for them at once", () => {
    const [short, long] = [freshFolder("run"), freshFolder("run")];
    train("--out", short, "--epochs", "1");
    assert.equal(train("--out", short, "--epochs", "2", "--resume").code, 0);
    train("--out", long, "--epochs", "2");
    assert.deepEqual(stateOf(short), stateOf(long));
  });

  it("keeps the last good checkpoint when the loss is no longer finite", () => {
    const run = freshFolder("run");
    const { code, talk } = train("--out", run, "--lr", "1e30");
    assert.equal(code, 1);
    assert.match(talk, /K4001/);
    assert.match(talk, /epoch 1, step \d+/);
    for (const [, { dtype, bytes }] of readCheckpoint(join(run, "last.safetensors")).tensors)
      if (dtype === "f32") assert.isTrue(new Float32Array(bytes.buffer).every(Number.isFinite));
  });

  it("starts from given weights, and refuses others", () => {
    const run = freshFolder("run");
    const { tensors } = readSafetensors(join(whole, "last.safetensors"));
    const weights = new Map([...tensors].filter(([name]) => name.startsWith("fc")));
    const file = `${freshFolder("weights")}.safetensors`;
    writeFileSync(file, Buffer.concat([...encodeSafetensors(weights)]));
    assert.equal(train("--out", run, "--init", file, "--epochs", "0").code, 0);
    const kept = readCheckpoint(join(run, "last.safetensors")).tensors;
    for (const [name, { bytes }] of weights) assert.deepEqual(kept.get(name)?.bytes, bytes);
    weights.delete("fc1.bias");
    writeFileSync(file, Buffer.concat([...encodeSafetensors(weights)]));
    assert.match(train("--out", run, "--init", file).talk, /missing: fc1\.bias f32\[8\].*\[?/);
    assert.match(train("--out", run, "--resume", file).talk, /K3204/);
  });

  it("refuses a seed that is not the checkpoint's, and a checkpoint that is not there", () => {
    assert.match(train("--out", freshFolder("run"), "--resume", whole, "--seed", "4").talk, /K3209/);
    assert.match(train("--out", freshFolder("run"), "--resume", "/nowhere.safetensors").talk, /K3201/);
  });

  it("finds out before the first step that its folder cannot be used", async () => {
    const blocked = freshFolder("run");
    writeFileSync(blocked, "a file where a folder should be");
    const { code, talk, out } = train("--out", blocked);
    assert.equal(code, 1);
    assert.match(talk, /K3206/);
    assert.equal(out, "");
    const shared = freshFolder("run");
    mkdirSync(shared);
    const words = [join(artifact, "trainer.js"), "--out", shared, "--epochs", "100000"];
    const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "ignore"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const second = train("--out", shared);
    child.kill("SIGKILL");
    assert.equal(second.code, 1);
    assert.match(second.talk, /K3207/);
    assert.include(second.talk, String(child.pid));
  });
});
