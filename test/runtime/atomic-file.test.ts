/** Atomic writing: old or new contents under every failure, and the removal of what dead processes left. */
import { assert } from "chai";
import { spawnSync, spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileFailed } from "../../ir/diagnostic/messages.ts";
import { removeStaleTemporaries, writeAtomically } from "../../runtime/atomic-file.ts";
import { failsWith } from "../fails-with.ts";

const text = (...parts: readonly string[]): Uint8Array[] => parts.map((part) => new TextEncoder().encode(part));

describe("atomic files", () => {
  let folder = "";
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "kiln-atomic-"))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);

  it("hold all chunks, and replace what was there", () => {
    const path = join(folder, "a");
    writeAtomically(path, text("one ", "", "two"));
    assert.equal(readFileSync(path, "utf8"), "one two");
    writeAtomically(path, text("three"));
    assert.equal(readFileSync(path, "utf8"), "three");
    writeAtomically(path, []);
    assert.equal(readFileSync(path, "utf8"), "");
    assert.deepEqual(readdirSync(folder), ["a"]);
  });

  it("keep the old contents when the chunks fail half-way", () => {
    const path = join(folder, "a");
    writeAtomically(path, text("old"));
    function* broken(): Generator<Uint8Array> {
      yield* text("new");
      throw new RangeError("no more");
    }
    assert.throws(() => writeAtomically(path, broken()), RangeError, "no more");
    assert.equal(readFileSync(path, "utf8"), "old");
    assert.deepEqual(readdirSync(folder), ["a"]);
  });

  it("replace a link instead of writing through it", () => {
    const [target, link] = [join(folder, "target"), join(folder, "link")];
    writeFileSync(target, "kept");
    symlinkSync(target, link);
    writeAtomically(link, text("new"));
    assert.equal(readFileSync(target, "utf8"), "kept");
    assert.equal(readFileSync(link, "utf8"), "new");
  });

  it("fail with the path and the reason, and leave nothing behind", () => {
    const missing = join(folder, "no", "such", "a");
    assert.include(failsWith("K3112", () => writeAtomically(missing, text("x"))).message, missing);
    const occupied = join(folder, "folder");
    mkdirSync(join(occupied, "inside"), { recursive: true });
    failsWith("K3112", () => writeAtomically(occupied, text("x")));
    assert.deepEqual(readdirSync(folder), ["folder"]);
  });

  it("keep the old contents when the disk is full", function () {
    if (process.platform === "win32") return this.skip();
    // A limit on the size of files fails the write as a full disk does, without needing one.
    const path = join(folder, "a");
    writeAtomically(path, text("old"));
    const module = new URL("../../runtime/atomic-file.js", import.meta.url).href;
    const script = `
      process.on("SIGXFSZ", () => {});
      const { writeAtomically } = await import(${JSON.stringify(module)});
      try { writeAtomically(${JSON.stringify(path)}, [new Uint8Array(50000), new Uint8Array(100000)]); }
      catch (error) { console.log(error.code, error.message); }`;
    const limited = 'ulimit -f 100; exec "$0" --input-type=module -e "$1"';
    const { stdout, stderr } = spawnSync("bash", ["-c", limited, process.execPath, script], { encoding: "utf8" });
    assert.match(stdout, /^K3112 cannot write .*EFBIG/, stderr);
    assert.equal(readFileSync(path, "utf8"), "old");
    assert.deepEqual(readdirSync(folder), ["a"]);
    return undefined;
  });

  it("name the remedy for a full disk", () => {
    const cause = Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    assert.include(fileFailed("write", "a", cause).hint, "disk is full");
  });

  it("of dead processes are removed, of living ones and strangers kept", () => {
    const name = (tag: string, pid: number, started: string): string => `a.tmp-${tag}-${pid}-${started}-0123abcd`;
    const dead = spawnSync(process.execPath, ["-e", "console.log(process.pid)"], { encoding: "utf8" });
    const deadPid = Number(dead.stdout);
    const stale = [name(host, deadPid, "0"), name(host, process.pid, "1"), name("00000000", 5, "1")];
    const kept = ["a", "a.tmp", "a.tmp-1-2-3", name(host, process.pid, "0"), name("00000001", 5, "1")];
    for (const file of [...stale, ...kept]) writeFileSync(join(folder, file), "");
    const old = new Date(Date.now() - 2 * 24 * 60 * 60 * 1000);
    utimesSync(join(folder, name("00000000", 5, "1")), old, old);
    assert.deepEqual(removeStaleTemporaries(folder).sort(), [...stale].sort());
    assert.deepEqual(readdirSync(folder).sort(), [...kept].sort());
    assert.deepEqual(removeStaleTemporaries(join(folder, "no such folder")), []);
  });

  it("survive a kill in the middle of writing, and the leftover is found", async () => {
    const path = join(folder, "a");
    writeAtomically(path, text("old"));
    const module = new URL("../../runtime/atomic-file.js", import.meta.url).href;
    const script = `
      const { writeAtomically } = await import(${JSON.stringify(module)});
      function* chunks() { yield new Uint8Array(1000); console.log("half"); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20000); }
      writeAtomically(${JSON.stringify(path)}, chunks());`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    assert.deepEqual(removeStaleTemporaries(folder), [], "the process is alive");
    assert.equal(readdirSync(folder).length, 2);
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
    assert.equal(readFileSync(path, "utf8"), "old");
    assert.equal(removeStaleTemporaries(folder).length, 1);
    assert.deepEqual(readdirSync(folder), ["a"]);
  });
});
