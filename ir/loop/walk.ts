/**
 * Ways through loop IR: what statements and expressions are made of. Whoever looks for something, or replaces it, goes
 * through these, so that a new kind of statement or expression is added here alone.
 */
import type { Expr, Stmt } from "./loop.ts";

/** The expressions that an expression is made of. */
export function partsOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case "constant":
    case "variable":
      return [];
    case "load":
    case "random":
      return [expr.index];
    case "scalar":
    case "pack":
      return expr.args;
    case "cast":
    case "splat":
    case "lane":
      return [expr.arg];
  }
}

/** The same expression of other parts. */
export function mapParts(expr: Expr, change: (part: Expr) => Expr): Expr {
  switch (expr.kind) {
    case "constant":
    case "variable":
      return expr;
    case "load":
    case "random":
      return { ...expr, index: change(expr.index) };
    case "scalar":
    case "pack":
      return { ...expr, args: expr.args.map(change) };
    case "cast":
    case "splat":
    case "lane":
      return { ...expr, arg: change(expr.arg) };
  }
}

/** The expressions that stand in a statement itself, not in statements within it. */
export function expressionsOf(stmt: Stmt): readonly Expr[] {
  switch (stmt.kind) {
    case "for":
      return [stmt.begin, stmt.end];
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
    case "dot":
      return [...stmt.a, ...stmt.b];
    case "shuffle":
      return stmt.values;
    case "local":
    case "shared":
    case "barrier":
    case "draw":
    case "note":
      return [];
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

/** Whether the threads of a task do something together in a statement itself. */
export function isTogether({ kind }: Stmt): boolean {
  return kind === "barrier" || kind === "mma" || kind === "shared" || kind === "shuffle";
}
