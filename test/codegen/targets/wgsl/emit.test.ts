/** The text of emitted modules, and the bindings of their launches. */
import { expect } from "chai";
import { emitWgsl } from "../../../../codegen/targets/wgsl/emit.ts";
import { wgslLimits, wgslMachine } from "../../../../codegen/targets/wgsl/limits.ts";
import { wgslName } from "../../../../codegen/targets/wgsl/spelling.ts";
import {
  constant,
  draw,
  int,
  load,
  mma,
  mutable,
  scalar,
  shared,
  store,
  variable,
  type Kernel,
} from "../../../../ir/loop/loop.ts";
import type { Arg, PlannedBuffer, PlannedEntry, PlannedProgram } from "../../../../ir/program.ts";
import { failsWith } from "../../../fails-with.ts";
import { expectGolden } from "../../../golden-text.ts";
import { checkedGather, elementwiseChain, param, rowSoftmax, tasksLoop } from "../../../ir/loop/sample-kernels.ts";
import { emitKernels } from "./device.ts";
import { bytes, counters, manyBuffers, manyTasks, readBothWays, sharedSum, turnAround } from "./gpu-kernels.ts";

const buffer = (role: PlannedBuffer["role"], name: string, size: number): PlannedBuffer => ({
  role,
  name,
  dtype: "f32",
  stored: "f32",
  shape: [size],
});

/** Buffers 0 to 3: arena, state, an input, scalars. */
const entry: PlannedEntry = {
  name: "train",
  batch: 4,
  arenaBytes: 65536,
  buffers: [
    buffer("arena", "arena", 0),
    buffer("state", "state", 0),
    buffer("input", "x", 64),
    buffer("scalars", "s", 2),
  ],
  phases: [],
  scalars: [],
  increments: {},
};

/** A program that launches its only kernel at the given places. */
function program(kernel: Kernel, ...launches: readonly (readonly Arg[])[]): PlannedProgram {
  return {
    name: "sample",
    kernels: [kernel],
    entries: [{ ...entry, phases: launches.map((args) => [{ kernel: 0, args }]) }],
  };
}

/** y = x + scale, 16 elements. */
function scaled(scaleSize = 2): Kernel {
  return {
    name: "scaled",
    doc: "y = x + scale",
    tasks: 16,
    flops: 16,
    buffers: [param("x", "f32", 16), param("scale", "f32", scaleSize), param("y", "f32", 16, "write")],
    body: [
      tasksLoop([
        store("y", variable("task"), scalar("add", load("x", "f32", variable("task")), load("scale", "f32", int(1)))),
      ]),
    ],
  };
}

const arena = (offset: number): Arg => ({ buffer: 0, offset });
const state = (offset: number): Arg => ({ buffer: 1, offset });
const scalars: Arg = { buffer: 3, offset: 0 };

describe("WGSL emitter", () => {
  it("writes the golden text of small kernels", () => {
    const kernels = [elementwiseChain(), rowSoftmax(), checkedGather(), sharedSum(), turnAround(), counters(), bytes()];
    const { kernels: modules } = emitKernels([...kernels, manyTasks(), readBothWays()]);
    for (const { name, text } of modules) expectGolden(`test/golden/wgsl/${name.replace(/^kiln_k_/, "")}.wgsl`, text);
  });

  it("asks for what WebGPU grants everywhere", () => {
    expect(wgslMachine.gpu?.threads).to.equal(wgslLimits.threads);
    expect(wgslMachine.gpu?.sharedBytes).to.equal(wgslLimits.sharedBytes);
    expect(wgslMachine.gpu?.bindings).to.equal(wgslLimits.bindings);
    expect(wgslMachine.alignment).to.equal(wgslLimits.alignment);
  });

  it("gives every kernel its shape, and one module to launches that are bound alike", () => {
    const there = [arena(0), scalars, arena(256)];
    const { kernels, launches } = emitWgsl(
      program(scaled(), there, [arena(512), scalars, arena(1024)], [state(0), scalars, arena(0)]),
    );
    expect(
      kernels.map(({ name, threads, sharedBytes, bindings }) => ({ name, threads, sharedBytes, bindings })),
    ).to.deep.equal([
      { name: "kiln_k_scaled", threads: 1, sharedBytes: 0, bindings: ["readwrite", "uniform", "readwrite"] },
      { name: "kiln_k_scaled_2", threads: 1, sharedBytes: 0, bindings: ["read", "uniform", "readwrite"] },
    ]);
    expect(launches[0]?.map(({ kernel, groups }) => [kernel, groups])).to.deep.equal([
      [0, 16],
      [0, 16],
      [1, 16],
    ]);
    expect(launches[0]?.[1]?.bindings).to.deep.equal([
      { buffer: 0, offset: 512, bytes: 64 },
      { buffer: 3, offset: 0, bytes: 16 },
      { buffer: 0, offset: 1024, bytes: 64 },
    ]);
    expect(emitKernels([sharedSum()]).kernels[0]).to.include({ threads: 64, sharedBytes: 256 });
  });

  it("binds overlapping ranges once where they are written, and apart where they are not", () => {
    const inPlace = emitWgsl(program(scaled(), [arena(256), scalars, arena(256)]));
    expect(inPlace.kernels[0]?.bindings).to.deep.equal(["readwrite", "uniform"]);
    expect(inPlace.launches[0]?.[0]?.bindings[0]).to.deep.equal({ buffer: 0, offset: 256, bytes: 64 });
    const readOnly = emitWgsl(program(scaled(), [state(0), state(0), arena(0)]));
    expect(readOnly.kernels[0]?.bindings).to.deep.equal(["read", "read", "readwrite"]);
    // The second range bridges the first and the third.
    const bridged = emitWgsl(program(scaled(200), [arena(0), arena(0), arena(512)]));
    expect(bridged.launches[0]?.[0]?.bindings).to.deep.equal([{ buffer: 0, offset: 0, bytes: 800 }]);
    expect(bridged.kernels[0]?.text).to.include("kiln_memory_0[task + 128] = kiln_memory_0[task] + kiln_memory_0[1];");
  });

  it("joins neighbours in a region until the bindings are few enough", () => {
    const kernel = manyBuffers(10);
    const places = kernel.buffers.map((_, index) => arena(index * 256));
    const { kernels, launches } = emitWgsl(program(kernel, [...places.slice(0, -1), { buffer: 2, offset: 0 }]));
    expect(kernels[0]?.bindings).to.have.lengthOf(8);
    const ranges = launches[0]?.[0]?.bindings
      .filter(({ buffer: which }) => which === 0)
      .toSorted((x, y) => x.offset - y.offset);
    ranges?.forEach((range, index) => {
      const next = ranges[index + 1];
      if (next !== undefined) expect(range.offset + range.bytes).to.be.at.most(next.offset);
    });
  });

  it("refuses what WebGPU cannot bind", () => {
    const kernel = manyBuffers(10);
    const spread: PlannedProgram = program(
      kernel,
      kernel.buffers.map((_, index) => ({ buffer: index, offset: 0 })),
    );
    const buffers = kernel.buffers.map(({ name }) => buffer("input", name, 64));
    const entries = spread.entries.map((each) => ({ ...each, buffers }));
    failsWith("K5302", () => emitWgsl({ ...spread, entries }));
    failsWith("K5304", () => emitKernels([{ ...sharedSum(), threads: 512 }]));
    const greedy = { ...sharedSum(), body: [tasksLoop([shared("s", "f32", 5000)])] };
    failsWith("K5304", () => emitKernels([greedy]));
  });

  it("refuses launches that fit neither kernel nor entry", () => {
    failsWith("K5105", () => emitWgsl(program(scaled(), [arena(0), scalars])));
    failsWith("K5105", () => emitWgsl(program(scaled(), [arena(0), scalars, arena(64)])));
    failsWith("K5105", () => emitWgsl(program(scaled(), [arena(0), scalars, { buffer: 9, offset: 0 }])));
    failsWith("K5105", () => emitWgsl({ ...program(scaled(), [arena(0), scalars, arena(256)]), kernels: [] }));
  });

  it("refuses types and numbers that WGSL has not", () => {
    for (const dtype of ["f64", "f16", "bf16"] as const) {
      const body = [tasksLoop([store("y", int(0), load("x", dtype, variable("task")))])];
      const buffers = [param("x", dtype, 8), param("y", dtype, 8, "write")];
      failsWith("K5301", () => emitKernels([{ name: "half", doc: "", tasks: 1, flops: 0, buffers, body }]));
    }
    const wide = (value: number): Kernel => ({
      ...manyTasks(1),
      body: [tasksLoop([store("y", int(value), constant("i32", 1))])],
    });
    failsWith("K5305", () => emitKernels([wide(2 ** 40)]));
    // The ends of 64-bit reductions are the ends of 32-bit ones.
    expect(emitKernels([wide(Number.MAX_SAFE_INTEGER)]).kernels[0]?.text).to.include("y[2147483647]");
  });

  it("takes statements of other targets for a bug", () => {
    const drawing = { ...counters(), body: [tasksLoop([draw({ kind: "bernoulli", p: 0.5 }, "key", "y", 8)])] };
    failsWith("K9001", () => emitKernels([drawing]));
    const zero = constant("f32", 0);
    const sums = ["a", "b", "c", "d"];
    const product = mma("tf32", sums, [zero, zero, zero, zero], [zero, zero]);
    const multiplying = { ...counters(), body: [tasksLoop([...sums.map((name) => mutable(name, zero)), product])] };
    failsWith("K9001", () => emitKernels([multiplying]));
  });

  it("keeps names that WGSL has taken apart from the program's", () => {
    for (const name of ["fn", "array", "max", "vec4", "target", "kiln_keep", "kiln_0"]) {
      expect(wgslName(name).text).to.equal(`${name}_`);
      // What a program calls so already stays apart too.
      expect(wgslName(`${name}_`).text).to.equal(`${name}__`);
    }
    expect(wgslName("fnord").text).to.equal("fnord");
  });

  it("lets no text out of its comment", () => {
    const hostile = { ...elementwiseChain(), doc: "a \n*/ fn x() {}" };
    expect(emitKernels([hostile]).kernels[0]?.text.split("\n")[0]).to.equal("// a ?*/ fn x() {}");
  });
});
