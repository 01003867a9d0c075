/**
 * WGSL statements from loop IR. A kernel's tasks loop is replaced by the work-group's own number; loops stay loops, but for
 * short ones that are to be unrolled, whose iterations are written out with the loop's variable as a constant of each.
 */
import { invariant } from "../../../ir/diagnostic/diagnostic.ts";
import type { Stmt } from "../../../ir/loop/loop.ts";
import { allStatements } from "../../../ir/loop/walk.ts";
import { at } from "../../../ir/type.ts";
import { code, comment, type Fragment } from "../../source-writer.ts";
import { elementOf, holdsVectors, laneOf, vectorPlace, writeElement, type ArrayView } from "./array.ts";
import { expressionText, indexOf, nameOf, soleIndex, viewOf, type Scope } from "./expression.ts";
import { constantOf } from "./fold.ts";
import { laneType, valueType, wgslName } from "./spelling.ts";

/** What the statements of a kernel see beside names. */
export type StatementScope = Scope & {
  /** Arrays that hold whole vectors only. */
  readonly vectors: ReadonlySet<string>;
  /** The shared arrays, declared outside of the kernel's function. */
  readonly shared: ReadonlyMap<Stmt, ArrayView>;
  /** Barriers that order the memory of buffers. */
  readonly ordering: ReadonlySet<Stmt>;
  /** The number of the work-group's task. */
  readonly task: Fragment;
};

/** Loops of up to this many iterations and statements in all are written out. */
const most = { iterations: 16, statements: 256 } as const;

/** Writes statements, in a scope of their own. */
export function writeBody(body: readonly Stmt[], outer: StatementScope): void {
  const arrays = new Map(outer.arrays);
  const scope = { ...outer, arrays };
  for (const stmt of body) {
    if (stmt.kind === "local") {
      const element = elementOf(stmt.dtype, outer.vectors.has(stmt.name), `the array ${stmt.name}`);
      arrays.set(stmt.name, { name: wgslName(stmt.name), dtype: stmt.dtype, element, offset: 0 });
    }
    if (stmt.kind === "shared") {
      const view = outer.shared.get(stmt);
      invariant(view !== undefined, `the shared array ${stmt.name} is not declared`);
      arrays.set(stmt.name, view);
    }
    writeStmt(stmt, scope);
  }
}

function writeStmt(stmt: Stmt, scope: StatementScope): void {
  const { writer } = scope;
  switch (stmt.kind) {
    case "for":
      return writeLoop(stmt, scope);
    case "let":
    case "mutable": {
      const value = expressionText(stmt.value, scope);
      const keyword = stmt.kind === "let" ? code`let` : code`var`;
      writer.line(code`${keyword} ${wgslName(stmt.name)}: ${valueType(stmt.value.type)} = ${value};`);
      return;
    }
    case "assign":
      writer.line(code`${wgslName(stmt.name)} = ${expressionText(stmt.value, scope)};`);
      return;
    case "local": {
      const { name, element } = viewOf(stmt.name, scope);
      writer.line(code`var ${name}: ${arrayType(element, stmt.size)};`);
      return;
    }
    case "shared":
      return;
    case "barrier":
      if (scope.shared.size > 0 || !scope.ordering.has(stmt)) writer.line(code`workgroupBarrier();`);
      if (scope.ordering.has(stmt)) writer.line(code`storageBarrier();`);
      return;
    case "store":
      return writeStore(stmt, scope);
    case "if": {
      const otherwise = stmt.otherwise.length > 0;
      const head = code`if (${expressionText(stmt.condition, scope)}) {`;
      writer.block(head, () => writeBody(stmt.then, scope), otherwise ? code`} else {` : code`}`);
      if (otherwise) writer.indented(() => writeBody(stmt.otherwise, scope)).line(code`}`);
      return;
    }
    case "check":
      return writeCheck(stmt, scope);
    case "shuffle":
      stmt.values.forEach((value, i) => {
        const text = expressionText(value, scope);
        const name = wgslName(at(stmt.names, i));
        writer.line(code`let ${name}: ${valueType(value.type)} = subgroupShuffleXor(${text}, ${stmt.distance}u);`);
      });
      return;
    case "dot":
      return writeDot(stmt, scope);
    case "mma":
    case "draw":
      invariant(false, `a kernel for WGSL holds a ${stmt.kind}`);
      break;
    case "note":
      for (const line of stmt.text.split("\n")) writer.line(comment(line));
      return;
  }
}

/** The type of an array of `size` elements of loop IR; WGSL has no empty ones. */
export function arrayType(element: ArrayView["element"], size: number): Fragment {
  const own = element.startsWith("vec4") ? size / 4 : size;
  return code`array<${elementType(element)}, ${Math.max(1, own)}>`;
}

/** A declared element type as text. */
export function elementType(element: ArrayView["element"]): Fragment {
  switch (element) {
    case "f32":
      return code`f32`;
    case "i32":
      return code`i32`;
    case "u32":
      return code`u32`;
    case "vec4<f32>":
      return code`vec4<f32>`;
    case "vec4<i32>":
      return code`vec4<i32>`;
    case "atomic<i32>":
      return code`atomic<i32>`;
  }
}

function writeLoop(stmt: Extract<Stmt, { kind: "for" }>, scope: StatementScope): void {
  const { writer } = scope;
  const name = wgslName(stmt.name);
  if (stmt.mode === "tasks") {
    writer.line(code`let ${name}: i32 = ${scope.task};`);
    return writeBody(stmt.body, scope);
  }
  const [first, last] = [constantOf(stmt.begin), constantOf(stmt.end)];
  if (stmt.mode === "unroll" && first !== undefined && last !== undefined) {
    const count = Math.max(0, Math.ceil((last - first) / stmt.step));
    if (count <= most.iterations && count * allStatements(stmt.body).length <= most.statements) {
      for (let index = first; index < last; index += stmt.step) {
        writer.block(code`{`, () => {
          writer.line(code`let ${name}: i32 = ${index};`);
          writeBody(stmt.body, scope);
        });
      }
      return;
    }
  }
  const begin = expressionText(stmt.begin, scope);
  const end = expressionText(stmt.end, scope);
  const advance = stmt.step === 1 ? code`${name}++` : code`${name} += ${stmt.step}`;
  writer.block(code`for (var ${name}: i32 = ${begin}; ${name} < ${end}; ${advance}) {`, () =>
    writeBody(stmt.body, scope),
  );
}

function writeStore(stmt: Extract<Stmt, { kind: "store" }>, scope: StatementScope): void {
  const { writer } = scope;
  const view = viewOf(stmt.buffer, scope);
  const { lanes } = stmt.value.type;
  if (holdsVectors(view)) {
    invariant(scope.whole.has(stmt), `a lane of ${stmt.buffer} is written`);
    const target = vectorPlace(view, stmt.index, (index) => expressionText(index, scope));
    writer.line(code`${target} = ${expressionText(stmt.value, scope)};`);
    return;
  }
  if (lanes === 1) {
    const index = soleIndex(stmt.index, scope);
    writer.line(writeElement(view, index, 0, expressionText(stmt.value, scope)));
    return;
  }
  const index = indexOf(stmt.index, scope);
  const value = nameOf(stmt.value, scope);
  for (let lane = 0; lane < lanes; lane++) writer.line(writeElement(view, index, lane, laneOf(value, lane)));
}

/** In halves, which whoever loads the module enables. */
function writeDot(stmt: Extract<Stmt, { kind: "dot" }>, scope: StatementScope): void {
  const terms = stmt.a.map((x, i) => {
    const type = laneType("f16", x.type.lanes);
    const [left, right] = [expressionText(x, scope), expressionText(at(stmt.b, i), scope)];
    return { type, left: code`${type}(${left})`, right: code`${type}(${right})` };
  });
  const [first, ...rest] = terms;
  invariant(first !== undefined, "a dot of nothing");
  const part = rest.reduce(
    (sum, { left, right }) => code`fma(${[left, right, sum]})`,
    code`${first.left} * ${first.right}`,
  );
  const sum = wgslName(stmt.sum);
  scope.writer.line(code`${sum} = ${sum} + ${valueType(at(stmt.a, 0).type)}(${part});`);
}

function writeCheck(stmt: Extract<Stmt, { kind: "check" }>, scope: StatementScope): void {
  const report = scope.support.report(viewOf(stmt.status, scope).name);
  const condition = nameOf(stmt.condition, scope);
  const args = [code`${stmt.code}`, expressionText(stmt.value, scope), expressionText(stmt.limit, scope)];
  scope.writer.block(code`if (!${condition}) {`, () => scope.writer.line(code`${report}(${args});`));
}
