/**
 * The printed form of loop IR: one statement a line, infix operators, types where they are not plain from the operands.
 * For people and golden files; equal kernels print equally.
 */
import { unreachable } from "../diagnostic/diagnostic.ts";
import { scalar, type Draw, type Expr, type Kernel, type Stmt, type ValueType } from "./loop.ts";
import type { ScalarOp } from "./scalar.ts";

/** Operators printed between their operands, with their binding strength. */
const infix: Partial<Readonly<Record<ScalarOp, { readonly text: string; readonly level: number }>>> = {
  or: { text: "|", level: 1 },
  xor: { text: "^", level: 2 },
  and: { text: "&", level: 3 },
  eq: { text: "==", level: 4 },
  ne: { text: "!=", level: 4 },
  lt: { text: "<", level: 5 },
  le: { text: "<=", level: 5 },
  gt: { text: ">", level: 5 },
  ge: { text: ">=", level: 5 },
  add: { text: "+", level: 6 },
  sub: { text: "-", level: 6 },
  mul: { text: "*", level: 7 },
  div: { text: "/", level: 7 },
  mod: { text: "%", level: 7 },
};

/** A value type: `f32`, or `f32x8` for a vector. */
export function formatValueType(type: ValueType): string {
  return type.lanes === 1 ? type.dtype : `${type.dtype}x${type.lanes}`;
}

/** A whole kernel. */
export function printKernel(kernel: Kernel): string {
  const threads = kernel.threads === undefined ? "" : ` threads ${kernel.threads}`;
  const lines = [`kernel ${kernel.name} tasks ${kernel.tasks}${threads} flops ${kernel.flops}  # ${kernel.doc}`];
  for (const { access, name, dtype, size } of kernel.buffers) lines.push(`  ${access} ${name}: ${dtype}[${size}]`);
  lines.push("{", ...printBlock(kernel.body, "  "), "}");
  return lines.join("\n");
}

/** One statement, over as many lines as it takes. */
export function printStmt(stmt: Stmt): string {
  return printBlock([stmt], "").join("\n");
}

function printBlock(body: readonly Stmt[], indent: string): string[] {
  return body.flatMap((stmt) => stmtLines(stmt, indent));
}

function stmtLines(stmt: Stmt, indent: string): string[] {
  switch (stmt.kind) {
    case "for": {
      const step = stmt.step === 1 ? "" : ` step ${stmt.step}`;
      const mode = stmt.mode === "serial" ? "" : ` ${stmt.mode}`;
      const reductions = stmt.reductions.map(({ op, name }) => ` reduce ${op} ${name}`).join("");
      const range = `${printExpr(stmt.begin)} .. ${printExpr(stmt.end)}`;
      return [
        `${indent}for ${stmt.name} in ${range}${step}${mode}${reductions} {`,
        ...printBlock(stmt.body, `${indent}  `),
        `${indent}}`,
      ];
    }
    case "let":
      return [`${indent}let ${stmt.name} = ${printExpr(stmt.value)}`];
    case "mutable":
      return [`${indent}mutable ${stmt.name}: ${formatValueType(stmt.value.type)} = ${printExpr(stmt.value)}`];
    case "assign":
      return [`${indent}${stmt.name} = ${printExpr(stmt.value)}`];
    case "local":
      return [`${indent}local ${stmt.name}: ${stmt.dtype}[${stmt.size}]`];
    case "shared":
      return [`${indent}shared ${stmt.name}: ${stmt.dtype}[${stmt.size}]`];
    case "barrier":
      return [`${indent}barrier`];
    case "shuffle":
      return [
        `${indent}shuffle ${stmt.names.join(", ")} = ${stmt.values.map(printExpr).join(", ")} by ${stmt.distance}`,
      ];
    case "dot": {
      const terms = stmt.a.map((x, i) => printExpr(scalar("mul", x, stmt.b[i] ?? x)));
      return [`${indent}dot ${stmt.format} ${stmt.sum} += ${terms.join(" + ")}`];
    }
    case "mma": {
      const list = (exprs: readonly Expr[]): string => exprs.map(printExpr).join(", ");
      return [`${indent}mma ${stmt.format} ${stmt.sums.join(", ")} += (${list(stmt.a)}) * (${list(stmt.b)})`];
    }
    case "store": {
      const { lanes } = stmt.value.type;
      return [`${indent}${stmt.buffer}[${printIndex(stmt.index, lanes)}] = ${printExpr(stmt.value)}`];
    }
    case "if": {
      const otherwise =
        stmt.otherwise.length === 0 ? [] : [`${indent}} else {`, ...printBlock(stmt.otherwise, `${indent}  `)];
      return [
        `${indent}if ${printExpr(stmt.condition)} {`,
        ...printBlock(stmt.then, `${indent}  `),
        ...otherwise,
        `${indent}}`,
      ];
    }
    case "draw":
      return [`${indent}draw ${stmt.count} of ${formatDraw(stmt.draw)} from ${stmt.generator} into ${stmt.buffer}`];
    case "check":
      return [`${indent}check ${printExpr(stmt.condition)} else ${stmt.code} in ${stmt.status}`];
    case "note":
      return stmt.text.split("\n").map((line) => `${indent}# ${line}`);
    default:
      return unreachable(stmt);
  }
}

/** `uniform(0, 1)`, `normal(0, 1)`, `bernoulli(0.5)`. */
function formatDraw(draw: Draw): string {
  switch (draw.kind) {
    case "uniform":
      return `uniform(${draw.low}, ${draw.high})`;
    case "normal":
      return `normal(${draw.mean}, ${draw.std})`;
    case "bernoulli":
      return `bernoulli(${draw.p})`;
    default:
      return unreachable(draw);
  }
}

function printIndex(index: Expr, lanes: number): string {
  return lanes === 1 ? printExpr(index) : `${printExpr(index)} :${lanes}`;
}

/** One expression. */
export function printExpr(expr: Expr): string {
  return exprText(expr, 0);
}

/** The text of `expr`, in parentheses if it binds more weakly than `level`. */
function exprText(expr: Expr, level: number): string {
  switch (expr.kind) {
    case "constant":
      return formatConstant(expr.type, expr.value);
    case "variable":
      return expr.name;
    case "load":
      return `${expr.buffer}[${printIndex(expr.index, expr.type.lanes)}]`;
    case "cast":
      return `${formatValueType(expr.type)}(${exprText(expr.arg, 0)})`;
    case "splat":
      return `splat${expr.type.lanes}(${exprText(expr.arg, 0)})`;
    case "lane":
      return `lane${expr.lane}(${exprText(expr.arg, 0)})`;
    case "pack":
      return `pack(${expr.args.map((arg) => exprText(arg, 0)).join(", ")})`;
    case "random":
      return `random(${expr.key}, ${expr.use}, ${exprText(expr.index, 0)})`;
    case "scalar": {
      const operator = infix[expr.op];
      const [x, y] = expr.args;
      if (operator === undefined || x === undefined || y === undefined) {
        return `${expr.op}(${expr.args.map((arg) => exprText(arg, 0)).join(", ")})`;
      }
      const text = `${exprText(x, operator.level)} ${operator.text} ${exprText(y, operator.level + 1)}`;
      return operator.level < level ? `(${text})` : text;
    }
    default:
      return unreachable(expr);
  }
}

/** Numbers as JavaScript prints them, which is exact; floats that look like integers get a `.0`, non-i64 integers their type. */
function formatConstant(type: ValueType, value: number): string {
  const text = Object.is(value, -0) ? "-0" : String(value);
  switch (type.dtype) {
    case "i64":
      return text;
    case "f32":
      return /^-?\d+$/.test(text) ? `${text}.0` : text;
    case "bool":
      return value === 0 ? "false" : "true";
    case "f64":
    case "f16":
    case "bf16":
    case "i8":
    case "u8":
    case "i16":
    case "i32":
      return `${type.dtype}(${text})`;
    default:
      return unreachable(type.dtype);
  }
}
