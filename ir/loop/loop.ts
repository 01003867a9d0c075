/**
 * Loop IR: what a kernel does, as loops over buffers, below tensors and above any target's text. A kernel's work is cut
 * by shape into `tasks`; whoever runs it hands ranges [`taskBegin`, `taskEnd`) to its workers, and the result does not
 * depend on how the range is cut. On processors a worker is a thread and does a task alone; on GPUs it is a work-group,
 * whose `threads` all run the body of the tasks loop, each with its own number in the variable `thread`, and meet at
 * barriers. Indices are `i64` expressions in elements. `lanes` > 1 marks explicit vectors (register
 * tiles); a loop of mode `vector` is left to the target's compiler to vectorise, and promises that its iterations are
 * independent but for its declared reductions. Everything here is plain data made by the functions below.
 */
import type { DType } from "../type.ts";
import { scalarOps, type ScalarOp } from "./scalar.ts";

/** Type of an expression: an element type, times `lanes` for an explicit vector. */
export type ValueType = { readonly dtype: DType; readonly lanes: number };

/** An expression without side effects. */
export type Expr =
  | { readonly kind: "constant"; readonly type: ValueType; readonly value: number }
  | { readonly kind: "variable"; readonly type: ValueType; readonly name: string }
  | { readonly kind: "load"; readonly type: ValueType; readonly buffer: string; readonly index: Expr }
  | { readonly kind: "scalar"; readonly type: ValueType; readonly op: ScalarOp; readonly args: readonly Expr[] }
  | { readonly kind: "cast"; readonly type: ValueType; readonly arg: Expr }
  | { readonly kind: "splat"; readonly type: ValueType; readonly arg: Expr }
  | { readonly kind: "lane"; readonly type: ValueType; readonly arg: Expr; readonly lane: number }
  | { readonly kind: "pack"; readonly type: ValueType; readonly args: readonly Expr[] }
  | {
      readonly kind: "random";
      readonly type: ValueType;
      readonly key: string;
      readonly use: number;
      readonly index: Expr;
    };

/** How the iterations of a loop run: in order, left to the compiler's vectoriser, unrolled, or over the kernel's tasks. */
export type LoopMode = "serial" | "vector" | "unroll" | "tasks";

/** A reduction that a `vector` loop carries in the mutable variable `name`. */
export type Reduction = { readonly name: string; readonly op: "add" | "mul" | "max" | "min" };

/** A statement. */
export type Stmt =
  | {
      readonly kind: "for";
      readonly name: string;
      readonly begin: Expr;
      readonly end: Expr;
      readonly step: number;
      readonly mode: LoopMode;
      readonly reductions: readonly Reduction[];
      readonly body: readonly Stmt[];
    }
  | { readonly kind: "let"; readonly name: string; readonly value: Expr }
  | { readonly kind: "mutable"; readonly name: string; readonly value: Expr }
  | { readonly kind: "assign"; readonly name: string; readonly value: Expr }
  | { readonly kind: "local"; readonly name: string; readonly dtype: DType; readonly size: number }
  | { readonly kind: "shared"; readonly name: string; readonly dtype: DType; readonly size: number }
  | { readonly kind: "barrier" }
  | {
      readonly kind: "shuffle";
      readonly names: readonly string[];
      readonly values: readonly Expr[];
      readonly distance: number;
    }
  | {
      readonly kind: "mma";
      readonly format: MatrixFormat;
      readonly sums: readonly string[];
      readonly a: readonly Expr[];
      readonly b: readonly Expr[];
    }
  | {
      readonly kind: "dot";
      readonly format: "f16";
      readonly sum: string;
      readonly a: readonly Expr[];
      readonly b: readonly Expr[];
    }
  | { readonly kind: "store"; readonly buffer: string; readonly index: Expr; readonly value: Expr }
  | {
      readonly kind: "if";
      readonly condition: Expr;
      readonly then: readonly Stmt[];
      readonly otherwise: readonly Stmt[];
    }
  | {
      readonly kind: "draw";
      readonly draw: Draw;
      readonly generator: string;
      readonly buffer: string;
      readonly count: number;
    }
  | {
      readonly kind: "check";
      readonly condition: Expr;
      readonly code: number;
      readonly status: string;
      readonly value: Expr;
      readonly limit: Expr;
    }
  | { readonly kind: "note"; readonly text: string };

/** Precision in which tensor cores multiply: operands are rounded to it, sums are f32. */
export type MatrixFormat = "tf32" | "bf16" | "f16";

/** A sequential draw from PyTorch's generator into the first `count` elements of a buffer (`ir/random` says what each means). */
export type Draw =
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  | { readonly kind: "normal"; readonly mean: number; readonly std: number }
  | { readonly kind: "bernoulli"; readonly p: number };

/** The size of a buffer that is as long as it happens to be: a data set's field, whose indices the runtime checks. */
export const unboundedSize = Number.MAX_SAFE_INTEGER;

/** A buffer a kernel is given. `size`: elements it may touch, counted from the pointer, or `unboundedSize`. */
export type BufferParam = {
  readonly name: string;
  readonly dtype: DType;
  readonly size: number;
  readonly access: "read" | "write" | "readwrite";
};

/**
 * One kernel. Inside `body` the i64 variables `taskBegin` and `taskEnd` bound the tasks to do, and `thread` is the number
 * of the thread within its task.
 */
export type Kernel = {
  readonly name: string;
  /** What it computes, one line, for people. */
  readonly doc: string;
  /** Number of tasks the work is cut into; a task writes nothing another one touches. */
  readonly tasks: number;
  /** Threads that share each task; 1 if left out. */
  readonly threads?: number;
  readonly buffers: readonly BufferParam[];
  readonly body: readonly Stmt[];
  /** Floating-point operations of all tasks together. */
  readonly flops: number;
};

/** The index type. */
export const indexType: ValueType = { dtype: "i64", lanes: 1 };

/** A constant of a dtype. */
export function constant(dtype: DType, value: number): Expr {
  return { kind: "constant", type: { dtype, lanes: 1 }, value };
}

/** An integer constant for index arithmetic. */
export function int(value: number): Expr {
  return { kind: "constant", type: indexType, value };
}

/** A variable; an index variable unless a type is given. */
export function variable(name: string, type: ValueType = indexType): Expr {
  return { kind: "variable", type, name };
}

/** Reads element `index` of a buffer, or `lanes` neighbours from there on. */
export function load(buffer: string, dtype: DType, index: Expr, lanes = 1): Expr {
  return { kind: "load", type: { dtype, lanes }, buffer, index };
}

/** Applies a scalar operation, lane by lane. */
export function scalar(op: ScalarOp, ...args: readonly Expr[]): Expr {
  const operand = op === "select" ? args[1] : args[0];
  if (operand === undefined) throw new RangeError(`${op} needs operands`);
  const dtype = scalarOps[op].result === "bool" ? "bool" : operand.type.dtype;
  return { kind: "scalar", type: { dtype, lanes: operand.type.lanes }, op, args };
}

/** Converts to another dtype: to an integer by truncation, to bool by comparison with 0. */
export function cast(arg: Expr, dtype: DType): Expr {
  return arg.type.dtype === dtype ? arg : { kind: "cast", type: { dtype, lanes: arg.type.lanes }, arg };
}

/** The same scalar in all lanes. */
export function splat(arg: Expr, lanes: number): Expr {
  return lanes === 1 ? arg : { kind: "splat", type: { dtype: arg.type.dtype, lanes }, arg };
}

/** One lane of a vector. */
export function lane(arg: Expr, which: number): Expr {
  return { kind: "lane", type: { dtype: arg.type.dtype, lanes: 1 }, arg, lane: which };
}

/** A vector of scalars, one a lane. */
export function pack(args: readonly Expr[]): Expr {
  const [first] = args;
  if (first === undefined) throw new RangeError("a vector needs lanes");
  return args.length === 1 ? first : { kind: "pack", type: { dtype: first.type.dtype, lanes: args.length }, args };
}

/**
 * 24 random bits, an i32 in [0, 2^24): a function of the buffer `key` (i32[4]: seed low, seed high, step low, step high),
 * the constant `use` and `index` alone (`ir/random/counter.ts` says which).
 */
export function randomBits(key: string, use: number, index: Expr): Expr {
  return { kind: "random", type: { dtype: "i32", lanes: 1 }, key, use, index };
}

/** Options of a loop that are not its bounds. */
export type LoopOptions = {
  readonly mode?: LoopMode;
  readonly step?: number;
  readonly reductions?: readonly Reduction[];
};

/** `for (name = begin; name < end; name += step) body`. */
export function loop(name: string, begin: Expr, end: Expr, body: readonly Stmt[], options: LoopOptions = {}): Stmt {
  const { mode = "serial", step = 1, reductions = [] } = options;
  return { kind: "for", name, begin, end, step, mode, reductions, body };
}

/** Binds a name to a value. */
export function bind(name: string, value: Expr): Stmt {
  return { kind: "let", name, value };
}

/** Declares a variable that `assign` may change. */
export function mutable(name: string, value: Expr): Stmt {
  return { kind: "mutable", name, value };
}

/** Changes a mutable variable. */
export function assign(name: string, value: Expr): Stmt {
  return { kind: "assign", name, value };
}

/** A thread-private array, uninitialised. */
export function local(name: string, dtype: DType, size: number): Stmt {
  return { kind: "local", name, dtype, size };
}

/** An array that the threads of a task share, uninitialised. It stands at the top of the tasks loop. */
export function shared(name: string, dtype: DType, size: number): Stmt {
  return { kind: "shared", name, dtype, size };
}

/**
 * All threads of a task wait for each other; what any of them wrote before, to shared arrays and buffers, all see after.
 * It stands where all threads come or none: in branches and loops whose conditions and bounds are the same for all.
 */
export function barrier(): Stmt {
  return { kind: "barrier" };
}

/**
 * Binds each name to the value that another thread of the task has: the one whose number is this thread's with the bit
 * `distance`, a power of two, flipped. Like a barrier, it stands where all threads come; it orders no memory.
 */
export function shuffle(names: readonly string[], values: readonly Expr[], distance: number): Stmt {
  return { kind: "shuffle", names, values, distance };
}

/**
 * `sums += a * b` by the 32 threads of a warp together, on the mutable f32 variables `sums` (4): a tile of 16 rows by 8
 * columns, 8 deep for `tf32` and 16 for `bf16` and `f16`, in the register layout of PTX's `mma.sync` m16n8k8 and m16n8k16. With
 * g = thread % 32 / 4 and t = thread % 4: sums[i] is row g + 8 (i / 2), column 2 t + i % 2. For `tf32`, a[i] (4) is row
 * g + 8 (i % 2), depth t + 4 (i / 2), and b[i] (2) is depth t + 4 i, column g. For the others, a[i] (8) is row g + 8 (i / 2 % 2),
 * depth 2 t + i % 2 + 8 (i / 4), and b[i] (4) is depth 2 t + i % 2 + 8 (i / 2), column g. Like a barrier, it stands where
 * all threads come.
 */
export function mma(format: MatrixFormat, sums: readonly string[], a: readonly Expr[], b: readonly Expr[]): Stmt {
  return { kind: "mma", format, sums, a, b };
}

/**
 * `sum += a[0] * b[0] + a[1] * b[1] + ...`, lane by lane, on the mutable f32 variable `sum`. Operands, products and their
 * sum, but not `sum` itself, may be halves, as far as a target has them: this asks for speed, and gives the precision up.
 */
export function dot(format: "f16", sum: string, a: readonly Expr[], b: readonly Expr[]): Stmt {
  return { kind: "dot", format, sum, a, b };
}

/** Writes an element, or the lanes of a vector to neighbours. */
export function store(buffer: string, index: Expr, value: Expr): Stmt {
  return { kind: "store", buffer, index, value };
}

/** Does `then` where the condition holds, else `otherwise`. */
export function branch(condition: Expr, then: readonly Stmt[], otherwise: readonly Stmt[] = []): Stmt {
  return { kind: "if", condition, then, otherwise };
}

/** Fills `count` elements of `buffer` from the generator state in `generator`. */
export function draw(what: Draw, generator: string, buffer: string, count: number): Stmt {
  return { kind: "draw", draw: what, generator, buffer, count };
}

/**
 * Records `[code, value, limit]` in the status buffer (i32) where the condition fails, unless an earlier failure is there
 * already; the run goes on and the runtime reports it afterwards. `value`, `limit`: i64, for the message.
 */
export function check(condition: Expr, code: number, status: string, value: Expr = int(0), limit: Expr = int(0)): Stmt {
  return { kind: "check", condition, code, status, value, limit };
}

/** A comment for the reader of the emitted text. */
export function note(text: string): Stmt {
  return { kind: "note", text };
}
