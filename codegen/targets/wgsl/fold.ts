/**
 * Constants computed before they are text. WGSL makes it an error to write an expression of constants that overflows,
 * divides by zero or gives infinity, so none is left: what is constant is folded by the meaning of `scalar.ts`.
 */
import { conversion, operation } from "../../../ir/loop/arithmetic.ts";
import { splat, type Expr, type Stmt } from "../../../ir/loop/loop.ts";
import { mapParts } from "../../../ir/loop/walk.ts";
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import { isInteger, type DType } from "../../../ir/type.ts";

/** The same statements with folded expressions. No statement or load of the result is used twice. */
export function foldBody(body: readonly Stmt[]): readonly Stmt[] {
  return body.map((stmt) => {
    switch (stmt.kind) {
      case "for":
        return { ...stmt, begin: fold(stmt.begin), end: fold(stmt.end), body: foldBody(stmt.body) };
      case "let":
      case "mutable":
      case "assign":
        return { ...stmt, value: fold(stmt.value) };
      case "store":
        return { ...stmt, index: fold(stmt.index), value: fold(stmt.value) };
      case "if":
        return {
          ...stmt,
          condition: fold(stmt.condition),
          then: foldBody(stmt.then),
          otherwise: foldBody(stmt.otherwise),
        };
      case "dot":
      case "mma":
        return { ...stmt, a: stmt.a.map(fold), b: stmt.b.map(fold) };
      case "shuffle":
        return { ...stmt, values: stmt.values.map(fold) };
      case "check":
        return { ...stmt, condition: fold(stmt.condition), value: fold(stmt.value), limit: fold(stmt.limit) };
      default:
        return { ...stmt };
    }
  });
}

/** The same expression, with constants in place of operations on constants. */
export function fold(expr: Expr): Expr {
  const folded = mapParts(expr, fold);
  if (folded.kind === "cast") {
    const value = constantOf(folded.arg);
    if (value === undefined || isHalf(folded.type.dtype) || isHalf(folded.arg.type.dtype)) return folded;
    return lanes(folded, conversion(folded.arg.type.dtype, folded.type.dtype)(value));
  }
  if (folded.kind !== "scalar") return folded;
  const [x, y, z] = folded.args;
  if (x === undefined) return folded;
  const first = constantOf(x);
  if (folded.op === "select") {
    const chosen = first === 0 ? z : y;
    return first === undefined || chosen === undefined ? folded : chosen;
  }
  const same = neutral(folded.op, x, y);
  if (same !== undefined) return same;
  const second = y === undefined ? 0 : constantOf(y);
  const third = z === undefined ? 0 : constantOf(z);
  if (first === undefined || second === undefined || third === undefined || isHalf(x.type.dtype)) return folded;
  return lanes(folded, operation(folded.op, x.type.dtype)(first, second, third));
}

/** What an operation of integers leaves as it was: x + 0, x - 0, x * 1 and 1 * x. */
function neutral(op: ScalarOp, x: Expr, y: Expr | undefined): Expr | undefined {
  if (y === undefined || !isInteger(x.type.dtype)) return undefined;
  const [first, second] = [constantOf(x), constantOf(y)];
  if (op === "add" && first === 0) return y;
  if ((op === "add" || op === "sub") && second === 0) return x;
  if (op === "mul" && first === 1) return y;
  return op === "mul" && second === 1 ? x : undefined;
}

/** The value of a constant, or of all lanes of a vector that is one. */
export function constantOf(expr: Expr): number | undefined {
  if (expr.kind === "splat") return constantOf(expr.arg);
  return expr.kind === "constant" ? expr.value : undefined;
}

function lanes(like: Expr, value: number): Expr {
  const { dtype } = like.type;
  return splat({ kind: "constant", type: { dtype, lanes: 1 }, value }, like.type.lanes);
}

/** Types that loop IR does not compute with; spelling them is the error. */
function isHalf(dtype: DType): boolean {
  return dtype === "f16" || dtype === "bf16";
}
