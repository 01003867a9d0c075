/**
 * How the arrays of a kernel are accessed: which of them are declared as arrays of 4-lane vectors, which loads and stores
 * then are of one vector, and where a barrier must order the memory of buffers too.
 */
import { unboundedSize, type Expr, type Kernel, type Stmt } from "../../../ir/loop/loop.ts";
import { allStatements, expressionsOf, partsOf } from "../../../ir/loop/walk.ts";
import { isInteger } from "../../../ir/type.ts";

/** Powers of two that variables in sight are multiples of. */
type Multiples = ReadonlyMap<string, number>;

/** What is known of a kernel's accesses. */
export type Accesses = {
  /** Arrays whose elements are better declared as vectors. */
  readonly vectors: ReadonlySet<string>;
  /** Loads and stores of four lanes at an index that is a multiple of four, whatever its variables are. */
  readonly whole: ReadonlySet<Expr | Stmt>;
};

/** How often an array is accessed by whole vectors and otherwise: the deeper in loops, the more an access counts. */
type Counts = { whole: number; reads: number; writes: number };

/** How many times an access within a loop counts. */
const loopWeight = 10;

/**
 * Looks at the accesses of a kernel. An array becomes one of vectors if whole vectors are most of what is read from it,
 * and all that is written: writing one lane may touch the others, which another thread may be writing.
 */
export function accessesOf(kernel: Kernel, body: readonly Stmt[]): Accesses {
  const counts = new Map<string, Counts>();
  const whole = new Set<Expr | Stmt>();
  const countsOf = (array: string): Counts => {
    const known = counts.get(array) ?? { whole: 0, reads: 0, writes: 0 };
    counts.set(array, known);
    return known;
  };
  const readIn = (expr: Expr, multiples: Multiples, weight: number): void => {
    if (expr.kind === "load") {
      if (expr.type.lanes === 4 && multipleOf(expr.index, multiples) === 4) {
        whole.add(expr);
        countsOf(expr.buffer).whole += weight;
      } else countsOf(expr.buffer).reads += weight;
    }
    for (const part of partsOf(expr)) readIn(part, multiples, weight);
  };
  const walk = (stmts: readonly Stmt[], outer: Multiples, weight: number): void => {
    const multiples = new Map(outer);
    for (const stmt of stmts) {
      for (const expr of expressionsOf(stmt)) readIn(expr, multiples, weight);
      if (stmt.kind === "let") multiples.set(stmt.name, multipleOf(stmt.value, multiples));
      if (stmt.kind === "store") {
        if (stmt.value.type.lanes === 4 && multipleOf(stmt.index, multiples) === 4) {
          whole.add(stmt);
          countsOf(stmt.buffer).whole += weight;
        } else countsOf(stmt.buffer).writes += weight;
      }
      if (stmt.kind === "for") {
        const own = new Map(multiples).set(stmt.name, ofLoop(stmt, multiples, kernel));
        walk(stmt.body, own, stmt.mode === "tasks" ? weight : weight * loopWeight);
      }
      if (stmt.kind === "if") {
        walk(stmt.then, multiples, weight);
        walk(stmt.otherwise, multiples, weight);
      }
    }
  };
  walk(body, new Map(), 1);
  const vectors = new Set<string>();
  for (const { name, size, dtype } of arraysOf(kernel, body)) {
    const known = counts.get(name);
    if (known === undefined || known.whole === 0 || known.writes > 0 || (dtype !== "f32" && dtype !== "i32")) continue;
    // Single elements of an incomplete last vector could not be reached.
    if (known.reads === 0 || (size % 4 === 0 && known.whole >= known.reads)) vectors.add(name);
  }
  return { vectors, whole };
}

/** The arrays of a kernel: buffers, shared and local ones. Data sets are no longer than they happen to be. */
function arraysOf({ buffers }: Kernel, body: readonly Stmt[]) {
  const all = allStatements(body).flatMap((stmt) => (stmt.kind === "local" || stmt.kind === "shared" ? [stmt] : []));
  // Arrays of one name in different places are declared alike.
  const odd = new Set(all.filter(({ size, dtype }) => size % 4 !== 0 || dtype !== "f32").map(({ name }) => name));
  const own = all.filter(({ name }) => !odd.has(name));
  return [
    ...buffers.map(({ name, dtype, size }) => ({ name, dtype, size: size === unboundedSize ? 1 : size })),
    ...own,
  ];
}

function ofLoop(stmt: Extract<Stmt, { kind: "for" }>, multiples: Multiples, kernel: Kernel): number {
  if (stmt.mode === "tasks") return kernel.tasks === 1 ? 4 : 1;
  return Math.min(multipleOf(stmt.begin, multiples), ofNumber(stmt.step));
}

function ofNumber(value: number): number {
  return value % 4 === 0 ? 4 : value % 2 === 0 ? 2 : 1;
}

/** The largest of 1, 2 and 4 that an integer expression is known to be a multiple of. */
function multipleOf(expr: Expr, multiples: Multiples): number {
  if (expr.kind === "constant") return ofNumber(expr.value);
  if (expr.kind === "variable") return multiples.get(expr.name) ?? 1;
  if (expr.kind === "cast" && isInteger(expr.type.dtype) && isInteger(expr.arg.type.dtype))
    return multipleOf(expr.arg, multiples);
  if (expr.kind !== "scalar") return 1;
  const args = (expr.op === "select" ? expr.args.slice(1) : expr.args).map((arg) => multipleOf(arg, multiples));
  const [x = 1, y = 1, z = 1] = args;
  switch (expr.op) {
    case "mul":
      return Math.min(4, x * y);
    case "fma":
      return Math.min(4, x * y, z);
    case "and":
      return Math.max(x, y);
    case "add":
    case "sub":
    case "mod":
    case "max":
    case "min":
    case "or":
    case "select":
    case "neg":
      return Math.min(...args);
    default:
      return 1;
  }
}
