/** Short dot products for machines without arithmetic of halves: in the type of their operands, which is more precise. */
import { assign, scalar, variable, type Expr, type Kernel, type Stmt } from "./loop.ts";

/** The kernel with multiplications and additions in place of `dot`. */
export function lowerDots(kernel: Kernel): Kernel {
  return { ...kernel, body: lowerBody(kernel.body) };
}

function lowerBody(body: readonly Stmt[]): Stmt[] {
  return body.flatMap((stmt): Stmt[] => {
    switch (stmt.kind) {
      case "for":
        return [{ ...stmt, body: lowerBody(stmt.body) }];
      case "if":
        return [{ ...stmt, then: lowerBody(stmt.then), otherwise: lowerBody(stmt.otherwise) }];
      case "dot":
        return stmt.a.flatMap((x, i) => {
          const y: Expr | undefined = stmt.b[i];
          return y === undefined ? [] : [assign(stmt.sum, scalar("fma", x, y, variable(stmt.sum, x.type)))];
        });
      default:
        return [stmt];
    }
  });
}
