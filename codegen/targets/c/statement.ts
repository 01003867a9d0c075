/**
 * C functions from kernels. A kernel becomes one function of its buffers and of the range of tasks to do; loops stay
 * loops, with a pragma where the compiler is to vectorise or unroll them.
 */
import { invariant, unreachable } from "../../../ir/diagnostic/diagnostic.ts";
import type { BufferParam, Kernel, Reduction, Stmt } from "../../../ir/loop/loop.ts";
import { isFloat } from "../../../ir/type.ts";
import { code, comment, Fragment, type SourceWriter } from "../../source-writer.ts";
import { unrollFactor, writeBody, type Loop, type Scope, type SpecialStmt } from "../c-family/statement.ts";
import { cName, elementType, floatLiteral, kernelSymbol } from "./spelling.ts";
import type { CSupport } from "./support.ts";

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
  support: CSupport,
): void {
  writer.line(comment(kernel.doc));
  writer.line(comment(`${kernel.tasks} tasks, ${kernel.flops} floating-point operations`));
  const arrays = new Map(kernel.buffers.map((buffer) => [buffer.name, buffer.dtype]));
  const loopHint = (loop: Loop, scope: Scope): Fragment | undefined => pragma(loop, scope, support);
  const scope: Scope = { arrays, variables: new Map(), writer, support, statements: { loopHint, special } };
  writer.block(code`${kernelHead(kernel, aliased)} {`, () => writeBody(kernel.body, scope));
  writer.blank();
}

function special(stmt: SpecialStmt, scope: Scope): readonly Fragment[] {
  switch (stmt.kind) {
    case "local":
      return [code`_Alignas(64) ${elementType(stmt.dtype)} ${cName(stmt.name)}[${stmt.size}];`];
    case "draw":
      return [drawCall(stmt, scope)];
    case "shared":
    case "barrier":
    case "shuffle":
    case "dot":
    case "mma":
      invariant(false, `a processor's kernel holds a ${stmt.kind}`);
      break;
    default:
      return unreachable(stmt);
  }
}

function pragma(loop: Loop, scope: Scope, support: CSupport): Fragment | undefined {
  if (loop.mode === "unroll") return code`#pragma GCC unroll ${unrollFactor(loop)}`;
  if (loop.mode !== "vector") return undefined;
  const clauses = loop.reductions.map((reduction) => reductionClause(reduction, scope, support));
  return new Fragment(["#pragma omp simd", ...clauses.map((clause) => clause.text)].join(" "));
}

/** C's own `max` and `min` lose NaN when they combine lanes; floats use reductions declared by the program instead. */
function reductionClause(reduction: Reduction, scope: Scope, support: CSupport): Fragment {
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
      const own = isFloat(type.dtype) ? support.reduction(reduction.op, type.dtype) : new Fragment(reduction.op);
      return code`reduction(${own} : ${name})`;
    }
    default:
      return unreachable(reduction.op);
  }
}

function drawCall({ draw, generator, buffer, count }: Extract<Stmt, { kind: "draw" }>, scope: Scope): Fragment {
  const number = (value: number): Fragment => floatLiteral(value, "");
  const call = (name: string, ...parameters: readonly number[]): Fragment => {
    const args = [code`(uint32_t *)${cName(generator)}`, cName(buffer), code`${count}`, ...parameters.map(number)];
    return code`${new Fragment(name)}(${args});`;
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
    default:
      return unreachable(draw);
  }
}
