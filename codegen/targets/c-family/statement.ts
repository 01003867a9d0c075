/**
 * Statements of C and its relatives from those of loop IR. What all dialects spell alike stands here; `Statements` is what
 * a dialect adds: how loops are announced to its compiler, and what only its kernels do.
 */
import { unreachable } from "../../../ir/diagnostic/diagnostic.ts";
import type { Expr, Stmt, ValueType } from "../../../ir/loop/loop.ts";
import type { DType } from "../../../ir/type.ts";
import { code, comment, type Fragment, type SourceWriter } from "../../source-writer.ts";
import { expressionText } from "./expression.ts";
import type { Support } from "./support.ts";

/** A loop. */
export type Loop = Extract<Stmt, { kind: "for" }>;

/** Statements that mean something on some devices only. */
export type SpecialStmt = Extract<Stmt, { kind: "local" | "shared" | "barrier" | "shuffle" | "dot" | "mma" | "draw" }>;

/** What a dialect spells in its own way. */
export type Statements = {
  /** A directive in front of a loop. */
  readonly loopHint: (loop: Loop, scope: Scope) => Fragment | undefined;
  /** The lines of a statement. */
  readonly special: (stmt: SpecialStmt, scope: Scope) => readonly Fragment[];
  /** Writes the loop over tasks, where it is not written like any other. */
  readonly tasks?: (loop: Loop, scope: Scope, writeBody: () => void) => void;
};

/** What statements can see. */
export type Scope = {
  /** Element types of the kernel's buffers and of the local arrays in sight. */
  readonly arrays: ReadonlyMap<string, DType>;
  /** Types of the mutable variables in sight. */
  readonly variables: ReadonlyMap<string, ValueType>;
  readonly writer: SourceWriter;
  readonly support: Support;
  readonly statements: Statements;
};

/** Loops of up to this many iterations are unrolled in full; longer ones by eight. */
const fullUnroll = 64;

/** How many iterations of a loop to unroll. */
export function unrollFactor({ begin, end, step }: Loop): number {
  if (begin.kind !== "constant" || end.kind !== "constant") return 8;
  const count = Math.ceil((end.value - begin.value) / step);
  return count <= fullUnroll ? Math.max(count, 1) : 8;
}

/** Writes statements, in a scope of their own. */
export function writeBody(body: readonly Stmt[], outer: Scope): void {
  const variables = new Map(outer.variables);
  const arrays = new Map(outer.arrays);
  const scope = { ...outer, variables, arrays };
  for (const stmt of body) {
    if (stmt.kind === "local" || stmt.kind === "shared") arrays.set(stmt.name, stmt.dtype);
    if (stmt.kind === "mutable") variables.set(stmt.name, stmt.value.type);
    writeStmt(stmt, scope);
  }
}

function writeStmt(stmt: Stmt, scope: Scope): void {
  const { writer, support } = scope;
  const { spelling } = support;
  const text = (expr: Expr): Fragment => expressionText(expr, support);
  switch (stmt.kind) {
    case "for":
      return writeLoop(stmt, scope);
    case "let":
      writer.line(code`const ${support.type(stmt.value.type)} ${spelling.name(stmt.name)} = ${text(stmt.value)};`);
      return;
    case "mutable":
      writer.line(code`${support.type(stmt.value.type)} ${spelling.name(stmt.name)} = ${text(stmt.value)};`);
      return;
    case "assign":
      writer.line(code`${spelling.name(stmt.name)} = ${text(stmt.value)};`);
      return;
    case "store":
      writer.line(
        stmt.value.type.lanes === 1
          ? code`${spelling.name(stmt.buffer)}[${text(stmt.index)}] = ${text(stmt.value)};`
          : support.storeLanes(stmt.buffer, stmt.index, stmt.value),
      );
      return;
    case "if": {
      const otherwise = stmt.otherwise.length > 0;
      const head = code`if (${text(stmt.condition)}) {`;
      writer.block(head, () => writeBody(stmt.then, scope), otherwise ? code`} else {` : code`}`);
      if (otherwise) writer.indented(() => writeBody(stmt.otherwise, scope)).line(code`}`);
      return;
    }
    case "check": {
      const args = [spelling.name(stmt.status), code`${stmt.code}`, text(stmt.value), text(stmt.limit)];
      writer.line(code`if (!(${text(stmt.condition)})) ${support.report()}(${args});`);
      return;
    }
    case "local":
    case "shared":
    case "barrier":
    case "shuffle":
    case "dot":
    case "mma":
    case "draw":
      for (const line of scope.statements.special(stmt, scope)) writer.line(line);
      return;
    case "note":
      for (const line of stmt.text.split("\n")) writer.line(comment(line));
      return;
    default:
      return unreachable(stmt);
  }
}

function writeLoop(stmt: Loop, scope: Scope): void {
  const { writer, support, statements } = scope;
  const body = (): void => writeBody(stmt.body, scope);
  if (stmt.mode === "tasks" && statements.tasks !== undefined) return statements.tasks(stmt, scope, body);
  const name = support.spelling.name(stmt.name);
  const hint = statements.loopHint(stmt, scope);
  if (hint !== undefined) writer.directive(hint);
  const advance = stmt.step === 1 ? code`${name}++` : code`${name} += ${stmt.step}`;
  const begin = code`${support.type(stmt.begin.type)} ${name} = ${expressionText(stmt.begin, support)}`;
  const end = code`${name} < ${expressionText(stmt.end, support)}`;
  writer.block(code`for (${begin}; ${end}; ${advance}) {`, body);
}
