/**
 * A `wgpu` device and the process it is in: ends while work is in flight, threads, forgotten objects, a lost device, and
 * a machine without memory. Each runs in a process of its own, which must not be ended by a signal.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { packageRoot } from "../../../runtime/package-root.ts";
import { removeFolders, temporaryFolder } from "../tiny-artifact.ts";
import { openOrSkip } from "./open-wgpu.ts";

const root = packageRoot();

/** What every script begins with: a device, two memories and a kernel that takes a while. */
const preamble = `
import { openWgpu } from ${JSON.stringify(pathToFileURL(join(root, "dist", "runtime", "gpu", "wgpu.js")).href)};
const text = \`@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> b: array<f32>;
@compute @workgroup_size(64)
fn k(@builtin(workgroup_id) w: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  var x = a[w.x * 64u + l];
  for (var r = 0u; r < 2000u; r++) { x = x * 0.999 + 0.001; }
  b[w.x * 64u + l] = x;
}\`;
async function prepare() {
  const device = await openWgpu();
  const [a, b] = [device.allocate(65536), device.allocate(65536)];
  const kernels = [{ name: "k", text, threads: 64, sharedBytes: 0, bindings: ["read", "readwrite"] }];
  const bindings = [a, b].map((memory) => ({ memory, offset: 0, bytes: 65536, stride: 0 }));
  const sequence = device.sequence(await device.load({ kernels }), [{ kernel: 0, groups: 256, bindings }]);
  return { device, a, b, kernels, sequence };
}
const codeOf = async (action) => {
  try {
    await action();
    return "none";
  } catch (error) {
    return error.code ?? String(error);
  }
};
`;

/** Runs a script; what it printed. */
function run(body: string, env: Readonly<Record<string, string>> = {}, before: readonly string[] = []): string {
  const script = join(temporaryFolder(), "script.mjs");
  writeFileSync(script, preamble + body);
  const [file, ...words] = [...before, process.execPath, "--expose-gc", script];
  const { status, signal, stdout, stderr } = spawnSync(file, words, {
    encoding: "utf8",
    timeout: 100_000,
    env: { ...process.env, ...env },
  });
  expect(signal, stderr).to.equal(null);
  expect(status, stderr).to.equal(0);
  return stdout.trim();
}

describe("a wgpu device and its process", function () {
  this.timeout(120_000);
  before(async function () {
    await (await openOrSkip(this)).close();
  });
  after(removeFolders);

  it("says what is wrong with a library or an adapter that is asked for, and what there is", () => {
    const library = join(temporaryFolder(), "library.so");
    writeFileSync(library, "no library");
    const body = `
import { describeWgpu } from ${JSON.stringify(pathToFileURL(join(root, "dist", "runtime", "gpu", "wgpu.js")).href)};
console.log(await codeOf(() => openWgpu({ adapter: "no such adapter" })));
console.log((await describeWgpu()).adapters.length > 0);
process.env.KILN_WGPU_ADAPTER = "nor such";
console.log(await codeOf(() => openWgpu()));
process.env.WGPU_NATIVE_PATH = ${JSON.stringify(library)};
console.log(await codeOf(() => openWgpu()));
process.env.WGPU_NATIVE_UNPINNED = "1";
console.log(await codeOf(() => openWgpu()));
const { library, adapters } = await describeWgpu();
console.log(library.includes(process.env.WGPU_NATIVE_PATH), adapters.length);`;
    expect(run(body).split("\n")).to.deep.equal(["K5202", "true", "K5202", "K5201", "K5201", "true 0"]);
  });

  it("exits at once with work in flight, by itself without any", () => {
    run(`const { sequence } = await prepare(); void sequence.run(1e9); setTimeout(() => process.exit(0), 100);`);
    run(`await prepare();`);
    run(`const { sequence, device } = await prepare(); void sequence.run(3); void device.close();`);
  });

  it("ends a run before the process does, which waits for it", () => {
    const body = `const { sequence } = await prepare(); sequence.run(30).then((done) => console.log(done));`;
    expect(run(body)).to.equal("30");
  });

  it("works in two threads at once, one of which is ended", () => {
    const body = `
import { Worker, isMainThread, parentPort } from "node:worker_threads";
const { device, sequence } = await prepare();
if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  await new Promise((resolve) => worker.once("message", resolve));
  const running = sequence.run(50);
  await worker.terminate();
  console.log(await running);
  await device.close();
} else {
  void sequence.run(1e9);
  parentPort.postMessage("running");
}`;
    expect(run(body)).to.equal("50");
  });

  it("gives back what is forgotten, the device too", () => {
    const body = `
const rounds = async () => {
  const { device, sequence } = await prepare();
  // Twice as much as the machine has, a piece at a time.
  const { totalmem } = await import("node:os");
  const bytes = device.info.memoryBytes;
  for (let granted = 0; granted < 2 * totalmem(); granted += bytes) {
    device.allocate(bytes);
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return sequence.run(1);
};
console.log(await rounds());
globalThis.gc();
await new Promise((resolve) => setTimeout(resolve, 20));
globalThis.gc();
console.log(await rounds());`;
    expect(run(body)).to.equal("1\n1");
  });

  it("answers every call with K5205 once the device is lost, and opens another", () => {
    const body = `
const { device, sequence, a, kernels } = await prepare();
const running = sequence.run(20);
device.lose();
console.log(await running);
const calls = [() => sequence.run(1), () => sequence.runSync(1), () => device.allocate(4),
  () => device.write(a, 0, new Uint8Array(4)), () => device.read(a, 0, new Uint8Array(4)),
  () => device.readSync(a, 0, new Uint8Array(4)), () => device.load({ kernels })];
for (const call of calls) console.log(await codeOf(call));
a.free();
sequence.free();
console.log(await codeOf(() => device.close()));
console.log(await (await prepare()).sequence.run(2));`;
    expect(run(body).split("\n")).to.deep.equal(["20", ...Array.from({ length: 7 }, () => "K5205"), "none", "2"]);
  });

  for (const call of ["submit", "wait"])
    it(`survives a driver that loses the device in the middle of a run, told at ${call}`, function () {
      const description = "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json";
      if (!existsSync(description)) {
        process.stderr.write("SKIPPED, no lavapipe to put a driver before\n");
        return this.skip();
      }
      // The shape is Vulkan's.
      const { ICD } = JSON.parse(readFileSync(description, "utf8")) as {
        readonly ICD: { readonly library_path: string };
      };
      const folder = temporaryFolder();
      const library = join(folder, "libdriver.so");
      const source = join(root, "test", "fixtures", "lost-device", "driver.c");
      const built = spawnSync("cc", ["-shared", "-fPIC", "-fvisibility=hidden", "-o", library, source, "-ldl"]);
      expect(built.status, String(built.stderr)).to.equal(0);
      const icd = join(folder, "driver.json");
      writeFileSync(
        icd,
        JSON.stringify({ file_format_version: "1.0.0", ICD: { library_path: library, api_version: "1.3.0" } }),
      );
      const body = `
import { rmSync, writeFileSync } from "node:fs";
const { device, sequence, a } = await prepare();
const running = sequence.run(1e9);
await new Promise((resolve) => setTimeout(resolve, 100));
writeFileSync(process.env.LOST_DEVICE_FILE, "");
for (const action of [() => running, () => sequence.run(1), () => device.read(a, 0, new Uint8Array(4)), () => device.close()])
  console.log(await codeOf(action));
rmSync(process.env.LOST_DEVICE_FILE);
console.log(await (await prepare()).sequence.run(2));`;
      const printed = run(body, {
        VK_ICD_FILENAMES: icd,
        VK_DRIVER_FILES: icd,
        LOST_DEVICE_DRIVER: ICD.library_path,
        LOST_DEVICE_FILE: join(folder, "lost"),
        LOST_DEVICE_CALL: call,
      });
      expect(printed.split("\n")).to.deep.equal(["K5205", "K5205", "K5205", "none", "2"]);
    });

  it("says K5203 where the process may have no more memory, and goes on", function () {
    if (spawnSync("prlimit", ["--version"]).error !== undefined) {
      process.stderr.write("SKIPPED, no prlimit to take memory away with\n");
      return this.skip();
    }
    const body = `
const { device, sequence } = await prepare();
console.log(await codeOf(() => { for (let i = 0; i < 8; i++) device.allocate(1.9 * 2 ** 30); }));
console.log(await sequence.run(2));`;
    expect(run(body, {}, ["prlimit", `--as=${12 * 2 ** 30}`])).to.equal("K5203\n2");
  });
});
