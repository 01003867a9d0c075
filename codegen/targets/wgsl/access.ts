/**
 * Which arrays of a kernel can be declared as arrays of 4-lane vectors: those whose every access is of four lanes, at an
 * index that is a multiple of four whatever its variables are. A vector access within the array then is one access of an
 * element of the vector array.
 */
import { isInteger } from "../../../ir/type.ts";
import { partsOf, unboundedSize, type Expr, type Kernel, type Stmt } from "../../../ir/loop/loop.ts";

/** Powers of two that variables in sight are multiples of. */
type Multiples = ReadonlyMap<string, number>;

/** Names of the buffers, shared and local arrays of a kernel that hold whole vectors only; of the data sets, those of bytes too. */
export function vectorArrays(kernel: Kernel): ReadonlySet<string> {
  const vectors = new Set<string>();
  const others = new Set<string>();
  const note = (array: string, lanes: number, index: Expr, multiples: Multiples): void => {
    (lanes === 4 && multipleOf(index, multiples) === 4 ? vectors : others).add(array);
  };
  const readIn = (expr: Expr, multiples: Multiples): void => {
    if (expr.kind === "load") note(expr.buffer, expr.type.lanes, expr.index, multiples);
    if (expr.kind === "random") others.add(expr.key);
    for (const part of partsOf(expr)) readIn(part, multiples);
  };
  const walk = (body: readonly Stmt[], outer: Multiples): void => {
    const multiples = new Map(outer);
    for (const stmt of body) {
      for (const expr of expressionsOf(stmt)) readIn(expr, multiples);
      if (stmt.kind === "let") multiples.set(stmt.name, multipleOf(stmt.value, multiples));
      if (stmt.kind === "store") note(stmt.buffer, stmt.value.type.lanes, stmt.index, multiples);
      if (stmt.kind === "check") others.add(stmt.status);
      if ((stmt.kind === "local" || stmt.kind === "shared") && (stmt.size % 4 !== 0 || stmt.dtype === "bool"))
        others.add(stmt.name);
      if (stmt.kind === "for") walk(stmt.body, new Map(multiples).set(stmt.name, ofLoop(stmt, multiples, kernel)));
      if (stmt.kind === "if") {
        walk(stmt.then, multiples);
        walk(stmt.otherwise, multiples);
      }
    }
  };
  walk(kernel.body, new Map());
  for (const { name, dtype, size } of kernel.buffers) {
    const bytes = size === unboundedSize && (dtype === "u8" || dtype === "bool");
    if (dtype !== "f32" && dtype !== "i32" && !bytes) others.add(name);
  }
  return new Set([...vectors].filter((name) => !others.has(name)));
}

/** The expressions that stand in a statement itself. */
export function expressionsOf(stmt: Stmt): readonly Expr[] {
  switch (stmt.kind) {
    case "for":
      return stmt.mode === "tasks" ? [] : [stmt.begin, stmt.end];
    case "let":
    case "mutable":
    case "assign":
      return [stmt.value];
    case "store":
      return [stmt.index, stmt.value];
    case "if":
      return [stmt.condition];
    case "check":
      return [stmt.condition, stmt.value, stmt.limit];
    case "mma":
      return [...stmt.a, ...stmt.b];
    case "local":
    case "shared":
    case "barrier":
    case "draw":
    case "note":
      return [];
  }
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

/** Every statement of a body, those inside others too. */
export function allStatements(body: readonly Stmt[]): readonly Stmt[] {
  return body.flatMap((stmt) => {
    if (stmt.kind === "for") return [stmt, ...allStatements(stmt.body)];
    if (stmt.kind === "if") return [stmt, ...allStatements(stmt.then), ...allStatements(stmt.otherwise)];
    return [stmt];
  });
}
