/** Threads of a task: what the interpreter and the verifier make of shared arrays, barriers, matrix tiles and counters. */
import { expect } from "chai";
import { interpretKernel, loopArray, type LoopArray } from "../../../ir/loop/interpret.ts";
import {
  assign,
  barrier,
  bind,
  branch,
  cast,
  constant,
  dot,
  int,
  lane,
  load,
  loop,
  mma,
  mutable,
  pack,
  randomBits,
  scalar,
  shared,
  shuffle,
  splat,
  store,
  variable,
  type BufferParam,
  type Expr,
  type Kernel,
  type MatrixFormat,
  type Stmt,
} from "../../../ir/loop/loop.ts";
import { lowerDots } from "../../../ir/loop/lower-dots.ts";
import { lowerShuffles } from "../../../ir/loop/lower-shuffles.ts";
import { verifyKernel } from "../../../ir/loop/verify.ts";
import { allStatements } from "../../../ir/loop/walk.ts";
import { philox, randomBits as bitsOf } from "../../../ir/random/counter.ts";
import { at } from "../../../ir/type.ts";
import { failsWith } from "../../fails-with.ts";
import { shuffles } from "./gpu-kernels.ts";

const thread = variable("thread");
const f32 = (value: number): Expr => constant("f32", value);
const y = (size: number): BufferParam => ({ name: "y", dtype: "f32", size, access: "readwrite" });

function kernel(threads: number, body: readonly Stmt[], buffers: readonly BufferParam[] = [y(threads)]): Kernel {
  const tasks = loop("task", variable("taskBegin"), variable("taskEnd"), body, { mode: "tasks" });
  return { name: "k", doc: "", tasks: 1, threads, flops: 0, buffers, body: [tasks] };
}

function run(made: Kernel, size = made.threads ?? 1): number[] {
  const array = loopArray("f32", size);
  interpretKernel(made, { y: array });
  return Array.from(array as Float32Array);
}

describe("threads of a task", () => {
  const next = scalar("mod", scalar("add", thread, int(1)), int(4));
  const turned = (between: readonly Stmt[]): Kernel =>
    kernel(4, [
      shared("s", "f32", 4),
      store("s", thread, cast(thread, "f32")),
      ...between,
      store("y", thread, load("s", "f32", next)),
    ]);

  it("see behind a barrier what others wrote", () => {
    expect(run(turned([barrier()]))).to.deep.equal([1, 2, 3, 0]);
  });

  it("race without a barrier", () => {
    failsWith("K5103", () => run(turned([])));
  });

  it("race on a buffer, too", () => {
    const body = [store("y", thread, f32(1)), store("y", next, f32(2))];
    failsWith("K5103", () => run(kernel(4, body)));
    expect(run(kernel(4, [at(body, 0), barrier(), at(body, 1)]))).to.deep.equal([2, 2, 2, 2]);
  });

  it("may read together what nobody writes, and then write their own", () => {
    const body = [
      mutable("x", load("y", "f32", int(0))),
      barrier(),
      store("y", thread, variable("x", { dtype: "f32", lanes: 1 })),
    ];
    expect(run(kernel(4, body))).to.deep.equal([0, 0, 0, 0]);
  });

  it("keep variables of their own across barriers, and loops that all run alike", () => {
    const sum = variable("sum", { dtype: "f32", lanes: 1 });
    const body = [
      shared("s", "f32", 1),
      mutable("sum", f32(0)),
      loop("i", int(0), int(4), [
        branch(scalar("eq", thread, variable("i")), [store("s", int(0), cast(variable("i"), "f32"))]),
        barrier(),
        assign("sum", scalar("add", sum, scalar("mul", load("s", "f32", int(0)), cast(thread, "f32")))),
        barrier(),
      ]),
      store("y", thread, sum),
    ];
    expect(run(kernel(4, body))).to.deep.equal([0, 6, 12, 18]);
  });

  it("do not read a shared array that nobody wrote", () => {
    failsWith("K5103", () => run(kernel(2, [shared("s", "f32", 2), store("y", thread, load("s", "f32", thread))])));
  });

  it("read each other's values by shuffles, and through shared arrays where they reach further", () => {
    const made = shuffles();
    const inputs = (): Record<string, LoopArray> => ({
      x: Float32Array.from({ length: 384 }, (_, i) => Math.sin(i)),
      k: BigInt64Array.from({ length: 384 }, (_, i) => BigInt((i * 37) % 11)),
      y: new Float32Array(384),
      m: new BigInt64Array(384),
    });
    const want = inputs();
    interpretKernel(made, want);
    for (const reach of [64, 32, 4, 0]) {
      const lowered = lowerShuffles(made, (dtype) => (dtype === "bool" ? 0 : reach));
      verifyKernel(lowered);
      const got = inputs();
      interpretKernel(lowered, got);
      expect(got, `reach ${reach}`).to.deep.equal(want);
      const far = allStatements(lowered.body).filter((stmt) => stmt.kind === "shuffle" && stmt.distance >= reach);
      expect(far).to.deep.equal([]);
    }
    expect(lowerShuffles(made, () => 128)).to.equal(made);
  });

  it("shuffle with a partner that is there, where all come", () => {
    const by = (distance: number): Stmt => shuffle(["a"], [f32(1)], distance);
    for (const distance of [0, 3, 4, 0.5]) failsWith("K5102", () => verifyKernel(kernel(4, [by(distance)])));
    failsWith("K5102", () => verifyKernel(kernel(4, [branch(scalar("lt", thread, int(2)), [by(1)])])));
    failsWith("K5102", () => verifyKernel(kernel(4, [by(1), bind("a", f32(1))])));
    failsWith("K5102", () => verifyKernel(kernel(4, [shuffle(["a", "b"], [f32(1)], 1)])));
    verifyKernel(kernel(4, [by(2)]));
  });

  it("come to a barrier all or none", () => {
    const some = branch(scalar("lt", thread, int(2)), [barrier()]);
    failsWith("K5102", () => run(kernel(4, [some])));
    const differing = loop("i", int(0), thread, [barrier()]);
    failsWith("K5102", () => run(kernel(4, [differing])));
    const data = branch(scalar("lt", load("y", "f32", int(0)), f32(1)), [barrier()]);
    failsWith("K5102", () => run(kernel(4, [data])));
    expect(
      run(kernel(2, [branch(scalar("lt", variable("task"), int(1)), [barrier(), store("y", thread, f32(3))])])),
    ).to.deep.equal([3, 3]);
  });

  it("declare shared arrays where all come, and not too large ones", () => {
    failsWith("K5102", () => run(kernel(4, [branch(scalar("lt", thread, int(2)), [shared("s", "f32", 4)])])));
    failsWith("K5102", () => run(kernel(4, [shared("s", "f32", 1 << 20)])));
  });
});

describe("vectors of lanes", () => {
  it("are packed from scalars and taken apart", () => {
    const vector = pack([f32(1), f32(2), f32(3), f32(4)]);
    const body = [
      bind("v", vector),
      store("y", int(0), variable("v", vector.type)),
      store("y", int(4), lane(variable("v", vector.type), 2)),
    ];
    expect(run(kernel(1, body, [y(5)]), 5)).to.deep.equal([1, 2, 3, 4, 3]);
  });

  it("have no lane beyond the last", () => {
    failsWith("K5102", () => run(kernel(1, [store("y", int(0), lane(pack([f32(1), f32(2)]), 2))])));
  });
});

describe("matrix tiles", () => {
  const depths: Readonly<Record<MatrixFormat, number>> = { tf32: 8, bf16: 16, f16: 16 };
  const g = scalar("div", thread, int(4));
  const t = scalar("mod", thread, int(4));
  const plus = (x: Expr, more: number): Expr => scalar("add", x, int(more));

  /** The operand places that PTX documents for mma.sync m16n8k8 (tf32) and m16n8k16 (bf16 and f16). */
  function places(format: MatrixFormat): { readonly a: readonly Expr[]; readonly b: readonly Expr[] } {
    const depth = depths[format];
    const a = (row: Expr, k: Expr): Expr => load("a", "f32", scalar("add", scalar("mul", row, int(depth)), k));
    const b = (k: Expr, column: Expr): Expr => load("b", "f32", scalar("add", scalar("mul", k, int(8)), column));
    if (format === "tf32")
      return {
        a: [a(g, t), a(plus(g, 8), t), a(g, plus(t, 4)), a(plus(g, 8), plus(t, 4))],
        b: [b(t, g), b(plus(t, 4), g)],
      };
    const t2 = scalar("mul", t, int(2));
    return {
      a: [
        a(g, t2),
        a(g, plus(t2, 1)),
        a(plus(g, 8), t2),
        a(plus(g, 8), plus(t2, 1)),
        a(g, plus(t2, 8)),
        a(g, plus(t2, 9)),
        a(plus(g, 8), plus(t2, 8)),
        a(plus(g, 8), plus(t2, 9)),
      ],
      b: [b(t2, g), b(plus(t2, 1), g), b(plus(t2, 8), g), b(plus(t2, 9), g)],
    };
  }

  for (const format of ["tf32", "bf16", "f16"] as const)
    it(`are the product of their operands in ${format}`, () => {
      const depth = depths[format];
      const names = ["s0", "s1", "s2", "s3"];
      const operands = places(format);
      const body = [
        ...names.map((name) => mutable(name, f32(0.5))),
        mma(format, names, operands.a, operands.b),
        ...names.map((name, i) => {
          const row = plus(g, 8 * (i >> 1));
          const column = plus(scalar("mul", t, int(2)), i % 2);
          const place = scalar("add", scalar("mul", row, int(8)), column);
          return store("y", place, variable(name, { dtype: "f32", lanes: 1 }));
        }),
      ];
      const read = (name: string, size: number): BufferParam => ({ name, dtype: "f32", size, access: "read" });
      const made = kernel(32, body, [read("a", 16 * depth), read("b", depth * 8), y(128)]);
      // Small integers, which both formats hold exactly.
      const a = Float32Array.from({ length: 16 * depth }, (_, i) => (i * 7) % 11);
      const b = Float32Array.from({ length: depth * 8 }, (_, i) => ((i * 5) % 13) - 6);
      const result = new Float32Array(128);
      interpretKernel(made, { a, b, y: result });
      for (let row = 0; row < 16; row++)
        for (let column = 0; column < 8; column++) {
          let sum = 0.5;
          for (let k = 0; k < depth; k++) sum += at(a, row * depth + k) * at(b, k * 8 + column);
          expect(result[row * 8 + column], `${row}, ${column}`).to.equal(sum);
        }
    });
});

describe("dot products in half precision", () => {
  const sum = { dtype: "f32", lanes: 1 } as const;
  const summed = (first: number, a: readonly number[], b: readonly number[]): Kernel =>
    kernel(1, [
      mutable("sum", f32(first)),
      dot("f16", "sum", a.map(f32), b.map(f32)),
      store("y", int(0), variable("sum", sum)),
    ]);

  it("round operands and partial sums to halves, and the sum they are added to never", () => {
    expect(run(summed(2 ** 20, [3, 5], [7, 11]))).to.deep.equal([2 ** 20 + 76]);
    // Halves above 2048 are even, and none is beyond 65504.
    expect(run(summed(0, [2048, 1], [1, 1]))).to.deep.equal([2048]);
    expect(run(summed(0, [2049], [1]))).to.deep.equal([2048]);
    expect(run(summed(0, [256, 1], [256, 1]))).to.deep.equal([Infinity]);
    expect(run(summed(1, [2 ** -13], [2 ** -13]))).to.deep.equal([1]);
  });

  it("are the operands' own arithmetic on machines without halves", () => {
    const made = lowerDots(summed(0, [2048, 1], [1, 1]));
    verifyKernel(made);
    expect(allStatements(made.body).filter(({ kind }) => kind === "dot")).to.deep.equal([]);
    expect(run(made)).to.deep.equal([2049]);
    const branched = kernel(1, [
      mutable("sum", f32(1)),
      loop("i", int(0), int(2), [branch(scalar("eq", variable("i"), int(1)), [dot("f16", "sum", [f32(3)], [f32(4)])])]),
      store("y", int(0), variable("sum", sum)),
    ]);
    expect(run(lowerDots(branched))).to.deep.equal([13]);
  });

  it("add to a float32 variable, as many operands by as many, of its lanes", () => {
    const verify = (...body: readonly Stmt[]): void => {
      verifyKernel(kernel(1, body));
    };
    const start = mutable("sum", f32(0));
    verify(start, dot("f16", "sum", [f32(1)], [f32(2)]));
    failsWith("K5102", () => {
      verify(dot("f16", "sum", [f32(1)], [f32(2)]));
    });
    failsWith("K5102", () => {
      verify(bind("sum", f32(0)), dot("f16", "sum", [f32(1)], [f32(2)]));
    });
    for (const [a, b] of [
      [[], []],
      [[f32(1)], [f32(1), f32(2)]],
      [[splat(f32(1), 4)], [splat(f32(1), 4)]],
      [[int(1)], [f32(1)]],
    ] as const)
      failsWith("K5102", () => {
        verify(start, dot("f16", "sum", a, b));
      });
  });
});

describe("counter-based random numbers", () => {
  it("are Philox4x32-10's", () => {
    // Known answers of the authors' Random123 (kat_vectors).
    expect(philox([0, 0, 0, 0], [0, 0])).to.deep.equal([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    const ones = 0xffffffff;
    expect(philox([ones, ones, ones, ones], [ones, ones])).to.deep.equal([
      0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
    ]);
  });

  it("are the upper bits of their words in a kernel", () => {
    const body = [store("y", thread, cast(randomBits("key", 5, thread), "f32"))];
    const made = kernel(8, body, [{ name: "key", dtype: "i32", size: 4, access: "read" }, y(8)]);
    const key = Int32Array.of(1, -2, 3, 0);
    const result = new Float32Array(8);
    interpretKernel(made, { key, y: result });
    expect([...result]).to.deep.equal(Array.from({ length: 8 }, (_, i) => bitsOf(key, 5, i)));
    expect(new Set(result).size).to.equal(8);
  });
});
