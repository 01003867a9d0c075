/**
 * Indices in 32 bits. Loop IR computes indices as i64; a GPU divides and multiplies 32 bits several times as fast, and
 * 64 take twice the registers. Takes a verified kernel, gives the same kernel with every i64 expression, binding and loop
 * that provably stays inside 32 bits as i32, and what is known beside: which arithmetic cannot overflow, and which
 * vectors lie at multiples of their size. What comes out is for the emitter alone: its loads and loops are indexed by
 * i32, which loop IR does not allow.
 */
import { cast, indexType, scalar, type Expr, type Kernel, type Stmt, type ValueType } from "../../../ir/loop/loop.ts";
import { mapParts } from "../../../ir/loop/walk.ts";
import { alignedElements } from "./aligned.ts";
import { anything, between, either, exactly, fitsInt, fitsLong, ofDtype, resultOf, type Known } from "./ranges.ts";

/** What is known of the expressions of a kernel, by identity. */
export type IndexFacts = {
  /** Integer arithmetic that stays inside its type. */
  readonly exact: ReadonlySet<Expr>;
  /** Indices of vectors at which these can be loaded and stored as a whole. */
  readonly aligned: ReadonlySet<Expr>;
};

/** A variable: what is known of it, and whether it is kept in 32 bits. */
type Bound = { readonly known: Known; readonly narrow: boolean };

/** An i64 expression as it is computed: of type i32 where it can be. */
type Index = { readonly expr: Expr; readonly known: Known };

const int32: ValueType = { dtype: "i32", lanes: 1 };

/** Narrows the indices of a kernel. `unaligned`: buffers that do not start at a multiple of 16 bytes in every launch. */
export function narrowIndices(
  kernel: Kernel,
  unaligned: ReadonlySet<string>,
): { readonly kernel: Kernel; readonly facts: IndexFacts } {
  const narrowing = new Narrowing(kernel.tasks, unaligned);
  const names = new Map<string, Bound>([
    ["thread", { known: between(0, Math.max(0, (kernel.threads ?? 1) - 1)), narrow: true }],
  ]);
  const body = narrowing.body(kernel.body, names);
  return { kernel: { ...kernel, body }, facts: { exact: narrowing.exact, aligned: narrowing.aligned } };
}

class Narrowing {
  readonly exact = new Set<Expr>();
  readonly aligned = new Set<Expr>();
  readonly #tasks: number;
  readonly #unaligned: ReadonlySet<string>;

  constructor(tasks: number, unaligned: ReadonlySet<string>) {
    this.#tasks = tasks;
    this.#unaligned = unaligned;
  }

  body(body: readonly Stmt[], outer: ReadonlyMap<string, Bound>): Stmt[] {
    const names = new Map(outer);
    return body.map((stmt) => this.#stmt(stmt, names));
  }

  #stmt(stmt: Stmt, names: Map<string, Bound>): Stmt {
    switch (stmt.kind) {
      case "for":
        return this.#loop(stmt, names);
      case "let": {
        if (!isIndex(stmt.value)) return { ...stmt, value: this.#expr(stmt.value, names) };
        const { expr, known } = this.#index(stmt.value, names);
        names.set(stmt.name, { known, narrow: expr.type.dtype === "i32" });
        return { ...stmt, value: expr };
      }
      case "mutable":
      case "assign":
        return { ...stmt, value: this.#expr(stmt.value, names) };
      case "store": {
        const index = this.#place(stmt.buffer, stmt.index, stmt.value.type, names);
        return { ...stmt, index, value: this.#expr(stmt.value, names) };
      }
      case "if": {
        const condition = this.#expr(stmt.condition, names);
        return { ...stmt, condition, then: this.body(stmt.then, names), otherwise: this.body(stmt.otherwise, names) };
      }
      case "check": {
        const [value, limit] = [this.#index(stmt.value, names).expr, this.#index(stmt.limit, names).expr];
        return { ...stmt, condition: this.#expr(stmt.condition, names), value, limit };
      }
      case "shuffle":
        return { ...stmt, values: stmt.values.map((value) => this.#expr(value, names)) };
      case "dot":
      case "mma": {
        const all = (exprs: readonly Expr[]): Expr[] => exprs.map((expr) => this.#expr(expr, names));
        return { ...stmt, a: all(stmt.a), b: all(stmt.b) };
      }
      default:
        return stmt;
    }
  }

  #loop(stmt: Extract<Stmt, { kind: "for" }>, names: ReadonlyMap<string, Bound>): Stmt {
    if (stmt.mode === "tasks") {
      const known = between(0, Math.max(0, this.#tasks - 1));
      const narrow = fitsInt(known);
      const number: Expr = { kind: "variable", type: narrow ? int32 : stmt.begin.type, name: "taskBegin" };
      const inner = new Map(names).set(stmt.name, { known, narrow });
      return { ...stmt, begin: number, body: this.body(stmt.body, inner) };
    }
    const [begin, end] = [this.#index(stmt.begin, names), this.#index(stmt.end, names)];
    // The variable passes the end by up to a step before the loop is left.
    const reached = { ...either(begin.known, end.known), high: Math.max(begin.known.high, end.known.high) + stmt.step };
    const narrow = isNarrow(begin) && isNarrow(end) && fitsInt(reached);
    const multiple = resultOf("add", [begin.known, { ...exactly(stmt.step), low: 0 }]).multiple;
    const low = begin.known.low;
    const known: Known = { low, high: Math.max(low, end.known.high - 1), multiple };
    const inner = new Map(names).set(stmt.name, { known, narrow });
    const bound = (index: Index): Expr => (narrow ? index.expr : widened(index));
    return { ...stmt, begin: bound(begin), end: bound(end), body: this.body(stmt.body, inner) };
  }

  /** The index of an access; notes if a vector may be moved there as a whole. */
  #place(buffer: string, at: Expr, type: ValueType, names: ReadonlyMap<string, Bound>): Expr {
    const { expr, known } = this.#index(at, names);
    const own = { ...expr };
    if (this.exact.has(expr)) this.exact.add(own);
    const unit = alignedElements(type);
    if (type.lanes > 1 && known.multiple % unit === 0 && !this.#unaligned.has(buffer)) this.aligned.add(own);
    return own;
  }

  /** An expression of its own type; what it holds of i64 is narrowed inside. */
  #expr(expr: Expr, names: ReadonlyMap<string, Bound>): Expr {
    if (isIndex(expr)) return widened(this.#index(expr, names));
    switch (expr.kind) {
      case "load":
        return { ...expr, index: this.#place(expr.buffer, expr.index, expr.type, names) };
      case "random":
        return { ...expr, index: this.#index(expr.index, names).expr };
      case "cast":
        return { ...expr, arg: isIndex(expr.arg) ? this.#index(expr.arg, names).expr : this.#expr(expr.arg, names) };
      case "scalar": {
        // Comparisons; other operations on i64 give i64.
        if (!expr.args.every(isIndex)) break;
        const args = expr.args.map((arg) => this.#index(arg, names));
        return { ...expr, args: args.map((arg) => (args.every(isNarrow) ? arg.expr : widened(arg))) };
      }
      default:
        break;
    }
    return mapParts(expr, (part) => this.#expr(part, names));
  }

  /** An i64 expression. */
  #index(expr: Expr, names: ReadonlyMap<string, Bound>): Index {
    switch (expr.kind) {
      case "constant": {
        const known = exactly(expr.value);
        return { expr: fitsInt(known) ? { ...expr, type: int32 } : expr, known };
      }
      case "variable": {
        const bound = names.get(expr.name);
        if (bound === undefined) return { expr, known: anything };
        return { expr: bound.narrow ? { ...expr, type: int32 } : expr, known: bound.known };
      }
      case "cast": {
        const known = ofDtype(expr.arg.type.dtype);
        const arg = this.#expr(expr.arg, names);
        return known === undefined ? { expr: { ...expr, arg }, known: anything } : { expr: cast(arg, "i32"), known };
      }
      case "load":
        return { expr: { ...expr, index: this.#place(expr.buffer, expr.index, expr.type, names) }, known: anything };
      case "scalar":
        return this.#scalar(expr, names);
      default:
        return { expr: mapParts(expr, (part) => this.#expr(part, names)), known: anything };
    }
  }

  #scalar(expr: Extract<Expr, { kind: "scalar" }>, names: ReadonlyMap<string, Bound>): Index {
    if (expr.op === "fma") {
      const [x, y, z] = expr.args;
      if (x !== undefined && y !== undefined && z !== undefined)
        return this.#index(scalar("add", scalar("mul", x, y), z), names);
    }
    const choice = expr.op === "select" ? expr.args.slice(0, 1).map((arg) => this.#expr(arg, names)) : [];
    const args = expr.args.slice(choice.length).map((arg) => this.#index(arg, names));
    const [y, z] = args;
    const chosen = expr.op === "select" && y !== undefined && z !== undefined;
    const result = chosen
      ? either(y.known, z.known)
      : resultOf(
          expr.op,
          args.map(({ known }) => known),
        );
    const narrow = args.every(isNarrow) && fitsInt(result);
    const parts = args.map((arg) => (narrow ? arg.expr : widened(arg)));
    const whole: Expr = { ...expr, type: narrow ? int32 : expr.type, args: [...choice, ...parts] };
    if (narrow || fitsLong(result)) this.exact.add(whole);
    if (narrow) return { expr: whole, known: result };
    // A remainder of something wide may well be narrow.
    if (fitsInt(result)) return { expr: cast(whole, "i32"), known: result };
    return { expr: whole, known: fitsLong(result) ? result : anything };
  }
}

function isIndex(expr: Expr): boolean {
  return expr.type.dtype === "i64" && expr.type.lanes === 1;
}

function isNarrow({ expr }: Index): boolean {
  return expr.type.dtype === "i32";
}

/** The same in 64 bits; a constant stays one, so that division by it stays an operator. */
function widened({ expr }: Index): Expr {
  return expr.kind === "constant" ? { ...expr, type: indexType } : cast(expr, "i64");
}
