/**
 * Kernels for GPUs built by hand, for the tests of loop IR and of its targets: threads, shared arrays, barriers, matrix
 * tiles and counter-based numbers, as real schedules use them.
 */
import {
  assign,
  barrier,
  bind,
  branch,
  cast,
  constant,
  dot,
  indexType,
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
  type Expr,
  type Kernel,
  type MatrixFormat,
  type Stmt,
  type ValueType,
} from "../../../ir/loop/loop.ts";
import { param, tasksLoop } from "./sample-kernels.ts";

const add = (x: Expr, y: Expr): Expr => scalar("add", x, y);
const sub = (x: Expr, y: Expr): Expr => scalar("sub", x, y);
const mul = (x: Expr, y: Expr): Expr => scalar("mul", x, y);
const div = (x: Expr, y: Expr): Expr => scalar("div", x, y);
const mod = (x: Expr, y: Expr): Expr => scalar("mod", x, y);
const less = (x: Expr, y: Expr): Expr => scalar("lt", x, y);
const both = (x: Expr, y: Expr): Expr => scalar("and", x, y);
const choose = (c: Expr, y: Expr, z: Expr): Expr => scalar("select", c, y, z);
const f32 = (value: number): Expr => constant("f32", value);
const f32Type: ValueType = { dtype: "f32", lanes: 1 };
const f32x4: ValueType = { dtype: "f32", lanes: 4 };
const float = (name: string): Expr => variable(name, f32Type);
const thread = variable("thread");
const task = variable("task");

/** y = relu(0.3 x + bias), four neighbours a thread; `threads` of a block. */
export function vectorChain(size = 1000, threads = 64): Kernel {
  const i = variable("i");
  const x = variable("x_v", f32x4);
  return {
    name: "vector_chain",
    doc: "y = relu(0.3 x + bias), four at a time",
    tasks: Math.ceil(size / (4 * threads)),
    threads,
    flops: size * 3,
    buffers: [param("x", "f32", size), param("bias", "f32", 4), param("y", "f32", size, "write")],
    body: [
      tasksLoop([
        bind("i", mul(add(mul(task, int(threads)), thread), int(4))),
        branch(less(i, int(size)), [
          bind("x_v", load("x", "f32", i, 4)),
          bind("b_v", load("bias", "f32", int(0), 4)),
          store("y", i, scalar("max", scalar("fma", x, splat(f32(0.3), 4), variable("b_v", f32x4)), splat(f32(0), 4))),
        ]),
      ]),
    ],
  };
}

/** Folds `array[0 .. threads)` by halves into element 0. */
function treeFold(array: string, op: "add" | "max", threads: number): Stmt[] {
  const steps: Stmt[] = [];
  for (let half = threads / 2; half >= 1; half /= 2) {
    const sum = scalar(op, load(array, "f32", thread), load(array, "f32", add(thread, int(half))));
    steps.push(barrier(), branch(less(thread, int(half)), [store(array, thread, sum)]));
  }
  return [...steps, barrier()];
}

/**
 * Mixes numbers of the threads of a task: shuffles near and far, of several types, in a loop, in a branch that some tasks
 * take, and behind both.
 */
export function shuffles(tasks = 3, threads = 128): Kernel {
  const size = tasks * threads;
  const [v, n] = [float("v"), variable("n")];
  const i = add(mul(task, int(threads)), thread);
  const passed: ValueType = { dtype: "bool", lanes: 1 };
  return {
    name: "shuffles",
    doc: "y, m = mixtures of x and n over threads",
    tasks,
    threads,
    flops: size * 10,
    buffers: [
      param("x", "f32", size),
      param("k", "i64", size),
      param("y", "f32", size, "write"),
      param("m", "i64", size, "write"),
    ],
    body: [
      tasksLoop([
        mutable("v", load("x", "f32", i)),
        mutable("n", load("k", "i64", i)),
        loop("turn", int(0), int(3), [
          shuffle(["a", "b"], [v, n], 1),
          assign("v", add(mul(f32(0.5), v), float("a"))),
          assign("n", sub(mul(int(2), variable("b")), n)),
          shuffle(["c"], [v], threads / 2),
          assign("v", sub(float("c"), mul(f32(0.25), v))),
        ]),
        branch(
          scalar("eq", mod(task, int(2)), int(0)),
          [shuffle(["d"], [v], threads / 8), assign("v", sub(v, float("d")))],
          [shuffle(["e"], [n], 2), assign("n", add(n, variable("e")))],
        ),
        shuffle(["f", "g"], [v, scalar("gt", v, f32(0))], 4),
        assign("v", choose(variable("g", passed), add(v, float("f")), mul(v, float("f")))),
        store("y", i, v),
        store("m", i, n),
      ]),
    ],
  };
}

/** y = softmax(x) over rows; a row is a block's, and is folded through shared arrays. */
export function blockSoftmax(rows = 5, width = 150, threads = 64): Kernel {
  const j = variable("j");
  const at = add(mul(task, int(width)), j);
  const columns = (body: readonly Stmt[]): Stmt => loop("j", thread, int(width), body, { step: threads });
  return {
    name: "block_softmax",
    doc: "y = softmax(x) over rows, a block a row",
    tasks: rows,
    threads,
    flops: rows * width * 4,
    buffers: [param("x", "f32", rows * width), param("y", "f32", rows * width, "write")],
    body: [
      tasksLoop([
        shared("parts", "f32", threads),
        shared("sums", "f32", threads),
        mutable("m", f32(-Infinity)),
        columns([assign("m", scalar("max", float("m"), load("x", "f32", at)))]),
        store("parts", thread, float("m")),
        ...treeFold("parts", "max", threads),
        bind("largest", load("parts", "f32", int(0))),
        mutable("sum", f32(0)),
        columns([assign("sum", add(float("sum"), scalar("exp", sub(load("x", "f32", at), float("largest")))))]),
        store("sums", thread, float("sum")),
        ...treeFold("sums", "add", threads),
        bind("whole", load("sums", "f32", int(0))),
        columns([store("y", at, div(scalar("exp", sub(load("x", "f32", at), float("largest"))), float("whole")))]),
      ]),
    ],
  };
}

/** Copies a `rows` x `columns` tile of a row-major matrix into a shared array, zeros where it ends. */
function fillTile(
  from: { readonly name: string; readonly height: number; readonly width: number },
  to: { readonly name: string; readonly rows: number; readonly columns: number; readonly pitch: number },
  corner: readonly [row: Expr, column: Expr],
  threads: number,
): Stmt {
  const e = variable(`e_${to.name}`);
  const [r, c] = [div(e, int(to.columns)), mod(e, int(to.columns))];
  const [row, column] = [add(corner[0], r), add(corner[1], c)];
  const inside = both(less(row, int(from.height)), less(column, int(from.width)));
  const value = choose(inside, load(from.name, "f32", add(mul(row, int(from.width)), column)), f32(0));
  const place = add(mul(r, int(to.pitch)), c);
  return loop(`e_${to.name}`, thread, int(to.rows * to.columns), [store(to.name, place, value)], { step: threads });
}

/** c = a b through shared tiles of 32 x 32, 4 x 4 elements a thread in vectors; edges are filled up with zeros. */
export function sharedMatmul(m = 45, n = 52, k = 37): Kernel {
  const [tile, depth, threads] = [32, 16, 64];
  const across = Math.ceil(n / tile);
  const [tx, ty] = [variable("tx"), variable("ty")];
  const sums = [0, 1, 2, 3].map((r) => `c_${r}`);
  const p = variable("p");
  const inner = sums.map((name, r) => {
    const a = load("tile_a", "f32", add(mul(add(mul(ty, int(4)), int(r)), int(depth + 1)), p));
    return assign(name, scalar("fma", splat(a, 4), variable("b_v", f32x4), variable(name, f32x4)));
  });
  const out = sums.flatMap((name, r) => {
    const row = add(add(mul(variable("row"), int(tile)), mul(ty, int(4))), int(r));
    const column = add(mul(variable("column"), int(tile)), mul(tx, int(4)));
    // The width is a multiple of four, so a vector is inside or outside as a whole.
    const inside = both(less(row, int(m)), less(column, int(n)));
    return [branch(inside, [store("c", add(mul(row, int(n)), column), variable(name, f32x4))])];
  });
  const corner = (name: string): Expr => mul(variable(name), int(tile));
  return {
    name: "shared_matmul",
    doc: "c = a b through shared tiles",
    tasks: Math.ceil(m / tile) * across,
    threads,
    flops: 2 * m * n * k,
    buffers: [param("a", "f32", m * k), param("b", "f32", k * n), param("c", "f32", m * n, "write")],
    body: [
      tasksLoop([
        shared("tile_a", "f32", tile * (depth + 1)),
        shared("tile_b", "f32", depth * tile),
        bind("row", div(task, int(across))),
        bind("column", mod(task, int(across))),
        bind("tx", mod(thread, int(8))),
        bind("ty", div(thread, int(8))),
        ...sums.map((name) => mutable(name, splat(f32(0), 4))),
        loop(
          "k0",
          int(0),
          int(k),
          [
            fillTile(
              { name: "a", height: m, width: k },
              { name: "tile_a", rows: tile, columns: depth, pitch: depth + 1 },
              [corner("row"), variable("k0")],
              threads,
            ),
            fillTile(
              { name: "b", height: k, width: n },
              { name: "tile_b", rows: depth, columns: tile, pitch: tile },
              [variable("k0"), corner("column")],
              threads,
            ),
            barrier(),
            loop(
              "p",
              int(0),
              int(depth),
              [bind("b_v", load("tile_b", "f32", add(mul(p, int(tile)), mul(tx, int(4))), 4)), ...inner],
              { mode: "unroll" },
            ),
            barrier(),
          ],
          { step: depth },
        ),
        ...out,
      ]),
    ],
  };
}

/** c = a b by tensor cores: tiles of 32 x 16 by two warps (one below the other), two tiles a warp. */
export function tensorMatmul(format: MatrixFormat, m = 40, n = 24, k = 40): Kernel {
  const depth = format === "tf32" ? 8 : 16;
  const [height, width, threads] = [32, 16, 64];
  const across = Math.ceil(n / width);
  const [g, t] = [variable("g"), variable("t")];
  const place =
    format === "tf32"
      ? { a: 4, b: 2, row: (i: number) => 8 * (i % 2), ka: (i: number) => add(t, int(4 * (i >> 1))) }
      : { a: 8, b: 4, row: (i: number) => 8 * ((i >> 1) % 2), ka: halfDepth(t, 2) };
  const kb = (i: number): Expr => (format === "tf32" ? add(t, int(4 * i)) : halfDepth(t, 1)(i));
  const a = Array.from({ length: place.a }, (_, i) =>
    load(
      "tile_a",
      "f32",
      add(mul(add(add(mul(variable("warp"), int(16)), g), int(place.row(i))), int(depth)), place.ka(i)),
    ),
  );
  const products = [0, 1].map((half) => {
    const b = Array.from({ length: place.b }, (_, i) =>
      load("tile_b", "f32", add(add(mul(kb(i), int(width)), int(8 * half)), g)),
    );
    return mma(
      format,
      [0, 1, 2, 3].map((i) => `c_${half}_${i}`),
      a,
      b,
    );
  });
  const cells = [0, 1].flatMap((half) => [0, 1, 2, 3].map((i) => ({ half, i, name: `c_${half}_${i}` })));
  const out = cells.map(({ half, i, name }) => {
    const row = add(add(mul(variable("row"), int(height)), mul(variable("warp"), int(16))), add(g, int(8 * (i >> 1))));
    const column = add(mul(variable("column"), int(width)), add(mul(t, int(2)), int(8 * half + (i % 2))));
    const inside = both(less(row, int(m)), less(column, int(n)));
    return branch(inside, [store("c", add(mul(row, int(n)), column), float(name))]);
  });
  return {
    name: `${format}_matmul`,
    doc: `c = a b in ${format}`,
    tasks: Math.ceil(m / height) * across,
    threads,
    flops: 2 * m * n * k,
    buffers: [param("a", "f32", m * k), param("b", "f32", k * n), param("c", "f32", m * n, "write")],
    body: [
      tasksLoop([
        shared("tile_a", "f32", height * depth),
        shared("tile_b", "f32", depth * width),
        bind("row", div(task, int(across))),
        bind("column", mod(task, int(across))),
        bind("warp", div(thread, int(32))),
        bind("g", div(mod(thread, int(32)), int(4))),
        bind("t", mod(thread, int(4))),
        ...cells.map(({ name }) => mutable(name, f32(0))),
        loop(
          "k0",
          int(0),
          int(k),
          [
            fillTile(
              { name: "a", height: m, width: k },
              { name: "tile_a", rows: height, columns: depth, pitch: depth },
              [mul(variable("row"), int(height)), variable("k0")],
              threads,
            ),
            fillTile(
              { name: "b", height: k, width: n },
              { name: "tile_b", rows: depth, columns: width, pitch: width },
              [variable("k0"), mul(variable("column"), int(width))],
              threads,
            ),
            barrier(),
            ...products,
            barrier(),
          ],
          { step: depth },
        ),
        ...out,
      ]),
    ],
  };
}

/** Depth of operand i of tiles of 16 bits: pairs of neighbours, and 8 further after every `rows` pairs. */
function halfDepth(t: Expr, rows: number): (i: number) => Expr {
  return (i) => add(mul(t, int(2)), int((i % 2) + 8 * Math.floor(i / (2 * rows))));
}

/** y = x where its random number is below p, scaled up, else 0; lanes are packed again after they were chosen. */
export function dropout(size = 512, threads = 32): Kernel {
  const i = variable("i");
  const x = variable("x_v", f32x4);
  const kept = [0, 1, 2, 3].map((which) => {
    const bits = randomBits("key", 7, add(i, int(which)));
    const keeps = less(bits, constant("i32", Math.floor(0.75 * 2 ** 24)));
    return choose(keeps, div(lane(x, which), f32(0.75)), f32(0));
  });
  return {
    name: "dropout",
    doc: "y = dropout(x, 0.25)",
    tasks: Math.ceil(size / (4 * threads)),
    threads,
    flops: size,
    buffers: [param("key", "i32", 4), param("x", "f32", size), param("y", "f32", size, "write")],
    body: [
      tasksLoop([
        bind("i", mul(add(mul(task, int(threads)), thread), int(4))),
        branch(less(i, int(size)), [bind("x_v", load("x", "f32", i, 4)), store("y", i, pack(kept))]),
      ]),
    ],
  };
}

/** Element types that only some devices hold: y = x / 3 in f64, and pairs of i64 whose sum is odd. */
export function wideTypes(size = 70, threads = 32): Kernel {
  const i = variable("i");
  const n = load("n", "i64", i);
  const odd = scalar("eq", mod(add(n, cast(load("k", "i8", i), "i64")), int(2)), int(1));
  return {
    name: "wide_types",
    doc: "y = x / 3 in f64, flags of odd sums, 5 n + 2^40",
    tasks: Math.ceil(size / threads),
    threads,
    flops: size,
    buffers: [
      param("x", "f64", size),
      param("n", "i64", size),
      param("k", "i8", size),
      param("y", "f64", size, "write"),
      param("flags", "bool", size, "write"),
      param("far", "i64", size, "write"),
    ],
    body: [
      tasksLoop([
        bind("i", add(mul(task, int(threads)), thread)),
        branch(less(i, int(size)), [
          store("y", i, div(load("x", "f64", i), constant("f64", 3))),
          store("flags", i, odd),
          bind("own", n),
          store("far", i, scalar("fma", variable("own", indexType), int(5), int(2 ** 40))),
        ]),
      ]),
    ],
  };
}

/** y = x + the dot products of four small integers with four others, in half precision: exact, however it is rounded. */
export function halfDots(size = 64, threads = 16): Kernel {
  const i = variable("i");
  const sum = variable("sum", f32x4);
  const whole = (name: string, index: Expr): Expr => cast(load(name, "i64", index), "f32");
  const four = [0, 1, 2, 3];
  const a = four.map((p) => splat(whole("n", add(i, int(p))), 4));
  const b = four.map((p) => pack(four.map((j) => whole("m", int(4 * p + j)))));
  return {
    name: "half_dots",
    doc: "y = x + n m",
    tasks: size / (4 * threads),
    threads,
    flops: size * 8,
    buffers: [
      param("n", "i64", size),
      param("m", "i64", 16),
      param("x", "f32", size),
      param("y", "f32", size, "write"),
    ],
    body: [
      tasksLoop([
        bind("i", mul(add(mul(task, int(threads)), thread), int(4))),
        mutable("sum", load("x", "f32", i, 4)),
        dot("f16", "sum", a, b),
        store("y", i, sum),
      ]),
    ],
  };
}
