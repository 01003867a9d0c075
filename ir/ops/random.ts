/**
 * Draws from the program's generator (`ir/random` says what each means). Each takes a token operand, the draw before it
 * or the `generator` leaf, whose value it does not read: that orders the draws of an entry. A draw stays even where its
 * numbers are not used, since the draws after it depend on it.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import type { OpDef } from "../op.ts";
import type { Shape } from "../type.ts";
import { define, requireShape } from "./factory.ts";

export const drawUniform: OpDef<
  "drawUniform",
  1,
  { readonly low: number; readonly high: number; readonly shape: Shape }
> = define({
  name: "drawUniform",
  arity: 1,
  doc: "numbers drawn uniformly from [low, high): f32; the operand is a token",
  type: (_, { shape }) => ({ dtype: "f32", shape: requireShape("drawUniform", shape) }),
  vjp: null,
  evaluate: null,
  lowering: { class: "random", distribution: "uniform" },
  effect: true,
});

export const drawNormal: OpDef<
  "drawNormal",
  1,
  { readonly mean: number; readonly std: number; readonly shape: Shape }
> = define({
  name: "drawNormal",
  arity: 1,
  doc: "normally distributed numbers: f32; the operand is a token",
  type: (_, { std, shape }) => {
    if (!(std >= 0)) throw fail(messages.badAttribute("drawNormal", "std", "a number of at least 0", String(std)));
    return { dtype: "f32", shape: requireShape("drawNormal", shape) };
  },
  vjp: null,
  evaluate: null,
  lowering: { class: "random", distribution: "normal" },
  effect: true,
});

export const drawBernoulli: OpDef<"drawBernoulli", 1, { readonly p: number; readonly shape: Shape }> = define({
  name: "drawBernoulli",
  arity: 1,
  doc: "true with probability p: bool; the operand is a token",
  type: (_, { p, shape }) => {
    if (!(p >= 0 && p <= 1)) throw fail(messages.badAttribute("drawBernoulli", "p", "a number from 0 to 1", String(p)));
    return { dtype: "bool", shape: requireShape("drawBernoulli", shape) };
  },
  vjp: null,
  evaluate: null,
  lowering: { class: "random", distribution: "bernoulli" },
  effect: true,
});
