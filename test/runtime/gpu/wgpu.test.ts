/** The `wgpu` device: results, steps, the order of calls, stopping, and that the event loop goes on. */
import { expect } from "chai";
import type { GpuLaunch } from "../../../runtime/gpu/device.ts";
import { describeWgpu, type WgpuDevice } from "../../../runtime/gpu/wgpu.ts";
import { filled, floatsOf, openOrSkip, unaryKernel, whole } from "./open-wgpu.ts";

/** C = A B for square matrices of `size`, one element a thread. */
function matmulText(size: number): string {
  return `@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@compute @workgroup_size(64)
fn product(@builtin(workgroup_id) w: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let at = w.x * 64u + l;
  var sum = 0.0;
  for (var k = 0u; k < ${size}u; k++) { sum += a[at / ${size}u * ${size}u + k] * b[k * ${size}u + at % ${size}u]; }
  c[at] = sum;
}
`;
}

/** Waits for a kernel that takes long: `rounds` of arithmetic that no compiler removes. */
const slowBody = `var x = a[i];
  for (var r = 0u; r < 2000u; r++) { x = x * 0.999 + 0.001; }
  b[i] = x;`;

const sequence64 = Float32Array.from({ length: 64 }, (_, i) => i);

describe("wgpu device", function () {
  this.timeout(120_000);
  let device: WgpuDevice;

  before(async function () {
    device = await openOrSkip(this);
  });
  after(async () => device?.close());

  it("says what it is, and what adapters there are", async () => {
    const { info } = device;
    expect(info.description).to.match(/\w/);
    for (const limit of [info.alignment, info.memoryBytes, info.bindingBytes, info.bindings, info.threads])
      expect(limit).to.be.greaterThan(0);
    expect(info.memoryBytes % 4).to.equal(0);
    const { adapters, library } = await describeWgpu();
    expect(adapters).to.include(info.description);
    expect(library).to.match(/wgpu_native/);
  });

  it("gives zeroed memory, multiplies matrices, and adds in place", async () => {
    const size = 48;
    const values = (seed: number): Float32Array =>
      Float32Array.from({ length: size * size }, (_, i) => ((i * seed) % 13) - 6);
    const [a, b, c] = [filled(device, values(5)), filled(device, values(7)), device.allocate(size * size * 4)];
    expect((await floatsOf(device, c)).every((value) => value === 0)).to.equal(true);
    const product = { name: "product", text: matmulText(size), threads: 64, sharedBytes: 0 } as const;
    const kernels = [{ ...product, bindings: ["read", "read", "readwrite"] as const }, unaryKernel("b[i] += a[i];")];
    const module = await device.load({ kernels });
    const groups = (size * size) / 64;
    const run = device.sequence(module, [
      { kernel: 0, groups, bindings: [whole(a), whole(b), whole(c)] },
      { kernel: 1, groups, bindings: [whole(a), whole(c)] },
    ]);
    expect(await run.run(1)).to.equal(1);
    const [x, y] = [values(5), values(7)];
    const expected = Float32Array.from({ length: size * size }, (_, at) => {
      let sum = x[at] ?? 0;
      for (let k = 0; k < size; k++)
        sum += (x[Math.floor(at / size) * size + k] ?? 0) * (y[k * size + (at % size)] ?? 0);
      return sum;
    });
    expect(await floatsOf(device, c)).to.deep.equal(expected);
  });

  it("moves bindings from step to step, beyond the bind groups that it keeps", async () => {
    const steps = 700;
    const { alignment } = device.info;
    const stride = Math.max(alignment, 256);
    const rows = new Float32Array((steps * stride) / 4).map((_, i) => ((i * 4) % stride === 0 ? (i * 4) / stride : 0));
    const [input, output, total] = [filled(device, rows), device.allocate(steps * stride), device.allocate(256)];
    // The sum so far, at every step: it needs the steps in order.
    const text = `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> t: array<f32>;
@compute @workgroup_size(1) fn k() { t[0] += x[0]; y[0] = t[0]; }`;
    const kernel = {
      name: "k",
      text,
      threads: 1,
      sharedBytes: 0,
      bindings: ["read", "readwrite", "readwrite"] as const,
    };
    const module = await device.load({ kernels: [kernel] });
    const moving = { offset: 0, bytes: 4, stride };
    const bindings = [whole(input, moving), whole(output, moving), whole(total)];
    const sequence = device.sequence(module, [{ kernel: 0, groups: 1, bindings }]);
    for (let round = 0; round < 2; round++) {
      device.write(total, 0, new Uint8Array(4));
      expect(await sequence.run(steps)).to.equal(steps);
      const sums = await floatsOf(device, output);
      for (const step of [0, 1, 2, 511, 512, 699])
        expect(sums[(step * stride) / 4], `round ${round}, step ${step}`).to.equal((step * (step + 1)) / 2);
    }
    sequence.free();
  });

  it("keeps the order of writes, runs and reads, whether they are waited for or not", async () => {
    const [a, b] = [device.allocate(256), device.allocate(256)];
    const module = await device.load({ kernels: [unaryKernel("b[i] = b[i] * 2.0 + a[i];")] });
    const sequence = device.sequence(module, [{ kernel: 0, groups: 1, bindings: [whole(a), whole(b)] }]);
    const data = new Float32Array(64);
    const seen: Promise<Float32Array>[] = [];
    const runs: Promise<number>[] = [];
    let expected = 0;
    const wanted: number[] = [];
    for (let round = 1; round <= 20; round++) {
      device.write(a, 0, new Uint8Array(data.fill(round).buffer));
      // The device has taken its copy.
      data.fill(-1);
      runs.push(sequence.run(2));
      seen.push(floatsOf(device, b));
      for (let step = 0; step < 2; step++) expected = Math.fround(expected * 2 + round);
      wanted.push(expected);
    }
    expect((await Promise.all(seen)).map((values) => values[63])).to.deep.equal(wanted);
    expect(await Promise.all(runs)).to.deep.equal(runs.map(() => 2));
    expect(sequence.runSync(1)).to.equal(1);
    const now = new Float32Array(64);
    device.readSync(b, 0, new Uint8Array(now.buffer));
    expect(now[0]).to.equal(Math.fround(expected * 2 + 20));
  });

  it("reads more than fits into one piece, and part of a memory", async () => {
    const values = new Float32Array(2_500_000).map((_, i) => i);
    const memory = filled(device, values);
    const result = floatsOf(device, memory);
    device.write(memory, 0, new Uint8Array(4_500_000));
    expect(await result).to.deep.equal(values);
    const part = new Float32Array(3);
    device.readSync(memory, 9_000_000, new Uint8Array(part.buffer));
    expect([...part]).to.deep.equal([2_250_000, 2_250_001, 2_250_002]);
    memory.free();
  });

  it("spreads more work-groups than one dimension holds over two", async () => {
    const groups = 70_000;
    const memory = device.allocate(groups * 64 * 4);
    const body = `if (w.x + w.y * n.x < ${groups}u) { b[i] = f32(i % 1000u) + a[0]; }`;
    const module = await device.load({ kernels: [unaryKernel(body)] });
    const bindings = [whole(filled(device, new Float32Array([0.5]))), whole(memory)];
    await device.sequence(module, [{ kernel: 0, groups, bindings }]).run(1);
    const values = await floatsOf(device, memory);
    for (const at of [0, 65_534 * 64, 65_535 * 64, groups * 64 - 1]) expect(values[at]).to.equal((at % 1000) + 0.5);
    memory.free();
  });

  it("compiles a text once, and runs it at full speed from the first step on", async () => {
    const kernels = [unaryKernel("b[i] = sqrt(a[i]) + 17.25;")];
    const first = await device.load({ kernels });
    const begun = performance.now();
    const second = await device.load({ kernels });
    expect(performance.now() - begun).to.be.lessThan(20);
    first.free();
    const [a, b] = [filled(device, sequence64), device.allocate(256)];
    await device.sequence(second, [{ kernel: 0, groups: 1, bindings: [whole(a), whole(b)] }]).run(1);
    expect((await floatsOf(device, b))[49]).to.equal(24.25);
  });

  it("stops a run after the steps that are under way, and the queued ones before they begin", async () => {
    const launch = await slowLaunch(device);
    const sequence = device.sequence(launch.module, [launch.launch]);
    await sequence.run(1);
    const running = sequence.run(1_000_000);
    const queued = sequence.run(1_000_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    sequence.stop();
    const done = await running;
    expect(done).to.be.greaterThan(0).and.lessThan(1_000_000);
    expect(await queued).to.equal(0);
    expect(await sequence.run(2), "stopping is over").to.equal(2);
  });

  it("never holds up the event loop while it runs", async () => {
    const { module, launch } = await slowLaunch(device);
    const sequence = device.sequence(module, [launch]);
    await sequence.run(20);
    let last = performance.now();
    const gaps: number[] = [];
    const look = (): void => {
      const now = performance.now();
      gaps.push(now - last);
      last = now;
    };
    const timer = setInterval(look, 1);
    const end = performance.now() + 2_000;
    let steps = 0;
    while (performance.now() < end) {
      const memory = device.allocate(1024);
      device.write(memory, 0, new Uint8Array(1024));
      steps += await sequence.run(10);
      memory.free();
    }
    look();
    clearInterval(timer);
    expect(steps).to.be.greaterThan(10);
    expect(gaps.length).to.be.greaterThan(100);
    // Other processes may take the core away now and then. A loop that waits for submissions of 10 ms does nothing else.
    const long = gaps.filter((gap) => gap > 10).reduce((sum, gap) => sum + gap, 0);
    expect(long, "milliseconds in gaps over 10 ms").to.be.lessThan(1_000);
  });
});

async function slowLaunch(
  device: WgpuDevice,
): Promise<{ readonly module: Awaited<ReturnType<WgpuDevice["load"]>>; readonly launch: GpuLaunch }> {
  const module = await device.load({ kernels: [unaryKernel(slowBody)] });
  const bindings = [whole(device.allocate(65_536)), whole(device.allocate(65_536))];
  return { module, launch: { kernel: 0, groups: 256, bindings } };
}
