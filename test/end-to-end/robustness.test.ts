/**
 * What a training promises whatever happens to it: killed at any instant, stopped by a signal, out of disk space or
 * started twice, it ends with the weights of a run that nothing happened to, bit for bit.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { compileModel } from "../../compiler/compile.ts";
import { loadNative } from "../../runtime/native.ts";
import { randomNumbers } from "../random-numbers.ts";
import { lastCheckpoint, smallModel, start, train, type Ended } from "./small-model.ts";

/** Resolves once `text` holds for what a trainer printed so far. */
async function printed(running: ReturnType<typeof start>, holds: (stdout: string) => boolean): Promise<void> {
  let all = "";
  await new Promise<void>((resolve, reject) => {
    running.process.stdout?.on("data", (text: string) => {
      all += text;
      if (holds(all)) resolve();
    });
    running.ended.then(({ stderr }) => reject(new Error(`the trainer ended: ${stderr}`)), reject);
  });
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

function expectOk(ended: Ended): void {
  expect(ended.code, `${ended.stdout}\n${ended.stderr}`).to.equal(0);
}

describe("a training", () => {
  let folder: string;
  let artifact: string;
  let whole: Buffer;
  /** Milliseconds of a run that saves as often as the killed ones. */
  let duration: number;
  const often = ["--save-every", "20"];

  before(async () => {
    await loadNative();
    folder = await mkdtemp(join(tmpdir(), "kiln-robust-"));
    artifact = join(folder, "artifact");
    await compileModel(await smallModel(folder), { out: artifact });
    const begin = performance.now();
    expectOk(await train(artifact, ["--out", join(folder, "whole"), ...often]));
    duration = performance.now() - begin;
    whole = await lastCheckpoint(join(folder, "whole"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("gives the same bits again, on 1, 2 and 4 threads, however often it saves", async () => {
    for (const [name, words] of [
      ["again", []],
      ["one", ["--threads", "1"]],
      ["two", ["--threads", "2", "--save-every", "7"]],
      ["four", ["--threads", "4"]],
    ] as const) {
      expectOk(await train(artifact, ["--out", join(folder, name), ...words]));
      expect((await lastCheckpoint(join(folder, name))).equals(whole), name).to.equal(true);
    }
  });

  it("ends with the same bits after kill -9 at each of 30 random instants", async function () {
    this.timeout(180_000);
    const random = randomNumbers(30);
    // The measured run is the first and slowest; most kills must still meet a run under way.
    const instants = Array.from({ length: 30 }, () => random() * 0.75 * duration);
    let interrupted = 0;
    const killAndResume = async (instant: number, number: number): Promise<void> => {
      const run = join(folder, `killed-${number}`);
      const running = start(process.execPath, [join(artifact, "trainer.js"), "--out", run, ...often]);
      const timer = setTimeout(() => running.process.kill("SIGKILL"), instant);
      const { signal } = await running.ended;
      clearTimeout(timer);
      if (signal === "SIGKILL") interrupted++;
      expectOk(await train(artifact, ["--out", run, "--resume", ...often]));
      expect((await lastCheckpoint(run)).equals(whole), `killed after ${instant.toFixed(1)} ms`).to.equal(true);
      // What the killed process left is gone.
      const names = readdirSync(run).toSorted();
      expect(names).to.deep.equal(["last.safetensors", "loss.svg", "previous.safetensors"]);
      await rm(run, { recursive: true });
    };
    // Two at a time: the machines that tests run on have two cores.
    const queue = instants.map((instant, number) => ({ instant, number }));
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift())
        await killAndResume(next.instant, next.number);
    };
    await Promise.all([worker(), worker()]);
    expect(interrupted).to.be.greaterThan(15);
  });

  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)
    it(`saves and ends with ${code} on ${signal}, and goes on from there`, async () => {
      const run = join(folder, signal);
      const running = start(process.execPath, [join(artifact, "trainer.js"), "--out", run, "--json", ...often]);
      await printed(running, (text) => count(text, '"save"') > 10);
      const sent = performance.now();
      running.process.kill(signal);
      const ended = await running.ended;
      expect(ended.code, ended.stderr).to.equal(code);
      expect(performance.now() - sent).to.be.lessThan(2000);
      expect((await lastCheckpoint(run)).equals(whole)).to.equal(false);
      expectOk(await train(artifact, ["--out", run, "--resume"]));
      expect((await lastCheckpoint(run)).equals(whole)).to.equal(true);
    });

  it("refuses a folder that another training writes to, and names that one", async () => {
    const run = join(folder, "shared");
    const first = start(process.execPath, [join(artifact, "trainer.js"), "--out", run, "--json", "--epochs", "100000"]);
    await printed(first, (text) => text.includes('"start"'));
    const second = await train(artifact, ["--out", run, "--resume"]);
    expect(second.code, second.stdout).to.equal(1);
    expect(second.stderr).to.contain("K3207").and.contain(`process ${first.process.pid} `);
    first.process.kill("SIGINT");
    expect((await first.ended).code).to.equal(130);
    // The lock is given back.
    expectOk(await train(artifact, ["--out", run, "--resume", "--epochs", "1"]));
  });

  describe("on a full disk", () => {
    it("ends with an error when a save would exceed the file size limit; the checkpoint before it stays", async () => {
      const run = join(folder, "limited");
      expectOk(await train(artifact, ["--out", run, "--epochs", "5"]));
      const before = await lastCheckpoint(run);
      // The limit holds for the library too, which is opened from memory.
      const library = statSync(join(artifact, "program.so")).size;
      expect(library).to.be.lessThan(before.length - 4096);
      const kilobytes = Math.floor((library + before.length) / 2048);
      const command = `trap '' XFSZ; ulimit -f ${kilobytes}; exec "$0" "$@"`;
      const words = [process.execPath, join(artifact, "trainer.js"), "--out", run, "--resume", ...often];
      await expectFailedSave(await start("bash", ["-c", command, ...words]).ended, run, before);
    });

    it("ends with an error when the file system has no space; the checkpoint before it stays", async function () {
      const disk = join(folder, "disk");
      mkdirSync(disk);
      try {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], { stdio: "ignore" });
      } catch {
        console.log("      SKIPPED: this user cannot mount a small file system");
        this.skip();
      }
      try {
        const run = join(disk, "run");
        expectOk(await train(artifact, ["--out", run, "--epochs", "5"]));
        const before = await lastCheckpoint(run);
        // It would make room for the next one.
        unlinkSync(join(run, "previous.safetensors"));
        fillDisk(join(disk, "filler"), before.length / 2);
        const failed = await train(artifact, ["--out", run, "--resume", ...often]);
        await expectFailedSave(failed, run, before, () => unlinkSync(join(disk, "filler")));
      } finally {
        execFileSync("umount", [disk]);
      }
    });

    /** The save failed, nothing is broken, and the training can go on when there is space again. */
    async function expectFailedSave(failed: Ended, run: string, before: Buffer, freeSpace = (): void => {}) {
      expect(failed.code, `${failed.stdout}\n${failed.stderr}`).to.equal(1);
      expect(failed.stderr).to.contain("K3208").and.contain("last.safetensors");
      expect((await lastCheckpoint(run)).equals(before)).to.equal(true);
      expect(readdirSync(run).filter((name) => name.includes("tmp"))).to.deep.equal([]);
      freeSpace();
      expectOk(await train(artifact, ["--out", run, "--resume"]));
      expect((await lastCheckpoint(run)).equals(whole)).to.equal(true);
    }

    /** Fills a file system but for `spare` bytes. */
    function fillDisk(filler: string, spare: number): void {
      const block = Buffer.alloc(4096);
      const size = (): number => statSync(filler, { throwIfNoEntry: false })?.size ?? 0;
      try {
        for (;;) writeFileSync(filler, block, { flag: "a" });
      } catch {
        // Full now.
      }
      const kept = Math.max(0, size() - Math.ceil(spare / 4096) * 4096);
      writeFileSync(filler, Buffer.alloc(kept));
    }
  });

  it("copies an artifact that another folder's trainer runs alike", async () => {
    const copy = join(folder, "copy");
    cpSync(artifact, copy, { recursive: true });
    expectOk(await train(copy, ["--out", join(folder, "copied")]));
    expect((await lastCheckpoint(join(folder, "copied"))).equals(whole)).to.equal(true);
  });
});
