/**
 * C functions from kernels. A kernel becomes one function of its buffers and of the range of tasks to do; loops stay
 * loops, with a pragma where the compiler is to vectorise or unroll them.
 */
import { invariant, unreachable } from "../../../ir/diagnostic/diagnostic.ts";
import type { BufferParam, Draw, Expr, Kernel, Reduction, Stmt, ValueType } from "../../../ir/loop/loop.ts";
import { isFloat, type DType } from "../../../ir/type.ts";
import { code, comment, Fragment, type SourceWriter } from "../../source-writer.ts";
import { expressionText, vectorAddress } from "./expression.ts";
import { cName, elementType, floatLiteral, kernelSymbol } from "./spelling.ts";
import type { Support } from "./support.ts";

/** Loops of up to this many iterations are unrolled in full; longer ones by eight. */
const fullUnroll = 64;

/** The first line of a kernel's definition, and with a semicolon its declaration. */
export function kernelHead(kernel: Kernel, aliased: ReadonlySet<string>): Fragment {
  const params = kernel.buffers.map((buffer) => bufferParameter(buffer, aliased.has(buffer.name)));
  params.push(code`int64_t taskBegin`, code`int64_t taskEnd`);
  return code`void ${kernelSymbol(kernel.name)}(${params})`;
}

/** `restrict` promises that nothing else touches what the pointer reaches, so a buffer that overlaps another goes without. */
function bufferParameter(buffer: BufferParam, aliased: boolean): Fragment {
  const constant = buffer.access === "read" ? code`const ` : code``;
  const restrict = aliased ? code`` : code`restrict `;
  return code`${constant}${elementType(buffer.dtype)} *${restrict}${cName(buffer.name)}`;
}

/** Writes a kernel as a function. `aliased`: names of its buffers that overlap another one in some launch. */
export function writeKernel(
  kernel: Kernel,
  aliased: ReadonlySet<string>,
  writer: SourceWriter,
  support: Support,
): void {
  writer.line(comment(kernel.doc));
  writer.line(comment(`${kernel.tasks} tasks, ${kernel.flops} floating-point operations`));
  const arrays = new Map(kernel.buffers.map((buffer) => [buffer.name, buffer.dtype]));
  const scope: Scope = { arrays, variables: new Map(), writer, support };
  writer.block(code`${kernelHead(kernel, aliased)} {`, () => writeBody(kernel.body, scope));
  writer.blank();
}

type Scope = {
  /** Element types of the kernel's buffers and of the local arrays in sight. */
  readonly arrays: ReadonlyMap<string, DType>;
  /** Types of the mutable variables in sight; what a reduction clause needs. */
  readonly variables: ReadonlyMap<string, ValueType>;
  readonly writer: SourceWriter;
  readonly support: Support;
};

function writeBody(body: readonly Stmt[], outer: Scope): void {
  const variables = new Map(outer.variables);
  const arrays = new Map(outer.arrays);
  const scope = { ...outer, variables, arrays };
  for (const stmt of body) {
    if (stmt.kind === "local") arrays.set(stmt.name, stmt.dtype);
    if (stmt.kind === "mutable") variables.set(stmt.name, stmt.value.type);
    writeStmt(stmt, scope);
  }
}

function writeStmt(stmt: Stmt, scope: Scope): void {
  const { writer, support } = scope;
  const text = (expr: Expr): Fragment => expressionText(expr, support);
  switch (stmt.kind) {
    case "for":
      return writeLoop(stmt, scope);
    case "let":
      writer.line(code`const ${support.type(stmt.value.type)} ${cName(stmt.name)} = ${text(stmt.value)};`);
      return;
    case "mutable":
      writer.line(code`${support.type(stmt.value.type)} ${cName(stmt.name)} = ${text(stmt.value)};`);
      return;
    case "assign":
      writer.line(code`${cName(stmt.name)} = ${text(stmt.value)};`);
      return;
    case "local":
      writer.line(code`_Alignas(64) ${elementType(stmt.dtype)} ${cName(stmt.name)}[${stmt.size}];`);
      return;
    case "store":
      return writeStore(stmt.buffer, stmt.index, stmt.value, scope);
    case "if": {
      const otherwise = stmt.otherwise.length > 0;
      const head = code`if (${text(stmt.condition)}) {`;
      writer.block(head, () => writeBody(stmt.then, scope), otherwise ? code`} else {` : code`}`);
      if (otherwise) writer.indented(() => writeBody(stmt.otherwise, scope)).line(code`}`);
      return;
    }
    case "draw":
      return writeDraw(stmt.draw, stmt.generator, stmt.buffer, stmt.count, scope);
    case "check": {
      const args = [cName(stmt.status), code`${stmt.code}`, text(stmt.value), text(stmt.limit)];
      writer.line(code`if (!(${text(stmt.condition)})) ${support.report()}(${args});`);
      return;
    }
    case "shared":
    case "barrier":
    case "mma":
      return invariant(false, `a processor's kernel holds a ${stmt.kind}`);
    case "note":
      for (const line of stmt.text.split("\n")) writer.line(comment(line));
      return;
  }
}

function writeLoop(stmt: Extract<Stmt, { kind: "for" }>, scope: Scope): void {
  const { writer, support } = scope;
  const name = cName(stmt.name);
  if (stmt.mode === "vector") {
    const clauses = stmt.reductions.map((reduction) => reductionClause(reduction, scope));
    writer.directive(new Fragment(["#pragma omp simd", ...clauses.map((clause) => clause.text)].join(" ")));
  }
  if (stmt.mode === "unroll")
    writer.directive(code`#pragma GCC unroll ${unrollFactor(stmt.begin, stmt.end, stmt.step)}`);
  const advance = stmt.step === 1 ? code`${name}++` : code`${name} += ${stmt.step}`;
  const begin = code`int64_t ${name} = ${expressionText(stmt.begin, support)}`;
  const end = code`${name} < ${expressionText(stmt.end, support)}`;
  writer.block(code`for (${begin}; ${end}; ${advance}) {`, () => writeBody(stmt.body, scope));
}

function unrollFactor(begin: Expr, end: Expr, step: number): number {
  if (begin.kind !== "constant" || end.kind !== "constant") return 8;
  const count = Math.ceil((end.value - begin.value) / step);
  return count <= fullUnroll ? Math.max(count, 1) : 8;
}

/** C's own `max` and `min` lose NaN when they combine lanes; floats use reductions declared by the program instead. */
function reductionClause(reduction: Reduction, scope: Scope): Fragment {
  const type = scope.variables.get(reduction.name);
  invariant(type !== undefined, `a loop reduces \`${reduction.name}\`, which no mutable variable in sight is called`);
  const name = cName(reduction.name);
  switch (reduction.op) {
    case "add":
      return code`reduction(+ : ${name})`;
    case "mul":
      return code`reduction(* : ${name})`;
    case "max":
    case "min": {
      const own = isFloat(type.dtype) ? scope.support.reduction(reduction.op, type.dtype) : new Fragment(reduction.op);
      return code`reduction(${own} : ${name})`;
    }
    default:
      return unreachable(reduction.op);
  }
}

function writeStore(buffer: string, index: Expr, value: Expr, scope: Scope): void {
  const { writer, support } = scope;
  const target =
    value.type.lanes === 1
      ? code`${cName(buffer)}[${expressionText(index, support)}]`
      : code`*${vectorAddress(buffer, index, value.type, support, false)}`;
  writer.line(code`${target} = ${expressionText(value, support)};`);
}

function writeDraw(draw: Draw, generator: string, buffer: string, count: number, scope: Scope): void {
  const number = (value: number): Fragment => floatLiteral(value, "");
  const call = (name: string, ...parameters: readonly number[]): void => {
    const args = [code`(uint32_t *)${cName(generator)}`, cName(buffer), code`${count}`, ...parameters.map(number)];
    scope.writer.line(code`${new Fragment(name)}(${args});`);
  };
  switch (draw.kind) {
    case "uniform":
      return call("kiln_draw_uniform_f32", draw.low, draw.high);
    case "normal":
      return call("kiln_draw_normal_f32", draw.mean, draw.std);
    case "bernoulli": {
      const dtype = scope.arrays.get(buffer);
      return call(dtype === "f32" ? "kiln_draw_bernoulli_f32" : "kiln_draw_bernoulli_u8", draw.p);
    }
  }
}
