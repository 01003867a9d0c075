/**
 * Checks that a kernel obeys the rules of loop IR, which all targets rely on: names are bound once and before use, types
 * agree, buffers are used as their access says, work is cut by tasks only, and vector loops carry exactly the reductions
 * they declare; threads of a task meet where all of them come. Whether indices stay inside and iterations are independent is checked by running (`interpret.ts`).
 */
import { fail } from "../diagnostic/diagnostic.ts";
import { malformedKernel } from "../diagnostic/messages.ts";
import { dtypeBytes } from "../type.ts";
import { indexType, type Kernel, type Stmt, type ValueType } from "./loop.ts";
import { allStatements } from "./walk.ts";
import { formatValueType, printExpr, printStmt } from "./print.ts";
import { checkReduction } from "./verify-reduction.ts";
import { mayVary, sameValueType, verifyExpr, type ArrayInfo, type Names } from "./verify-expr.ts";

/** Largest thread-private array, in bytes: it lies on a thread's stack. */
const largestLocal = 64 * 1024;

/** Largest sum of a kernel's thread-private arrays, in bytes. */
const largestLocals = 256 * 1024;

/** Most threads of a task: what CUDA allows. */
const mostThreads = 1024;

const nameForm = /^[A-Za-z][A-Za-z0-9_]*$/;

type Context = {
  readonly kernel: Kernel;
  /** Names in sight, this block's and those around it. */
  readonly names: Names;
  readonly inTasks: boolean;
  readonly inVector: boolean;
  /** Whether all threads of a task come here together. */
  readonly together: boolean;
};

/** Throws an `InternalError` K5102 if the kernel breaks a rule. */
export function verifyKernel(kernel: Kernel): void {
  const names: Names = { arrays: new Map(), variables: new Map(), mutables: new Set(), varying: new Set() };
  const context: Context = { kernel, names, inTasks: false, inVector: false, together: true };
  const { threads = 1 } = kernel;
  if (!isCount(threads) || threads < 1 || threads > mostThreads)
    throw broken(context, `threads ${threads}`, `a task has 1 to ${mostThreads} threads`);
  if (threads > 1) {
    names.variables.set("thread", indexType);
    names.varying.add("thread");
  }
  if (!nameForm.test(kernel.name)) throw broken(context, kernel.name, "its name is not an identifier");
  if (!isCount(kernel.tasks)) throw broken(context, `tasks ${kernel.tasks}`, "the number of tasks is not a count");
  for (const { name, dtype, size, access } of kernel.buffers) {
    claim(context, name);
    if (!isCount(size)) throw broken(context, `${name}: ${dtype}[${size}]`, "a buffer's size is not a count");
    names.arrays.set(name, { dtype, size, readable: access !== "write", writable: access !== "read", local: false });
  }
  verifyBody(kernel.body, context);
  const bytes = localBytes(kernel.body);
  if (bytes > largestLocals) {
    throw broken(context, `${bytes} bytes`, `local arrays may take ${largestLocals} bytes together`);
  }
}

function verifyBody(body: readonly Stmt[], outer: Context): void {
  const { arrays, variables, mutables, varying } = outer.names;
  const names = {
    arrays: new Map(arrays),
    variables: new Map(variables),
    mutables: new Set(mutables),
    varying: new Set(varying),
  };
  const context = { ...outer, names };
  for (const stmt of body) verifyStmt(stmt, context);
}

function verifyStmt(stmt: Stmt, context: Context): void {
  const { names } = context;
  const expr = (value: Parameters<typeof verifyExpr>[0], type?: ValueType): void => {
    const rule = verifyExpr(value, names);
    if (rule !== undefined) throw broken(context, printStmt(stmt), rule);
    if (type === undefined || sameValueType(value.type, type)) return;
    const got = `${printExpr(value)} is ${formatValueType(value.type)}`;
    throw broken(context, printStmt(stmt), `expected ${formatValueType(type)}, but ${got}`);
  };
  switch (stmt.kind) {
    case "for":
      return verifyLoop(stmt, context);
    case "let":
    case "mutable":
      expr(stmt.value);
      claim(context, stmt.name);
      names.variables.set(stmt.name, stmt.value.type);
      if (stmt.kind === "mutable") names.mutables.add(stmt.name);
      if (mayVary(stmt.value, names)) names.varying.add(stmt.name);
      return;
    case "assign": {
      const type = names.variables.get(stmt.name);
      if (type === undefined || !names.mutables.has(stmt.name)) {
        throw broken(context, printStmt(stmt), `\`${stmt.name}\` is no mutable variable in sight`);
      }
      return expr(stmt.value, type);
    }
    case "local":
      claim(context, stmt.name);
      if (!isCount(stmt.size) || stmt.size * dtypeBytes[stmt.dtype] > largestLocal) {
        throw broken(context, printStmt(stmt), `a local array may take ${largestLocal} bytes`);
      }
      names.arrays.set(stmt.name, { dtype: stmt.dtype, size: stmt.size, readable: true, writable: true, local: true });
      return;
    case "shared":
      return verifyShared(stmt, context);
    case "barrier":
      return verifyMeeting(stmt, context);
    case "shuffle":
      return verifyShuffle(stmt, context);
    case "dot":
      return verifyDot(stmt, context);
    case "mma":
      return verifyMma(stmt, context);
    case "store": {
      const array = writable(stmt.buffer, stmt, context);
      expr(stmt.index, indexType);
      return expr(stmt.value, { dtype: array.dtype, lanes: stmt.value.type.lanes });
    }
    case "if": {
      expr(stmt.condition, { dtype: "bool", lanes: 1 });
      const together = context.together && !mayVary(stmt.condition, names);
      verifyBody(stmt.then, { ...context, together });
      return verifyBody(stmt.otherwise, { ...context, together });
    }
    case "draw":
      return verifyDraw(stmt, context);
    case "check": {
      const { dtype, size } = writable(stmt.status, stmt, context);
      if (dtype !== "i32" || size < 3) throw broken(context, printStmt(stmt), "a status buffer holds at least 3 i32");
      expr(stmt.condition, { dtype: "bool", lanes: 1 });
      expr(stmt.value, indexType);
      return expr(stmt.limit, indexType);
    }
    case "note":
      return;
  }
}

function verifyLoop(stmt: Extract<Stmt, { kind: "for" }>, context: Context): void {
  const shown = `for ${stmt.name} in ${printExpr(stmt.begin)} .. ${printExpr(stmt.end)} ${stmt.mode}`;
  const { names } = context;
  if (stmt.step < 1 || !Number.isSafeInteger(stmt.step))
    throw broken(context, shown, "a loop's step is a positive integer");
  if (stmt.reductions.length > 0 && stmt.mode !== "vector")
    throw broken(context, shown, "only vector loops have reductions");
  if (stmt.mode === "tasks") {
    const bounds = isVariable(stmt.begin, "taskBegin") && isVariable(stmt.end, "taskEnd") && stmt.step === 1;
    if (!bounds) throw broken(context, shown, "a tasks loop runs from taskBegin to taskEnd by 1");
    if (context.inTasks || context.inVector) throw broken(context, shown, "a tasks loop stands within no other");
  } else {
    for (const bound of [stmt.begin, stmt.end]) {
      const rule = verifyExpr(bound, names) ?? (sameValueType(bound.type, indexType) ? undefined : "a bound is no i64");
      if (rule !== undefined) throw broken(context, shown, rule);
    }
  }
  if (stmt.mode === "vector") {
    if (context.inVector) throw broken(context, shown, "a vector loop stands within no other");
    for (const reduction of stmt.reductions) {
      const type = names.mutables.has(reduction.name) ? names.variables.get(reduction.name) : undefined;
      if (type === undefined || type.lanes !== 1 || type.dtype === "bool") {
        throw broken(context, shown, `it reduces \`${reduction.name}\`, which is no mutable number in sight`);
      }
    }
    const rule = checkReduction(stmt.body, stmt.reductions, names.mutables);
    if (rule !== undefined) throw broken(context, shown, rule);
  }
  claim(context, stmt.name);
  const inner = new Map(names.variables).set(stmt.name, indexType);
  const differs = stmt.mode !== "tasks" && (mayVary(stmt.begin, names) || mayVary(stmt.end, names));
  const varying = differs ? new Set(names.varying).add(stmt.name) : names.varying;
  verifyBody(stmt.body, {
    kernel: context.kernel,
    names: { ...names, variables: inner, varying },
    inTasks: context.inTasks || stmt.mode === "tasks",
    inVector: context.inVector || stmt.mode === "vector",
    together: context.together && !differs && stmt.mode !== "vector",
  });
}

function verifyShared(stmt: Extract<Stmt, { kind: "shared" }>, context: Context): void {
  const { name, dtype, size } = stmt;
  claim(context, name);
  if (!context.inTasks || !context.together) throw broken(context, printStmt(stmt), "not all threads come here");
  if (!isCount(size) || size * dtypeBytes[dtype] > largestLocal)
    throw broken(context, printStmt(stmt), `a shared array may take ${largestLocal} bytes`);
  context.names.arrays.set(name, { dtype, size, readable: true, writable: true, local: true });
}

/** Threads meet where all of them come. */
function verifyMeeting(stmt: Stmt, context: Context): void {
  if (!context.inTasks || !context.together) throw broken(context, printStmt(stmt), "not all threads come here");
}

function verifyShuffle(stmt: Extract<Stmt, { kind: "shuffle" }>, context: Context): void {
  verifyMeeting(stmt, context);
  const { names, kernel } = context;
  const { distance } = stmt;
  if (!isCount(distance) || distance < 1 || distance !== 2 ** Math.floor(Math.log2(distance)))
    throw broken(context, printStmt(stmt), "a distance is a power of two");
  if ((kernel.threads ?? 1) % (2 * distance) !== 0) throw broken(context, printStmt(stmt), "a thread has no partner");
  if (stmt.names.length !== stmt.values.length) throw broken(context, printStmt(stmt), "a name has no value");
  for (const value of stmt.values) {
    const rule = verifyExpr(value, names) ?? (value.type.lanes === 1 ? undefined : "a vector is shuffled");
    if (rule !== undefined) throw broken(context, printStmt(stmt), rule);
  }
  stmt.names.forEach((name, i) => {
    claim(context, name);
    const value = stmt.values[i];
    if (value !== undefined) names.variables.set(name, value.type);
    names.varying.add(name);
  });
}

function verifyDot(stmt: Extract<Stmt, { kind: "dot" }>, context: Context): void {
  const { names } = context;
  const type = names.mutables.has(stmt.sum) ? names.variables.get(stmt.sum) : undefined;
  if (type?.dtype !== "f32") throw broken(context, printStmt(stmt), `\`${stmt.sum}\` is no mutable f32 in sight`);
  if (context.inVector) throw broken(context, printStmt(stmt), "a vector loop declares what it sums");
  if (stmt.a.length === 0 || stmt.a.length !== stmt.b.length)
    throw broken(context, printStmt(stmt), "it has the wrong number of operands");
  for (const operand of [...stmt.a, ...stmt.b]) {
    const rule =
      verifyExpr(operand, names) ??
      (sameValueType(operand.type, type) ? undefined : "an operand is of another type than the sum");
    if (rule !== undefined) throw broken(context, printStmt(stmt), rule);
  }
}

/** Operands of a matrix product: per thread, of the first and of the second. */
const mmaOperands = { tf32: [4, 2], bf16: [8, 4], f16: [8, 4] } as const;

function verifyMma(stmt: Extract<Stmt, { kind: "mma" }>, context: Context): void {
  verifyMeeting(stmt, context);
  const { names, kernel } = context;
  const [rows, columns] = mmaOperands[stmt.format];
  if (stmt.sums.length !== 4 || stmt.a.length !== rows || stmt.b.length !== columns)
    throw broken(context, printStmt(stmt), "it has the wrong number of operands");
  if ((kernel.threads ?? 1) % 32 !== 0) throw broken(context, printStmt(stmt), "a task has whole warps");
  const float: ValueType = { dtype: "f32", lanes: 1 };
  for (const name of stmt.sums) {
    const type = names.mutables.has(name) ? names.variables.get(name) : undefined;
    if (type === undefined || !sameValueType(type, float))
      throw broken(context, printStmt(stmt), `\`${name}\` is no mutable f32 in sight`);
  }
  for (const operand of [...stmt.a, ...stmt.b]) {
    const rule =
      verifyExpr(operand, names) ?? (sameValueType(operand.type, float) ? undefined : "an operand is no f32");
    if (rule !== undefined) throw broken(context, printStmt(stmt), rule);
  }
}

function verifyDraw(stmt: Extract<Stmt, { kind: "draw" }>, context: Context): void {
  const shown = printStmt(stmt);
  const { dtype, size } = writable(stmt.buffer, stmt, context);
  const generator = writable(stmt.generator, stmt, context);
  if (!generator.readable) throw broken(context, shown, "a generator is read and written");
  const fits = dtype === "f32" || (stmt.draw.kind === "bernoulli" && (dtype === "bool" || dtype === "u8"));
  if (!fits) throw broken(context, shown, `${stmt.draw.kind} does not draw ${dtype}`);
  if (!isCount(stmt.count) || stmt.count > size) throw broken(context, shown, `there is no room in ${stmt.buffer}`);
  if (context.kernel.tasks > 1 || (context.kernel.threads ?? 1) > 1)
    throw broken(context, shown, "draws are made in order, so by one task of one thread");
  if (context.inVector) throw broken(context, shown, "a vector loop draws nothing");
}

/** The array a statement writes to; writes stand in the tasks loop, or else they would be done once for each cut. */
function writable(name: string, stmt: Stmt, context: Context): ArrayInfo {
  const array = context.names.arrays.get(name);
  if (array === undefined) throw broken(context, printStmt(stmt), `there is no buffer \`${name}\` in sight`);
  if (!array.writable) throw broken(context, printStmt(stmt), `\`${name}\` may not be written`);
  if (!array.local && !context.inTasks) throw broken(context, printStmt(stmt), "it writes outside of the tasks loop");
  return array;
}

/** Names are bound once: an inner one never hides an outer one. */
function claim(context: Context, name: string): void {
  const { arrays, variables } = context.names;
  if (!nameForm.test(name)) throw broken(context, name, "a name is not an identifier");
  if (arrays.has(name) || variables.has(name) || name === "taskBegin" || name === "taskEnd" || name === "thread") {
    throw broken(context, name, "a name is bound twice");
  }
}

function localBytes(body: readonly Stmt[]): number {
  return allStatements(body).reduce(
    (sum, stmt) => (stmt.kind === "local" ? sum + dtypeBytes[stmt.dtype] * stmt.size : sum),
    0,
  );
}

function isVariable(expr: { readonly kind: string; readonly name?: string }, name: string): boolean {
  return expr.kind === "variable" && expr.name === name;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function broken(context: Context, shown: string, rule: string): Error {
  return fail(malformedKernel(context.kernel.name, shown, rule));
}
