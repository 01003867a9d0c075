/**
 * Arithmetic on index expressions for the movement ops: builds `Expr`s of dtype i64 and simplifies while building, so
 * that chains of movement stay affine where they are. An expression is held as a linear form, a sum of integer multiples
 * of atoms plus a constant. Division and remainder round towards minus infinity; where a guard makes sure that an index
 * lies inside its tensor (all indices in an `Origin` do), that is the same as C's truncation.
 */
import { indexType, int, scalar, type Expr } from "../loop/loop.ts";
import { at, rowMajorStrides, type Shape } from "../type.ts";

type Term = { readonly factor: number; readonly atom: Expr };
type Linear = { readonly terms: readonly Term[]; readonly constant: number };

/** x + y. */
export function plus(x: Expr, y: Expr): Expr {
  return fromLinear(addLinear(toLinear(x), toLinear(y)));
}

/** x times a whole number. */
export function times(x: Expr, factor: number): Expr {
  return fromLinear(scaleLinear(toLinear(x), factor));
}

/** x / divisor, rounded down, for a divisor of at least 1. */
export function over(x: Expr, divisor: number): Expr {
  const { quotient, rest } = divide(toLinear(x), divisor);
  if (rest === undefined) return scalar("div", x, int(divisor));
  const common = rest.terms.reduce((a, { factor }) => gcd(a, factor), gcd(divisor, rest.constant));
  const reduced = scaleDown(rest, common);
  const smaller = divisor / common;
  if (upperBound(reduced) < smaller) return fromLinear(quotient);
  return fromLinear(addLinear(quotient, toLinear(divideAtom(fromLinear(reduced), smaller))));
}

/** x modulo divisor, at least 0, for a divisor of at least 1. */
export function remainder(x: Expr, divisor: number): Expr {
  const { rest } = divide(toLinear(x), divisor);
  if (rest === undefined) return scalar("mod", x, int(divisor));
  const value = fromLinear(rest);
  if (upperBound(rest) < divisor) return value;
  // (e mod k·d) mod d = e mod d
  if (value.kind === "scalar" && value.op === "mod" && constantOf(at(value.args, 1)) % divisor === 0)
    return remainder(at(value.args, 0), divisor);
  return scalar("mod", value, int(divisor));
}

/** x < limit. */
export function below(x: Expr, limit: Expr): Expr {
  return scalar("lt", x, limit);
}

/** x >= limit. */
export function atLeast(x: Expr, limit: number): Expr {
  return scalar("ge", x, int(limit));
}

/** Whether divisor divides x. */
export function divides(divisor: number, x: Expr): Expr {
  return scalar("eq", remainder(x, divisor), int(0));
}

/** All of the conditions; `undefined` for none. */
export function allOf(conditions: readonly Expr[]): Expr | undefined {
  return conditions.length === 0 ? undefined : conditions.reduce((x, y) => scalar("and", x, y));
}

/** Position in row-major order of the element at `index`. */
export function linearIndex(index: readonly Expr[], shape: Shape): Expr {
  const strides = rowMajorStrides(shape);
  return index.reduce((sum, x, axis) => plus(sum, times(x, at(strides, axis))), int(0));
}

/** Index along each axis of the element at row-major position `position`. */
function splitIndex(position: Expr, shape: Shape): Expr[] {
  const strides = rowMajorStrides(shape);
  return shape.map((extent, axis) => {
    if (extent <= 1) return int(0);
    const quotient = over(position, at(strides, axis));
    return shape.slice(0, axis).every((outer) => outer <= 1) ? quotient : remainder(quotient, extent);
  });
}

/**
 * Index into a tensor of shape `from` of the element that stands at `index` after a reshape to `to`. Axes are cut into
 * the smallest groups with equal products, so that unchanged axes stay as they are and merged axes stay affine.
 */
export function reshapeIndex(index: readonly Expr[], from: Shape, to: Shape): Expr[] {
  if (from.includes(0)) return from.map(() => int(0));
  const result: Expr[] = [];
  let i = 0;
  let j = 0;
  while (i < from.length || j < to.length) {
    const [begin, start] = [i, j];
    let source = from[i++] ?? 1;
    let target = to[j++] ?? 1;
    while (source !== target) {
      if (source < target) source *= from[i++] ?? 1;
      else target *= to[j++] ?? 1;
    }
    const position = linearIndex(index.slice(start, j), to.slice(start, j));
    result.push(...splitIndex(position, from.slice(begin, i)));
  }
  return result;
}

/** Whether two expressions are written alike. */
export function sameExpr(x: Expr, y: Expr): boolean {
  if (x === y) return true;
  if (x.type.dtype !== y.type.dtype || x.type.lanes !== y.type.lanes) return false;
  if (x.kind === "constant" && y.kind === "constant") return Object.is(x.value, y.value);
  if (x.kind === "variable" && y.kind === "variable") return x.name === y.name;
  if (x.kind === "load" && y.kind === "load") return x.buffer === y.buffer && sameExpr(x.index, y.index);
  if (x.kind === "scalar" && y.kind === "scalar")
    return x.op === y.op && x.args.every((arg, i) => sameExpr(arg, at(y.args, i)));
  if ((x.kind === "cast" && y.kind === "cast") || (x.kind === "splat" && y.kind === "splat"))
    return sameExpr(x.arg, y.arg);
  return false;
}

/** e / divisor for an e that is not a multiple; nested divisions become one. */
function divideAtom(e: Expr, divisor: number): Expr {
  if (e.kind === "scalar" && e.op === "div") {
    const inner = constantOf(at(e.args, 1));
    if (inner > 0) return over(at(e.args, 0), inner * divisor);
  }
  return scalar("div", e, int(divisor));
}

/** The whole number that an expression is, or NaN. */
function constantOf(e: Expr): number {
  return e.kind === "constant" ? e.value : Number.NaN;
}

function toLinear(e: Expr): Linear {
  if (e.kind === "constant") return { terms: [], constant: e.value };
  if (e.kind === "scalar" && e.type.dtype === indexType.dtype) {
    const [x, y] = e.args;
    if (x !== undefined && y !== undefined) {
      if (e.op === "add") return addLinear(toLinear(x), toLinear(y));
      if (e.op === "sub") return addLinear(toLinear(x), scaleLinear(toLinear(y), -1));
      if (e.op === "mul" && y.kind === "constant") return scaleLinear(toLinear(x), y.value);
      if (e.op === "mul" && x.kind === "constant") return scaleLinear(toLinear(y), x.value);
    }
  }
  return { terms: [{ factor: 1, atom: e }], constant: 0 };
}

function scaleLinear({ terms, constant }: Linear, by: number): Linear {
  if (by === 0) return { terms: [], constant: 0 };
  return { terms: terms.map(({ factor, atom }) => ({ factor: factor * by, atom })), constant: constant * by };
}

function scaleDown({ terms, constant }: Linear, by: number): Linear {
  return { terms: terms.map(({ factor, atom }) => ({ factor: factor / by, atom })), constant: constant / by };
}

function addLinear(x: Linear, y: Linear): Linear {
  const terms: Term[] = [...x.terms];
  for (const { factor, atom } of y.terms) {
    const known = terms.findIndex((term) => sameExpr(term.atom, atom));
    if (known < 0) terms.push({ factor, atom });
    else terms[known] = { factor: at(terms, known).factor + factor, atom };
  }
  return rejoin({ terms: terms.filter(({ factor }) => factor !== 0), constant: x.constant + y.constant });
}

/** Replaces k·c·(e / c) + k·(e mod c) by k·e. */
function rejoin(linear: Linear): Linear {
  for (const low of linear.terms) {
    if (low.atom.kind !== "scalar" || low.atom.op !== "mod") continue;
    const [e, divisor] = [at(low.atom.args, 0), constantOf(at(low.atom.args, 1))];
    const candidates = linear.terms.filter(({ factor, atom }) => factor === low.factor * divisor && isQuotient(atom));
    if (candidates.length === 0) continue;
    const quotient = over(e, divisor);
    const high = candidates.find(({ atom }) => sameExpr(atom, quotient));
    if (high === undefined) continue;
    const others = { ...linear, terms: linear.terms.filter((term) => term !== high && term !== low) };
    return addLinear(others, scaleLinear(toLinear(e), low.factor));
  }
  return linear;
}

function isQuotient(atom: Expr): boolean {
  return atom.kind === "scalar" && atom.op === "div";
}

/** Writes a linear form out: positive terms, the constant, negative terms. */
function fromLinear({ terms, constant }: Linear): Expr {
  const write = (factor: number, atom: Expr): Expr => (factor === 1 ? atom : scalar("mul", atom, int(factor)));
  let sum: Expr | undefined;
  for (const { factor, atom } of terms)
    if (factor > 0) sum = sum === undefined ? write(factor, atom) : scalar("add", sum, write(factor, atom));
  const negative = terms.filter(({ factor }) => factor < 0);
  if (sum === undefined) sum = int(constant + 0);
  else if (constant > 0) sum = scalar("add", sum, int(constant));
  else if (constant < 0) sum = scalar("sub", sum, int(-constant));
  for (const { factor, atom } of negative) sum = scalar("sub", sum, write(-factor, atom));
  return sum;
}

/**
 * x = divisor · quotient + rest with a rest of at least 0; the rest is `undefined` where its sign is not known, since it
 * subtracts something.
 */
function divide({ terms, constant }: Linear, divisor: number): { quotient: Linear; rest: Linear | undefined } {
  const whole = terms.filter(({ factor }) => factor % divisor === 0);
  const others = terms.filter(({ factor }) => factor % divisor !== 0);
  const quotient = Math.floor(constant / divisor);
  return {
    quotient: { ...scaleDown({ terms: whole, constant: 0 }, divisor), constant: quotient },
    rest: others.every(({ factor, atom }) => factor > 0 && isNonNegative(atom))
      ? { terms: others, constant: constant - quotient * divisor }
      : undefined,
  };
}

/** Whether an atom is at least 0 for sure; variables are loop indices and hence are. */
function isNonNegative(atom: Expr): boolean {
  if (atom.kind === "variable") return true;
  if (atom.kind !== "scalar" || (atom.op !== "div" && atom.op !== "mod" && atom.op !== "mul")) return false;
  return atom.args.every((arg) => toLinear(arg).constant >= 0 && toLinear(arg).terms.every(isNonNegativeTerm));
}

function isNonNegativeTerm({ factor, atom }: Term): boolean {
  return factor > 0 && isNonNegative(atom);
}

/** Largest value a form without negative terms can take, as far as remainders tell. */
function upperBound({ terms, constant }: Linear): number {
  return terms.reduce((bound, { factor, atom }) => {
    const limit = atom.kind === "scalar" && atom.op === "mod" ? constantOf(at(atom.args, 1)) - 1 : Number.NaN;
    return bound + (Number.isNaN(limit) ? Number.POSITIVE_INFINITY : factor * limit);
  }, constant);
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
