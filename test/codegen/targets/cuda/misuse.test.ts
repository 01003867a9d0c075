/**
 * What the emulation is for: faults put into the text of good kernels, each of which it must find. A check that finds
 * nothing proves nothing unless it is known to find something.
 */
import { expect } from "chai";
import { emitCuda, type CudaProgram } from "../../../../codegen/targets/cuda/emit.ts";
import type { Kernel } from "../../../../ir/loop/loop.ts";
import { dtypeBytes } from "../../../../ir/type.ts";
import { blockSoftmax, sharedMatmul, tensorMatmul, vectorChain } from "../../../ir/loop/gpu-kernels.ts";
import {
  emulateText,
  emulationMissing,
  EmulationError,
  threadOrders,
  type Checks,
  type ThreadOrder,
} from "./emulated-program.ts";
import { launchOf, loneKernel } from "./lone-kernel.ts";

/** A good kernel, and a change of its text that must be there to be made. */
type Fault = { readonly kernel: Kernel; readonly from: RegExp; readonly to: string };

const product = sharedMatmul();
const faults = {
  none: { kernel: product, from: /^/, to: "" },
  missingBarrier: { kernel: product, from: /__syncthreads\(\);\n#pragma/, to: "\n#pragma" },
  missingSecondBarrier: { kernel: product, from: /__syncthreads\(\);\n {2}\}/, to: "\n  }" },
  divergentBarrier: {
    kernel: product,
    from: /__syncthreads\(\);\n#pragma/,
    to: "if (thread < 40) __syncthreads();\n#pragma",
  },
  differentBarriers: {
    kernel: product,
    from: /__syncthreads\(\);\n#pragma/,
    to: "if (thread < 40)\n__syncthreads();\nelse\n__syncthreads();\n#pragma",
  },
  divergentProduct: {
    kernel: tensorMatmul("tf32"),
    from: /kiln_mma_tf32\(c_0_0/,
    to: "if (thread != 3) kiln_mma_tf32(c_0_0",
  },
  storeOutside: { kernel: product, from: /\(row \* 32 \+ ty \* 4 \+ 3 < 45\)/, to: "(row * 32 + ty * 4 + 3 < 99)" },
  sharedOutside: { kernel: product, from: /KILN_SHARED\(float, tile_b, 512\)/, to: "KILN_SHARED(float, tile_b, 500)" },
  unwritten: { kernel: product, from: /e_tile_b < 512/, to: "e_tile_b < 480" },
  misaligned: { kernel: vectorChain(), from: /kiln_load_aligned<4>\(&x\[i\]\)/, to: "kiln_load_aligned<4>(&x[i + 1])" },
  blocksMeet: { kernel: blockSoftmax(), from: /y\[task \* 150 \+ j\]/, to: "y[task * 149 + j]" },
  endless: {
    kernel: vectorChain(),
    from: /const int i = /,
    to: "while (atomicAdd((int *)y, 0) == 12345) {}\n  const int i = ",
  },
} satisfies Record<string, Fault>;

type FaultName = keyof typeof faults;
const names = Object.keys(faults) as FaultName[];

function changed({ kernel, from, to }: Fault): CudaProgram {
  const cuda = emitCuda(loneKernel(kernel));
  expect(cuda.text).to.match(from);
  return { ...cuda, text: cuda.text.replace(from, to) };
}

/** Runs a faulty kernel on numbers; gives its output, or what was found. */
type Outcome = { readonly output: Float32Array; readonly found: string };

describe("CUDA emulation finds", function () {
  this.timeout(120_000);
  const runs = new Map<Checks, (name: FaultName, order?: ThreadOrder) => Outcome>();
  const closers: (() => void)[] = [];

  before(async function () {
    const missing = emulationMissing();
    if (missing !== undefined) {
      console.log(`    skipped: ${missing}`);
      this.skip();
    }
    for (const checks of ["plain", "addresses", "races"] as const) {
      const { programs, close } = await emulateText(
        names.map((name) => changed(faults[name])),
        { checks },
      );
      closers.push(close);
      runs.set(checks, (name, order = "ascending") => {
        const { kernel } = faults[name];
        const arrays = kernel.buffers.map(({ dtype, size, access }) => {
          const floats = Float32Array.from({ length: (size * dtypeBytes[dtype]) / 4 }, (_, i) =>
            access === "write" ? (name === "endless" ? 0 : Number.NaN) : Math.sin(i * 1.7),
          );
          if (name === "endless" && access === "write") new Int32Array(floats.buffer).fill(12345);
          return floats;
        });
        const output = arrays.at(-1) ?? new Float32Array();
        const bytes = arrays.map((array) => new Uint8Array(array.buffer));
        try {
          programs[names.indexOf(name)]?.launch([launchOf(kernel)], bytes, { order });
        } catch (error) {
          if (!(error instanceof EmulationError)) throw error;
          return { output, found: error.message };
        }
        return { output, found: "" };
      });
    }
  });

  after(() => closers.forEach((close) => close()));

  const run = (checks: Checks, name: FaultName, order?: ThreadOrder): Outcome =>
    runs.get(checks)?.(name, order) ?? { output: new Float32Array(), found: "was not built" };

  it("nothing in a good kernel", () => {
    for (const checks of runs.keys())
      for (const order of threadOrders) expect(run(checks, "none", order).found).to.equal("");
  });

  for (const name of ["missingBarrier", "missingSecondBarrier"] as const) {
    it(`${name}: by its result in some order, and as a race in every order`, () => {
      const good = run("plain", "none").output;
      const wrong = threadOrders.filter((order) => {
        const { output, found } = run("plain", name, order);
        return found !== "" || output.some((value, i) => !Object.is(value, good[i]));
      });
      expect(wrong).to.not.deep.equal([]);
      for (const order of threadOrders)
        expect(run("races", name, order).found).to.match(
          /block 0, thread \d+: race: it (reads|writes) byte \d+ of a shared array/,
        );
    });
  }

  it("a barrier that some threads pass by", () => {
    for (const order of threadOrders)
      expect(run("plain", "divergentBarrier", order).found).to.match(
        /^kiln_k_shared_matmul.*, block 0, thread \d+: it (waits at the barrier of line|has ended)/,
      );
  });

  it("threads that wait at different barriers", () => {
    expect(run("plain", "differentBarriers").found).to.match(
      /thread 40: it waits at the barrier of line \d+, while others/,
    );
  });

  it("a product of tiles to which not all threads of a warp come", () => {
    expect(run("plain", "divergentProduct").found).to.match(
      /thread 3: it waits at the barrier of line \d+, while others of its warp/,
    );
  });

  it("a store outside of a buffer, at its line", () => {
    expect(run("addresses", "storeOutside").found).to.match(
      /AddressSanitizer.*\nWRITE of size[^]*programs\/\d+\.cu:\d+/,
    );
    expect(run("races", "storeOutside").found).to.match(
      /it reaches outside of what it was given, at byte \d+ of a buffer/,
    );
  });

  it("an access outside of a shared array", () => {
    expect(run("addresses", "sharedOutside").found).to.include("AddressSanitizer: global-buffer-overflow");
  });

  it("a shared array that is read before it is written, as NaN", () => {
    expect(run("plain", "none").output.some(Number.isNaN)).to.equal(false);
    expect(run("plain", "unwritten").output.some(Number.isNaN)).to.equal(true);
  });

  it("a vector at an address that CUDA does not allow", () => {
    expect(run("plain", "misaligned").found).to.match(
      /thread 0: it moves a vector at an address that is no multiple of 16 bytes/,
    );
  });

  it("two blocks that write the same elements", () => {
    expect(run("races", "blocksMeet").found).to.match(
      /block 1, thread \d+: race: it writes byte \d+ of a buffer, which block 0/,
    );
  });

  it("threads that poll for what never comes", () => {
    expect(run("plain", "endless").found).to.include("the threads of its block poll each other for ever");
  });
});
