/** The addon by itself: memory, the checks before a call, the queue, threads, and environments that end. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import { packageRoot } from "../../runtime/package-root.ts";
import { loadNative, type NativeAddon, type NativeProgram, type NativeView } from "../../runtime/native.ts";
import { removeFolders, tinyLibrary } from "./tiny-artifact.ts";

const places = { add4: 0, flush: 3, slow: 4 };

describe("native addon", () => {
  let native: NativeAddon;
  let program: NativeProgram;
  before(async function () {
    this.timeout(60_000);
    native = await loadNative();
    program = new native.NativeProgram(tinyLibrary());
  });
  after(removeFolders);

  /** Buffers of `add@4` for some steps. */
  const addBuffers = (steps: number): { views: NativeView[]; strides: number[]; bytes: number[] } => ({
    views: [
      Float32Array.from({ length: 4 * steps }, (_, i) => i % 7),
      new Float32Array(4),
      new Float32Array(1),
      new Float32Array(2 * steps),
      new Float32Array(2 * steps),
    ],
    strides: [16, 0, 0, 8, 8],
    bytes: [16, 16, 4, 8, 8],
  });

  it("lists the entries of a program", () => {
    expect(program.entries[0]).to.deep.equal({ name: "add@4", buffers: 5, phases: 3 });
    expect(program.entries.length).to.equal(7);
  });

  it("gives zeroed, aligned memory of any size", () => {
    for (const bytes of [0, 1, 64, 100_000, 5_000_000]) {
      const memory = native.allocate(bytes);
      expect(memory.byteLength).to.equal(bytes);
      expect(new Uint8Array(memory).every((byte) => byte === 0)).to.equal(true);
    }
    for (const bytes of [-1, Number.NaN, 2 ** 60, 2 ** 50]) expect(() => native.allocate(bytes)).to.throw();
  });

  it("runs the same bits on any number of threads, called either way", async () => {
    const results: Float32Array[] = [];
    for (const threads of [1, 2, 3, 4]) {
      for (const sync of [true, false]) {
        const { views, strides, bytes } = addBuffers(500);
        const done = sync
          ? program.runSync(places.add4, 500, threads, views, strides, bytes)
          : await program.run(places.add4, 500, threads, views, strides, bytes);
        expect(done).to.equal(500);
        results.push(new Float32Array([...(views[2] ?? []), ...(views[3] ?? [])].map(Number)));
      }
    }
    for (const result of results) expect(result).to.deep.equal(results[0]);
  });

  it("takes views of shared memory", () => {
    const { views, strides, bytes } = addBuffers(1);
    views[0] = new Float32Array(new SharedArrayBuffer(16)).fill(2);
    program.runSync(places.add4, 1, 2, views, strides, bytes);
    expect(views[3]?.[0]).to.equal(16);
  });

  it("refuses a call whose buffers do not fit, before anything runs", () => {
    const call = (
      change: (buffers: ReturnType<typeof addBuffers>) => void,
      steps = 3,
      entry: number = places.add4,
    ): void => {
      const buffers = addBuffers(3);
      change(buffers);
      expect(() => program.runSync(entry, steps, 2, buffers.views, buffers.strides, buffers.bytes)).to.throw();
      expect(buffers.views[2]?.[0]).to.equal(0);
    };
    call((buffers) => (buffers.views[0] = new Float32Array(11)));
    call((buffers) => (buffers.strides[0] = 2 ** 53));
    call((buffers) => (buffers.strides[0] = 2 ** 52), 2 ** 52);
    call((buffers) => (buffers.bytes[1] = 17));
    call((buffers) => (buffers.bytes[1] = -1));
    call((buffers) => buffers.views.pop());
    call((buffers) => buffers.strides.pop());
    call(({ views }) => structuredClone(views[0]?.buffer, { transfer: [views[0]?.buffer as ArrayBuffer] }));
    for (const steps of [0, -1, 0.5, 2 ** 60]) call(() => undefined, steps);
    for (const entry of [-1, 99, 0.5]) call(() => undefined, 3, entry);
    // A buffer that is no typed array, as untyped JavaScript might give.
    call((buffers) => (buffers.views[0] = new ArrayBuffer(48) as unknown as NativeView));
  });

  it("names the call that failed", () => {
    for (const image of [new Uint8Array(0), tinyLibrary().subarray(0, 200)])
      expect(() => new native.NativeProgram(image))
        .to.throw()
        .with.property("call", "dlopen");
    expect(() => new native.NativeProgram(tinyLibrary("-Dkiln_program=other")))
      .to.throw(/kiln_program/)
      .with.property("call", "dlsym");
  });

  it("keeps the JavaScript thread free and runs queued calls in order", async () => {
    const order: number[] = [];
    let ticks = 0;
    const timer = setInterval(() => ticks++, 2);
    await Promise.all(
      [1, 2, 3, 4].map(async (call) => {
        await program.run(places.slow, 10, 1, [new Int32Array(1)], [0], [4]);
        order.push(call);
      }),
    );
    clearInterval(timer);
    expect(order).to.deep.equal([1, 2, 3, 4]);
    expect(ticks).to.be.above(10);
  });

  it("runs a synchronous call after those that were queued", async () => {
    const queued = program.run(places.slow, 10, 2, [new Int32Array(1)], [0], [4]);
    const start = performance.now();
    program.runSync(places.slow, 1, 2, [new Int32Array(1)], [0], [4]);
    expect(performance.now() - start).to.be.above(15);
    expect(await queued).to.equal(10);
  });

  it("keeps buffers alive while a call uses them", async () => {
    const running = program.run(places.slow, 20, 2, [new Int32Array(1_000_000)], [0], [4]);
    for (let i = 0; i < 50; i++) new Float64Array(1_000_000).fill(i);
    expect(await running).to.equal(20);
  });

  it("ends with its environment, whatever is running", async () => {
    const code = `
      const { workerData } = require("node:worker_threads");
      import(workerData.module).then(async ({ loadNative }) => {
        const native = await loadNative();
        const program = new native.NativeProgram(workerData.library);
        for (let i = 0; i < 3; i++) void program.run(${places.slow}, 1000000, 2, [new Int32Array(1)], [0], [4]);
        require("node:worker_threads").parentPort.postMessage("running");
      });`;
    const module = new URL("../../runtime/native.js", import.meta.url).href;
    const worker = new Worker(code, { eval: true, workerData: { module, library: new Uint8Array(tinyLibrary()) } });
    await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    await worker.terminate();
  });

  it("lets the process exit at any moment", () => {
    const module = join(packageRoot(), "dist", "runtime", "native.js");
    const code = (end: string): string => `
      import { loadNative } from ${JSON.stringify(module)};
      const native = await loadNative();
      const program = new native.NativeProgram(Buffer.from(process.env.LIBRARY, "base64"));
      const running = program.run(${places.slow}, 50, 2, [new Int32Array(1)], [0], [4]);
      ${end}`;
    const env = { ...process.env, LIBRARY: Buffer.from(tinyLibrary()).toString("base64") };
    const status = (end: string): number | null =>
      spawnSync(process.execPath, ["--input-type=module", "-e", code(end)], { env, timeout: 20_000 }).status;
    expect(status("setTimeout(() => process.exit(7), 20);")).to.equal(7);
    expect(status("running.then((done) => (process.exitCode = done));")).to.equal(50);
    expect(status("program.close(); program.stop();")).to.equal(0);
  });
});
