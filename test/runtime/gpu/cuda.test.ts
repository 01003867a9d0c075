/**
 * CUDA devices on the emulated driver: results, order and strides of sequences, misuse, and what is said when there is no
 * driver, no GPU, or one that does not fit. After every test the driver must have nothing to complain about: no bad
 * argument, no handle that was dead, nothing that was not given back.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { TargetError } from "../../../ir/diagnostic/diagnostic.ts";
import { describeCuda, openCuda, type CudaDevice } from "../../../runtime/gpu/cuda.ts";
import type { GpuLaunch, GpuMemory, GpuModule } from "../../../runtime/gpu/device.ts";
import { at } from "../../../ir/type.ts";
import { packageRoot } from "../../../runtime/package-root.ts";
import { failsWith } from "../../fails-with.ts";
import { failsWithAsync } from "../../fails-with-async.ts";
import { bind, kernels, kernelsText, reference } from "./cuda-kernels.ts";
import { emulatedDriverOrSkip, emulatedImage, type EmulatedDriver, type EmulatedSettings } from "./emulated-driver.ts";

const image = emulatedImage(kernelsText);
const rows = 1000;
const mostSteps = 200;

/** Memories of the test program. */
type Setting = {
  readonly device: CudaDevice;
  readonly module: GpuModule;
  readonly data: GpuMemory;
  readonly indices: GpuMemory;
  readonly chosen: GpuMemory;
  readonly state: GpuMemory;
  readonly sums: GpuMemory;
};

function bytesOf(array: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

const data = Float32Array.from({ length: rows }, (_, i) => ((i * 37) % 101) / 8);
const indices = Int32Array.from({ length: 64 * mostSteps }, (_, i) => (i * 7919) % rows);

async function open(): Promise<Setting> {
  const device = await openCuda();
  const setting = {
    device,
    module: await device.load({ kernels, image }),
    data: device.allocate(4 * rows),
    indices: device.allocate(256 * mostSteps),
    chosen: device.allocate(256),
    state: device.allocate(256),
    sums: device.allocate(16 * mostSteps),
  };
  device.write(setting.data, 0, bytesOf(data));
  device.write(setting.indices, 0, bytesOf(indices));
  return setting;
}

/** A step: choose, update, total, bump. */
function launches({ data, indices, chosen, state, sums }: Setting): readonly GpuLaunch[] {
  return [
    { kernel: 0, groups: 2, bindings: [bind(data, 0, 4 * rows), bind(indices, 0, 256, 256), bind(chosen, 0, 256)] },
    { kernel: 1, groups: 2, bindings: [bind(state, 0, 256), bind(chosen, 0, 256)] },
    { kernel: 2, groups: 1, bindings: [bind(state, 0, 256), bind(sums, 0, 4, 16)] },
    { kernel: 3, groups: 2, bindings: [bind(state, 0, 256)] },
  ];
}

async function results({ device, state, sums }: Setting, steps: number) {
  const gotState = new Float32Array(64);
  const gotSums = new Float32Array(4 * steps);
  await Promise.all([device.read(state, 0, bytesOf(gotState)), device.read(sums, 0, bytesOf(gotSums))]);
  return { state: Array.from(gotState), sums: Array.from({ length: steps }, (_, i) => gotSums[4 * i] ?? NaN) };
}

function expectClose(got: Awaited<ReturnType<typeof results>>, wanted: ReturnType<typeof reference>): void {
  for (const key of ["state", "sums"] as const) {
    expect(got[key]).to.have.length(wanted[key].length);
    for (const [i, value] of wanted[key].entries())
      expect(got[key][i], `${key}[${i}]`).to.be.closeTo(value, 1e-4 * Math.abs(value) + 1e-4);
  }
}

describe("CUDA devices on an emulated driver", function () {
  this.timeout(300_000);
  let driver: EmulatedDriver;

  before(function () {
    driver = emulatedDriverOrSkip(this);
  });
  beforeEach(() => driver.reset());
  afterEach(() => expect(driver.complaints()).to.deep.equal([]));
  after(() => driver?.close());

  const ways: readonly EmulatedSettings[] = [
    {},
    { isDeferred: true, order: "descending" },
    { isDeferred: true, order: "shuffled" },
  ];
  for (const settings of ways) {
    const name = JSON.stringify(settings);
    it(`runs steps with bindings that move, whatever the driver does when: ${name}`, async () => {
      driver.reset(settings);
      const setting = await open();
      const sequence = setting.device.sequence(setting.module, launches(setting));
      for (const steps of [1, 3, 64, 100, mostSteps, 100]) {
        setting.device.write(setting.state, 0, new Uint8Array(256));
        expect(await sequence.run(steps)).to.equal(steps);
        expectClose(await results(setting, steps), reference(data, indices, steps));
      }
      await setting.device.close();
    });
  }

  it("keeps the order of writes, runs and reads, and what was written may change at once", async () => {
    driver.reset({ isDeferred: true });
    const { device, module, state } = await open();
    const sequence = device.sequence(module, [{ kernel: 3, groups: 2, bindings: [bind(state, 0, 256)] }]);
    const values = new Float32Array(64);
    const got = Array.from({ length: 40 }, () => new Float32Array(64));
    const reads: Promise<unknown>[] = [];
    for (const [round, into] of got.entries()) {
      values.fill(round);
      device.write(state, 0, bytesOf(values));
      values.fill(-1);
      reads.push(sequence.run(2), device.read(state, 0, bytesOf(into)));
    }
    await Promise.all(reads);
    for (const [round, into] of got.entries()) expect(into[63]).to.equal(round + 2);
    await device.close();
  });

  it("copies what is larger than a piece, both ways", async () => {
    driver.reset({ isDeferred: true });
    const device = await openCuda();
    const size = 9 * 2 ** 20 + 4;
    const memory = device.allocate(size);
    const sent = Uint8Array.from({ length: size }, (_, i) => i % 251);
    device.write(memory, 0, sent);
    const got = new Uint8Array(size - 8);
    await device.read(memory, 8, got);
    expect(Buffer.compare(got, sent.subarray(8))).to.equal(0);
    const again = new Uint8Array(4);
    device.readSync(memory, size - 4, again);
    expect(again).to.deep.equal(sent.subarray(size - 4));
    await device.close();
  });

  it("gives zeroed memory", async () => {
    const device = await openCuda();
    const memory = device.allocate(1001);
    expect(memory.bytes).to.equal(1004);
    const got = new Uint8Array(1004).fill(7);
    device.readSync(memory, 0, got);
    expect(got.every((byte) => byte === 0)).to.equal(true);
    await device.close();
  });

  it("runs on the calling thread too, and ends a run that is stopped", async () => {
    const setting = await open();
    const { device, module, state } = setting;
    const sequence = device.sequence(module, launches(setting));
    expect(sequence.runSync(5)).to.equal(5);
    expectClose(await results(setting, 5), reference(data, indices, 5));
    const long = device.sequence(module, [{ kernel: 3, groups: 2, bindings: [bind(state, 0, 256)] }]);
    const running = long.run(100_000_000);
    long.stop();
    const done = await running;
    expect(done).to.be.lessThan(100_000_000);
    expect(await long.run(3)).to.equal(3);
    await device.close();
  });

  it("lets launches wait only for those they share written memory with", async () => {
    const { device, module, chosen, state, sums, data, indices } = await open();
    device.sequence(module, [
      { kernel: 0, groups: 2, bindings: [bind(data, 0, 4 * rows), bind(indices, 0, 256), bind(chosen, 0, 256)] },
      { kernel: 3, groups: 2, bindings: [bind(state, 0, 256)] },
      { kernel: 2, groups: 1, bindings: [bind(chosen, 0, 256), bind(sums, 0, 4)] },
      { kernel: 2, groups: 1, bindings: [bind(chosen, 0, 256), bind(sums, 4, 4)] },
      { kernel: 1, groups: 2, bindings: [bind(state, 0, 256), bind(chosen, 0, 256)] },
      { kernel: 3, groups: 2, bindings: [bind(chosen, 0, 256)] },
    ]);
    expect(driver.log("node")).to.deep.equal([
      "gather after 0",
      "bump after 0",
      "total after 1",
      "total after 1",
      "update after 2",
      "bump after 3",
    ]);
    await device.close();
  });

  it("orders launches whose ranges overlap in part and move apart as one after another", async () => {
    const words = 2048;
    const random = generator(5);
    for (let round = 0; round < 30; round++) {
      driver.reset({ isDeferred: true, order: "shuffled" });
      const device = await openCuda();
      const module = await device.load({ kernels, image });
      const memories = [device.allocate(4 * words), device.allocate(4 * words)] as const;
      const model = memories.map(() => Int32Array.from({ length: words }, () => random(2 ** 31)));
      for (const [i, memory] of memories.entries()) device.write(memory, 0, bytesOf(at(model, i)));
      // In every other round all bindings move alike.
      const uses = Array.from({ length: 12 }, () => ({
        groups: 1 + random(4),
        to: { memory: random(2), word: random(512), stride: round % 2 === 0 ? 64 : random(3) * 32 },
        from: { memory: random(2), word: random(512), stride: round % 2 === 0 ? 64 : random(2) * 40 },
      }));
      const list = uses.map(({ groups, to, from }) => {
        const bindings = [to, from].map(({ memory, word, stride }) =>
          bind(at(memories, memory), 4 * word, 128 * groups, 4 * stride),
        );
        return { kernel: 4, groups, bindings };
      });
      const sequence = device.sequence(module, list);
      for (const steps of [11, 9]) {
        await sequence.run(steps);
        for (let step = 0; step < steps; step++) for (const use of uses) mix(model, use, step);
      }
      for (const [i, memory] of memories.entries()) {
        const got = new Int32Array(words);
        device.readSync(memory, 0, bytesOf(got));
        expect(Array.from(got), `round ${round}, memory ${i}`).to.deep.equal(Array.from(at(model, i)));
      }
      await device.close();
    }
  });

  it("sets no parameters for runs that it has made before", async () => {
    const setting = await open();
    const sequence = setting.device.sequence(setting.module, launches(setting));
    await sequence.run(100);
    const before = driver.log("call").filter((name) => /SetParams|Instantiate/.test(name)).length;
    await sequence.run(100);
    const after = driver.log("call").filter((name) => /SetParams|Instantiate/.test(name)).length;
    expect(after - before).to.equal(0);
    expect(driver.log("call").filter((name) => name === "cuGraphLaunch")).to.have.length(6);
    await setting.device.close();
  });

  it("refuses what does not fit before the driver sees it", async () => {
    const setting = await open();
    const { device, module, state, sums } = setting;
    const launch = (change: Partial<GpuLaunch>): GpuLaunch => ({
      kernel: 3,
      groups: 2,
      bindings: [bind(state, 0, 256)],
      ...change,
    });
    // What was written is on its way until somebody reads.
    device.readSync(state, 0, new Uint8Array(4));
    const calls = driver.log("call").length;
    failsWith("K5209", () => device.sequence(module, [launch({ kernel: 5 })]));
    failsWith("K5209", () => device.sequence(module, [launch({ groups: 0 })]));
    failsWith("K5209", () => device.sequence(module, [launch({ groups: 2 ** 31 })]));
    failsWith("K5209", () => device.sequence(module, [launch({ bindings: [] })]));
    failsWith("K5208", () => device.sequence(module, [launch({ bindings: [bind(state, 4, 256)] })]));
    failsWith("K5208", () => device.sequence(module, [launch({ bindings: [bind(state, -4, 4)] })]));
    failsWith("K5208", () => device.write(state, 0, new Uint8Array(260)));
    failsWith("K5208", () => device.write(state, 2, new Uint8Array(4)));
    failsWith("K5203", () => device.allocate(2 ** 40));
    failsWith("K5203", () => device.allocate(0));
    await failsWithAsync("K5212", async () => device.load({ kernels: [{ ...at0(), threads: 2048 }], image }));
    await failsWithAsync("K5212", async () => device.load({ kernels: [{ ...at0(), sharedBytes: 2 ** 20 }], image }));
    expect(driver.log("call")).to.have.length(calls);
    const sequence = device.sequence(module, launches(setting));
    await failsWithAsync("K5208", async () => sequence.run(mostSteps + 1));
    await failsWithAsync("K5210", async () => sequence.run(0));
    sums.free();
    await failsWithAsync("K5207", async () => sequence.run(1));
    failsWith("K5207", () => device.readSync(sums, 0, new Uint8Array(4)));
    sequence.free();
    sequence.free();
    failsWith("K5207", () => sequence.runSync(1));
    module.free();
    failsWith("K5207", () => device.sequence(module, []));
    const other = await openCuda();
    failsWith("K5207", () => other.readSync(state, 0, new Uint8Array(4)));
    await other.close();
    await device.close();
    failsWith("K5206", () => device.allocate(4));
    await failsWithAsync("K5206", async () => device.read(state, 0, new Uint8Array(4)));
    await device.close();
  });

  it("compiles the source where there is no code, and where the code does not fit", async () => {
    const device = await openCuda();
    await device.load({ kernels });
    expect(driver.log("option")).to.deep.equal(["--gpu-architecture=sm_80", "--std=c++17"]);
    await device.load({ kernels, image: emulatedImage(kernelsText, { capability: 90 }) });
    await device.load({ kernels, image: emulatedImage(kernelsText, { driver: 14_000 }) });
    const broken = kernels.map((kernel) => ({ ...kernel, text: `${kernelsText}\nint wrong = missing;\n` }));
    const refused = await failsWithAsync("K5426", async () => device.load({ kernels: broken }));
    expect(refused.message).to.contain("missing");
    await failsWithAsync("K5427", async () => device.load({ kernels: [{ ...at0(), name: "absent" }], image }));
    await failsWithAsync("K5427", async () => device.load({ kernels: [{ ...at0(), threads: 64 }], image }));
    await device.close();
  });

  it("compiles to PTX for a GPU that the compiler does not know", async () => {
    driver.reset({ capability: 120 });
    const device = await openCuda();
    await device.load({ kernels });
    expect(driver.log("option")[0]).to.equal("--gpu-architecture=compute_90");
    await device.close();
  });

  it("says what is missing where neither code nor compiler can be used", async () => {
    process.env["NVRTC_PATH"] = "/nowhere/libnvrtc.so.13";
    try {
      const device = await openCuda();
      await failsWithAsync("K5425", async () => device.load({ kernels }));
      const tooNew = emulatedImage(kernelsText, { driver: 14_000 });
      const refused = await failsWithAsync("K5424", async () => device.load({ kernels, image: tooNew }));
      expect(refused.message).to.contain("UNSUPPORTED_PTX_VERSION").and.contain("ptxas: unsupported .version");
      await failsWithAsync("K5424", async () => device.load({ kernels, image: new Uint8Array([1, 2, 3]) }));
      await device.close();
    } finally {
      process.env["NVRTC_PATH"] = driver.library;
    }
  });

  it("ends its thread when it is closed, and when it could not be opened", async function () {
    if (!existsSync("/proc/self/task")) this.skip();
    const threads = (): number => readdirSync("/proc/self/task").length;
    await (await openCuda()).close();
    const before = threads();
    for (let i = 0; i < 5; i++) {
      await (await openCuda()).close();
      await failsWithAsync("K5421", async () => openCuda({ number: 3 }));
    }
    expect(threads()).to.be.at.most(before);
  });

  it("tells a missing driver, a missing GPU, an old GPU and a broken driver apart", async () => {
    driver.reset({ gpus: 0 });
    await failsWithAsync("K5421", async () => openCuda());
    driver.reset({ capability: 75 });
    expect((await failsWithAsync("K5422", async () => openCuda())).message).to.contain("compute capability 7.5");
    driver.reset();
    await failsWithAsync("K5421", async () => openCuda({ number: 3 }));
    expect(await describeCuda()).to.deep.equal({
      isUsable: true,
      text: "Emulated GPU (compute capability 8.0, driver for CUDA 13.0)",
    });
    driver.fail("cuDeviceGetCount", 1, 803);
    const broken = await failsWithAsync("K5423", async () => openCuda());
    expect(broken).to.be.instanceOf(TargetError);
    process.env["KILN_CUDA_DRIVER"] = "/nowhere/libcuda.so.1";
    await failsWithAsync("K5420", async () => openCuda());
    expect((await describeCuda()).isUsable).to.equal(false);
    // A library that is something else lacks the functions.
    process.env["KILN_CUDA_DRIVER"] = libraryOfSomethingElse();
    await failsWithAsync("K5423", async () => openCuda());
    process.env["KILN_CUDA_DRIVER"] = driver.library;
  });

  it("says that there is too little memory, and goes on", async () => {
    driver.reset({ memory: 2 ** 20 });
    const device = await openCuda();
    const most = device.allocate(2 ** 20 - 1024);
    const failure = await failsWithAsync("K5203", async () => device.allocate(2 ** 16));
    expect(failure.message).to.contain("CUDA_ERROR_OUT_OF_MEMORY");
    most.free();
    device.readSync(device.allocate(4), 0, new Uint8Array(4));
    device.allocate(2 ** 16);
    await device.close();
  });

  it("lets the process end in the middle of a run", () => {
    const args = ["--input-type=module", "--eval", endInARun()];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
    expect(stderr).to.equal("");
    expect(status).to.equal(0);
    expect(driver.log("call")).to.include("cuGraphLaunch");
  });

  it("is lost after a kernel went wrong, and can be opened again", async () => {
    const setting = await open();
    const sequence = setting.device.sequence(setting.module, launches(setting));
    driver.fail("cuGraphLaunch", 1, 700);
    const lost = await failsWithAsync("K5205", async () => sequence.run(1));
    expect(lost.message).to.contain("CUDA_ERROR_ILLEGAL_ADDRESS");
    await failsWithAsync("K5205", async () => sequence.run(1));
    failsWith("K5205", () => setting.device.allocate(4));
    failsWith("K5205", () => setting.device.write(setting.state, 0, new Uint8Array(4)));
    failsWith("K5205", () => setting.device.readSync(setting.state, 0, new Uint8Array(4)));
    await failsWithAsync("K5205", async () => setting.device.close());
    driver.reset();
    const again = await open();
    await again.device.close();
  });
});

/** A program that ends in the middle of a run, without closing the device. */
function endInARun(): string {
  const built = (path: string): string => JSON.stringify(pathToFileURL(join(packageRoot(), "dist", path)).href);
  return `
    import { kernels, kernelsText, bind } from ${built("test/runtime/gpu/cuda-kernels.js")};
    import { emulatedImage } from ${built("test/runtime/gpu/emulated-driver.js")};
    import { openCuda } from ${built("runtime/gpu/cuda.js")};
    const device = await openCuda();
    const module = await device.load({ kernels, image: emulatedImage(kernelsText) });
    const state = device.allocate(256);
    const sequence = device.sequence(module, [{ kernel: 3, groups: 2, bindings: [bind(state, 0, 256)] }]);
    for (let i = 0; i < 3; i++) void sequence.run(1e9);
    device.write(state, 0, new Uint8Array(256));
    void device.read(state, 0, new Uint8Array(256));
    setTimeout(() => process.exit(0), 20);`;
}

type Place = { readonly memory: number; readonly word: number; readonly stride: number };

/** What a launch of the kernel `mix` does in a step. */
function mix(
  memories: readonly Int32Array[],
  { groups, to, from }: { readonly groups: number; readonly to: Place; readonly from: Place },
  step: number,
): void {
  const target = at(memories, to.memory);
  for (let i = 0; i < 32 * groups; i++) {
    const place = to.word + step * to.stride + i;
    const value = at(memories, from.memory)[from.word + step * from.stride + i] ?? NaN;
    target[place] = Math.imul(3, target[place] ?? NaN) + value;
  }
}

/** Whole numbers below a limit, in an order that looks random (xorshift). */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

function at0() {
  const [first] = kernels;
  if (first === undefined) throw new Error("there are no kernels");
  return first;
}

/** A library that every process of this kind has loaded. */
function libraryOfSomethingElse(): string {
  const maps = readFileSync("/proc/self/maps", "utf8");
  return /\/\S*libm(-[\d.]+)?\.so\S*/.exec(maps)?.[0] ?? "libm.so.6";
}
