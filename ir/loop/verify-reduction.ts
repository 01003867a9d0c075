/**
 * What a vector loop does to variables from outside: it may change exactly those it declares as reductions, each only by
 * combining it with something else by its operation, and may look at none of them in between, since every lane has a
 * share of its own until the loop ends.
 */
import type { Expr, Reduction, Stmt } from "./loop.ts";
import { allStatements, expressionsOf, partsOf } from "./walk.ts";

/** The rule that a vector loop's body breaks, or `undefined`. `outside`: mutable variables declared before the loop. */
export function checkReduction(
  body: readonly Stmt[],
  reductions: readonly Reduction[],
  outside: ReadonlySet<string>,
): string | undefined {
  const declared = new Map(reductions.map((reduction) => [reduction.name, reduction]));
  const assigned = new Set<string>();
  for (const stmt of allStatements(body)) {
    const expressions = [...expressionsOf(stmt)];
    if (stmt.kind === "assign" && outside.has(stmt.name)) {
      const reduction = declared.get(stmt.name);
      if (reduction === undefined) return `it changes \`${stmt.name}\` without declaring a reduction`;
      assigned.add(stmt.name);
      if (combined(stmt.value, reduction) === undefined)
        return `it changes \`${stmt.name}\` other than by ${reduction.op}`;
      expressions.splice(0, expressions.length, ...(combined(stmt.value, reduction) ?? []));
    }
    for (const expr of expressions) {
      const name = reductions.find((reduction) => mentions(expr, reduction.name))?.name;
      if (name !== undefined) return `it looks at \`${name}\` while it reduces it`;
    }
  }
  const idle = reductions.find((reduction) => !assigned.has(reduction.name));
  return idle === undefined ? undefined : `it declares a reduction of \`${idle.name}\`, which it does not change`;
}

/** What a reduction combines its variable with, if `value` has such a form. */
function combined(value: Expr, { name, op }: Reduction): readonly Expr[] | undefined {
  if (value.kind !== "scalar") return undefined;
  const [x, y, z] = value.args;
  const isSelf = (expr: Expr | undefined): boolean => expr?.kind === "variable" && expr.name === name;
  if (x === undefined || y === undefined) return undefined;
  if (value.op === op && isSelf(x)) return [y];
  if (value.op === op && isSelf(y)) return [x];
  if (value.op === "sub" && op === "add" && isSelf(x)) return [y];
  if (value.op === "fma" && op === "add" && isSelf(z)) return [x, y];
  return undefined;
}

function mentions(expr: Expr, name: string): boolean {
  return expr.kind === "variable" ? expr.name === name : partsOf(expr).some((part) => mentions(part, name));
}
