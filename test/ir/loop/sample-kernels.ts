/**
 * Kernels built by hand, for the tests of loop IR and of its targets: one for each way in which real schedules use it.
 */
import {
  assign,
  bind,
  branch,
  cast,
  check,
  constant,
  indexType,
  int,
  load,
  local,
  loop,
  mutable,
  note,
  scalar,
  splat,
  store,
  variable,
  type BufferParam,
  type Expr,
  type Kernel,
  type Stmt,
  type ValueType,
} from "../../../ir/loop/loop.ts";
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import type { DType } from "../../../ir/type.ts";

const add = (x: Expr, y: Expr): Expr => scalar("add", x, y);
const mul = (x: Expr, y: Expr): Expr => scalar("mul", x, y);
const f32 = (value: number): Expr => constant("f32", value);
const f32Type: ValueType = { dtype: "f32", lanes: 1 };

/** The loop over tasks that every kernel has. */
export function tasksLoop(body: readonly Stmt[], name = "task"): Stmt {
  return loop(name, variable("taskBegin"), variable("taskEnd"), body, { mode: "tasks" });
}

/** A buffer parameter. */
export function param(name: string, dtype: DType, size: number, access: BufferParam["access"] = "read"): BufferParam {
  return { name, dtype, size, access };
}

/** y = relu(x * scale + bias): blocks of `block` elements a task. */
export function elementwiseChain(blocks = 4, block = 100): Kernel {
  const i = add(mul(variable("task"), int(block)), variable("j"));
  const y = scalar(
    "max",
    scalar("fma", load("x", "f32", variable("i")), f32(0.3), load("bias", "f32", variable("j"))),
    f32(0),
  );
  return {
    name: "chain",
    doc: "y = relu(0.3 x + bias)",
    tasks: blocks,
    flops: blocks * block * 3,
    buffers: [
      param("x", "f32", blocks * block),
      param("bias", "f32", block),
      param("y", "f32", blocks * block, "write"),
    ],
    body: [
      tasksLoop([loop("j", int(0), int(block), [bind("i", i), store("y", variable("i"), y)], { mode: "vector" })]),
    ],
  };
}

/** y = softmax(x) over rows. */
export function rowSoftmax(rows = 6, width = 77): Kernel {
  const at = add(mul(variable("row"), int(width)), variable("j"));
  const m = variable("m", f32Type);
  const sum = variable("sum", f32Type);
  return {
    name: "softmax",
    doc: "y = softmax(x) over rows",
    tasks: rows,
    flops: rows * width * 4,
    buffers: [param("x", "f32", rows * width), param("y", "f32", rows * width, "write")],
    body: [
      tasksLoop(
        [
          note("the largest, so that no power overflows"),
          mutable("m", f32(-Infinity)),
          loop("j", int(0), int(width), [assign("m", scalar("max", m, load("x", "f32", at)))], {
            mode: "vector",
            reductions: [{ name: "m", op: "max" }],
          }),
          mutable("sum", f32(0)),
          local("powers", "f32", width),
          loop(
            "j",
            int(0),
            int(width),
            [
              bind("e", scalar("exp", scalar("sub", load("x", "f32", at), m))),
              store("powers", variable("j"), variable("e", f32Type)),
              assign("sum", add(sum, variable("e", f32Type))),
            ],
            { mode: "vector", reductions: [{ name: "sum", op: "add" }] },
          ),
          loop("j", int(0), int(width), [store("y", at, scalar("div", load("powers", "f32", variable("j")), sum))], {
            mode: "vector",
          }),
        ],
        "row",
      ),
    ],
  };
}

/** y[j] = sum over i of x[i, j]; a task is a block of columns. */
export function columnSum(rows = 13, columns = 40, block = 16): Kernel {
  const width = scalar("min", int(block), scalar("sub", int(columns), variable("first")));
  const j = variable("j");
  const x = load("x", "f32", add(mul(variable("i"), int(columns)), add(variable("first"), j)));
  return {
    name: "column_sum",
    doc: "y = sum of x over rows",
    tasks: Math.ceil(columns / block),
    flops: rows * columns,
    buffers: [param("x", "f32", rows * columns), param("y", "f32", columns, "write")],
    body: [
      tasksLoop([
        bind("first", mul(variable("task"), int(block))),
        bind("width", width),
        local("sums", "f32", block),
        loop("j", int(0), variable("width"), [store("sums", j, f32(0))], { mode: "vector" }),
        loop("i", int(0), int(rows), [
          loop("j", int(0), variable("width"), [store("sums", j, add(load("sums", "f32", j), x))], { mode: "vector" }),
        ]),
        loop("j", int(0), variable("width"), [store("y", add(variable("first"), j), load("sums", "f32", j))]),
      ]),
    ],
  };
}

/** c = a b with register tiles of `mr` rows and two vectors; what is left over at the edges goes element by element. */
export function tileMatmul(m = 9, n = 37, k = 11, lanes = 8, mr = 4): Kernel {
  const vector: ValueType = { dtype: "f32", lanes };
  const nr = 2 * lanes;
  const row = (r: number): Expr => add(variable("row"), int(r));
  const c = (i: Expr, j: Expr): Expr => add(mul(i, int(n)), j);
  const accumulators = Array.from({ length: mr }, (_, r) => [0, 1].map((v) => ({ r, v, name: `c_${r}_${v}` }))).flat();
  const inner: Stmt[] = [];
  for (const v of [0, 1]) {
    inner.push(bind(`b_${v}`, load("b", "f32", c(variable("p"), add(variable("j"), int(v * lanes))), lanes)));
  }
  for (const { r, v, name } of accumulators) {
    const a = splat(load("a", "f32", add(mul(row(r), int(k)), variable("p"))), lanes);
    inner.push(assign(name, scalar("fma", a, variable(`b_${v}`, vector), variable(name, vector))));
  }
  const tile: Stmt[] = [
    ...accumulators.map(({ name }) => mutable(name, splat(f32(0), lanes))),
    loop("p", int(0), int(k), inner),
    ...accumulators.map(({ r, v, name }) =>
      store(
        "c",
        c(row(r), add(variable("j"), int(v * lanes))),
        scalar("max", variable(name, vector), splat(f32(-1), lanes)),
      ),
    ),
  ];
  const single = (i: Expr, j: Expr): Stmt[] => [
    mutable("s", f32(0)),
    loop("p", int(0), int(k), [
      assign(
        "s",
        scalar(
          "fma",
          load("a", "f32", add(mul(i, int(k)), variable("p"))),
          load("b", "f32", c(variable("p"), j)),
          variable("s", f32Type),
        ),
      ),
    ]),
    store("c", c(i, j), scalar("max", variable("s", f32Type), f32(-1))),
  ];
  const full = scalar("le", row(mr), int(m));
  const inFull = n - (n % nr);
  const rest = scalar("min", row(mr), int(m));
  return {
    name: "matmul",
    doc: "c = max(a b, -1)",
    tasks: Math.ceil(m / mr),
    flops: 2 * m * n * k,
    buffers: [param("a", "f32", m * k), param("b", "f32", k * n), param("c", "f32", m * n, "write")],
    body: [
      tasksLoop([
        bind("row", mul(variable("task"), int(mr))),
        branch(
          full,
          [
            loop("j", int(0), int(inFull), tile, { step: nr }),
            loop(
              "r",
              int(0),
              int(mr),
              [loop("j", int(inFull), int(n), single(add(variable("row"), variable("r")), variable("j")))],
              {
                mode: "unroll",
              },
            ),
          ],
          [loop("i", variable("row"), rest, [loop("j", int(0), int(n), single(variable("i"), variable("j")))])],
        ),
      ]),
    ],
  };
}

/** y = table[index] / 255, with each index checked against the number of rows. */
export function checkedGather(count = 10, rows = 7, width = 5): Kernel {
  const index = variable("index");
  const inside = scalar("and", scalar("ge", index, int(0)), scalar("lt", index, int(rows)));
  const value = load("table", "u8", add(mul(variable("safe"), int(width)), variable("j")));
  return {
    name: "gather",
    doc: "y = table[indices] / 255",
    tasks: count,
    flops: count * width,
    buffers: [
      param("table", "u8", rows * width),
      param("indices", "i32", count),
      param("y", "f32", count * width, "write"),
      param("status", "i32", 4, "readwrite"),
    ],
    body: [
      tasksLoop([
        bind("index", cast(load("indices", "i32", variable("task")), "i64")),
        check(inside, 7, "status", index, int(rows)),
        bind("safe", scalar("select", inside, index, int(0))),
        loop(
          "j",
          int(0),
          int(width),
          [
            store(
              "y",
              add(mul(variable("task"), int(width)), variable("j")),
              scalar("div", cast(value, "f32"), f32(255)),
            ),
          ],
          { mode: "vector" },
        ),
      ]),
    ],
  };
}

/** y = op(x0, x1, …) element by element, in one task; `outDtype` is bool where the operation compares. */
export function elementwiseOp(name: string, op: ScalarOp, dtypes: readonly DType[], out: DType, count: number): Kernel {
  const args = dtypes.map((dtype, index) => load(`x${index}`, dtype, variable("i", indexType)));
  return {
    name,
    doc: `y = ${op}(x)`,
    tasks: 1,
    flops: count,
    buffers: [...dtypes.map((dtype, index) => param(`x${index}`, dtype, count)), param("y", out, count, "write")],
    body: [
      tasksLoop([loop("i", int(0), int(count), [store("y", variable("i"), scalar(op, ...args))], { mode: "vector" })]),
    ],
  };
}

/** Everything that explicit vectors can do: select by a comparison, max, casts, bools, a function lane by lane. */
export function vectorLanes(groups = 5, lanes = 8): Kernel {
  const vector: ValueType = { dtype: "f32", lanes };
  const first = mul(variable("task"), int(lanes));
  const x = variable("x_v", vector);
  const positive = scalar("gt", x, splat(f32(0), lanes));
  const size = groups * lanes;
  return {
    name: "lanes",
    doc: "several functions of vectors",
    tasks: groups,
    flops: size * 6,
    buffers: [
      param("x", "f32", size),
      param("chosen", "f32", size, "write"),
      param("flags", "bool", size, "write"),
      param("whole", "i32", size, "write"),
      param("powers", "f32", size, "write"),
    ],
    body: [
      tasksLoop([
        bind("x_v", load("x", "f32", first, lanes)),
        store("chosen", first, scalar("select", positive, x, scalar("neg", scalar("mul", x, x)))),
        bind("both", scalar("and", positive, scalar("not", scalar("lt", scalar("abs", x), splat(f32(1), lanes))))),
        store("flags", first, variable("both", { dtype: "bool", lanes })),
        store("whole", first, scalar("add", cast(x, "i32"), cast(variable("both", { dtype: "bool", lanes }), "i32"))),
        store(
          "powers",
          first,
          scalar("select", variable("both", { dtype: "bool", lanes }), scalar("exp", x), scalar("floor", x)),
        ),
      ]),
    ],
  };
}
