/**
 * What an artifact promises: equal bytes whoever compiles it and wherever, and that it runs with nothing but the runtime
 * at hand: no compiler of ours, no TypeScript, no C compiler.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { expect } from "chai";
import { elementCount } from "../../ir/type.ts";
import { buildAddon } from "../../runtime/native-build.ts";
import { loadNative } from "../../runtime/native.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { Program } from "../../runtime/program.ts";
import { newTypedArray } from "../../runtime/typed-array.ts";
import { lastCheckpoint, smallModel, start, train } from "./small-model.ts";

/** All files below a folder, by path. */
function filesOf(folder: string): Map<string, Buffer> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    names.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [relative(folder, path), readFileSync(path)];
    }),
  );
}

describe("an artifact", () => {
  let folder: string;
  let artifact: string;

  /** Compiles a copy of the model, `kiln compile project/model.ts` in a folder of its own with a cache of its own. */
  async function compileIn(place: string, env: NodeJS.ProcessEnv): Promise<string> {
    const home = join(folder, place);
    cpSync(join(folder, "project", "model.ts"), join(home, "project", "model.ts"));
    mkdirSync(join(home, "node_modules"));
    symlinkSync(packageRoot(), join(home, "node_modules", "kilnjs"), "dir");
    const out = join(home, "out");
    const kiln = join(packageRoot(), "dist", "bin", "kiln.js");
    const words = [kiln, "compile", join("project", "model.ts"), "--out", "out"];
    const cache = join(home, "cache");
    const ended = await start(process.execPath, words, {
      cwd: home,
      env: { ...process.env, ...env, KILN_CACHE: cache },
    }).ended;
    expect(ended.code, ended.stderr).to.equal(0);
    return out;
  }

  before(async () => {
    await loadNative();
    folder = await mkdtemp(join(tmpdir(), "kiln-artifact-"));
    await smallModel(join(folder, "project"), join(folder, "idx"));
    artifact = await compileIn("first", {});
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("has the same bytes from another folder and cache, in another language and time zone", async () => {
    const other = await compileIn("somewhere/else", { LC_ALL: "tr_TR.UTF-8", LANG: "tr_TR.UTF-8", TZ: "Asia/Kolkata" });
    const [a, b] = [filesOf(artifact), filesOf(other)];
    expect([...b.keys()].toSorted()).to.deep.equal([...a.keys()].toSorted());
    for (const [name, bytes] of a) expect(b.get(name)?.equals(bytes), name).to.equal(true);
    expect([...a.keys()]).to.include.members(["manifest.json", "program.so", "trainer.js", "program.d.ts"]);
    // Nor does a place on this machine stand in it.
    for (const [name, bytes] of a)
      for (const place of [join(folder, "first"), packageRoot()])
        expect(bytes.includes(place), `${place} in ${name}`).to.equal(false);
  });

  it("runs where there is only the runtime: no compiler, no TypeScript, no C compiler", async () => {
    const alone = join(folder, "alone");
    const modules = join(alone, "node_modules");
    await copyRuntime(join(modules, "kilnjs"));
    for (const name of [
      "asciichart",
      "cli-progress",
      "commander",
      "node-addon-api",
      "node-api-headers",
      "picocolors",
      "valibot",
    ])
      copyDependency(name, modules);
    expect(readdirSync(modules)).not.to.include.members(["ts-morph", "typescript"]);
    cpSync(artifact, join(alone, "artifact"), { recursive: true });
    mkdirSync(join(alone, "empty"));
    const env = { PATH: join(alone, "empty"), HOME: alone, XDG_CACHE_HOME: join(alone, "cache") };
    const ended = await train(join(alone, "artifact"), ["--epochs", "2", "--out", "run"], { cwd: alone, env });
    expect(ended.code, ended.stderr).to.equal(0);
    expect(ended.stdout).to.match(/Accuracy of the network on the 40 test images: \d+\.\d\d %/);
    const here = join(folder, "here");
    expect((await train(artifact, ["--epochs", "2", "--out", here])).code).to.equal(0);
    expect((await lastCheckpoint(join(alone, "run"))).equals(await lastCheckpoint(here))).to.equal(true);
  });

  it("leaves the floating-point mode of Node's thread as it was", async () => {
    const native = await loadNative();
    const before = native.floatMode();
    const program = await Program.load(artifact, { threads: 2, seed: 0 });
    const entry = program.manifest.entries.find(({ name }) => name === "train");
    const rows = 20;
    const datasets = Object.fromEntries(
      (entry?.buffers ?? [])
        .filter(({ role }) => role === "dataset")
        .map(({ name, dtype, shape }) => [
          name,
          { data: newTypedArray(dtype, rows * elementCount(shape.slice(1))), rows },
        ]),
    );
    const batch = entry?.batch ?? 0;
    const indices = Int32Array.from({ length: 50 * batch }, (_, i) => i % rows);
    const options = { entry: "train", batch, steps: 50, datasets, indices };
    await program.run(options);
    expect(native.floatMode()).to.equal(before);
    program.runSync(options);
    expect(native.floatMode()).to.equal(before);
    await program.dispose();
    expect(native.floatMode()).to.equal(before);
    // Denormal numbers are still numbers.
    expect(Number.MIN_VALUE * Math.cos(0)).to.be.greaterThan(0);
  });
});

/** The part of the package that an artifact needs. */
async function copyRuntime(target: string): Promise<void> {
  const root = packageRoot();
  const copy = (path: string): void => cpSync(join(root, path), join(target, path), { recursive: true });
  copy("package.json");
  copy("dist/runtime");
  for (const part of ["artifact", "data", "diagnostic", "random", "type.js"]) copy(join("dist", "ir", part));
  const native = join("runtime", "native");
  for (const name of readdirSync(join(root, native))) if (name !== "build") copy(join(native, name));
  // An addon that was built before the package came here.
  const addon = await buildAddon();
  cpSync(addon, join(target, native, "build", basename(addon)));
}

/** A package and those it depends on. */
function copyDependency(name: string, modules: string): void {
  const require = createRequire(import.meta.url);
  const folder = require.resolve
    .paths(name)
    ?.map((place) => join(place, name))
    .find((place) => existsSync(join(place, "package.json")));
  if (folder === undefined) throw new Error(`no package ${name}`);
  cpSync(folder, join(modules, name), { recursive: true });
  const description: unknown = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const needs =
    typeof description === "object" && description !== null && "dependencies" in description
      ? description.dependencies
      : {};
  for (const need of Object.keys(needs ?? {})) if (!existsSync(join(modules, need))) copyDependency(need, modules);
}
