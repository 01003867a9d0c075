/**
 * What there is to know about an op: one exported constant per op in `ops/`, of the type below. The builder's methods,
 * printer, parser, verifier, interpreter, autodiff, fusion, lowering and the documentation derive from these records;
 * nothing else in the code base may list ops. Op files import types and the factories of `ops/` only.
 */
import type { GraphBuilder } from "./graph.ts";
import type { Expr } from "./loop/loop.ts";
import type { ScalarOp } from "./loop/scalar.ts";
import type { TensorType } from "./type.ts";

/** The result of a node. */
export type Value = { readonly id: number; readonly type: TensorType };

/** An attribute: plain data that prints and parses back. Numbers may be NaN or infinite. */
export type Attr = number | boolean | string | readonly Attr[];

/** The attributes of a node, by name. */
export type Attrs = Readonly<Record<string, Attr>>;

/** An op without attributes. */
export type NoAttrs = Readonly<Record<string, never>>;

/** How many operands: a number, or any. */
export type Arity = 0 | 1 | 2 | 3 | "variadic";

/** n operands as a tuple, so that a wrong count is a compile error. */
export type Operands<N extends Arity, T> = N extends 0
  ? readonly []
  : N extends 1
    ? readonly [T]
    : N extends 2
      ? readonly [T, T]
      : N extends 3
        ? readonly [T, T, T]
        : readonly T[];

/** What a VJP rule is given. */
export type VjpContext<N extends Arity, A> = {
  readonly g: GraphBuilder;
  readonly inputs: Operands<N, Value>;
  readonly attrs: A;
  readonly output: Value;
  /** Cotangent of the output: same type. */
  readonly cotangent: Value;
};

/**
 * Elements of a tensor while the reference interpreter runs: float64 numbers in row-major order whatever the dtype
 * (bools are 0 and 1, integers exact up to 2^53).
 */
export type Elements = Float64Array;

/** What an evaluation is given besides its operands. */
export type EvaluateContext<N extends Arity, A> = {
  readonly types: Operands<N, TensorType>;
  readonly attrs: A;
  readonly type: TensorType;
};

/** Where an element of a movement op's result comes from. */
export type Origin =
  | { readonly kind: "operand"; readonly operand: number; readonly index: readonly Expr[] }
  | { readonly kind: "fill"; readonly value: number }
  | { readonly kind: "choose"; readonly condition: Expr; readonly then: Origin; readonly otherwise: Origin };

/**
 * How an op becomes loops. `compiler/lower` implements every class; an op names its class and that class's parameters.
 * - `leaf`: no computation; `source` says where the value comes from: a batch tensor of the caller (`input`), a state as
 *   it was when the entry began (`state`), the gathered batch of a data set's field (`feed`), a host scalar (`scalar`),
 *   or the generator as it was when the entry began (`generator`, an order token without a value).
 * - `constant`, `iota`: a number that depends on nothing, or on the index only; always inlined.
 * - `map`: one scalar operation per element. `cast`: a conversion per element.
 * - `movement`: `origin` says where the element at `index` of the result comes from; never moves data by itself.
 * - `reduce`: combines over `axes`; `argreduce`: index of the first best along `axis` (NaN is better than any number).
 * - `gather`, `scatter`: by the values of an index operand; `along` tells the index of equal rank (torch.gather).
 * - `random`: draws from the generator in program order.
 * - the others have one schedule each, which reads the op's own attributes.
 */
export type Lowering<A> =
  | { readonly class: "leaf"; readonly source: "input" | "state" | "feed" | "scalar" | "generator" }
  | { readonly class: "constant" }
  | { readonly class: "iota" }
  | { readonly class: "cast" }
  | { readonly class: "map"; readonly scalar: ScalarOp }
  | {
      readonly class: "movement";
      readonly origin: (index: readonly Expr[], attrs: A, types: readonly TensorType[], type: TensorType) => Origin;
    }
  | { readonly class: "reduce"; readonly combine: "add" | "mul" | "max" | "min" }
  | { readonly class: "argreduce"; readonly better: "max" | "min" }
  | { readonly class: "dot" }
  | { readonly class: "conv" }
  | { readonly class: "windowSum" }
  | { readonly class: "windowArgmax" }
  | { readonly class: "gather"; readonly along: boolean }
  | { readonly class: "scatter"; readonly along: boolean }
  | { readonly class: "argsort" }
  | { readonly class: "cumulative"; readonly combine: "add" | "mul" }
  | { readonly class: "random"; readonly distribution: "uniform" | "normal" | "bernoulli" };

/** All there is to know about one op. "No gradient" is written down as `null`. */
export type OpDef<Name extends string, N extends Arity, A extends Attrs> = {
  readonly name: Name;
  readonly arity: N;
  /** One line: what it computes. */
  readonly doc: string;
  /** Type of the result; throws a `UserError` if the operands do not fit. */
  readonly type: (inputs: Operands<N, TensorType>, attrs: A) => TensorType;
  /** Cotangents of the operands from the cotangent of the result; `null` at operands that take none. */
  readonly vjp: ((context: VjpContext<N, A>) => Operands<N, Value | null>) | null;
  /** Reference evaluation in float64; `null` for leaves and draws, whose values the interpreter is given. */
  readonly evaluate: ((inputs: Operands<N, Elements>, context: EvaluateContext<N, A>) => Elements) | null;
  readonly lowering: Lowering<A>;
  /** Whether two operands may be exchanged. */
  readonly commutative: boolean;
  /** Whether a node must stay although nothing reads it, and may not be merged with an equal one (draws). */
  readonly effect: boolean;
};
