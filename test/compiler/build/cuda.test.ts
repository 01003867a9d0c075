/** Building CUDA programs: what comes out, what is cached, and each way in which `nvcc` can be missing or fail. */
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { buildCuda, findNvcc } from "../../../compiler/build/cuda.ts";
import { failsWithAsync } from "../../fails-with-async.ts";
import { kernelsText } from "../../runtime/gpu/cuda-kernels.ts";

const variables = ["KILN_NVCC", "KILN_CC_TIMEOUT", "KILN_CACHE", "PATH", "CUDA_HOME", "CUDA_PATH"] as const;

describe("CUDA build", function () {
  this.timeout(120_000);
  let folder = "";
  let before: readonly (readonly [string, string | undefined])[] = [];

  beforeEach(() => {
    before = variables.map((name) => [name, process.env[name]]);
    folder = mkdtempSync(join(tmpdir(), "kiln-test-"));
    process.env["KILN_CACHE"] = join(folder, "cache");
  });

  afterEach(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  /** An executable shell script, taken for `nvcc`. */
  function fakeNvcc(text: string): void {
    const path = join(folder, "fake-nvcc");
    writeFileSync(path, `#!/bin/sh\n${text}\n`);
    chmodSync(path, 0o755);
    process.env["KILN_NVCC"] = path;
  }

  it("gives a fat binary, found again in the cache, and the same bytes from another cache", async function () {
    if ((await findNvcc()) === undefined) {
      console.log("    skipped: there is no nvcc (set KILN_NVCC)");
      this.skip();
    }
    const first = await buildCuda(kernelsText);
    if (first === undefined) throw new Error("there is no binary");
    expect(first.cached).to.equal(false);
    expect(first.compiler).to.contain("release");
    // The head of a fat binary, and in it the names of all kernels.
    expect(Buffer.from(first.image.subarray(0, 4)).readUInt32LE()).to.equal(0xba55ed50);
    const again = await buildCuda(kernelsText);
    expect(again?.cached).to.equal(true);
    expect(Buffer.compare(again?.image ?? new Uint8Array(), first.image)).to.equal(0);
    process.env["KILN_CACHE"] = join(folder, "another cache");
    const other = await buildCuda(kernelsText);
    expect(other?.cached).to.equal(false);
    expect(Buffer.compare(other?.image ?? new Uint8Array(), first.image)).to.equal(0);
    expect(readdirSync(join(folder, "another cache")).filter((name) => /^(work|new)-/.test(name))).to.deep.equal([]);
  });

  it("says what the text is refused for", async function () {
    if ((await findNvcc()) === undefined) {
      console.log("    skipped: there is no nvcc (set KILN_NVCC)");
      this.skip();
    }
    const error = await failsWithAsync("K5430", async () => buildCuda("__global__ void broken() { missing(); }"));
    expect(error.message).to.contain("missing").and.contain("program.cu");
    expect(readdirSync(join(folder, "cache")).filter((name) => /^(work|new)-/.test(name))).to.deep.equal([]);
  });

  it("gives nothing without nvcc", async () => {
    process.env["KILN_NVCC"] = "";
    expect(await buildCuda(kernelsText)).to.equal(undefined);
  });

  it("reports an nvcc that is named and missing, fails, hangs or writes nothing", async () => {
    process.env["KILN_NVCC"] = join(folder, "nowhere");
    await failsWithAsync("K5432", async () => buildCuda(kernelsText));
    fakeNvcc("echo boom >&2; exit 3");
    expect((await failsWithAsync("K5430", async () => buildCuda(kernelsText))).message).to.contain("boom");
    fakeNvcc('[ "$1" = --version ] && echo "release 13.0" && exit 0; exec sleep 60');
    process.env["KILN_CC_TIMEOUT"] = "0.3";
    await failsWithAsync("K5431", async () => buildCuda(kernelsText));
    delete process.env["KILN_CC_TIMEOUT"];
    fakeNvcc("echo release 13.0; exit 0");
    await failsWithAsync("K5430", async () => buildCuda(kernelsText));
    fakeNvcc('[ "$1" = --version ] && echo "release 13.0" && exit 0; echo "No space left on device" >&2; exit 1');
    await failsWithAsync("K5113", async () => buildCuda(kernelsText));
  });
});
