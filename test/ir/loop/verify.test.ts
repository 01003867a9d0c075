/** What the loop-IR verifier lets through and what it stops. */
import { expect } from "chai";
import {
  assign,
  bind,
  branch,
  cast,
  constant,
  draw,
  int,
  load,
  local,
  loop,
  mutable,
  scalar,
  splat,
  store,
  variable,
  type Expr,
  type Kernel,
  type Stmt,
} from "../../../ir/loop/loop.ts";
import { verifyKernel } from "../../../ir/loop/verify.ts";
import {
  checkedGather,
  columnSum,
  elementwiseChain,
  param,
  rowSoftmax,
  tasksLoop,
  tileMatmul,
  vectorLanes,
} from "./sample-kernels.ts";

const f32 = (value: number): Expr => constant("f32", value);
const f32Var = (name: string): Expr => variable(name, { dtype: "f32", lanes: 1 });
const x = (index: Expr): Expr => load("x", "f32", index);

/** A kernel of one task with a body inside its tasks loop. */
function kernel(body: readonly Stmt[], more: Partial<Kernel> = {}): Kernel {
  const buffers = [param("x", "f32", 8), param("y", "f32", 8, "write"), param("rng", "i32", 630, "readwrite")];
  return { name: "k", doc: "", tasks: 1, flops: 0, buffers, body: [tasksLoop(body)], ...more };
}

const sum = (value: Expr, reduced = true): Stmt[] => [
  mutable("s", f32(0)),
  loop("i", int(0), int(8), [assign("s", value)], {
    mode: "vector",
    reductions: reduced ? [{ name: "s", op: "add" }] : [],
  }),
];

const plus = (a: Expr, b: Expr): Expr => scalar("add", a, b);

/** A broken kernel and what the error must say. */
const broken: readonly (readonly [what: string, says: string, kernel: Kernel])[] = [
  ["an unbound name", "no variable in sight", kernel([store("y", variable("j"), f32(0))])],
  [
    "a name used after its block",
    "no variable in sight",
    kernel([branch(constant("bool", 1), [bind("a", f32(1))]), store("y", int(0), f32Var("a"))]),
  ],
  ["a name bound twice", "bound twice", kernel([bind("a", int(1)), loop("a", int(0), int(2), [])])],
  ["a name that hides a buffer", "bound twice", kernel([bind("x", int(1))])],
  ["a name that C could not spell", "not an identifier", kernel([bind("a b", int(1))])],
  ["a value of another type", "expected f32, but 1 is i64", kernel([store("y", int(0), int(1))])],
  ["operands of two types", "operands of add", kernel([store("y", int(0), scalar("add", f32(1), constant("f64", 1)))])],
  ["an operation the type has not", "no sqrt of i64", kernel([bind("a", scalar("sqrt", int(2)))])],
  ["a wrong number of operands", "takes 2 operands", kernel([store("y", int(0), scalar("add", f32(1)))])],
  ["an index that is no i64", "is no i64", kernel([store("y", int(0), x(constant("i32", 0)))])],
  ["a constant out of range", "is no u8", kernel([bind("a", constant("u8", 256))])],
  ["a wrong number of lanes", "lanes", kernel([bind("a", load("x", "f32", int(0), 3))])],
  ["lanes against a scalar", "operands of add", kernel([bind("a", scalar("add", splat(f32(1), 8), f32(1)))])],
  ["a load of the wrong type", "holds f32", kernel([bind("a", load("x", "i32", int(0)))])],
  ["a read of what is only written", "may not be read", kernel([bind("a", load("y", "f32", int(0)))])],
  ["a write to what is only read", "may not be written", kernel([store("x", int(0), f32(0))])],
  ["an assignment to a constant", "no mutable", kernel([bind("a", f32(1)), assign("a", f32(2))])],
  ["an undeclared reduction", "without declaring", kernel(sum(plus(f32Var("s"), x(variable("i"))), false))],
  ["a reduction by something else", "other than by add", kernel(sum(scalar("mul", f32Var("s"), x(variable("i")))))],
  ["a look at a reduction", "looks at", kernel(sum(plus(f32Var("s"), scalar("exp", f32Var("s")))))],
  [
    "an idle reduction",
    "does not change",
    kernel([
      mutable("s", f32(0)),
      loop("i", int(0), int(8), [], { mode: "vector", reductions: [{ name: "s", op: "max" }] }),
    ]),
  ],
  [
    "a tasks loop over something else",
    "taskBegin",
    kernel([], { body: [loop("t", int(0), int(1), [], { mode: "tasks" })] }),
  ],
  ["task bounds elsewhere", "no variable in sight", kernel([bind("a", variable("taskBegin"))])],
  ["a write outside of the tasks", "outside of the tasks loop", kernel([], { body: [store("y", int(0), f32(0))] })],
  ["a large local array", "65536 bytes", kernel([local("a", "f32", 20_000)])],
  ["many local arrays", "262144 bytes", kernel(["a", "b", "c", "d", "e"].map((name) => local(name, "f32", 16_000)))],
  ["a condition that is a number", "expected bool", kernel([branch(int(1), [])])],
  [
    "draws in several tasks",
    "by one task",
    kernel([draw({ kind: "normal", mean: 0, std: 1 }, "rng", "y", 8)], { tasks: 2 }),
  ],
  ["more draws than room", "no room", kernel([draw({ kind: "normal", mean: 0, std: 1 }, "rng", "y", 9)])],
];

describe("loop IR verifier", () => {
  it("accepts the sample kernels", () => {
    const samples = [elementwiseChain(), rowSoftmax(), columnSum(), tileMatmul(), checkedGather(), vectorLanes()];
    for (const sample of samples) verifyKernel(sample);
    verifyKernel(kernel(sum(plus(x(variable("i")), f32Var("s")))));
    verifyKernel(kernel(sum(scalar("fma", x(variable("i")), cast(variable("i"), "f32"), f32Var("s")))));
  });

  for (const [what, says, sample] of broken) {
    it(`stops ${what}`, () => {
      expect(() => verifyKernel(sample)).to.throw(new RegExp(`${says}[^]*K5102|K5102[^]*${says}`));
    });
  }
});
