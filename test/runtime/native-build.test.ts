/** Building the addon: where it goes, what is remembered, and what happens when it cannot be built. */
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { DiagnosticError } from "../../ir/diagnostic/diagnostic.ts";
import { buildAddon } from "../../runtime/native-build.ts";
import { removeFolders, temporaryFolder } from "./tiny-artifact.ts";

/** Runs `action` with the environment changed; a value of `undefined` takes a variable away. */
async function withEnvironment<T>(
  changes: Readonly<Record<string, string | undefined>>,
  action: () => Promise<T>,
): Promise<T> {
  const before = Object.keys(changes).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(changes)) set(name, value);
  try {
    return await action();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}

async function codeOf(promise: Promise<unknown>): Promise<DiagnosticError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DiagnosticError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** A compiler that is a shell script. */
function fakeCompiler(body: string): string {
  const path = join(temporaryFolder(), "c++");
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Writes something in place of an addon. */
const quick = 'while [ "$1" != -o ]; do shift; done; cat > "$2"';

describe("building the addon", () => {
  after(removeFolders);

  it("compiles without a warning", async function () {
    this.timeout(60_000);
    await buildAddon({ folders: [temporaryFolder()], flags: ["-Werror", "-O0", "-fsyntax-only"] }).then(
      () => expect.fail("-fsyntax-only makes no file"),
      (error: unknown) => expect((error as DiagnosticError).code).to.equal("K5006"),
    );
  });

  it("builds once, also when several begin together, and leaves nothing else behind", async () => {
    const folder = temporaryFolder();
    const compiler = fakeCompiler(`echo x >> ${join(folder, "..", "count-$$")}; sleep 0.1; ${quick}`);
    await withEnvironment({ KILN_CXX: compiler }, async () => {
      const paths = await Promise.all(Array.from({ length: 5 }, async () => buildAddon({ folders: [folder] })));
      expect(new Set(paths).size).to.equal(1);
      expect(readdirSync(folder)).to.have.length(1);
    });
    await withEnvironment({ KILN_CXX: "/nowhere/c++" }, async () => {
      expect(await buildAddon({ folders: [folder] })).to.include(folder);
      const other = await codeOf(buildAddon({ folders: [folder], flags: ["-DOTHER"] }));
      expect(other.code, "other flags are another addon").to.equal("K5004");
    });
  });

  it("goes to the next folder where one cannot be written, and says so when none can", async () => {
    const good = temporaryFolder();
    const blocked = join(temporaryFolder(), "file");
    writeFileSync(blocked, "");
    await withEnvironment({ KILN_CXX: fakeCompiler(quick) }, async () => {
      expect(await buildAddon({ folders: [join(blocked, "build"), good] })).to.include(good);
      const error = await codeOf(buildAddon({ folders: [join(blocked, "build")] }));
      expect(error.code).to.equal("K5006");
      expect(error.message).to.include("KILN_CACHE");
    });
  });

  it("says what a broken, absent or killed compiler did", async () => {
    const build = async (compiler: string): Promise<DiagnosticError> =>
      withEnvironment({ KILN_CXX: compiler }, async () => codeOf(buildAddon({ folders: [temporaryFolder()] })));
    const absent = await build("/nowhere/c++");
    expect(absent.code).to.equal("K5004");
    expect(absent.message).to.include("/nowhere/c++").and.to.include("KILN_CXX");
    const broken = await build(fakeCompiler("echo 'no such \\033[31mthing' >&2; exit 1"));
    expect(broken.code).to.equal("K5005");
    expect(broken.message).to.include("no such").and.not.to.include("\u001b");
    expect((await build(fakeCompiler("kill -9 $$"))).message).to.include("SIGKILL");
    expect((await build(fakeCompiler("yes | head -c 10000000 >&2; exit 1"))).message.length).to.be.below(10_000);
    expect((await build(fakeCompiler("echo 'No space left on device' >&2; exit 1"))).code).to.equal("K5006");
    expect((await build(fakeCompiler("exit 0"))).code, "no output").to.equal("K5006");
  });

  it("takes CXX with words, after KILN_CXX, and falls back where none is named", async () => {
    const compiler = fakeCompiler(quick);
    await withEnvironment({ KILN_CXX: undefined, CXX: `env A=1 ${compiler}` }, async () => {
      await buildAddon({ folders: [temporaryFolder()] });
    });
    const folder = temporaryFolder();
    writeFileSync(join(folder, "g++"), `#!/bin/sh\n${quick}\n`);
    chmodSync(join(folder, "g++"), 0o755);
    const path = `${folder}:${join(folder, "none")}`;
    mkdirSync(join(folder, "none"));
    // `cat` is found by the shell through the same path.
    const shell = `${path}:/bin:/usr/bin`;
    await withEnvironment({ KILN_CXX: undefined, CXX: undefined, PATH: shell }, async () => {
      await buildAddon({ folders: [temporaryFolder()] });
    });
    await withEnvironment({ KILN_CXX: undefined, CXX: undefined, PATH: join(folder, "none") }, async () => {
      expect((await codeOf(buildAddon({ folders: [temporaryFolder()] }))).code).to.equal("K5004");
    });
  });

  it("is safe between processes", async () => {
    const folder = temporaryFolder();
    const module = new URL("../../runtime/native-build.js", import.meta.url).href;
    const code = `import { buildAddon } from ${JSON.stringify(module)}; await buildAddon({ folders: [${JSON.stringify(folder)}] });`;
    const env = { ...process.env, KILN_CXX: fakeCompiler(`sleep 0.05; ${quick}`) };
    const ends = Array.from(
      { length: 4 },
      () =>
        new Promise<number | null>((resolve) => {
          spawn(process.execPath, ["--input-type=module", "-e", code], { env, stdio: "inherit" }).on("close", resolve);
        }),
    );
    expect(await Promise.all(ends)).to.deep.equal([0, 0, 0, 0]);
    expect(readdirSync(folder)).to.have.length(1);
  });
});
