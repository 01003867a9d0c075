/**
 * Turns statements for one element into statements for a vector of neighbours. Takes what an elementwise loop would do in
 * one iteration, and gives what all its iterations do together: loads and stores of neighbours become vectors, what does
 * not change stays a scalar, and what cannot be done by vectors (indices from data, guarded loads) is done lane by lane.
 */
import { invariant } from "../../../ir/diagnostic/diagnostic.ts";
import {
  bind,
  check,
  int,
  lane,
  pack,
  scalar,
  splat,
  store,
  variable,
  type Expr,
  type Stmt,
} from "../../../ir/loop/loop.ts";
import { mapParts, partsOf } from "../../../ir/loop/walk.ts";
import { simplify, type Ranges } from "../index-math.ts";

/** What a name of the loop's body has become: one vector, or a value for each lane. */
type Bound = { readonly vector: Expr } | { readonly lanes: readonly Expr[] };

/**
 * The statements of all `lanes` iterations of the variable `axis`. `vectors`: variables of the body that stand for a lane
 * of a vector that is there already.
 */
export function vectorize(
  body: readonly Stmt[],
  axis: string,
  lanes: number,
  ranges: Ranges,
  vectors: ReadonlyMap<string, Expr> = new Map(),
): Stmt[] {
  const bound = new Map<string, Bound>([...vectors].map(([name, vector]) => [name, { vector }]));
  const vectorizer = new Vectorizer(axis, lanes, ranges, bound);
  return body.flatMap((stmt) => vectorizer.statement(stmt));
}

class Vectorizer {
  readonly #axis: string;
  readonly #lanes: number;
  readonly #ranges: Ranges;
  readonly #bound: Map<string, Bound>;

  constructor(axis: string, lanes: number, ranges: Ranges, bound: Map<string, Bound>) {
    this.#axis = axis;
    this.#lanes = lanes;
    this.#ranges = ranges;
    this.#bound = bound;
  }

  statement(stmt: Stmt): Stmt[] {
    switch (stmt.kind) {
      case "let":
        return this.#let(stmt.name, stmt.value);
      case "store": {
        const { buffer, index } = stmt;
        const value = this.vector(stmt.value);
        const first = this.#neighbours(index);
        if (first !== undefined) return [store(buffer, first, value)];
        return this.#each((k) => store(buffer, this.at(index, k), lane(value, k)));
      }
      case "check":
        return this.#each((k) =>
          check(this.at(stmt.condition, k), stmt.code, stmt.status, this.at(stmt.value, k), this.at(stmt.limit, k)),
        );
      case "note":
        return [stmt];
      default:
        return invariant(false, `a vector of elements cannot ${stmt.kind}`) ?? [];
    }
  }

  #let(name: string, value: Expr): Stmt[] {
    if (!this.#depends(value)) return [bind(name, value)];
    if (value.type.dtype !== "i64") {
      const vector = this.vector(value);
      this.#bound.set(name, { vector: variable(name, vector.type) });
      return [bind(name, vector)];
    }
    // Indices are needed lane by lane.
    const values = Array.from({ length: this.#lanes }, (_, k) => this.at(value, k));
    this.#bound.set(name, { lanes: values.map((_, k) => variable(`${name}_${k}`)) });
    return values.map((each, k) => bind(`${name}_${k}`, each));
  }

  #each<T>(make: (k: number) => T): T[] {
    return Array.from({ length: this.#lanes }, (_, k) => make(k));
  }

  /** An expression in one lane. */
  at(expr: Expr, k: number): Expr {
    if (expr.kind === "variable") {
      if (expr.name === this.#axis) return int(k);
      const bound = this.#bound.get(expr.name);
      if (bound === undefined) return expr;
      return "vector" in bound ? lane(bound.vector, k) : (bound.lanes[k] ?? expr);
    }
    const part = mapParts(expr, (inner) => this.at(inner, k));
    return part.kind === "load" ? { ...part, index: simplify(part.index, this.#ranges) } : part;
  }

  /** An expression in all lanes. */
  vector(expr: Expr): Expr {
    if (!this.#depends(expr)) return splat(expr, this.#lanes);
    const laneByLane = (): Expr => pack(this.#each((k) => this.at(expr, k)));
    switch (expr.kind) {
      case "variable": {
        const bound = this.#bound.get(expr.name);
        return bound !== undefined && "vector" in bound ? bound.vector : laneByLane();
      }
      case "load": {
        const first = this.#neighbours(expr.index);
        if (first === undefined) return laneByLane();
        return { ...expr, type: { dtype: expr.type.dtype, lanes: this.#lanes }, index: first };
      }
      case "cast":
        if (expr.arg.type.dtype === "i64" || expr.type.dtype === "i64") return laneByLane();
        return { ...expr, type: { dtype: expr.type.dtype, lanes: this.#lanes }, arg: this.vector(expr.arg) };
      case "scalar":
        // A choice may guard a load, which only lanes that choose it may make; indices are computed lane by lane.
        if (expr.op === "select" && expr.args.slice(1).some(reads)) return laneByLane();
        if (expr.args.some((arg) => arg.type.dtype === "i64")) return laneByLane();
        return scalar(expr.op, ...expr.args.map((arg) => this.vector(arg)));
      default:
        return laneByLane();
    }
  }

  /** The first of an index's lanes, if they are neighbours. */
  #neighbours(index: Expr): Expr | undefined {
    if (this.#mentionsBound(index)) return undefined;
    const [first, ...others] = this.#each((k) => this.at(index, k));
    if (first === undefined) return undefined;
    const inOrder = others.every((other, k) => {
      const distance = simplify(scalar("sub", other, first), this.#ranges);
      return distance.kind === "constant" && distance.value === k + 1;
    });
    return inOrder ? simplify(first, this.#ranges) : undefined;
  }

  #mentionsBound(expr: Expr): boolean {
    if (expr.kind === "variable") return this.#bound.has(expr.name);
    return partsOf(expr).some((part) => this.#mentionsBound(part));
  }

  #depends(expr: Expr): boolean {
    if (expr.kind === "variable") return expr.name === this.#axis || this.#bound.has(expr.name);
    return partsOf(expr).some((part) => this.#depends(part));
  }
}

/** Whether an expression reads memory. */
function reads(expr: Expr): boolean {
  return expr.kind === "load" || expr.kind === "random" || partsOf(expr).some(reads);
}
