/**
 * The reference data's texts about optimizers, schedules and clipping, such as `AdamW lr=1e-3 betas=(0.9,0.95),
 * weight_decay 0.1 on tensors of 2+ dimensions, 0 on the others; clip_grad_norm_ 1.0`, read and turned into ours.
 */
import type { Module } from "../../../compiler/nn/module.ts";
import type { LRScheduler } from "../../../compiler/optim/lr-scheduler.ts";
import type { Optimizer } from "../../../compiler/optim/optimizer.ts";
import { lrScheduler } from "../../../compiler/optim/index.ts";
import { formula, makeOptimizer, makeScheduler, type Keywords } from "./optimizers.ts";

/** What such a text says. */
export type TrainingText = {
  readonly optimizer: string;
  readonly kwargs: Keywords;
  /** Whether weight decay is for tensors of two axes or more only. */
  readonly decaysMatricesOnly: boolean;
  readonly scheduler:
    { readonly name: string; readonly kwargs: Keywords; readonly factor?: (step: number) => number } | undefined;
  /** Largest norm of the gradients; infinite if they are not clipped. */
  readonly clip: number;
};

const number = String.raw`[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?`;

/** `key=value` pairs; a value may be a pair in brackets. */
function keywords(text: string): Keywords {
  const pairs = text.matchAll(new RegExp(String.raw`(\w+)=(${number}|\([^)]*\))`, "g"));
  return Object.fromEntries(
    [...pairs].map(([, key = "", value = ""]) => [
      key,
      value.startsWith("(") ? value.slice(1, -1).split(",").map(Number) : Number(value),
    ]),
  );
}

/** Reads a text. */
export function parseText(text: string): TrainingText {
  const schedule = /(?:with |, |; )?\b(StepLR|OneCycleLR|LambdaLR)\b/.exec(text);
  // The optimizer is what stands in front of the first semicolon or schedule.
  const end = Math.min(...[text.indexOf(";"), schedule?.index ?? -1, text.length].filter((place) => place >= 0));
  const head = text.slice(0, end);
  const decay = new RegExp(`weight_decay (${number})`).exec(head)?.[1];
  const [optimizer = ""] = head.split(/\s/);
  return {
    optimizer,
    kwargs: { ...keywords(head), ...(decay === undefined ? {} : { weight_decay: Number(decay) }) },
    decaysMatricesOnly: head.includes("on tensors of 2+ dimensions"),
    scheduler:
      schedule === null ? undefined : parseSchedule(text.slice(text.indexOf(schedule[1] ?? "", schedule.index))),
    clip: Number(new RegExp(`clip_grad_norm_ (${number})`).exec(text)?.[1] ?? Infinity),
  };
}

function parseSchedule(text: string): TrainingText["scheduler"] {
  const [part = ""] = text.split(";");
  const name = /\w+LR\b/.exec(part)?.[0] ?? "";
  const rest = part.slice(part.indexOf(name) + name.length);
  if (name === "StepLR") {
    const [, every, by] = new RegExp(`every (\\d+) steps by (${number})`).exec(rest) ?? [];
    return { name, kwargs: every === undefined ? keywords(rest) : { step_size: Number(every), gamma: Number(by) } };
  }
  if (name !== "LambdaLR") return { name, kwargs: keywords(rest) };
  // A formula, and perhaps the values of its constants behind a comma outside all brackets.
  const constants = keywords(rest.slice(rest.search(/,\s*\w+=/) + 1 || rest.length));
  const expression = rest.replace(/,\s*\w+=.*$/, "");
  return { name, kwargs: {}, factor: formula(expression, constants as Readonly<Record<string, number>>) }; // plain numbers
}

/** The optimizer of some networks, and its scheduler, stepping with every step. Only in `setup`. */
export function makeTraining(
  text: TrainingText,
  modules: readonly Module[],
): { readonly optimizer: Optimizer; readonly scheduler: LRScheduler | undefined } {
  const parameters = modules.flatMap((module) => module.parameters());
  const { weight_decay: _, ...plain } = text.kwargs;
  const groups = text.decaysMatricesOnly
    ? [
        { ...text.kwargs, params: parameters.filter(({ ndim }) => ndim >= 2) },
        { ...plain, weight_decay: 0, params: parameters.filter(({ ndim }) => ndim < 2) },
      ]
    : parameters;
  const optimizer = makeOptimizer(text.optimizer, groups, text.kwargs);
  const { scheduler } = text;
  if (scheduler === undefined) return { optimizer, scheduler: undefined };
  const made =
    scheduler.factor === undefined
      ? makeScheduler(scheduler.name, optimizer, scheduler.kwargs)
      : new lrScheduler.LambdaLR(optimizer, scheduler.factor, { per: "step" });
  return { optimizer, scheduler: made };
}
