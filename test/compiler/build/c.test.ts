/** Building emitted programs: what comes out, what is cached, and each way in which a compiler can fail. */
import { expect } from "chai";
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emitC } from "../../../codegen/targets/c/emit.ts";
import { buildC } from "../../../compiler/build/c.ts";
import { cpuProfile, profileOf } from "../../../compiler/build/features.ts";
import { DiagnosticError, TargetError } from "../../../ir/diagnostic/diagnostic.ts";
import { elementwiseChain, rowSoftmax } from "../../ir/loop/sample-kernels.ts";

const program = emitC({ name: "sample", kernels: [elementwiseChain(), rowSoftmax()], entries: [] });
const variables = ["KILN_CC", "CC", "KILN_CC_TIMEOUT", "KILN_CACHE", "XDG_CACHE_HOME", "PATH", "TMPDIR"] as const;

describe("C build", () => {
  let folder = "";
  const before: Partial<Record<string, string>> = {};

  beforeEach(() => {
    for (const name of variables) before[name] = process.env[name] ?? "";
    folder = mkdtempSync(join(tmpdir(), "kiln-test-"));
    process.env["KILN_CACHE"] = join(folder, "cache");
  });

  afterEach(() => {
    for (const name of variables) {
      const value = before[name];
      if (value === undefined || value === "") delete process.env[name];
      else process.env[name] = value;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  /** An executable shell script, taken for the compiler. */
  function fakeCompiler(text: string): void {
    const path = join(folder, "fake-cc");
    writeFileSync(path, `#!/bin/sh\n${text}\n`);
    chmodSync(path, 0o755);
    process.env["KILN_CC"] = path;
  }

  async function failure(march?: string): Promise<DiagnosticError> {
    try {
      await buildC(program, march === undefined ? {} : { march });
    } catch (error) {
      if (error instanceof DiagnosticError) return error;
      throw error;
    }
    return expect.fail("the build did not fail");
  }

  it("gives a shared object, found again in the cache, and the same bytes from another cache", async () => {
    const first = await buildC(program);
    expect(first.cached).to.equal(false);
    expect(first.library.length).to.be.greaterThan(1000);
    const again = await buildC(program);
    expect(again.cached).to.equal(true);
    expect(Buffer.compare(again.library, first.library)).to.equal(0);
    process.env["KILN_CACHE"] = join(folder, "another cache");
    const other = await buildC(program);
    expect(other.cached).to.equal(false);
    expect(Buffer.compare(other.library, first.library)).to.equal(0);
    expect(Buffer.from(other.library).includes(folder)).to.equal(false);
    expect(readdirSync(join(folder, "cache")).filter((name) => /^(work|new)-/.test(name))).to.deep.equal([]);
  });

  it("compiles only what has changed", async () => {
    await buildC(program);
    const objects = (): string[] => readdirSync(join(folder, "cache")).filter((name) => name.startsWith("object-"));
    const count = objects().length;
    const files = program.files.map((file) => (file.name === "program.c" ? { ...file, text: `${file.text}\n` } : file));
    expect((await buildC({ files })).cached).to.equal(false);
    expect(objects().length).to.equal(count + 1);
  });

  it("tells the processor's features and vector width", async function () {
    if (process.arch !== "x64") this.skip();
    const wide = await cpuProfile("x86-64-v3");
    expect([wide.lanes, wide.registers]).to.deep.equal([8, 16]);
    expect(wide.features).to.include.members(["avx2", "fma", "bmi2"]);
    expect(wide.features).not.to.include("avx512f");
    expect(await cpuProfile("x86-64")).to.deep.equal({ march: "x86-64", lanes: 4, registers: 16, features: [] });
    const widest = profileOf(new Set(["__AVX__", "__AVX512F__"]), "x86-64-v4");
    expect([widest.lanes, widest.registers]).to.deep.equal([16, 32]);
    expect(profileOf(new Set(["__aarch64__"]), "armv8-a")).to.include({ lanes: 4, registers: 32 });
  });

  it("accepts a compiler with arguments", async () => {
    process.env["CC"] = "cc -DANYTHING=1";
    delete process.env["KILN_CC"];
    expect((await buildC(program)).cached).to.equal(false);
  });

  it("says how to get a compiler where there is none", async () => {
    for (const name of ["KILN_CC", "CC"] as const) delete process.env[name];
    process.env["PATH"] = folder;
    const error = await failure();
    expect(error).to.be.instanceOf(TargetError);
    expect(error.code).to.equal("K5110");
    expect(error.message).to.include("tried cc, gcc, clang").and.include("apt install gcc");
  });

  it("does not pass over a compiler that was named", async () => {
    process.env["KILN_CC"] = join(folder, "missing");
    const error = await failure();
    expect(error.code).to.equal("K5110");
    expect(error.message).to.include("KILN_CC=");
  });

  it("reports a compiler that fails, with what it said", async () => {
    fakeCompiler("echo 'licence \\033[31mexpired' >&2; exit 3");
    const error = await failure();
    expect(error.code).to.equal("K5111");
    expect(error.message).to.include("exit code 3").and.include("expired").and.not.include("\u001b");
  });

  it("reports a compiler that is killed", async () => {
    fakeCompiler('case "$*" in *-c\\ *) kill -9 $$;; esac; exec cc "$@"');
    const error = await failure();
    expect(error.code).to.equal("K5111");
    expect(error.message).to.include("SIGKILL");
  });

  it("reports a processor the compiler does not know", async () => {
    const error = await failure("no-such-level");
    expect(error.code).to.equal("K5111");
    expect(error.message).to.include("no-such-level");
  });

  it("refuses a processor that is an option of its own", async () => {
    for (const march of ["native -fplugin=x", "", "-o"]) expect((await failure(march)).code).to.equal("K5114");
  });

  it("ends a compiler that hangs, and what it has started", async () => {
    const mark = join(folder, "survived");
    fakeCompiler(`(sleep 1.2; touch '${mark}') & sleep 30`);
    process.env["KILN_CC_TIMEOUT"] = "0.3";
    const error = await failure();
    expect(error.code).to.equal("K5112");
    await new Promise((resolve) => setTimeout(resolve, 1300));
    expect(readdirSync(folder)).not.to.include("survived");
  });

  it("reports a full disk", async () => {
    fakeCompiler('case "$*" in *-c\\ *) echo "x.o: No space left on device" >&2; exit 1;; esac; exec cc "$@"');
    const error = await failure();
    expect(error.code).to.equal("K5113");
    expect(error.message).to.include("KILN_CACHE");
  });

  it("reports a named cache folder that cannot be written", async () => {
    writeFileSync(join(folder, "file"), "");
    process.env["KILN_CACHE"] = join(folder, "file", "cache");
    const error = await failure();
    expect(error).to.be.instanceOf(TargetError);
    expect(error.code).to.equal("K5113");
  });

  it("builds in a temporary folder where the user's cache cannot be written", async () => {
    writeFileSync(join(folder, "file"), "");
    delete process.env["KILN_CACHE"];
    process.env["XDG_CACHE_HOME"] = join(folder, "file");
    process.env["TMPDIR"] = folder;
    expect((await buildC(program)).cached).to.equal(false);
    expect(readdirSync(folder)).to.deep.equal(["file"]);
    process.env["TMPDIR"] = join(folder, "file");
    expect((await failure()).code).to.equal("K5113");
  });
});
