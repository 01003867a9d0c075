/** Whole kernels under emulation against the loop-IR interpreter: in all orders of threads, and looking for misuse. */
import { expect } from "chai";
import { interpretKernel, loopArray, type LoopArray } from "../../../../ir/loop/interpret.ts";
import type { Kernel } from "../../../../ir/loop/loop.ts";
import {
  blockSoftmax,
  dropout,
  sharedMatmul,
  shuffles,
  tensorMatmul,
  vectorChain,
  wideTypes,
} from "../../../ir/loop/gpu-kernels.ts";
import {
  checkedGather,
  columnSum,
  elementwiseChain,
  rowSoftmax,
  tileMatmul,
  vectorLanes,
} from "../../../ir/loop/sample-kernels.ts";
import { emulate, emulationMissing, threadOrders, type Checks, type EmulatedProgram } from "./emulated-program.ts";
import { launchOf, loneKernel } from "./lone-kernel.ts";

const gpuKernels = [
  vectorChain(),
  blockSoftmax(),
  sharedMatmul(),
  tensorMatmul("tf32"),
  tensorMatmul("bf16"),
  tensorMatmul("f16"),
  dropout(),
  wideTypes(),
  shuffles(),
  { ...shuffles(2, 16), name: "shuffles_in_part_of_a_warp" },
];

/** A task of these is one thread, as on a processor. */
const plainKernels = [elementwiseChain(), rowSoftmax(), columnSum(), tileMatmul(), checkedGather(), vectorLanes()];

const kernels = [...gpuKernels, ...plainKernels];

type Arrays = Readonly<Record<string, LoopArray>>;

/** Arrays for a kernel: inputs that differ from each other, and outputs that are not what they are to be. */
function fill(kernel: Kernel): Arrays {
  const arrays: Record<string, LoopArray> = {};
  for (const { name, dtype, size, access } of kernel.buffers) {
    const array = loopArray(dtype, size);
    arrays[name] = array;
    if (name === "status") continue;
    for (let i = 0; i < size; i++) {
      if (array instanceof BigInt64Array) array[i] = access === "write" ? -1n : BigInt((i * 7919) % 101) - 40n;
      else if (dtype[0] === "f") array[i] = access === "write" ? Number.NaN : Math.sin(i * 1.7 + name.length) * 3;
      else array[i] = access === "write" ? 99 : (i * 5 + 3) % 7;
    }
  }
  return arrays;
}

const copyOf = (arrays: Arrays): Arrays =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, array.slice()]));

function bytesOf(array: LoopArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function expectClose(kernel: Kernel, got: Arrays, want: Arrays, where: string): void {
  for (const { name } of kernel.buffers) {
    const [x, y] = [got[name] ?? [], want[name] ?? []];
    for (let i = 0; i < y.length; i++) {
      const [a, b] = [Number(x[i]), Number(y[i])];
      if (Object.is(a, b) || Math.abs(a - b) <= 1e-5 + 3e-6 * Math.abs(b)) continue;
      expect.fail(`${kernel.name}.${name}[${i}] is ${a}, not ${b} (${where})`);
    }
  }
}

async function compare(checks: Checks): Promise<void> {
  const { programs, close } = await emulate(kernels.map(loneKernel), { checks });
  try {
    kernels.forEach((kernel, index) => {
      const inputs = fill(kernel);
      const want = copyOf(inputs);
      interpretKernel(kernel, want);
      for (const order of threadOrders) {
        const got = copyOf(inputs);
        const buffers = kernel.buffers.map(({ name }) => bytesOf(got[name] ?? new Float32Array()));
        programs[index]?.launch([launchOf(kernel)], buffers, { order });
        expectClose(kernel, got, want, order);
      }
    });
  } finally {
    close();
  }
}

describe("CUDA kernels, emulated", function () {
  this.timeout(120_000);

  before(function () {
    const missing = emulationMissing();
    if (missing === undefined) return;
    console.log(`    skipped: ${missing}`);
    this.skip();
  });

  it("give what the interpreter gives, in all orders of threads", async () => compare("plain"));

  it("touch nothing outside of their buffers and arrays", async () => compare("addresses"));

  it("have no races between threads or blocks", async () => compare("races"));

  it("report the first index that is out of range, and stay inside", async () => {
    const kernel = checkedGather();
    const { programs, close } = await emulate([loneKernel(kernel)], { checks: "addresses" });
    try {
      const arrays = fill(kernel);
      const indices = arrays["indices"];
      if (indices instanceof Int32Array) indices.set([3, 0, 6, 2, 9, 5, -1, 4, 0, 6]);
      runOn(programs[0], kernel, arrays);
      expect(arrays["status"]).to.deep.equal(new Int32Array([7, 9, 7, 0]));
    } finally {
      close();
    }
  });
});

function runOn(program: EmulatedProgram | undefined, kernel: Kernel, arrays: Arrays): void {
  const buffers = kernel.buffers.map(({ name }) => bytesOf(arrays[name] ?? new Float32Array()));
  program?.launch([launchOf(kernel)], buffers);
}
