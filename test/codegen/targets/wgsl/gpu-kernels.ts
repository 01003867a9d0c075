/** Kernels for GPUs built by hand: one for each thing that threads, shared arrays and WGSL's memory make possible. */
import {
  assign,
  barrier,
  bind,
  branch,
  cast,
  check,
  constant,
  int,
  load,
  local,
  loop,
  mutable,
  randomBits,
  scalar,
  shared,
  splat,
  store,
  unboundedSize,
  variable,
  type Expr,
  type Kernel,
  type Stmt,
  type ValueType,
} from "../../../../ir/loop/loop.ts";
import type { ScalarOp } from "../../../../ir/loop/scalar.ts";
import { param, tasksLoop } from "../../../ir/loop/sample-kernels.ts";

const add = (x: Expr, y: Expr): Expr => scalar("add", x, y);
const mul = (x: Expr, y: Expr): Expr => scalar("mul", x, y);
const f32Type: ValueType = { dtype: "f32", lanes: 1 };
const thread = variable("thread");
const task = variable("task");

/** The number of the element that a thread computes, and the statement that binds it to `i`. */
const own = (threads: number): Stmt => bind("i", add(mul(task, int(threads)), thread));

/** y[row] = sum of x[row], 64 threads a row: each sums its share, then halves of a shared array are added. */
export function sharedSum(rows = 5, width = 300): Kernel {
  const threads = 64;
  const halve = (half: number): Stmt[] => [
    branch(scalar("lt", thread, int(half)), [
      store("parts", thread, add(load("parts", "f32", thread), load("parts", "f32", add(thread, int(half))))),
    ]),
    barrier(),
  ];
  return {
    name: "shared_sum",
    doc: "y = sum of x over columns",
    tasks: rows,
    threads,
    flops: rows * width,
    buffers: [param("x", "f32", rows * width), param("y", "f32", rows, "write")],
    body: [
      tasksLoop([
        shared("parts", "f32", threads),
        mutable("sum", constant("f32", 0)),
        loop(
          "j",
          thread,
          int(width),
          [assign("sum", add(variable("sum", f32Type), load("x", "f32", add(mul(task, int(width)), variable("j")))))],
          { step: threads },
        ),
        store("parts", thread, variable("sum", f32Type)),
        barrier(),
        ...[32, 16, 8, 4, 2, 1].flatMap(halve),
        branch(scalar("eq", thread, int(0)), [store("y", task, load("parts", "f32", int(0)))]),
      ]),
    ],
  };
}

/** x is turned around within blocks of 64, in place, through the buffer itself: threads read what others will overwrite. */
export function turnAround(blocks = 3): Kernel {
  const threads = 64;
  const other = add(mul(task, int(threads)), scalar("sub", int(threads - 1), thread));
  return {
    name: "turn_around",
    doc: "x in blocks, backwards",
    tasks: blocks,
    threads,
    flops: 0,
    buffers: [param("x", "f32", blocks * threads, "readwrite")],
    body: [
      tasksLoop([
        own(threads),
        bind("mirrored", load("x", "f32", other)),
        barrier(),
        store("x", variable("i"), variable("mirrored", f32Type)),
      ]),
    ],
  };
}

/**
 * y[row] = product of x[row] and a matrix of 4 columns, by vectors, plus that matrix's element [row, 2] alone: one buffer
 * read both ways. Two rounds, the second of which adds what the first has left in `y` of another thread.
 */
export function readBothWays(rows = 8): Kernel {
  const vector: ValueType = { dtype: "f32", lanes: 4 };
  const first = mul(variable("i"), int(4));
  const other = mul(scalar("sub", int(rows - 1), variable("i")), int(4));
  return {
    name: "both_ways",
    doc: "y = x m + m[row, 2], twice",
    tasks: 1,
    threads: rows,
    flops: rows * rows * 8,
    buffers: [param("x", "f32", rows * rows), param("m", "f32", rows * 4), param("y", "f32", rows * 4, "readwrite")],
    body: [
      tasksLoop([
        own(rows),
        loop("round", int(0), int(2), [
          bind("before", load("y", "f32", other, 4)),
          barrier(),
          mutable("sum", variable("before", vector)),
          loop("k", int(0), int(rows), [
            bind("scale", load("x", "f32", add(mul(variable("i"), int(rows)), variable("k")))),
            assign(
              "sum",
              scalar(
                "fma",
                splat(variable("scale", f32Type), 4),
                load("m", "f32", mul(variable("k"), int(4)), 4),
                variable("sum", vector),
              ),
            ),
          ]),
          bind("alone", load("m", "f32", add(first, int(2)))),
          store("y", first, add(variable("sum", vector), splat(variable("alone", f32Type), 4))),
          barrier(),
        ]),
      ]),
    ],
  };
}

/** y = op(|acosh(|x| + 1)| + 1): an odd function of an operand whose sign a driver knows. */
export function knownSign(op: ScalarOp, count = 32): Kernel {
  const past = (x: Expr): Expr => add(scalar("abs", x), constant("f32", 1));
  return {
    name: `known_sign_${op}`,
    doc: `y = ${op}(|acosh(|x| + 1)| + 1)`,
    tasks: 1,
    threads: count,
    flops: count,
    buffers: [param("x", "f32", count), param("y", "f32", count, "write")],
    body: [tasksLoop([store("y", thread, scalar(op, past(scalar("acosh", past(load("x", "f32", thread))))))])],
  };
}

/** Numbers of the counter-based generator. */
export function counters(tasks = 3): Kernel {
  const threads = 32;
  return {
    name: "counters",
    doc: "24 random bits for each element",
    tasks,
    threads,
    flops: 0,
    buffers: [param("key", "i32", 4), param("y", "i32", tasks * threads, "write")],
    body: [tasksLoop([own(threads), store("y", variable("i"), randomBits("key", 7, variable("i")))])],
  };
}

/** Elements of data sets of bytes, one by one and four at once. */
export function bytes(count = 64): Kernel {
  const first = mul(variable("i"), int(4));
  return {
    name: "bytes",
    doc: "bytes of data sets as numbers",
    tasks: count / 16,
    threads: 4,
    flops: 0,
    buffers: [
      param("mixed", "u8", unboundedSize),
      param("flags", "bool", unboundedSize),
      param("whole", "u8", unboundedSize),
      param("one", "f32", count / 4, "write"),
      param("flag", "i32", count / 4, "write"),
      param("four", "f32", count, "write"),
      param("few", "i32", count, "write"),
    ],
    body: [
      tasksLoop([
        own(4),
        store("one", variable("i"), cast(load("mixed", "u8", add(mul(variable("i"), int(3)), int(2))), "f32")),
        store("flag", variable("i"), cast(load("flags", "bool", add(variable("i"), int(1))), "i32")),
        store("four", first, cast(load("whole", "u8", first, 4), "f32")),
        store("few", first, cast(load("mixed", "u8", variable("i"), 4), "i32")),
      ]),
    ],
  };
}

/** More work-groups than fit along one axis of a dispatch. */
export function manyTasks(tasks = 70_000): Kernel {
  return {
    name: "many",
    doc: "the number of each task",
    tasks,
    flops: 0,
    buffers: [param("y", "i32", tasks, "write")],
    body: [tasksLoop([store("y", task, cast(task, "i32"))])],
  };
}

/** A deep expression, an unrolled loop over a private array, and constants that WGSL has no literals for. */
export function oddities(count = 64): Kernel {
  let deep: Expr = load("x", "f32", variable("i"));
  for (let depth = 0; depth < 200; depth++) deep = add(mul(deep, constant("f32", 0.5)), constant("f32", depth % 7));
  return {
    name: "array",
    doc: "names that WGSL has taken, deep expressions, special constants",
    tasks: 1,
    threads: count,
    flops: count,
    buffers: [param("x", "f32", count), param("select", "f32", count, "write"), param("kiln_y", "f32", count, "write")],
    body: [
      tasksLoop([
        own(count),
        store("select", variable("i"), deep),
        local("let", "f32", 4),
        loop("var", int(0), int(4), [store("let", variable("var"), cast(mul(variable("var"), variable("i")), "f32"))], {
          mode: "unroll",
        }),
        mutable("best", constant("f32", -Infinity)),
        loop("max", int(0), int(4), [
          assign("best", scalar("max", variable("best", f32Type), load("let", "f32", variable("max")))),
        ]),
        bind("nothing", constant("f32", NaN)),
        store(
          "kiln_y",
          variable("i"),
          scalar(
            "select",
            scalar("eq", variable("i"), int(5)),
            add(variable("nothing", f32Type), scalar("div", constant("f32", 1), constant("f32", 0))),
            scalar("min", variable("best", f32Type), constant("f32", Infinity)),
          ),
        ),
      ]),
    ],
  };
}

/** y = x + the elements of `more` others, and one check that fails in each task whose number is odd. */
export function manyBuffers(more: number, count = 64): Kernel {
  const names = Array.from({ length: more }, (_, index) => `more${index}`);
  const isWhole = (index: number): boolean => index % 3 === 2;
  const sum = names.reduce<Expr>(
    (total, name, index) =>
      add(total, isWhole(index) ? cast(load(name, "i32", variable("i")), "f32") : load(name, "f32", variable("i"))),
    load("x", "f32", variable("i")),
  );
  return {
    name: "many_buffers",
    doc: "y = x + others",
    tasks: count / 16,
    threads: 16,
    flops: count * more,
    buffers: [
      param("x", "f32", count),
      ...names.map((name, index) => param(name, isWhole(index) ? "i32" : "f32", count)),
      param("y", "f32", count, "write"),
      param("whole", "i32", count, "write"),
      param("status", "i32", 4, "readwrite"),
    ],
    body: [
      tasksLoop([
        own(16),
        bind("sum", sum),
        check(scalar("ne", variable("i"), int(33)), 7, "status", variable("i"), int(count)),
        store("y", variable("i"), variable("sum", f32Type)),
        store("whole", variable("i"), cast(variable("sum", f32Type), "i32")),
      ]),
    ],
  };
}
