/**
 * Host scalars: numbers a step needs that are derived from hyperparameters and step counts (learning rates, Adam's bias
 * corrections). The host computes them in float64 before each step and hands them over in a small array, so that
 * changing one needs no recompilation and targets without float64 lose nothing.
 */
import { invariant } from "../diagnostic/diagnostic.ts";

/**
 * A host scalar's formula: a number, or a prefix list.
 * `["hyper", name]` is a hyperparameter that schedulers and options may change (`optimizer.0.lr`: group 0 of `optimizer`);
 * `["counter", name]` counts completed steps (0 during the first).
 */
export type HostExpr =
  | number
  | readonly ["hyper", string]
  | readonly ["counter", string]
  | readonly ["add" | "sub" | "mul" | "div" | "pow" | "min" | "max", HostExpr, HostExpr]
  | readonly ["sqrt" | "neg" | "floor", HostExpr];

/** What the names in a formula stand for. */
export type HostEnvironment = {
  readonly hyper: ReadonlyMap<string, number>;
  readonly counters: ReadonlyMap<string, number>;
};

/** The value of a host scalar, in float64. */
export function evaluateHostExpr(expr: HostExpr, environment: HostEnvironment): number {
  if (typeof expr === "number") return expr;
  const value = (argument: HostExpr): number => evaluateHostExpr(argument, environment);
  switch (expr[0]) {
    case "hyper":
      return lookUp(environment.hyper, expr[1]);
    case "counter":
      return lookUp(environment.counters, expr[1]);
    case "add":
      return value(expr[1]) + value(expr[2]);
    case "sub":
      return value(expr[1]) - value(expr[2]);
    case "mul":
      return value(expr[1]) * value(expr[2]);
    case "div":
      return value(expr[1]) / value(expr[2]);
    case "pow":
      return value(expr[1]) ** value(expr[2]);
    case "min":
      return Math.min(value(expr[1]), value(expr[2]));
    case "max":
      return Math.max(value(expr[1]), value(expr[2]));
    case "sqrt":
      return Math.sqrt(value(expr[1]));
    case "neg":
      return -value(expr[1]);
    case "floor":
      return Math.floor(value(expr[1]));
  }
}

function lookUp(table: ReadonlyMap<string, number>, name: string): number {
  const value = table.get(name);
  invariant(value !== undefined, `no hyperparameter or counter named ${name}`);
  return value;
}
