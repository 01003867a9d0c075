/** The small parts of a training session, each by itself: history, curve, results, clock, stretch, lock. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { assert } from "chai";
import type { ManifestEntry } from "../../../ir/artifact/manifest.ts";
import { drawCurve } from "../../../runtime/training/loss-curve.ts";
import { LossHistory } from "../../../runtime/training/loss-history.ts";
import { describeError, exitCodeOf } from "../../../runtime/training/report-error.ts";
import { Combination, lossResults } from "../../../runtime/training/results.ts";
import { RunLock } from "../../../runtime/training/run-lock.ts";
import { SaveClock } from "../../../runtime/training/save-clock.ts";
import { Stretch } from "../../../runtime/training/stretch.ts";
import { Interrupted } from "../../../runtime/training/interrupt.ts";
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { freshFolder, writeProject } from "../../errors/project.ts";
import { failsWith } from "../../fails-with.ts";

function folder(): string {
  const made = freshFolder("run");
  mkdirSync(made, { recursive: true });
  return made;
}

describe("runtime/training: loss history and curve", () => {
  it("keeps bounded memory and true means, the same through a checkpoint", () => {
    const losses = Array.from({ length: 100_000 }, (_, i) => i);
    const whole = new LossHistory();
    whole.add(losses);
    assert.isAtMost(whole.points.length, 2048);
    assert.equal(whole.points[0], (whole.stride - 1) / 2);
    const resumed = new LossHistory();
    resumed.add(losses.slice(0, 54_321));
    const saved: unknown = JSON.parse(JSON.stringify(resumed.save()));
    const other = new LossHistory();
    other.restore(saved as ReturnType<LossHistory["save"]>);
    other.add(losses.slice(54_321));
    assert.deepEqual(other.save(), whole.save());
    assert.lengthOf(whole.sampled(72), 72);
  });

  it("draws well-formed pictures, whatever the title and the losses", () => {
    const title = `<b> & "x" ]]> \u0000`;
    for (const points of [[], [1], [0, 0, 0], [1, Number.NaN, 0.001], [-5, 3], [1e-30, 1e30], [Infinity, 1]]) {
      const svg = drawCurve({ title, points, stride: 3, stepsPerEpoch: 7 });
      assert.match(svg, /^<svg [^>]*>/);
      assert.include(svg, "&lt;b&gt; &amp; &quot;x&quot; ]]&gt; \ufffd");
      assert.notMatch(svg, /NaN|Infinity/);
    }
  });
});

describe("runtime/training: results", () => {
  const entry: ManifestEntry = {
    name: "evaluate",
    batch: 2,
    phases: 1,
    arenaBytes: 0,
    buffers: [
      { role: "output", name: "loss", dtype: "f32", stored: "f32", shape: [] },
      { role: "output", name: "correct", dtype: "i64", stored: "i64", shape: [] },
      { role: "output", name: "map", dtype: "f32", stored: "f32", shape: [4] },
    ],
    scalars: [],
    increments: {},
  };

  it("weighs means by samples and adds up sums over ragged batches", () => {
    const combination = new Combination(entry, []);
    const outputs = { loss: Float32Array.of(1, 2), correct: BigInt64Array.of(1n, 2n) };
    combination.add({ entry: "evaluate", batch: 2, steps: 2 }, { steps: 2, outputs });
    const last = { loss: Float32Array.of(8), correct: BigInt64Array.of(1n) };
    combination.add({ entry: "evaluate", batch: 1, steps: 1 }, { steps: 1, outputs: last });
    assert.equal(combination.samples, 5);
    assert.deepEqual(combination.results(), { loss: (2 * 1 + 2 * 2 + 8) / 5, correct: 4 });
  });

  it("follows what the metrics declare", () => {
    const combination = new Combination(entry, [{ name: "loss", combine: "sum" }]);
    const outputs = { loss: Float32Array.of(1, 2), correct: BigInt64Array.of(1n, 2n) };
    combination.add({ entry: "evaluate", batch: 2, steps: 2 }, { steps: 2, outputs });
    assert.equal(combination.results()["loss"], 3);
  });

  it("watches the losses", () => {
    assert.deepEqual(lossResults(entry), ["loss"]);
  });
});

describe("runtime/training: saving and stretches", () => {
  it("saves every ten seconds, never for more than a hundredth of the time", () => {
    let now = 0;
    const clock = new SaveClock(undefined, () => now);
    assert.isFalse(clock.isDue(1));
    now = 9500;
    assert.isTrue(clock.isDue(2));
    clock.measure(() => (now += 500));
    now += 9500;
    assert.isFalse(clock.isDue(3), "500 ms of saving may come every 50 s");
    assert.isFalse(clock.isAffordable());
    now += 41_000;
    assert.isTrue(clock.isDue(4) && clock.isAffordable());
  });

  it("saves at the steps that were asked for", () => {
    const clock = new SaveClock(50, () => 0);
    assert.equal(clock.stepsLeft(130), 20);
    assert.isTrue(clock.isDue(150));
    assert.isFalse(clock.isDue(151));
  });

  it("runs few steps at first, then as many as fit a quarter of a second", async () => {
    let now = 0;
    const stretch = new Stretch(() => now);
    assert.isAtMost(stretch.limit(100), 8);
    await stretch.measure(4, async () => (now += 40));
    assert.equal(stretch.limit(100), 25);
    assert.equal(stretch.limit(7), 7);
    await stretch.measure(1, async () => (now += 10_000));
    assert.equal(stretch.limit(100), 1);
  });
});

describe("runtime/training: the lock of a run folder", () => {
  it("lets one trainer in, and the next when the first has left", () => {
    const run = folder();
    const lock = RunLock.acquire(run);
    const error = failsWith("K3207", () => RunLock.acquire(run));
    assert.include(error.message, String(process.pid));
    lock.release();
    RunLock.acquire(run).release();
  });

  it("takes over the lock of a dead process, also of one whose number was given away again", () => {
    const run = folder();
    const file = join(run, "lock");
    for (const holder of [
      { pid: 2 ** 22 + 1, start: "1", host: hostname() },
      { pid: process.pid, start: "1", host: hostname() },
    ]) {
      writeFileSync(file, JSON.stringify(holder));
      const lock = RunLock.acquire(run);
      assert.include(readFileSync(file, "utf8"), String(process.pid));
      lock.release();
    }
  });

  it("leaves the lock of another machine, and one it cannot read", () => {
    const run = folder();
    writeFileSync(join(run, "lock"), JSON.stringify({ pid: 1, start: "1", host: "elsewhere" }));
    failsWith("K3207", () => RunLock.acquire(run));
    writeFileSync(join(run, "lock"), "\u0000");
    failsWith("K3207", () => RunLock.acquire(run));
  });
});

describe("runtime/training: reporting errors", () => {
  it("shows the line with a caret, and has an exit code for each kind", () => {
    const project = writeProject({ "model.ts": "first\n  second line\n" });
    const error = fail(messages.unknownOption("--x", undefined, "kiln"), { file: "model.ts", line: 2, column: 3 });
    const text = describeError(error, { json: false, colors: false, roots: ["/nowhere", project] });
    assert.include(text, "     2 |   second line\n       |   ^");
    assert.equal(exitCodeOf(error), 2);
    assert.equal(exitCodeOf(fail(messages.loaderEmpty("train", 0, 1))), 1);
    // Without a stack nobody can tell that it came from a user's file.
    assert.equal(exitCodeOf(Object.assign(new TypeError("x"), { stack: "TypeError: x" })), 70);
    assert.equal(exitCodeOf(new Interrupted(143)), 143);
    assert.equal(describeError(new Interrupted(130), { json: false, colors: false }), "");
    const data: unknown = JSON.parse(describeError(error, { json: true, colors: false }));
    assert.deepInclude(data, { event: "error", code: "K6002", exitCode: 2 });
  });
});
