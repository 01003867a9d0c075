/** The text of an emitted CUDA program, and what is listed beside it. */
import { expect } from "chai";
import { emitCuda } from "../../../../codegen/targets/cuda/emit.ts";
import {
  bind,
  branch,
  cast,
  constant,
  draw,
  int,
  load,
  loop,
  scalar,
  shared,
  store,
  unboundedSize,
  variable,
  type Kernel,
  type Stmt,
} from "../../../../ir/loop/loop.ts";
import type { PlannedEntry, PlannedProgram } from "../../../../ir/program.ts";
import { expectGolden } from "../../../golden-text.ts";
import { blockSoftmax, dropout, sharedMatmul, tensorMatmul, vectorChain } from "../../../ir/loop/gpu-kernels.ts";
import { checkedGather, param, tasksLoop } from "../../../ir/loop/sample-kernels.ts";
import { loneKernel } from "./lone-kernel.ts";

const entry: PlannedEntry = {
  name: "train",
  batch: 4,
  arenaBytes: 65536,
  buffers: [{ role: "arena", name: "arena", dtype: "u8", stored: "u8", shape: [65536] }],
  phases: [],
  scalars: [],
  increments: {},
};

/** A program of one kernel, launched with its buffers at the given byte offsets in the arena. */
function program(kernel: Kernel, offsets: readonly number[]): PlannedProgram {
  const args = offsets.map((offset) => ({ buffer: 0, offset }));
  return { name: "sample", kernels: [kernel], entries: [{ ...entry, phases: [[{ kernel: 0, args }]] }] };
}

const task = variable("task");

/** A kernel of one statement in its tasks loop, from x to y. */
function kernelOf(body: readonly Stmt[], tasks = 4, size = 4096): Kernel {
  const buffers = [param("x", "f32", size), param("n", "i64", 64), param("y", "f32", size, "write")];
  return { name: "sample", doc: "", tasks, flops: 0, buffers, body: [tasksLoop(body)] };
}

const textOf = (kernel: Kernel): string => emitCuda(loneKernel(kernel)).text;

describe("CUDA emitter", () => {
  it("writes the golden text of a small program", () => {
    const kernels = [vectorChain(), blockSoftmax(), sharedMatmul(), tensorMatmul("tf32"), dropout(), checkedGather()];
    const { text } = emitCuda({ name: "sample", kernels, entries: [] });
    expectGolden("test/golden/cuda/program.cu.txt", text);
  });

  it("lists kernels and launches", () => {
    const { kernels, entries } = emitCuda(program(sharedMatmul(), [0, 8192, 16384]));
    expect(kernels).to.deep.equal([
      {
        name: "kiln_k_shared_matmul",
        threads: 64,
        sharedBytes: 4224,
        bindings: ["read", "read", "readwrite"],
      },
    ]);
    const bindings = [
      { buffer: 0, offset: 0, bytes: 6660 },
      { buffer: 0, offset: 8192, bytes: 7696 },
      { buffer: 0, offset: 16384, bytes: 9360 },
    ];
    expect(entries).to.deep.equal([{ label: "train@4", launches: [{ kernel: 0, groups: 4, bindings }] }]);
  });

  it("launches nothing without tasks, and gives data sets no length", () => {
    const copy = kernelOf([store("y", task, load("x", "f32", task))]);
    const [x, ...rest] = copy.buffers;
    const dataset = { ...copy, buffers: [{ ...(x ?? param("x", "f32", 0)), size: unboundedSize }, ...rest] };
    expect(emitCuda(program(dataset, [0, 0, 0])).entries[0]?.launches[0]?.bindings[0]?.bytes).to.equal(0);
    expect(emitCuda(program({ ...copy, tasks: 0 }, [0, 0, 0])).entries[0]?.launches).to.deep.equal([]);
  });

  it("takes `__restrict__` from buffers that overlap what is written, and only from them", () => {
    const heads = (offsets: readonly number[]): string => emitCuda(program(vectorChain(), offsets)).text;
    expect(heads([0, 4096, 8192])).to.include(
      "const float *__restrict__ x, const float *__restrict__ bias, float *__res",
    );
    expect(heads([0, 4096, 0])).to.include("const float *x, const float *__restrict__ bias, float *y)");
  });

  it("moves vectors as a whole only where every launch and index allow it", () => {
    expect(emitCuda(program(vectorChain(), [0, 4096, 8192])).text).to.include("kiln_load_aligned<4>(&x[i])");
    expect(emitCuda(program(vectorChain(), [4, 4096, 8192])).text).to.include("kiln_load<4>(&x[i])");
    expect(emitCuda(program(vectorChain(), [4, 4096, 8192])).text).to.include("kiln_store_aligned(&y[i]");
    const at = (index: ReturnType<typeof int>): string =>
      textOf(kernelOf([store("y", index, load("x", "f32", index, 4))]));
    expect(at(scalar("mul", task, int(8)))).to.include("kiln_load_aligned<4>(&x[task * 8])");
    expect(at(scalar("mul", task, int(6)))).to.include("kiln_load<4>(&x[task * 6])");
    expect(at(scalar("add", scalar("mul", task, int(4)), int(2)))).to.include("kiln_load<4>(&x[task * 4 + 2])");
    expect(at(scalar("mod", scalar("mul", task, int(12)), int(8)))).to.include(
      "kiln_load_aligned<4>(&x[task * 12 % 8])",
    );
  });

  it("computes indices in 32 bits where they fit, in 64 where they may not, and lets other integers wrap around", () => {
    const product = (size: number): string =>
      textOf(kernelOf([store("y", int(0), load("x", "f32", scalar("mul", task, int(size))))], 2 ** 16));
    expect(product(2 ** 14)).to.include("x[task * 16384]");
    expect(product(2 ** 16)).to.include("x[(long long)task * 65536]");
    const n = load("n", "i64", task);
    const sum = scalar("add", n, int(1));
    const read = textOf(kernelOf([store("y", int(0), cast(sum, "f32"))]));
    expect(read).to.include("(long long)((unsigned long long)n[task] + (unsigned long long)1)");
    expect(
      textOf(
        kernelOf([
          bind("i", scalar("mod", scalar("abs", n), int(9))),
          store("y", variable("i"), load("x", "f32", variable("i"))),
        ]),
      ),
    )
      .to.include("const int i = (int)(")
      .and.include("y[i] = x[i]");
    // The variable of a loop passes its end by a step.
    const steps = loop("i", int(0), int(2 ** 31 - 2), [store("y", int(0), load("x", "f32", variable("i")))], {
      step: 8,
    });
    expect(textOf(kernelOf([steps]))).to.include("for (long long i = ");
  });

  it("refuses what a block cannot do", () => {
    const big = { ...kernelOf([shared("s", "f32", 16000)]), threads: 32 };
    expect(() => emitCuda(loneKernel(big))).to.throw("K5403");
    const rng = param("rng", "i32", 630, "readwrite");
    const drawing = {
      ...kernelOf([draw({ kind: "uniform", low: 0, high: 1 }, "rng", "y", 8)], 1),
      buffers: [rng, param("y", "f32", 8, "write")],
    };
    expect(() => emitCuda(loneKernel(drawing))).to.throw("K5402");
    const half: Kernel = { ...kernelOf([]), buffers: [param("x", "bf16", 8)] };
    expect(() => emitCuda(loneKernel(half))).to.throw("K5401");
    expect(() => emitCuda({ name: "two", kernels: [vectorChain(), vectorChain()], entries: [] })).to.throw("K5105");
  });

  it("keeps names of a program out of CUDA's way", () => {
    const odd = kernelOf([
      bind("threadIdx", int(1)),
      bind("template", int(2)),
      branch(scalar("lt", variable("threadIdx"), variable("template")), [store("y", int(0), constant("f32", 1))]),
    ]);
    expect(textOf(odd)).to.include("if (threadIdx_ < template_) {");
  });
});
