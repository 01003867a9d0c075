/**
 * What must not be asked of a `wgpu` device: each case is an error with a code, none ends the process, and the device
 * works afterwards. wgpu-native itself aborts for many of them.
 */
import { expect } from "chai";
import type { GpuKernel, GpuLaunch, GpuMemory } from "../../../runtime/gpu/device.ts";
import type { WgpuDevice } from "../../../runtime/gpu/wgpu.ts";
import { failsWith } from "../../fails-with.ts";
import { failsWithAsync } from "../../fails-with-async.ts";
import { openOrSkip, unaryKernel, whole } from "./open-wgpu.ts";

const copy = unaryKernel("b[i] = a[i];");

/** Kernels that a driver refuses. */
const refused: Readonly<Record<string, GpuKernel>> = {
  "no WGSL": { ...copy, text: "fn k( {" },
  "an empty text": { ...copy, text: "" },
  "a type error": unaryKernel("b[i] = 1u;"),
  "no such function": { ...copy, name: "nowhere" },
  "a function of another stage": {
    ...copy,
    text: "@vertex fn k() -> @builtin(position) vec4<f32> { return vec4<f32>(0.0); }",
  },
  "a binding declared as written": { ...copy, bindings: ["readwrite", "readwrite"] },
  "a binding declared as read": { ...copy, bindings: ["read", "read"] },
  "a binding that is not declared": { ...copy, bindings: ["read"] },
  "a binding in another group": { ...copy, text: copy.text.replace("@group(0) @binding(0)", "@group(1) @binding(0)") },
  "a texture": {
    ...copy,
    bindings: ["read", "readwrite", "read"],
    text: `@group(0) @binding(2) var t: texture_2d<f32>;\n${copy.text.replace("a[i];", "textureLoad(t, vec2<u32>(i, 0u), 0).x;")}`,
  },
  "an override without a value": { ...copy, text: `override n: f32;\n${copy.text.replace("a[i];", "a[i] * n;")}` },
  "an extension that is not there": { ...copy, text: `enable nothing_of_that_name;\n${copy.text}` },
  "too many threads in the text": { ...copy, text: copy.text.replace("(64)", "(1000000)") },
  "no threads in the text": { ...copy, text: copy.text.replace("(64)", "(0)") },
};

/** Kernels that never reach the driver. */
const tooLarge: Readonly<Record<string, GpuKernel>> = {
  "many brackets": unaryKernel(`b[i] = ${"(".repeat(5_000)}1.0${")".repeat(5_000)};`),
  "a long sum": unaryKernel(`b[i] = 0.0${" + a[1]".repeat(20_000)};`),
  "a long sum of calls": unaryKernel(`b[i] = 0.0${" + max(a[1], 0.0)".repeat(20_000)};`),
  "many signs": unaryKernel(`b[i] = ${"-".repeat(20_000)}1.0;`),
  "nested blocks": unaryKernel("{".repeat(5_000) + "}".repeat(5_000)),
  "a chain of branches": unaryKernel(
    `var x = 0.0; if (a[i] == 0.0) { x = 1.0; }${" else if (a[i] == 1.0) { x = 2.0; }".repeat(5_000)}`,
  ),
  "a nested type": unaryKernel(`var x: ${"array<".repeat(5_000)}f32${", 1>".repeat(5_000)};`),
  "a null character": { ...copy, text: `${copy.text}\0` },
  "half a character": { ...copy, text: `${copy.text}//\ud800` },
  "more threads than there are": { ...copy, threads: 2 ** 20 },
  "no threads": { ...copy, threads: 0 },
  "more shared bytes than there are": { ...copy, sharedBytes: 2 ** 30 },
  "more bindings than there are": { ...copy, bindings: Array.from({ length: 1000 }, () => "read" as const) },
  "more uniform bindings than there are": {
    ...copy,
    bindings: ["readwrite", ...Array.from({ length: 100 }, () => "uniform" as const)],
  },
  "no bindings": { ...copy, bindings: [] },
};

describe("misuse of a wgpu device", function () {
  this.timeout(120_000);
  let device: WgpuDevice;
  let memory: GpuMemory;
  let target: GpuMemory;

  before(async function () {
    device = await openOrSkip(this);
    memory = device.allocate(4096);
    target = device.allocate(4096);
  });
  after(async () => device?.close());

  afterEach(async () => {
    const module = await device.load({ kernels: [copy] });
    const bindings = [whole(memory), whole(target)];
    expect(await device.sequence(module, [{ kernel: 0, groups: 1, bindings }]).run(1), "it still works").to.equal(1);
  });

  for (const [name, kernel] of Object.entries(refused))
    it(`refuses a kernel with ${name}`, async () => {
      const error = await failsWithAsync("K5204", async () => device.load({ kernels: [copy, kernel] }));
      expect(error.message).to.contain(`\`${kernel.name}\``);
    });

  for (const [name, kernel] of Object.entries(tooLarge))
    it(`does not hand on a kernel with ${name}`, async () => {
      await failsWithAsync("K5212", async () => device.load({ kernels: [kernel] }));
    });

  it("refuses memory of no size, and more than there is", () => {
    for (const bytes of [0, -4, Number.NaN, 2 ** 60, Infinity, device.info.memoryBytes + 4])
      failsWith("K5203", () => device.allocate(bytes));
    const all: GpuMemory[] = [];
    failsWith("K5203", () => {
      // Each is granted alone; no machine has a thousand of them.
      for (let i = 0; i < 1000; i++) all.push(device.allocate(device.info.memoryBytes));
    });
    for (const each of all) each.free();
    expect(device.allocate(5).bytes).to.equal(8);
  });

  it("refuses to copy beyond a memory, or not in words", async () => {
    for (const [offset, bytes] of [
      [4092, 8],
      [0, 4100],
      [2, 4],
      [0, 3],
      [0, 0],
      [-4, 4],
      [Number.NaN, 4],
      [2 ** 53, 4],
    ] as const) {
      failsWith("K5208", () => device.write(memory, offset, new Uint8Array(bytes)));
      failsWith("K5208", () => device.readSync(memory, offset, new Uint8Array(bytes)));
      await failsWithAsync("K5208", async () => device.read(memory, offset, new Uint8Array(bytes)));
    }
  });

  it("refuses launches that do not fit their kernel or the device", async () => {
    const module = await device.load({
      kernels: [
        copy,
        unaryKernel("b[i] = 1.0;", {
          bindings: ["readwrite", "readwrite"],
          text: copy.text.replace("read>", "read_write>"),
        }),
      ],
    });
    const good: GpuLaunch = { kernel: 0, groups: 1, bindings: [whole(memory), whole(target)] };
    const launches: readonly (readonly [code: string, changes: Partial<GpuLaunch>])[] = [
      ["K5209", { kernel: 2 }],
      ["K5209", { kernel: -1 }],
      ["K5209", { kernel: 0.5 }],
      ["K5209", { groups: 0 }],
      ["K5209", { groups: 1.5 }],
      ["K5209", { groups: -1 }],
      ["K5209", { groups: 2 ** 40 }],
      ["K5209", { bindings: [whole(memory)] }],
      ["K5209", { bindings: [whole(memory), whole(target), whole(target)] }],
      // One memory, read and written, though the ranges are apart.
      ["K5209", { bindings: [whole(memory, { bytes: 256 }), whole(memory, { offset: 1024, bytes: 256 })] }],
      ["K5209", { kernel: 1, bindings: [whole(memory, { bytes: 512 }), whole(memory, { offset: 256, bytes: 512 })] }],
      ["K5208", { bindings: [whole(memory, { offset: 4 }), whole(target)] }],
      ["K5208", { bindings: [whole(memory, { offset: 1 }), whole(target)] }],
      ["K5208", { bindings: [whole(memory, { stride: 8 }), whole(target)] }],
      ["K5208", { bindings: [whole(memory, { stride: -256 }), whole(target)] }],
      ["K5208", { bindings: [whole(memory, { bytes: 0 }), whole(target)] }],
      ["K5208", { bindings: [whole(memory, { bytes: 6 }), whole(target)] }],
      ["K5208", { bindings: [whole(memory, { offset: 256 }), whole(target)] }],
      ["K5208", { bindings: [whole(memory, { bytes: 8192 }), whole(target)] }],
      ["K5208", { bindings: [whole(memory, { offset: 2 ** 53 }), whole(target)] }],
    ];
    for (const [code, changes] of launches) failsWith(code, () => device.sequence(module, [{ ...good, ...changes }]));
    const uniform = copy.text.replace("<storage, read> a: array<f32>", "<uniform> a: array<vec4<f32>, 16>");
    const text = uniform.replace("a[i]", "a[i / 4u][i % 4u]");
    const small = await device.load({ kernels: [{ ...copy, text, bindings: ["uniform", "readwrite"] }] });
    const table = device.allocate(131_072);
    expect(
      await device.sequence(small, [{ ...good, bindings: [whole(table, { bytes: 65_536 }), whole(target)] }]).run(1),
    ).to.equal(1);
    failsWith("K5208", () => device.sequence(small, [{ ...good, bindings: [whole(table), whole(target)] }]));
    const large = device.allocate(device.info.bindingBytes + 256);
    failsWith("K5208", () => device.sequence(module, [{ ...good, bindings: [whole(large), whole(target)] }]));
    large.free();
  });

  it("refuses no steps, and steps beyond a memory", async () => {
    const module = await device.load({ kernels: [copy] });
    const moving = whole(memory, { bytes: 256, stride: 1024 });
    const sequence = device.sequence(module, [{ kernel: 0, groups: 1, bindings: [moving, whole(target)] }]);
    for (const steps of [0, -1, 1.5, Number.NaN, Infinity]) {
      await failsWithAsync("K5210", async () => sequence.run(steps));
      failsWith("K5210", () => sequence.runSync(steps));
    }
    expect(await sequence.run(4)).to.equal(4);
    await failsWithAsync("K5208", async () => sequence.run(5));
    failsWith("K5208", () => sequence.runSync(2 ** 50));
  });

  it("submits nothing where the driver finds a binding too small for its kernel", async () => {
    const large = copy.text.replace("b: array<f32>", "b: array<f32, 4096>");
    const module = await device.load({ kernels: [{ ...copy, text: large }] });
    const sequence = device.sequence(module, [{ kernel: 0, groups: 1, bindings: [whole(memory), whole(target)] }]);
    await failsWithAsync("K5211", async () => sequence.run(3));
    failsWith("K5211", () => sequence.runSync(1));
  });

  it("refuses what was freed, and what another device made", async function () {
    const other = await openOrSkip(this);
    const foreign = other.allocate(4096);
    const module = await device.load({ kernels: [copy] });
    const launch = { kernel: 0, groups: 1 };
    failsWith("K5207", () => device.write(foreign, 0, new Uint8Array(4)));
    failsWith("K5207", () => device.readSync(foreign, 0, new Uint8Array(4)));
    failsWith("K5207", () => device.write({ bytes: 4096, free: () => undefined }, 0, new Uint8Array(4)));
    failsWith("K5207", () => device.sequence(module, [{ ...launch, bindings: [whole(foreign), whole(target)] }]));
    failsWith("K5207", () => other.sequence(module, []));
    failsWith("K5207", () => device.sequence({ free: () => undefined }, []));
    const gone = device.allocate(4096);
    const sequence = device.sequence(module, [{ ...launch, bindings: [whole(gone), whole(target)] }]);
    const running = sequence.run(100);
    gone.free();
    gone.free();
    expect(await running, "what was asked for before is done").to.equal(100);
    await failsWithAsync("K5207", async () => sequence.run(1));
    failsWith("K5207", () => device.write(gone, 0, new Uint8Array(4)));
    const kept = device.sequence(module, [{ ...launch, bindings: [whole(memory), whole(target)] }]);
    module.free();
    module.free();
    failsWith("K5207", () => device.sequence(module, []));
    expect(await kept.run(1), "a sequence keeps its kernels").to.equal(1);
    kept.free();
    kept.free();
    kept.stop();
    failsWith("K5207", () => kept.runSync(1));
    await other.close();
  });

  it("refuses everything once it is closed, after what was asked for", async function () {
    const other = await openOrSkip(this);
    const some = other.allocate(4096);
    const module = await other.load({ kernels: [copy] });
    const bindings = [whole(some), whole(other.allocate(4096))];
    const sequence = other.sequence(module, [{ kernel: 0, groups: 1, bindings }]);
    const running = sequence.run(50);
    const reading = other.read(some, 0, new Uint8Array(8));
    await other.close();
    await other.close();
    expect(await running).to.equal(50);
    await reading;
    failsWith("K5206", () => other.allocate(4));
    failsWith("K5206", () => other.write(some, 0, new Uint8Array(4)));
    failsWith("K5206", () => other.readSync(some, 0, new Uint8Array(4)));
    failsWith("K5206", () => other.sequence(module, []));
    failsWith("K5206", () => sequence.runSync(1));
    await failsWithAsync("K5206", async () => other.load({ kernels: [copy] }));
    await failsWithAsync("K5206", async () => sequence.run(1));
    sequence.stop();
    for (const each of [some, module, sequence]) each.free();
  });
});
