/**
 * The package as npm makes it: what is in it, that its runtime stands alone, and that it works where it was installed
 * without install scripts.
 */
import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../runtime/package-root.ts";
import { expectGolden } from "./golden-text.ts";

const root = packageRoot();

/** Longest time that npm may take, in milliseconds. */
const npmTime = 120_000;

function npm(cwd: string, args: readonly string[]): SpawnSyncReturns<string> {
  const quiet = {
    ...process.env,
    npm_config_audit: "false",
    npm_config_fund: "false",
    npm_config_update_notifier: "false",
  };
  return spawnSync("npm", args, {
    cwd,
    encoding: "utf8",
    env: quiet,
    timeout: npmTime,
    shell: process.platform === "win32",
  });
}

/** Paths that npm packs, from its report. */
function packedPaths(report: string): readonly string[] {
  // npm's own shape; a change of it makes the comparison fail.
  const [packed] = JSON.parse(report) as readonly { readonly files: readonly { readonly path: string }[] }[];
  return packed?.files.map(({ path }) => path) ?? [];
}

describe("package", () => {
  it("holds the folders of the golden list, and nothing of tests, benches or examples", () => {
    const { stdout, stderr, status } = npm(root, ["pack", "--dry-run", "--json", "--ignore-scripts"]);
    expect(status, stderr).to.equal(0);
    const paths = packedPaths(stdout);
    expect(
      paths.filter((path) => /\.(map|node|tsbuildinfo)$|(^|\/)(fixtures|golden)\/|\.test\./.test(path)),
    ).to.deep.equal([]);
    expect(paths).to.include("dist/bin/kiln.js").and.to.include("runtime/native/program.h");
    const folders = new Set(paths.map((path) => path.split("/").slice(0, 2).join("/")));
    expectGolden("test/golden/package.txt", [...folders].toSorted().join("\n") + "\n");
  });
});

/** Modules that a built file imports, statically or not. */
function importsOf(file: string): readonly string[] {
  const text = readFileSync(file, "utf8");
  const pattern = /^(?:import|export)\b(?:[^"'`;]*?\bfrom)?\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/gm;
  return [...text.matchAll(pattern)].flatMap(([, fixed, dynamic]) => fixed ?? dynamic ?? []);
}

/** All built files that a file reaches, and the packages they import. */
function reach(entries: readonly string[]): {
  readonly files: ReadonlySet<string>;
  readonly packages: ReadonlySet<string>;
} {
  const files = new Set<string>();
  const packages = new Set<string>();
  const pending = [...entries];
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith(".")) pending.push(resolve(dirname(file), specifier));
      else if (!specifier.startsWith("node:")) packages.add(specifier);
    }
  }
  return { files, packages };
}

describe("runtime of an artifact", () => {
  const dist = join(root, "dist");
  const filesOf = (folder: string): readonly string[] =>
    readdirSync(join(dist, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".js"))
      .map((name) => join(dist, folder, name));
  const parts = ["runtime", "ir/artifact", "ir/diagnostic", "ir/random", "ir/data"];
  const { files, packages } = reach([...parts.flatMap(filesOf), join(dist, "ir", "type.js")]);
  const reached = [...files].map((file) => relative(dist, file).split(sep).join("/")).toSorted();

  it("reaches no file of compiler or codegen", () => {
    const allowed = /^(runtime\/|ir\/(artifact|diagnostic|random|data)\/|ir\/type\.js$)/;
    expect(reached.filter((file) => !allowed.test(file))).to.deep.equal([]);
    expect(reached).to.include("runtime/native.js");
  });

  it("imports neither ts-morph nor anything that strips types", () => {
    const light = ["asciichart", "cli-progress", "commander", "picocolors", "valibot"];
    expect([...packages].filter((name) => !light.includes(name))).to.deep.equal([]);
  });
});

describe("installed package", () => {
  let place: string;

  before(function () {
    this.timeout(2 * npmTime);
    place = mkdtempSync(join(tmpdir(), "kiln-install-"));
    const packed = npm(root, ["pack", "--json", "--ignore-scripts", "--pack-destination", place]);
    expect(packed.status, packed.stderr).to.equal(0);
    const tarball = readdirSync(place).find((name) => name.endsWith(".tgz")) ?? "";
    writeFileSync(join(place, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
    const { status, stderr, error } = npm(place, ["install", "--ignore-scripts", "--prefer-offline", `./${tarball}`]);
    if (
      status !== 0 &&
      (error !== undefined || /ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|network|E40[34]/.test(stderr))
    ) {
      process.stderr.write(`SKIPPED, for npm cannot install: ${error?.message ?? stderr.split("\n")[0] ?? ""}\n`);
      this.skip();
    }
    expect(status, stderr).to.equal(0);
  });

  after(() => rmSync(place, { recursive: true, force: true }));

  /** Runs code beside the installed package and returns what it prints as JSON. */
  const run = (code: string): unknown => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", code], {
      cwd: place,
      encoding: "utf8",
      timeout: npmTime,
    });
    expect(status, stderr).to.equal(0);
    return JSON.parse(stdout);
  };
  const namesOf = (name: string): unknown =>
    run(`import * as face from ${JSON.stringify(name)}; console.log(JSON.stringify(Object.keys(face)));`);

  it("offers its public names without install scripts", () => {
    expect(namesOf("kilnjs")).to.include.members(["nn", "optim", "defineTraining", "Tensor"]);
    expect(namesOf("kilnjs/data")).to.include.members(["DataLoader", "mnist", "transforms"]);
    expect(namesOf("kilnjs/runtime")).to.include.members(["Program"]);
    expect(namesOf("kilnjs/compiler")).to.include.members(["compile"]);
  });

  it("builds the addon at first use", () => {
    const installed = join(place, "node_modules", "kilnjs");
    expect(existsSync(join(installed, "runtime", "native", "build"))).to.equal(false);
    const native = JSON.stringify(join(installed, "dist", "runtime", "native.js"));
    const bytes = run(
      `const { loadNative } = await import(${native}); console.log((await loadNative()).allocate(64).byteLength);`,
    );
    expect(bytes).to.be.at.least(64);
    expect(
      readdirSync(join(installed, "runtime", "native", "build")).filter((name) => name.endsWith(".node")),
    ).to.have.length(1);
  });

  it("has a command that tells its version", () => {
    const command = join(place, "node_modules", ".bin", "kiln");
    const { status, stdout, stderr } = spawnSync(command, ["--version"], { encoding: "utf8", timeout: npmTime });
    expect(status, stderr).to.equal(0);
    expect(stdout).to.match(/\d+\.\d+\.\d+/);
  });
});
