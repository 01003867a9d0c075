/** What `kiln doctor` says of GPUs and their compilers where they are missing, each by its code. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { nvcc, nvrtc, wgpuAdapters } from "../../bin/gpu-findings.ts";
import { describeWgpu } from "../../runtime/gpu/wgpu.ts";
import { freshFolder } from "../errors/project.ts";
import { failsWithAsync } from "../fails-with-async.ts";

/** Runs with variables of the environment set, and puts them back. */
async function withEnvironment<T>(values: Readonly<Record<string, string>>, run: () => Promise<T>): Promise<T> {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, values);
  try {
    return await run();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

describe("bin/gpu-findings", () => {
  it("K6061, K6062: no compiler of CUDA", async () => {
    await withEnvironment({ KILN_NVCC: "" }, () => failsWithAsync("K6061", nvcc));
    await withEnvironment({ NVRTC_PATH: "/no/such/nvrtc" }, () => failsWithAsync("K6062", nvrtc));
  });

  it("finds NVRTC where the system's linker does", async () => {
    const folder = freshFolder("libraries");
    mkdirSync(folder);
    writeFileSync(join(folder, "libnvrtc.so.13"), "");
    const found = await withEnvironment({ LD_LIBRARY_PATH: `:${folder}`, NVRTC_PATH: "" }, nvrtc);
    assert.equal(found, join(folder, "libnvrtc.so.13"));
  });

  it("K6060: no GPU for WebGPU programs", async function () {
    const { adapters, library } = await describeWgpu();
    if (adapters.length === 0) {
      console.log(`      skipped: no WebGPU adapter here (${library})`);
      this.skip();
    }
    assert.include(await wgpuAdapters(), adapters[0] ?? "");
    // A loader that knows no driver finds no adapter.
    const none = { VK_ICD_FILENAMES: "/no/such", VK_DRIVER_FILES: "/no/such" };
    await withEnvironment(none, () => failsWithAsync("K6060", wgpuAdapters));
  });
});
