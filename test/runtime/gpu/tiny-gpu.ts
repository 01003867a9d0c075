/**
 * A hand-written program of GPU kernels, as loop IR and as the target of a manifest, to test what runs programs on GPUs
 * without the compiler and without a GPU.
 */
import type { ManifestBuffer, WgslTarget } from "../../../ir/artifact/manifest.ts";
import {
  assign,
  bind,
  branch,
  cast,
  check,
  constant,
  int,
  load,
  loop,
  mutable,
  randomBits,
  scalar,
  store,
  unboundedSize,
  variable,
  type BufferParam,
  type Expr,
  type Kernel,
  type Stmt,
} from "../../../ir/loop/loop.ts";

const threads = 4;
const f32 = { dtype: "f32", lanes: 1 } as const;

/** A buffer of a kernel. */
function param(name: string, dtype: BufferParam["dtype"], size: number, access: BufferParam["access"]): BufferParam {
  return { name, dtype, size, access };
}

/** A kernel of `tasks` tasks whose body is given each thread's element number. */
function elementwise(
  name: string,
  count: number,
  buffers: readonly BufferParam[],
  body: (element: Expr) => readonly Stmt[],
): Kernel {
  const tasks = Math.ceil(count / threads);
  const element = variable("element");
  const inner = [
    bind("element", scalar("add", scalar("mul", variable("task"), int(threads)), variable("thread"))),
    branch(scalar("lt", element, int(count)), body(element)),
  ];
  const tasksLoop = loop("task", variable("taskBegin"), variable("taskEnd"), inner, { mode: "tasks" });
  return { name, doc: name, tasks, threads, buffers, body: [tasksLoop], flops: 0 };
}

/** A kernel that one thread does. */
function single(name: string, buffers: readonly BufferParam[], body: readonly Stmt[]): Kernel {
  return elementwise(name, 1, buffers, () => body);
}

/**
 * The kernels. `square`: 6 squares. `sum`: y = the sum of the squares of x (of `count` elements) + scalars[0], and
 * y[1] = scalars[1]. `keep`: total += y[0]. `rows`: rows of a data set of 3 f32, bytes and labels, all as numbers, and a
 * check of the labels. `types`: flags (bool), whole numbers (i64) and bytes, each changed by 1. `noise`: what was drawn,
 * and counter-based bits.
 */
export function tinyKernels(): Kernel[] {
  const y = (at: number): Expr => load("y", "f32", int(at));
  return [
    elementwise("square", 6, [param("x", "f32", 6, "read"), param("squares", "f32", 6, "write")], (i) => [
      store("squares", i, scalar("mul", load("x", "f32", i), load("x", "f32", i))),
    ]),
    single(
      "sum",
      [param("squares", "f32", 6, "read"), param("s", "f32", 2, "read"), param("y", "f32", 2, "write")],
      [
        mutable("sum", constant("f32", 0)),
        loop("i", int(0), int(6), [
          assign("sum", scalar("add", variable("sum", f32), load("squares", "f32", variable("i")))),
        ]),
        store("y", int(0), scalar("add", variable("sum", f32), load("s", "f32", int(0)))),
        store("y", int(1), load("s", "f32", int(1))),
      ],
    ),
    single(
      "keep",
      [param("y", "f32", 2, "read"), param("total", "f32", 1, "readwrite")],
      [store("total", int(0), scalar("add", load("total", "f32", int(0)), y(0)))],
    ),
    elementwise(
      "rows",
      2,
      [
        param("floats", "f32", unboundedSize, "read"),
        param("bytes", "u8", unboundedSize, "read"),
        param("labels", "i32", unboundedSize, "read"),
        param("indices", "i32", 2, "read"),
        param("out", "f32", 6, "write"),
        param("status", "i32", 4, "readwrite"),
      ],
      (i) => {
        const row = cast(load("indices", "i32", i), "i64");
        const label = load("labels", "i32", row);
        return [
          store("out", scalar("mul", i, int(3)), load("floats", "f32", row)),
          store("out", scalar("add", scalar("mul", i, int(3)), int(1)), cast(load("bytes", "u8", row), "f32")),
          store("out", scalar("add", scalar("mul", i, int(3)), int(2)), cast(label, "f32")),
          check(scalar("lt", cast(label, "i64"), int(10)), 1, "status", cast(label, "i64"), int(10)),
        ];
      },
    ),
    elementwise(
      "types",
      3,
      [
        param("flags", "i32", 3, "read"),
        param("whole", "i32", 3, "read"),
        param("not", "i32", 3, "write"),
        param("more", "i32", 3, "write"),
        param("seen", "i32", 3, "readwrite"),
      ],
      (i) => [
        store("not", i, scalar("sub", constant("i32", 1), load("flags", "i32", i))),
        store("more", i, scalar("add", load("whole", "i32", i), constant("i32", 1))),
        store("seen", i, scalar("add", load("seen", "i32", i), load("flags", "i32", i))),
      ],
    ),
    elementwise(
      "noise",
      3,
      [
        param("uniform", "f32", 3, "read"),
        param("key", "i32", 4, "read"),
        param("drawn", "f32", 3, "write"),
        param("bits", "i32", 3, "write"),
      ],
      (i) => [store("drawn", i, load("uniform", "f32", i)), store("bits", i, randomBits("key", 5, i))],
    ),
  ];
}

function buffer(
  role: ManifestBuffer["role"],
  name: string,
  dtype: ManifestBuffer["dtype"],
  shape: number[],
  more: Partial<ManifestBuffer> = {},
): ManifestBuffer {
  return { role, name, dtype, stored: dtype, shape, ...more };
}

const i32 = { stored: "i32" } as const;

/** The target that launches them: entries `add`, `rows@2`, `types` and `noise`. */
export function tinyGpuTarget(): WgslTarget {
  const place = (index: number, bytes: number, offset = 0): { buffer: number; offset: number; bytes: number } => ({
    buffer: index,
    offset,
    bytes,
  });
  const plain = { batch: 0, phases: 1, arenaBytes: 0, scalars: [], increments: {} };
  return {
    name: "wgsl",
    kernels: tinyKernels().map(({ name, buffers }) => ({
      name,
      file: `kernels/wgsl/${name}.wgsl`,
      threads,
      sharedBytes: 0,
      bindings: buffers.map(({ access }) => (access === "read" ? "read" : "readwrite")),
    })),
    state: {
      bytes: 512,
      values: [
        { name: "total", role: "buffer", dtype: "f32", stored: "f32", shape: [], offset: 0, strides: [] },
        { name: "seen", role: "buffer", dtype: "i64", stored: "i32", shape: [3], offset: 256, strides: [1] },
      ],
    },
    entries: [
      {
        ...plain,
        name: "add",
        arenaBytes: 24,
        buffers: [
          buffer("input", "x", "f32", [6]),
          buffer("arena", "arena", "u8", []),
          buffer("state", "state", "u8", []),
          buffer("output", "y", "f32", [2]),
          buffer("scalars", "scalars", "f32", [2]),
        ],
        scalars: [
          ["hyper", "bias"],
          ["add", ["counter", "step"], 1],
        ],
        increments: { step: 1 },
        launches: [
          { kernel: 0, groups: 2, bindings: [place(0, 24), place(1, 24)] },
          { kernel: 1, groups: 1, bindings: [place(1, 24), place(4, 8), place(3, 8)] },
          { kernel: 2, groups: 1, bindings: [place(3, 8), place(2, 4)] },
        ],
      },
      {
        ...plain,
        name: "rows",
        batch: 2,
        buffers: [
          buffer("dataset", "floats", "f32", [2]),
          buffer("dataset", "bytes", "u8", [2]),
          buffer("dataset", "labels", "i64", [2], i32),
          buffer("indices", "indices", "i32", [2]),
          buffer("output", "out", "f32", [2, 3]),
          buffer("status", "status", "i32", [4]),
        ],
        launches: [
          {
            kernel: 3,
            groups: 1,
            bindings: [place(0, 0), place(1, 0), place(2, 0), place(3, 8), place(4, 24), place(5, 16)],
          },
        ],
      },
      {
        ...plain,
        name: "types",
        buffers: [
          buffer("input", "flags", "bool", [3], i32),
          buffer("input", "whole", "i64", [3], i32),
          buffer("output", "not", "bool", [3], i32),
          buffer("output", "more", "i64", [3], i32),
          buffer("state", "state", "u8", []),
        ],
        launches: [
          {
            kernel: 4,
            groups: 1,
            bindings: [place(0, 12), place(1, 12), place(2, 12), place(3, 12), place(4, 12, 256)],
          },
        ],
      },
      {
        ...plain,
        name: "noise",
        buffers: [
          buffer("draws", "uniform", "f32", [3], { draw: { kind: "uniform", low: -1, high: 1 } }),
          buffer("key", "key", "i32", [4]),
          buffer("output", "drawn", "f32", [3]),
          buffer("output", "bits", "i32", [3]),
        ],
        launches: [{ kernel: 5, groups: 1, bindings: [place(0, 12), place(1, 16), place(2, 12), place(3, 12)] }],
      },
    ],
  };
}
