/**
 * Index arithmetic. Every index is an integer expression over loop variables with known ranges; `simplify` brings it to
 * the normal form `constant + sum(coefficient * atom)`, where an atom is a variable or something that cannot be taken
 * apart (a quotient, a remainder, a loaded index). Reshapes that only merge or split axes thereby become affine again,
 * which is what makes movement free.
 */
import { int, scalar, variable, type Expr } from "../../ir/loop/loop.ts";
import { mapParts } from "../../ir/loop/walk.ts";
import { at } from "../../ir/type.ts";

/** Inclusive range of an integer. */
export type Range = { readonly min: number; readonly max: number };

/** Ranges of the loop variables in scope, by name. */
export type Ranges = ReadonlyMap<string, Range>;

/** One term of a linear form. */
type Term = { readonly atom: Expr; readonly coefficient: number };

/** `constant + sum(coefficient * atom)`, terms by the atom's key. */
type Linear = { readonly constant: number; readonly terms: ReadonlyMap<string, Term> };

/** An affine function of variables: the distance in elements that each variable steps. */
export type Affine = { readonly constant: number; readonly coefficients: ReadonlyMap<string, number> };

const everything: Range = { min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER };

/** A text that is equal for equal expressions. */
export function exprKey(expr: Expr): string {
  switch (expr.kind) {
    case "constant":
      return `${expr.value}`;
    case "variable":
      return expr.name;
    case "load":
      return `${expr.buffer}[${exprKey(expr.index)}]`;
    case "scalar":
      return `${expr.op}(${expr.args.map(exprKey).join(",")})`;
    case "cast":
      return `${expr.type.dtype}(${exprKey(expr.arg)})`;
    case "splat":
      return `splat(${exprKey(expr.arg)})`;
    case "lane":
      return `lane${expr.lane}(${exprKey(expr.arg)})`;
    case "pack":
      return `pack(${expr.args.map(exprKey).join(",")})`;
    case "random":
      return `random${expr.use}(${exprKey(expr.index)})`;
  }
}

/** The range of values an index expression can take. */
export function rangeOf(expr: Expr, ranges: Ranges): Range {
  return linearRange(linear(expr, ranges), ranges);
}

/** The same index in normal form. */
export function simplify(expr: Expr, ranges: Ranges): Expr {
  return fromLinear(linear(expr, ranges));
}

/** The index as an affine function of variables, if it is one. */
export function affine(expr: Expr, ranges: Ranges): Affine | undefined {
  const { constant, terms } = linear(expr, ranges);
  const coefficients = new Map<string, number>();
  for (const { atom, coefficient } of terms.values()) {
    if (atom.kind !== "variable") return undefined;
    coefficients.set(atom.name, coefficient);
  }
  return { constant, coefficients };
}

/** The expression of an affine function, leaving out the variables in `without`. */
export function affineExpr(form: Affine, without: ReadonlySet<string> = new Set()): Expr {
  const terms = new Map<string, Term>();
  for (const [name, coefficient] of form.coefficients)
    if (!without.has(name)) terms.set(name, { atom: variable(name), coefficient });
  return fromLinear({ constant: form.constant, terms });
}

/** `sum(index[axis] * strides[axis])`. */
export function offsetOf(index: readonly Expr[], strides: readonly number[], ranges: Ranges): Expr {
  const sum = index.reduce<Expr>(
    (offset, i, axis) => scalar("add", offset, scalar("mul", i, int(at(strides, axis)))),
    int(0),
  );
  return simplify(sum, ranges);
}

/** Replaces variables by expressions. */
export function substitute(expr: Expr, values: ReadonlyMap<string, Expr>): Expr {
  if (expr.kind === "variable") return values.get(expr.name) ?? expr;
  return mapParts(expr, (part) => substitute(part, values));
}

function linear(expr: Expr, ranges: Ranges): Linear {
  return rejoin(linearTerms(expr, ranges), ranges);
}

/**
 * Puts quotients and remainders of the same number together again: `b * c * (y / c) + b * (y % c)` is `b * y`. A shape
 * split into axes and indexed by all of them is thereby one run of elements.
 */
function rejoin(form: Linear, ranges: Ranges): Linear {
  for (const [key, { atom, coefficient }] of form.terms) {
    const split = remainderParts(atom);
    if (split === undefined) continue;
    const whole = linear(split.number, ranges);
    const quotient = [...divide(whole, split.divisor, ranges).terms];
    const [only] = quotient;
    if (only === undefined || quotient.length > 1 || only[1].coefficient !== 1) continue;
    if (form.terms.get(only[0])?.coefficient !== coefficient * split.divisor) continue;
    const rest = new Map(form.terms);
    rest.delete(key);
    rest.delete(only[0]);
    return rejoin(addForms({ constant: form.constant, terms: rest }, scale(whole, coefficient)), ranges);
  }
  return form;
}

/** The `y` and `c` of an atom `y % c`. */
function remainderParts(atom: Expr): { readonly number: Expr; readonly divisor: number } | undefined {
  if (atom.kind !== "scalar" || atom.op !== "mod") return undefined;
  const [number, divisor] = atom.args;
  if (number === undefined || divisor?.kind !== "constant") return undefined;
  return { number, divisor: divisor.value };
}

function linearTerms(expr: Expr, ranges: Ranges): Linear {
  switch (expr.kind) {
    case "constant":
      return { constant: expr.value, terms: new Map() };
    case "variable": {
      const range = ranges.get(expr.name);
      return range !== undefined && range.min === range.max
        ? { constant: range.min, terms: new Map() }
        : atomForm(expr);
    }
    case "cast":
      return expr.type.dtype === "i64" && expr.arg.type.dtype === "i64" ? linear(expr.arg, ranges) : atomForm(expr);
    case "scalar":
      return linearScalar(expr, ranges);
    case "load":
    case "splat":
    case "lane":
    case "pack":
    case "random":
      return atomForm(expr);
  }
}

function linearScalar(expr: Expr & { readonly kind: "scalar" }, ranges: Ranges): Linear {
  const [x, y] = expr.args;
  if (x === undefined || x.type.dtype !== "i64" || expr.type.dtype !== "i64") return atomForm(expr);
  if (expr.op === "neg") return scale(linear(x, ranges), -1);
  if (y === undefined) return atomForm(expr);
  const left = linear(x, ranges);
  const right = linear(y, ranges);
  switch (expr.op) {
    case "add":
      return addForms(left, right);
    case "sub":
      return addForms(left, scale(right, -1));
    case "mul":
      if (right.terms.size === 0) return scale(left, right.constant);
      if (left.terms.size === 0) return scale(right, left.constant);
      return atomForm(scalar("mul", fromLinear(left), fromLinear(right)));
    case "div":
      return right.terms.size === 0 && right.constant > 0 ? divide(left, right.constant, ranges) : atomForm(expr);
    case "mod":
      return right.terms.size === 0 && right.constant > 0 ? remainder(left, right.constant, ranges) : atomForm(expr);
    default:
      return atomForm(expr);
  }
}

function atomForm(atom: Expr): Linear {
  return { constant: 0, terms: new Map([[exprKey(atom), { atom, coefficient: 1 }]]) };
}

function scale(form: Linear, factor: number): Linear {
  if (factor === 0) return { constant: 0, terms: new Map() };
  const terms = new Map<string, Term>();
  for (const [key, { atom, coefficient }] of form.terms) terms.set(key, { atom, coefficient: coefficient * factor });
  return { constant: form.constant * factor, terms };
}

function addForms(a: Linear, b: Linear): Linear {
  const terms = new Map(a.terms);
  for (const [key, term] of b.terms) {
    const coefficient = (terms.get(key)?.coefficient ?? 0) + term.coefficient;
    if (coefficient === 0) terms.delete(key);
    else terms.set(key, { atom: term.atom, coefficient });
  }
  return { constant: a.constant + b.constant, terms };
}

/** Splits a form into the part divisible by `divisor` and the rest, with 0 <= rest constant < divisor. */
function splitForm(form: Linear, divisor: number): { readonly whole: Linear; readonly rest: Linear } {
  const whole = new Map<string, Term>();
  const rest = new Map<string, Term>();
  for (const [key, term] of form.terms) (term.coefficient % divisor === 0 ? whole : rest).set(key, term);
  const restConstant = ((form.constant % divisor) + divisor) % divisor;
  return {
    whole: { constant: form.constant - restConstant, terms: whole },
    rest: { constant: restConstant, terms: rest },
  };
}

function within(range: Range, limit: number): boolean {
  return range.min >= 0 && range.max < limit;
}

/** Quotient; only non-negative forms are taken apart, since division truncates. */
function divide(form: Linear, divisor: number, ranges: Ranges): Linear {
  if (divisor === 1) return form;
  const { whole, rest } = splitForm(form, divisor);
  if (linearRange(form, ranges).min >= 0 && within(linearRange(rest, ranges), divisor))
    return scale(whole, 1 / divisor);
  if (whole.terms.size > 0 && linearRange(form, ranges).min >= 0 && linearRange(rest, ranges).min >= 0)
    return addForms(scale(whole, 1 / divisor), divide(rest, divisor, ranges));
  const nested = quotientParts(form);
  if (nested !== undefined && linearRange(form, ranges).min >= 0)
    return divide(linear(nested.number, ranges), nested.divisor * divisor, ranges);
  return atomForm(scalar("div", fromLinear(form), int(divisor)));
}

/** The `y` and `c` of a form that is `y / c` and nothing else. */
function quotientParts(form: Linear): { readonly number: Expr; readonly divisor: number } | undefined {
  const [only] = form.terms.values();
  if (form.constant !== 0 || form.terms.size !== 1 || only?.coefficient !== 1) return undefined;
  const { atom } = only;
  if (atom.kind !== "scalar" || atom.op !== "div") return undefined;
  const [number, divisor] = atom.args;
  if (number === undefined || divisor?.kind !== "constant") return undefined;
  return { number, divisor: divisor.value };
}

function remainder(form: Linear, divisor: number, ranges: Ranges): Linear {
  if (divisor === 1) return { constant: 0, terms: new Map() };
  const { rest } = splitForm(form, divisor);
  if (linearRange(form, ranges).min < 0) return atomForm(scalar("mod", fromLinear(form), int(divisor)));
  if (within(linearRange(rest, ranges), divisor)) return rest;
  return atomForm(scalar("mod", fromLinear(linearRange(rest, ranges).min >= 0 ? rest : form), int(divisor)));
}

function linearRange(form: Linear, ranges: Ranges): Range {
  let min = form.constant;
  let max = form.constant;
  for (const { atom, coefficient } of form.terms.values()) {
    const range = atomRange(atom, ranges);
    min += coefficient * (coefficient > 0 ? range.min : range.max);
    max += coefficient * (coefficient > 0 ? range.max : range.min);
  }
  return { min, max };
}

function atomRange(atom: Expr, ranges: Ranges): Range {
  if (atom.kind === "variable") return ranges.get(atom.name) ?? everything;
  if (atom.kind !== "scalar" || atom.type.dtype !== "i64") return everything;
  const [x, y, z] = atom.args;
  if (x === undefined || y === undefined) return everything;
  switch (atom.op) {
    case "div":
    case "mod": {
      const inner = rangeOf(x, ranges);
      if (y.kind !== "constant" || inner.min < 0) return everything;
      return atom.op === "div"
        ? { min: Math.floor(inner.min / y.value), max: Math.floor(inner.max / y.value) }
        : { min: 0, max: Math.min(inner.max, y.value - 1) };
    }
    case "min":
    case "max": {
      const [a, b] = [rangeOf(x, ranges), rangeOf(y, ranges)];
      const pick = atom.op === "min" ? Math.min : Math.max;
      return { min: pick(a.min, b.min), max: pick(a.max, b.max) };
    }
    case "select": {
      if (z === undefined) return everything;
      const [a, b] = [rangeOf(y, narrowed(x, ranges)), rangeOf(z, ranges)];
      return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
    }
    default:
      return everything;
  }
}

/** The ranges where a condition holds: variables compared with constants are known better there. */
export function narrowed(condition: Expr, ranges: Ranges): Ranges {
  if (condition.kind !== "scalar") return ranges;
  const [x, y] = condition.args;
  if (x === undefined || y === undefined) return ranges;
  if (condition.op === "and") return narrowed(y, narrowed(x, ranges));
  if (x.kind !== "variable" || x.type.dtype !== "i64" || y.kind !== "constant") return ranges;
  const { min, max } = ranges.get(x.name) ?? everything;
  switch (condition.op) {
    case "ge":
      return new Map([...ranges, [x.name, { min: Math.max(min, y.value), max }]]);
    case "lt":
      return new Map([...ranges, [x.name, { min, max: Math.min(max, y.value - 1) }]]);
    default:
      return ranges;
  }
}

function fromLinear(form: Linear): Expr {
  let sum: Expr | undefined;
  const terms = [...form.terms.values()].toSorted((a, b) => Math.abs(b.coefficient) - Math.abs(a.coefficient));
  for (const { atom, coefficient } of terms) {
    const term = coefficient === 1 ? atom : scalar("mul", atom, int(coefficient));
    sum = sum === undefined ? term : scalar("add", sum, term);
  }
  if (sum === undefined) return int(form.constant);
  return form.constant === 0 ? sum : scalar("add", sum, int(form.constant));
}
