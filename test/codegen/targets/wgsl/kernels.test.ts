/** Whole kernels on a device against the interpreter, and launches whose buffers share bindings. */
import { expect } from "chai";
import { emitWgsl } from "../../../../codegen/targets/wgsl/emit.ts";
import { interpretKernel, loopArray, type LoopArray } from "../../../../ir/loop/interpret.ts";
import { unboundedSize, type Kernel } from "../../../../ir/loop/loop.ts";
import type { PlannedEntry } from "../../../../ir/program.ts";
import { at } from "../../../../ir/type.ts";
import {
  checkedGather,
  columnSum,
  elementwiseChain,
  rowSoftmax,
  tileMatmul,
  vectorLanes,
} from "../../../ir/loop/sample-kernels.ts";
import { halfDots, shuffles } from "../../../ir/loop/gpu-kernels.ts";
import { emitKernels, requireDevice, runOnDevice, soleLaunch } from "./device.ts";
import {
  bytes,
  counters,
  knownSign,
  manyBuffers,
  manyTasks,
  oddities,
  readBothWays,
  sharedSum,
  turnAround,
} from "./gpu-kernels.ts";

/** Buffers of a kernel with small numbers in them; data sets of 300 elements. */
function filled(kernel: Kernel): Record<string, LoopArray> {
  return Object.fromEntries(
    kernel.buffers.map(({ name, dtype, size, access }) => {
      const array = loopArray(dtype, size === unboundedSize ? 300 : size);
      for (let i = 0; i < array.length; i++) {
        const value = dtype === "f32" ? ((i * 7919) % 101) / 25 - 2 : dtype === "bool" ? (i % 3) % 2 : (i * 37) % 7;
        if (access === "write" || name === "status") continue;
        if (array instanceof BigInt64Array) array[i] = BigInt(value);
        else array[i] = value;
      }
      return [name, array];
    }),
  );
}

const samples: readonly Kernel[] = [
  elementwiseChain(),
  rowSoftmax(),
  columnSum(),
  tileMatmul(9, 37, 11, 4),
  tileMatmul(8, 32, 12, 4),
  checkedGather(),
  vectorLanes(5, 4),
  vectorLanes(3, 2),
  sharedSum(),
  turnAround(),
  counters(),
  bytes(),
  manyTasks(),
  oddities(),
  readBothWays(),
  shuffles(),
  halfDots(),
  ...(["tanh", "erf", "sinh", "asinh", "atan"] as const).map((op) => knownSign(op)),
];

function expectClose(kernel: Kernel, got: Record<string, LoopArray>, want: Record<string, LoopArray>): void {
  for (const { name, access } of kernel.buffers) {
    if (access === "read") continue;
    const [x, y] = [Array.from(got[name] ?? [], Number), Array.from(want[name] ?? [], Number)];
    const wrong = x.findIndex((value, i) => !(Object.is(value, y[i]) || Math.abs(value - (y[i] ?? 0)) <= 1e-5));
    expect(wrong, `${kernel.name}: ${name}[${wrong}] is ${x[wrong]}, not ${y[wrong]}`).to.equal(-1);
  }
}

describe("WGSL kernels", () => {
  it("do on a device what the interpreter does", async function () {
    this.timeout(60_000);
    const device = await requireDevice(this);
    const named = samples.map((kernel, index) => ({ ...kernel, name: `${kernel.name}_${index}` }));
    const want = named.map(filled);
    named.forEach((kernel, index) => interpretKernel(kernel, at(want, index)));
    for (const texts of ["core", "chosen"] as const) {
      const got = named.map(filled);
      await runOnDevice(device, named, got, texts);
      named.forEach((kernel, index) => expectClose(kernel, at(got, index), at(want, index)));
    }
    await device.close();
  });

  it("find their buffers in bindings that several share, in place too", async function () {
    const device = await requireDevice(this);
    const kernel = manyBuffers(12);
    const want = filled(kernel);
    interpretKernel(kernel, want);
    const given = filled(kernel);
    // All lie in one region of 256 bytes each, in reverse; `y` over `x`; the status alone in a buffer of its own.
    const place = (name: string, index: number): number =>
      (name === "y" ? 0 : index) === 0 ? 256 * 20 : 256 * (20 - index);
    const entry: PlannedEntry = {
      ...soleLaunch([kernel], 0),
      buffers: [
        { role: "arena", name: "arena", dtype: "u8", stored: "u8", shape: [] },
        { role: "status", name: "status", dtype: "i32", stored: "i32", shape: [4] },
      ],
      phases: [
        [
          {
            kernel: 0,
            args: kernel.buffers.map(({ name }, index) =>
              name === "status" ? { buffer: 1, offset: 0 } : { buffer: 0, offset: place(name, index) },
            ),
          },
        ],
      ],
    };
    const { kernels, launches } = emitWgsl({ name: "shared", kernels: [kernel], entries: [entry] });
    const [launch] = launches[0] ?? [];
    expect(launch?.bindings.length).to.be.at.most(8);
    const arena = device.allocate(256 * 21);
    const status = device.allocate(16);
    const region = new Uint8Array(arena.bytes);
    kernel.buffers.forEach(({ name, access }, index) => {
      const array = given[name];
      if (array === undefined || access !== "read") return;
      region.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), place(name, index));
    });
    device.write(arena, 0, region);
    device.write(status, 0, new Uint8Array(16));
    const module = await device.load({ kernels });
    const sequence = device.sequence(
      module,
      (launches[0] ?? []).map((each) => ({
        ...each,
        bindings: each.bindings.map(({ buffer, offset, bytes: length }) => ({
          memory: buffer === 0 ? arena : status,
          offset,
          bytes: length,
          stride: 0,
        })),
      })),
    );
    await sequence.run(1);
    await device.read(arena, 0, region);
    const failed = new Int32Array(4);
    await device.read(status, 0, new Uint8Array(failed.buffer));
    const got: Record<string, LoopArray> = {
      y: new Float32Array(region.buffer, place("y", 0), 64),
      whole: new Int32Array(
        region.buffer,
        place(
          "whole",
          kernel.buffers.findIndex(({ name }) => name === "whole"),
        ),
        64,
      ),
      status: failed,
    };
    expectClose(kernel, got, want);
    await device.close();
  });

  it("have texts that depend on nothing but the kernel and its bindings", () => {
    const kernels = samples.map((kernel, index) => ({ ...kernel, name: `${kernel.name}_${index}` }));
    expect(emitKernels(kernels)).to.deep.equal(emitKernels(kernels));
  });
});
