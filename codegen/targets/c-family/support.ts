/**
 * What an emitted program needs beside its kernels, in any dialect: small functions, of which only those in use are
 * written, in an order in which each stands before its users. The integer and NaN rules of `ir/loop/scalar.ts` are spelled
 * here once; a dialect's subclass adds its mathematics and its vectors.
 */
import { invariant } from "../../../ir/diagnostic/diagnostic.ts";
import type { Expr, ValueType } from "../../../ir/loop/loop.ts";
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import { isFloat, type DType } from "../../../ir/type.ts";
import { code, Fragment, identifier } from "../../source-writer.ts";
import type { Spelling } from "./spelling.ts";

/** How tightly an expression holds together: C's precedence levels, loosest first. */
export const level = {
  any: 0,
  ternary: 1,
  bits: 2,
  equal: 3,
  order: 4,
  sum: 5,
  product: 6,
  prefix: 7,
  primary: 8,
} as const;

/** The text of an expression, and how tightly it holds together. */
export type Text = { readonly fragment: Fragment; readonly level: number };

/** Reads several neighbours of a buffer. */
export type LaneLoad = Extract<Expr, { kind: "load" }>;

/** Operations of two operands that are functions. */
const binaryFunctions: ReadonlySet<ScalarOp> = new Set(["pow", "atan2", "mod", "div", "max", "min"]);

/** Number of operands of an operation that is a function. */
export function functionArity(op: ScalarOp): 1 | 2 {
  return binaryFunctions.has(op) ? 2 : 1;
}

/** Collects what a program uses and writes it. Arguments that are functions give text, and are called once each. */
export abstract class Support {
  readonly spelling: Spelling;
  /** What stands before the result's type of a function that is to be part of its callers. */
  protected readonly inline: Fragment;
  readonly #definitions = new Map<string, Fragment>();

  constructor(spelling: Spelling, inline: Fragment) {
    this.spelling = spelling;
    this.inline = inline;
  }

  /** The definitions, in an order in which they compile. */
  definitions(): readonly Fragment[] {
    return [...this.#definitions.values()];
  }

  /** Name of the function that applies `op` to operands of a type. */
  function(op: ScalarOp, type: ValueType): Fragment {
    if (type.lanes > 1) return this.lanes(op, type);
    const library = this.library(op, type.dtype);
    if (library !== undefined) return library;
    return this.define(`kiln_${op}_${type.dtype}`, (name) => scalarFunction(name, op, type.dtype, this));
  }

  /** The start of a function's definition: `static inline … float kiln_max_f32(float x, float y) {`. */
  head(result: Fragment, name: Fragment, params: readonly Fragment[]): Fragment {
    return code`${this.inline} ${result} ${name}(${params}) {`;
  }

  /** Name of the function that gives counter-based random bits (`ir/random/counter.ts`). */
  random(): Fragment {
    const [int, word, long] = [
      this.spelling.element("i32"),
      this.spelling.unsigned("i32"),
      this.spelling.unsigned("i64"),
    ];
    const params = [code`const ${int} *key`, code`${word} use`, code`${this.spelling.element("i64")} index`];
    return this.define(
      "kiln_random_bits",
      (name) => code`${this.head(int, name, params)}
  ${word} c0 = (${word})(index >> 2), c1 = use, c2 = (${word})key[2], c3 = (${word})key[3];
  ${word} k0 = (${word})key[0], k1 = (${word})key[1];
  for (int round = 0; round < 10; round++) {
    const ${long} p0 = (${long})0xd2511f53u * c0, p1 = (${long})0xcd9e8d57u * c2;
    c0 = (${word})(p1 >> 32) ^ c1 ^ k0;
    c1 = (${word})p1;
    c2 = (${word})(p0 >> 32) ^ c3 ^ k1;
    c3 = (${word})p0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  const ${word} low = index & 1 ? c1 : c0, high = index & 1 ? c3 : c2;
  return (${int})((index & 2 ? high : low) >> 8);
}`,
    );
  }

  /** Defines something once, after what its text asks for. */
  protected define(name: string, make: (name: Fragment) => Fragment): Fragment {
    const fragment = identifier(name);
    if (!this.#definitions.has(name)) {
      const text = make(fragment);
      this.#definitions.set(name, text);
    }
    return fragment;
  }

  /** The type of a value. */
  abstract type(type: ValueType): Fragment;

  /** Name of the function that records a failed check. */
  abstract report(): Fragment;

  /** Whether arithmetic must be spelled so that integers wrap around. */
  abstract wraps(expr: Expr): boolean;

  /** What the dialect's compiler or library has for an operation on single elements, if anything. */
  protected abstract library(op: ScalarOp, dtype: DType): Fragment | undefined;

  /** Name of the function that applies `op` lane by lane. */
  protected abstract lanes(op: ScalarOp, type: ValueType): Fragment;

  /** Name of the function that makes a vector of equal lanes. */
  abstract splat(type: ValueType): Fragment;

  /** One lane of a vector. */
  abstract lane(vector: Fragment, lane: number): Fragment;

  /** A vector of single values. */
  abstract pack(type: ValueType, parts: () => readonly Fragment[]): Fragment;

  /** Reads neighbours. */
  abstract loadLanes(load: LaneLoad, index: () => Fragment): Text;

  /** The statement that writes neighbours. */
  abstract storeLanes(buffer: string, index: Expr, value: Expr): Fragment;

  /** Converts lane by lane. */
  abstract convertLanes(from: ValueType, to: ValueType, value: () => Fragment): Fragment;

  /** Bools from what the operator of a comparison gives on vectors. */
  abstract compareLanes(comparison: Text, type: ValueType): Text;

  /** Logical not of bools. */
  abstract notLanes(value: Fragment): Text;

  /** Chooses lane by lane. */
  abstract chooseLanes(condition: Expr, y: Expr, z: Expr): Fragment;
}

/** The function for an operation that is no operator on one element type. */
function scalarFunction(name: Fragment, op: ScalarOp, dtype: DType, support: Support): Fragment {
  const { spelling } = support;
  const type = spelling.element(dtype);
  const [x, y] = [code`${type} x`, code`${type} y`];
  const one = (body: Fragment): Fragment => code`${support.head(type, name, [x])}
  ${body}
}`;
  const two = (body: Fragment): Fragment => code`${support.head(type, name, [x, y])}
  ${body}
}`;
  const wide = dtype === "i32" || dtype === "i64";
  const unsigned = spelling.unsigned(dtype);
  const nan = isFloat(dtype) ? new Fragment(" || x != x") : new Fragment("");
  const makers: Partial<Readonly<Record<ScalarOp, () => Fragment>>> = {
    max: () => two(code`return x > y${nan} ? x : y;`),
    min: () => two(code`return x < y${nan} ? x : y;`),
    // The last choice keeps NaN and the sign of zero, which the comparisons alone would lose.
    sign: () =>
      isFloat(dtype)
        ? one(code`return x > 0 ? ${spelling.literal(dtype, 1)} : x < 0 ? ${spelling.literal(dtype, -1)} : x;`)
        : one(code`return (${type})((x > 0) - (x < 0));`),
    abs: () => one(code`return x < 0 ? (${type})(0 - (${unsigned})x) : x;`),
    // The least number divided by -1 overflows, which traps on x86; narrower types are promoted before they divide.
    div: () =>
      wide
        ? two(code`return y == 0 ? 0 : y == -1 ? (${type})(0 - (${unsigned})x) : x / y;`)
        : two(code`return y == 0 ? 0 : (${type})(x / y);`),
    mod: () =>
      wide ? two(code`return y == 0 || y == -1 ? 0 : x % y;`) : two(code`return y == 0 ? 0 : (${type})(x % y);`),
    pow: () => integerPower(name, type, unsigned, support),
  };
  const make = makers[op];
  invariant(make !== undefined, `there is no function for ${op} on ${dtype}`);
  return make();
}

/** Powers of integers by squaring, wrapping around; a negative exponent gives 0 but for the bases 1 and -1. */
function integerPower(name: Fragment, type: Fragment, unsigned: Fragment, support: Support): Fragment {
  return code`${support.head(type, name, [code`${type} x`, code`${type} y`])}
  if (y < 0) return x == 1 ? 1 : x == (${type})-1 ? (${type})(y & 1 ? -1 : 1) : 0;
  ${unsigned} power = 1, square = (${unsigned})x;
  for (; y > 0; y = (${type})(y / 2), square *= square) power *= y & 1 ? square : 1;
  return (${type})power;
}`;
}
