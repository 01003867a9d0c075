/** The loop-IR interpreter: results, and the faults it must find. */
import { expect } from "chai";
import { interpretKernel, loopArray } from "../../../ir/loop/interpret.ts";
import {
  bind,
  branch,
  constant,
  draw,
  int,
  load,
  local,
  loop,
  scalar,
  store,
  variable,
  type Expr,
  type Kernel,
  type Stmt,
} from "../../../ir/loop/loop.ts";
import { checkedGather, elementwiseChain, param, rowSoftmax, tasksLoop, tileMatmul } from "./sample-kernels.ts";

const add = (a: Expr, b: Expr): Expr => scalar("add", a, b);
const task = variable("task");
const i = variable("i");

/** A kernel over `x` (read and written, 8 f32) and `y` (written), of four tasks. */
function kernel(body: readonly Stmt[]): Kernel {
  const buffers = [param("x", "f32", 8, "readwrite"), param("y", "f32", 8, "write")];
  return { name: "k", doc: "", tasks: 4, flops: 0, buffers, body: [tasksLoop(body)] };
}

function run(sample: Kernel): { x: Float32Array; y: Float32Array } {
  const buffers = { x: Float32Array.from({ length: 8 }, (_, index) => index + 1), y: new Float32Array(8) };
  interpretKernel(sample, buffers);
  return buffers;
}

const x = (index: Expr): Expr => load("x", "f32", index);
const vector = (body: readonly Stmt[]): Stmt =>
  branch(scalar("eq", task, int(0)), [loop("i", int(0), int(4), body, { mode: "vector" })]);

/** Kernels that do what none may, and what the error must say. */
const faulty: readonly (readonly [what: string, says: string, kernel: Kernel])[] = [
  ["a read past the end", "reads x\\[8\\] of 8", kernel([store("y", task, x(add(task, int(5))))])],
  [
    "a write before the start",
    "writes y\\[-1\\]",
    kernel([store("y", scalar("sub", task, int(1)), constant("f32", 0))]),
  ],
  ["lanes past the end", "reads x\\[8\\] of 8", kernel([bind("v", load("x", "f32", add(task, int(2)), 4))])],
  [
    "a read of an unwritten local",
    "nothing has been written",
    kernel([local("a", "f32", 4), store("y", task, load("a", "f32", int(1)))]),
  ],
  [
    "a local that remembers the last round",
    "nothing has been written",
    kernel([
      loop("i", int(0), int(2), [
        local("a", "f32", 1),
        branch(scalar("eq", i, int(0)), [store("a", int(0), constant("f32", 1))]),
        store("y", task, load("a", "f32", int(0))),
      ]),
    ]),
  ],
  [
    "two tasks that write one element",
    "race: task 1 writes y\\[0\\], which task 0 wrote",
    kernel([store("y", int(0), x(task))]),
  ],
  [
    "a task that reads what another wrote",
    "race: task 1 reads x\\[0\\]",
    kernel([store("x", task, x(scalar("div", task, int(2))))]),
  ],
  [
    "a task that writes what another read",
    "another task read",
    kernel([store("y", task, x(scalar("min", add(task, int(1)), int(7)))), store("x", task, constant("f32", 0))]),
  ],
  [
    "an iteration that reads another's write",
    "another iteration",
    kernel([vector([store("x", add(i, int(1)), x(i))])]),
  ],
  [
    "an iteration that writes another's read",
    "another iteration",
    kernel([vector([store("x", i, x(add(i, int(1))))])]),
  ],
  ["two iterations that write one element", "another iteration", kernel([vector([store("y", int(0), x(i))])])],
  [
    "iterations that share a local",
    "another iteration",
    kernel([local("a", "f32", 1), store("a", int(0), constant("f32", 0)), vector([store("a", int(0), x(i))])]),
  ],
];

describe("loop IR interpreter", () => {
  for (const [what, says, sample] of faulty) {
    it(`finds ${what}`, () => {
      expect(() => run(sample)).to.throw(new RegExp(`${says}[^]*K5103`));
    });
  }

  it("lets iterations have what is theirs alone", () => {
    const own = vector([
      local("a", "f32", 1),
      store("a", int(0), x(i)),
      store("x", i, add(load("a", "f32", int(0)), x(i))),
    ]);
    const { x: result } = run(kernel([own, own]));
    expect(Array.from(result)).to.deep.equal([4, 8, 12, 16, 5, 6, 7, 8]);
  });

  it("evaluates only the chosen side of a select", () => {
    const inside = scalar("lt", add(task, int(6)), int(8));
    const { y } = run(kernel([store("y", task, scalar("select", inside, x(add(task, int(6))), constant("f32", -1)))]));
    expect(Array.from(y.slice(0, 4))).to.deep.equal([7, 8, -1, -1]);
  });

  it("gives the same however the tasks are cut", () => {
    const sample = tileMatmul();
    const inputs = (): Record<string, Float32Array> => ({
      a: Float32Array.from({ length: 99 }, (_, k) => Math.sin(k)),
      b: Float32Array.from({ length: 407 }, (_, k) => Math.cos(k)),
      c: new Float32Array(333),
    });
    const whole = inputs();
    interpretKernel(sample, whole);
    const parts = inputs();
    for (const [begin, end] of [
      [2, 3],
      [0, 2],
    ] as const)
      interpretKernel(sample, parts, { begin, end });
    expect(parts["c"]).to.deep.equal(whole["c"]);
    const [a, b] = [whole["a"], whole["b"]];
    const dot = Array.from({ length: 11 }, (_, p) => (a?.[8 * 11 + p] ?? 0) * (b?.[p * 37 + 36] ?? 0)).reduce(
      (s, v) => s + v,
    );
    expect(whole["c"]?.[8 * 37 + 36]).to.be.closeTo(Math.max(dot, -1), 1e-5);
  });

  it("rounds to float32 after every operation", () => {
    const buffers = { x: new Float32Array([0.1]), bias: new Float32Array([0.2]), y: new Float32Array(1) };
    interpretKernel(elementwiseChain(1, 1), buffers);
    expect(buffers.y[0]).to.equal(Math.fround(Math.fround(0.1) * Math.fround(0.3) + Math.fround(0.2)));
  });

  it("computes rows of a softmax that add up to 1", () => {
    const x = Float32Array.from({ length: 6 * 77 }, (_, k) => Math.sin(k * k) * 80);
    const y = new Float32Array(6 * 77);
    interpretKernel(rowSoftmax(), { x, y });
    for (let row = 0; row < 6; row++) {
      expect(y.slice(row * 77, row * 77 + 77).reduce((s, v) => s + v)).to.be.closeTo(1, 1e-5);
    }
  });

  it("records the first failed check only", () => {
    const sample = checkedGather();
    const buffers = Object.fromEntries(sample.buffers.map(({ name, dtype, size }) => [name, loopArray(dtype, size)]));
    const indices = buffers["indices"];
    if (indices instanceof Int32Array) indices.set([1, 99, -3]);
    interpretKernel(sample, buffers);
    expect(buffers["status"]).to.deep.equal(new Int32Array([7, 99, 7, 0]));
  });

  it("draws through its caller", () => {
    const rng = param("rng", "i32", 630, "readwrite");
    const sample: Kernel = {
      ...kernel([draw({ kind: "uniform", low: 2, high: 3 }, "rng", "y", 3)]),
      tasks: 1,
      buffers: [param("y", "f32", 8, "write"), rng],
    };
    const buffers = { y: new Float32Array(8), rng: new Int32Array(630) };
    expect(() => interpretKernel(sample, buffers)).to.throw("nothing was given to draw with");
    interpretKernel(sample, buffers, {
      draw: (what, generator, count) => [generator.length, count, what.kind === "uniform" ? what.low : 0],
    });
    expect(Array.from(buffers.y.slice(0, 4))).to.deep.equal([630, 3, 2, 0]);
  });

  it("names a buffer that is missing or too short", () => {
    expect(() =>
      interpretKernel(elementwiseChain(), { x: new Float32Array(400), bias: new Float32Array(99) }),
    ).to.throw("needs 100 elements for bias, got 99");
  });
});
