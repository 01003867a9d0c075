/** Checkpoints: what was written comes back, what was not written that way is refused, and the old one survives. */
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import type { ManifestState } from "../../ir/artifact/manifest.ts";
import { DiagnosticError } from "../../ir/diagnostic/diagnostic.ts";
import {
  checkTensors,
  readCheckpoint,
  readWeights,
  writeCheckpoint,
  type Checkpoint,
} from "../../runtime/checkpoint.ts";
import { encodeSafetensors, type StoredTensor } from "../../runtime/safetensors-bytes.ts";
import { readSafetensors } from "../../runtime/safetensors.ts";
import { newestCheckpoint } from "../../runtime/training/run-folder.ts";
import { bytesOf } from "../../runtime/typed-array.ts";
import { freshFolder } from "../errors/project.ts";
import { failsWith } from "../fails-with.ts";

function tensor(...values: number[]): StoredTensor {
  return { dtype: "f32", shape: [values.length], bytes: bytesOf(Float32Array.from(values)) };
}

function checkpoint(steps: number): Checkpoint {
  return {
    tensors: new Map([
      ["fc1.weight", tensor(1, 2, steps)],
      ["fc1.bias", tensor(-0)],
      ["optimizer.exp_avg.fc1.weight", tensor(0.5, 0.25, 0)],
    ]),
    progress: {
      format: 1,
      kiln: "0.1.0",
      name: "mnist",
      program: "abc",
      seed: 7,
      epoch: 2,
      steps,
      totalSteps: 938 + steps,
      counters: { "optimizer.step": 938 + steps },
      hyper: { "optimizer.0.lr": 1e-3 },
      schedulers: [{ step: 1 }],
      generator: "AAAA",
      loader: { batches: steps, samples: 10, batchSize: 2, generators: ["AAAA"] },
      history: { stride: 1, points: [0.5, null], pendingSum: 0, pendingCount: 0 },
      metrics: { test: { correct: 3, loss: null } },
      slots: ["optimizer.exp_avg.fc1.weight"],
    },
  };
}

function folder(): string {
  const made = freshFolder("run");
  mkdirSync(made, { recursive: true });
  return made;
}

const states: ManifestState[] = [
  { name: "fc1.weight", role: "parameter", dtype: "f32", stored: "f32", shape: [3], offset: 0, strides: [1] },
  { name: "fc1.bias", role: "parameter", dtype: "f32", stored: "f32", shape: [1], offset: 16, strides: [1] },
];

describe("runtime/checkpoint", () => {
  it("gives back what was written, and keeps the one before", () => {
    const run = folder();
    writeCheckpoint(run, checkpoint(1));
    writeCheckpoint(run, checkpoint(2));
    assert.deepEqual(readCheckpoint(join(run, "last.safetensors")), checkpoint(2));
    assert.deepEqual(readCheckpoint(join(run, "previous.safetensors")).progress.steps, 1);
    assert.sameMembers(readdirSync(run), ["last.safetensors", "previous.safetensors"]);
  });

  it("is a plain safetensors file with PyTorch's names", () => {
    const run = folder();
    writeCheckpoint(run, checkpoint(1));
    const { tensors, metadata } = readSafetensors(join(run, "last.safetensors"));
    assert.includeMembers([...tensors.keys()], ["fc1.weight", "fc1.bias"]);
    assert.equal(metadata.get("format"), "pt");
  });

  it("gives weights without optimizer slots, also those of another program's file", () => {
    const run = folder();
    writeCheckpoint(run, checkpoint(1));
    assert.sameMembers([...readWeights(join(run, "last.safetensors")).keys()], ["fc1.weight", "fc1.bias"]);
    const plain = join(run, "weights.safetensors");
    writeFileSync(plain, Buffer.concat([...encodeSafetensors(new Map([["w", tensor(1)]]))]));
    assert.sameMembers([...readWeights(plain).keys()], ["w"]);
    failsWith("K3204", () => readCheckpoint(plain));
  });

  it("refuses a file with any byte changed", function () {
    this.timeout(20_000);
    const run = folder();
    writeCheckpoint(run, checkpoint(1));
    const file = join(run, "last.safetensors");
    const bytes = readFileSync(file);
    const before = JSON.stringify(readCheckpoint(file).progress);
    for (let i = 0; i < bytes.length; i += 3) {
      const changed = Buffer.from(bytes);
      changed[i] = (changed[i] ?? 0) ^ 0x04;
      writeFileSync(file, changed);
      let accepted: Checkpoint | undefined;
      try {
        accepted = readCheckpoint(file);
      } catch (error) {
        assert.instanceOf(error, DiagnosticError, `byte ${i}: ${String(error)}`);
      }
      // Only what says nothing may change without notice: the format's name, and padding.
      if (accepted !== undefined) assert.equal(JSON.stringify(accepted.progress), before, `byte ${i}`);
    }
  });

  it("refuses every part of a file, and falls back to the generation before", () => {
    const run = folder();
    writeCheckpoint(run, checkpoint(1));
    writeCheckpoint(run, checkpoint(2));
    const last = join(run, "last.safetensors");
    const damage: Error[] = [];
    const size = statSync(last).size;
    for (let length = size - 1; length >= 0; length -= 97) {
      truncateSync(last, length);
      failsWith("K3202", () => readCheckpoint(last));
      const found = newestCheckpoint(run, (error) => damage.push(error));
      assert.equal(found?.checkpoint.progress.steps, 1);
    }
    assert.isNotEmpty(damage);
    truncateSync(join(run, "previous.safetensors"), 20);
    failsWith("K3202", () => newestCheckpoint(run, () => undefined));
    assert.isUndefined(newestCheckpoint(folder(), () => undefined));
  });

  it("leaves the old checkpoint alone when a new one cannot be written", () => {
    const run = folder();
    writeCheckpoint(run, checkpoint(1));
    const broken: StoredTensor = { dtype: "f32", shape: [5], bytes: new Uint8Array(4) };
    const bad = { ...checkpoint(2), tensors: new Map([["w", broken]]) };
    failsWith("K3208", () => writeCheckpoint(run, bad));
    assert.equal(readCheckpoint(join(run, "last.safetensors")).progress.steps, 1);
    assert.isFalse(readdirSync(run).some((name) => name.includes("tmp")));
  });

  it("lists every difference to the program at once", () => {
    const tensors = new Map([
      ["fc1.weight", tensor(1, 2)],
      ["extra\n", tensor(1)],
    ]);
    const error = failsWith("K3203", () => checkTensors("file", tensors, states));
    assert.include(error.message, "fc1.weight: expected f32[3], got f32[2]");
    assert.include(error.message, "missing: fc1.bias f32[1]");
    assert.include(error.message, "not in the program: extra\\n f32[1]");
    checkTensors(
      "file",
      new Map([
        ["fc1.weight", tensor(1, 2, 3)],
        ["fc1.bias", tensor(1)],
      ]),
      states,
    );
  });

  it("says when there is no file, and when the folder is none", () => {
    const run = folder();
    failsWith("K3201", () => readCheckpoint(join(run, "last.safetensors")));
    failsWith("K3201", () => readCheckpoint(run));
    assert.isFalse(existsSync(join(run, "last.safetensors")));
  });
});
