/**
 * Expressions of loop IR as JavaScript functions of the lane: each expression is translated once, then called for every
 * element, so that kernels with millions of operations run in about a second.
 */
import { invariant, unreachable } from "../diagnostic/diagnostic.ts";
import { randomBits } from "../random/counter.ts";
import { conversion, operation, rounding } from "./arithmetic.ts";
import type { LoopMemory } from "./memory.ts";
import type { Expr } from "./loop.ts";

/** The value of an expression in a lane (0 where there is only one). */
export type Evaluate = (lane: number) => number;

/** Where names lead to: a variable's first place in `values` (one place a lane), a buffer's memory. */
export type Frame = {
  readonly values: number[];
  readonly places: ReadonlyMap<string, number>;
  readonly arrays: ReadonlyMap<string, LoopMemory>;
};

/** Translates an expression of a verified kernel. */
export function evaluator(expr: Expr, frame: Frame): Evaluate {
  switch (expr.kind) {
    case "constant": {
      const value = rounding(expr.type.dtype)(expr.value);
      return () => value;
    }
    case "variable": {
      const place = frame.places.get(expr.name);
      invariant(place !== undefined, `no variable ${expr.name}`);
      const { values } = frame;
      return expr.type.lanes === 1 ? () => values[place] ?? 0 : (lane) => values[place + lane] ?? 0;
    }
    case "load": {
      const array = frame.arrays.get(expr.buffer);
      invariant(array !== undefined, `no buffer ${expr.buffer}`);
      const index = evaluator(expr.index, frame);
      return expr.type.lanes === 1 ? () => array.read(index(0)) : (lane) => array.read(index(0) + lane);
    }
    case "cast": {
      const arg = evaluator(expr.arg, frame);
      const convert = conversion(expr.arg.type.dtype, expr.type.dtype);
      return (lane) => convert(arg(lane));
    }
    case "splat": {
      const arg = evaluator(expr.arg, frame);
      return () => arg(0);
    }
    case "lane": {
      const arg = evaluator(expr.arg, frame);
      const { lane } = expr;
      return () => arg(lane);
    }
    case "pack": {
      const args = expr.args.map((arg) => evaluator(arg, frame));
      return (lane) => args[lane]?.(0) ?? Number.NaN;
    }
    case "random": {
      const key = frame.arrays.get(expr.key);
      invariant(key !== undefined, `no buffer ${expr.key}`);
      const index = evaluator(expr.index, frame);
      const { use } = expr;
      return () =>
        randomBits(
          [0, 1, 2, 3].map((word) => key.read(word)),
          use,
          index(0),
        );
    }
    case "scalar":
      return scalarEvaluator(expr, frame);
    default:
      return unreachable(expr);
  }
}

function scalarEvaluator(expr: Extract<Expr, { kind: "scalar" }>, frame: Frame): Evaluate {
  const [x, y, z] = expr.args.map((arg) => evaluator(arg, frame));
  const [first] = expr.args;
  invariant(x !== undefined && first !== undefined, `${expr.op} without operands`);
  if (expr.op === "select") {
    invariant(y !== undefined && z !== undefined, "select without operands");
    if (expr.type.lanes === 1) return (lane) => (x(lane) === 0 ? z(lane) : y(lane));
    // In a vector both sides are computed, and so must be able to be.
    return (lane) => {
      const [then, otherwise] = [y(lane), z(lane)];
      return x(lane) === 0 ? otherwise : then;
    };
  }
  const apply = operation(expr.op, first.type.dtype);
  if (y === undefined) return (lane) => apply(x(lane), 0, 0);
  if (z === undefined) return (lane) => apply(x(lane), y(lane), 0);
  return (lane) => apply(x(lane), y(lane), z(lane));
}
