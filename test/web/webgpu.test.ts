/** `runtime/gpu/webgpu.ts` in headless Chromium: results, the order of calls, and every fault as a coded error. */
import { expect } from "chai";
import type { GpuKernel } from "../../runtime/gpu/device.ts";
import { bytesOf } from "../../runtime/typed-array.ts";
import { telling } from "../runtime/gpu/open-wgpu.ts";
import { needsChromium } from "./chromium.ts";
import { JobRunner, type Job, type JobResult } from "./jobs.ts";

/** y[i] = 2 x[i] + y[i] for the elements of its work-group. */
const textFor = (threads: number): string => `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(${threads}) fn double(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * ${threads}u + thread;
  if (i < arrayLength(&y)) { y[i] = 2.0 * x[i] + y[i]; }
}`;
const text = textFor(64);
const kernel: GpuKernel = { name: "double", text, threads: 64, sharedBytes: 0, bindings: ["read", "readwrite"] };
const floats = (values: readonly number[]): Uint8Array => bytesOf(Float32Array.from(values));
const numbers = (result: JobResult, buffer = 0): number[] => {
  if ("code" in result) throw new Error(result.message);
  return Array.from(new Float32Array(result.buffers[buffer]?.buffer ?? new ArrayBuffer(0)));
};

describe("WebGPU in a browser", function () {
  this.timeout(120_000);
  let runner: JobRunner;

  before(async function () {
    runner = await JobRunner.start(needsChromium(this));
  });
  after(async () => {
    await runner?.close();
    expect(runner?.complaints ?? []).to.deep.equal([]);
  });

  const job = (changes: Partial<Job> = {}): Job => ({
    kernels: [kernel],
    buffers: [floats(Array.from({ length: 128 }, (_, i) => i)), floats(Array.from({ length: 128 }, () => 1))],
    launches: [
      {
        kernel: 0,
        groups: 2,
        bindings: [
          { buffer: 0, offset: 0, bytes: 512 },
          { buffer: 1, offset: 0, bytes: 512 },
        ],
      },
    ],
    results: [1],
    ...changes,
  });
  const launch = (changes: object, bindings: object[] = [{}, {}]): Partial<Job> => {
    const [first] = job().launches;
    if (first === undefined) throw new Error("no launch");
    const changed = first.bindings.map((binding, i) => ({ ...binding, ...bindings[i] }));
    return { launches: [{ ...first, bindings: changed, ...changes }] };
  };

  it("tells what it is and allows", async () => {
    const info = await runner.info();
    expect(info.description).to.match(/swiftshader/i);
    expect(info.alignment).to.equal(256);
    // More than WebGPU's defaults: asked of the adapter.
    expect(info.bindingBytes).to.be.greaterThan(2 ** 27);
    expect(info.bindings).to.be.at.least(8);
  });

  it("runs a kernel, many steps in a run", async () => {
    const once = Array.from({ length: 128 }, (_, i) => 2 * i + 1);
    expect(numbers(await runner.run(job()))).to.deep.equal(once);
    const many = Array.from({ length: 128 }, (_, i) => 2000 * i + 1);
    const result = await runner.run(job({ steps: 1000 }));
    expect(numbers(result)).to.deep.equal(many);
    expect(result).to.have.property("steps", 1000);
  });

  it("moves bindings from step to step", async () => {
    const steps = 5;
    const x = Float32Array.from({ length: steps * 64 }, (_, i) => i);
    const moved = launch({ groups: 1 }, [{ bytes: 256, stride: 256 }, { bytes: 256 }]);
    const result = await runner.run(
      job({ steps, buffers: [bytesOf(x), floats(Array.from({ length: 64 }, (_, i) => i))], ...moved }),
    );
    const expected = Array.from({ length: 64 }, (_, i) => {
      let sum = i;
      for (let step = 0; step < steps; step++) sum += 2 * (step * 64 + i);
      return sum;
    });
    expect(numbers(result)).to.deep.equal(expected);
  });

  it("lays out more work-groups than one axis holds", async () => {
    const count = 70_000;
    const x = new Float32Array(count);
    x[count - 1] = 3;
    x[65_535] = 5;
    const wide = launch({ groups: 70_000 }, [{ bytes: 4 * count }, { bytes: 4 * count }]);
    const single = { ...kernel, text: textFor(1), threads: 1 };
    const buffers = [bytesOf(x), new Uint8Array(4 * count)];
    const y = numbers(await runner.run(job({ kernels: [single], buffers, ...wide })));
    expect([y[0], y[65_535], y[count - 1]]).to.deep.equal([0, 10, 6]);
  });

  it("takes the variant of a kernel that its subgroups allow", async () => {
    // SwiftShader's have four threads.
    const expected = Array.from({ length: 64 }, (_, i) => 4 + (i ^ 2) / 64);
    const buffers = [bytesOf(new Float32Array(64).fill(1)), new Uint8Array(256)];
    const alone = launch({ groups: 1 }, [{ bytes: 256 }, { bytes: 256 }]);
    expect(numbers(await runner.run(job({ kernels: [telling], buffers, ...alone })))).to.deep.equal(expected);
    const core = { ...telling, variants: [] };
    const ones = Array.from({ length: 64 }, () => 1);
    expect(numbers(await runner.run(job({ kernels: [core], buffers, ...alone })))).to.deep.equal(ones);
  });

  it("says which line of a kernel is not accepted", async () => {
    const broken = { ...kernel, text: text.replace("2.0 * x[i]", "2.0 * z[i]") };
    const result = await runner.run(job({ kernels: [broken] }));
    expect(result).to.have.property("code", "K5204");
    expect(result).to.have.property("message").that.includes("line 10").and.includes("2.0 * z[i]");
  });

  for (const [what, code, changes] of [
    ["a place off the alignment", "K5208", launch({}, [{ offset: 4, bytes: 256 }])],
    ["a binding past the end of its memory", "K5208", launch({}, [{ bytes: 1024 }])],
    ["another number of bindings", "K5209", launch({ bindings: [] })],
    [
      "a memory both read and written",
      "K5209",
      launch({ groups: 1 }, [{ bytes: 256 }, { buffer: 0, offset: 256, bytes: 256 }]),
    ],
    ["more work-groups than there can be", "K5209", launch({ groups: 2 ** 33 })],
    ["a work-group with too many threads", "K5212", { kernels: [{ ...kernel, threads: 4096 }] }],
    ["too much shared memory", "K5212", { kernels: [{ ...kernel, sharedBytes: 2 ** 20 }] }],
    ["a function that is not there", "K5204", { kernels: [{ ...kernel, name: "triple" }] }],
    ["bindings that the kernel uses otherwise", "K5204", { kernels: [{ ...kernel, bindings: ["read", "read"] }] }],
  ] as const)
    it(`refuses ${what}`, async () => {
      expect(await runner.run(job(changes))).to.have.property("code", code);
      // It goes on after that.
      expect(numbers(await runner.run(job()))[1]).to.equal(3);
    });
});
