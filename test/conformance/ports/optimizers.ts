/** Optimizers and schedulers of `torch.optim`, made from PyTorch's names and keyword arguments. Only in `setup`. */
import * as optim from "../../../compiler/optim/index.ts";
import type { LRScheduler } from "../../../compiler/optim/lr-scheduler.ts";
import type { Optimizer } from "../../../compiler/optim/optimizer.ts";
import type { Parameter } from "../../../compiler/trace/parameter.ts";
import { Unsupported } from "../report.ts";
import { camelCase } from "./modules.ts";

/** Keyword arguments by PyTorch's names. */
export type Keywords = Readonly<Record<string, unknown>>;

/** Parameters with options of their own. */
export type GroupKeywords = Keywords & { readonly params: readonly Parameter[] };

const { lrScheduler } = optim;
const optimizers: Readonly<Record<string, unknown>> = optim;
const schedulers: Readonly<Record<string, unknown>> = lrScheduler;

/** Arguments that choose between PyTorch's own implementations. */
const implementations: readonly string[] = ["foreach", "fused", "capturable", "differentiable"];

function options(keywords: Keywords): Record<string, unknown> {
  const known = Object.entries(keywords).filter(([name, value]) => !implementations.includes(name) && value !== null);
  return Object.fromEntries(known.map(([name, value]) => [camelCase(name), value]));
}

/** A class by its name. */
function classOf(table: Readonly<Record<string, unknown>>, name: string): new (...args: readonly unknown[]) => unknown {
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (typeof found !== "function") throw new Unsupported(`no ${name}`);
  // Exported functions whose names begin with a capital are classes; they check their options themselves.
  return found as new (...args: readonly unknown[]) => unknown;
}

/** `torch.optim.<name>(params, **kwargs)`, for plain parameters or groups of them. */
export function makeOptimizer(
  name: string,
  params: readonly (Parameter | GroupKeywords)[],
  kwargs: Keywords,
): Optimizer {
  const groups = params.map((each) => (isGroup(each) ? { ...options(each), params: each.params } : each));
  return new (classOf(optimizers, name))(groups, options(kwargs)) as Optimizer; // all classes of `optim` are optimizers
}

function isGroup(each: Parameter | GroupKeywords): each is GroupKeywords {
  return Object.getPrototypeOf(each) === Object.prototype;
}

/** `torch.optim.lr_scheduler.<name>(optimizer, **kwargs)`; functions and other schedulers are given as texts. */
export function makeScheduler(name: string, optimizer: Optimizer, kwargs: Keywords): LRScheduler {
  const type = classOf(schedulers, name);
  const { lr_lambda: lambda, schedulers: parts, ...rest } = kwargs;
  if (typeof lambda === "string") return new type(optimizer, formula(lambda), options(rest)) as LRScheduler; // a table
  if (!Array.isArray(parts)) return new type(optimizer, options(rest)) as LRScheduler;
  const made = parts.map((text: unknown) => parseScheduler(String(text), optimizer));
  if (name === "ChainedScheduler") return new type(made, options(rest)) as LRScheduler;
  return new type(optimizer, { ...options(rest), schedulers: made }) as LRScheduler;
}

/** A scheduler written as `LinearLR start_factor=0.01 total_iters=8`. */
function parseScheduler(text: string, optimizer: Optimizer): LRScheduler {
  const [name = "", ...pairs] = text.split(/\s+/);
  const kwargs = pairs.map((pair) => {
    const [key = "", value = ""] = pair.split("=");
    return [
      key,
      value === "True" ? true : value === "False" ? false : Number.isNaN(Number(value)) ? value : Number(value),
    ] as const;
  });
  return makeScheduler(name, optimizer, Object.fromEntries(kwargs));
}

const functions: Readonly<Record<string, (...args: readonly number[]) => number>> = {
  min: Math.min,
  max: Math.max,
  sqrt: Math.sqrt,
  cos: Math.cos,
  exp: Math.exp,
};

type Formula = (e: number) => number;

/**
 * A function of the step, from a text with numbers, + - * / ^, brackets, functions such as min, and the names of
 * `constants`; any other name is the step. Factors may stand side by side.
 */
export function formula(text: string, constants: Readonly<Record<string, number>> = {}): Formula {
  const tokens = text.match(/[0-9.]+(?:e-?[0-9]+)?|[A-Za-z_]+|\*\*|[-+*/^(),]/g) ?? [];
  let next = 0;
  const take = (...expected: readonly string[]): string | undefined => {
    const token = tokens[next];
    return token !== undefined && expected.includes(token) ? tokens[next++] : undefined;
  };
  const need = (expected: string): void => {
    if (take(expected) === undefined) throw new Unsupported(`a function written as ${text}`);
  };
  const sum = (): Formula => {
    let left = term();
    for (let sign = take("+", "-"); sign !== undefined; sign = take("+", "-")) {
      const [a, b, isPlus] = [left, term(), sign === "+"];
      left = (e) => (isPlus ? a(e) + b(e) : a(e) - b(e));
    }
    return left;
  };
  const term = (): Formula => {
    let left = power();
    const sign = (): string | undefined => take("*", "/") ?? (/^[\w(]/.test(tokens[next] ?? "") ? "*" : undefined);
    for (let found = sign(); found !== undefined; found = sign()) {
      const [a, b, isTimes] = [left, power(), found === "*"];
      left = (e) => (isTimes ? a(e) * b(e) : a(e) / b(e));
    }
    return left;
  };
  const power = (): Formula => {
    if (take("-") !== undefined) {
      const operand = power();
      return (e) => -operand(e);
    }
    const base = atom();
    if (take("^", "**") === undefined) return base;
    const exponent = power();
    return (e) => base(e) ** exponent(e);
  };
  const atom = (): Formula => {
    if (take("(") !== undefined) {
      const inner = sum();
      need(")");
      return inner;
    }
    const token = tokens[next++] ?? "";
    const called = Object.hasOwn(functions, token) ? functions[token] : undefined;
    if (called !== undefined) {
      need("(");
      const args = [sum()];
      while (take(",") !== undefined) args.push(sum());
      need(")");
      return (e) => called(...args.map((arg) => arg(e)));
    }
    const constant = Object.hasOwn(constants, token) ? constants[token] : undefined;
    if (constant !== undefined) return () => constant;
    if (/^[A-Za-z_]+$/.test(token)) return (e) => e;
    const value = Number(token);
    if (token === "" || Number.isNaN(value)) throw new Unsupported(`a function written as ${text}`);
    return () => value;
  };
  const whole = sum();
  if (next !== tokens.length) throw new Unsupported(`a function written as ${text}`);
  return whole;
}
