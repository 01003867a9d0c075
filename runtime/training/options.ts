/**
 * The flags of a trainer: one table, from which the generated `trainer.js` and `kiln train` derive parser, help and
 * types. Also resolves what a flag means for a program (learning rates by optimizer). Errors are `UserError`s.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { deviceChoices } from "../select-target.ts";
import type { OptionTable, OptionValues } from "./option-table.ts";

/** Flags that every trainer takes. */
export const trainerOptions = {
  epochs: { kind: "count", value: "N", doc: "train this many epochs instead of the model's" },
  lr: {
    kind: "text",
    value: "RATE",
    doc: "learning rate for all optimizers (0.01), or for one or more (optimizer=0.01,other=0.1)",
  },
  seed: { kind: "count", value: "N", doc: "seed of all random numbers instead of the model's" },
  device: {
    kind: "choice",
    choices: deviceChoices,
    doc: "where to run (default: auto, the processor if the artifact was compiled for it)",
  },
  data: { kind: "text", value: "DIR", doc: "folder of the data set's files" },
  init: { kind: "text", value: "FILE", doc: "start from the weights in a .safetensors file" },
  resume: {
    kind: "optionalText",
    value: "FILE",
    doc: "go on from a checkpoint, or from the run's last one if there is any",
  },
  out: { kind: "text", value: "DIR", doc: "folder for checkpoints and the loss curve (default: runs/<name>)" },
  threads: { kind: "count", value: "N", minimum: 1, doc: "threads to compute with; results do not depend on it" },
  saveEvery: {
    kind: "count",
    value: "N",
    minimum: 1,
    doc: "save a checkpoint every N steps, besides every epoch and about every 10 s",
  },
  json: { kind: "switch", doc: "print one JSON object a line instead of text" },
} as const satisfies OptionTable;

/** The parsed flags of a trainer. */
export type TrainerOptions = OptionValues<typeof trainerOptions>;

/**
 * The hyperparameters that `--lr` sets, given the program's own. `text` is one number for every `*.lr`, or a list of
 * `name=number`, where `name` is an optimizer (all its groups), a group (`optimizer.1`) or a full name (`optimizer.1.lr`).
 */
export function learningRates(text: string, hyper: Readonly<Record<string, number>>): Map<string, number> {
  const rates = Object.keys(hyper).filter((name) => name.endsWith(".lr"));
  const chosen = new Map<string, number>();
  if (!text.includes("=")) {
    const value = parseRate(text);
    if (rates.length === 0) throw fail(messages.noSuchHyper("lr", Object.keys(hyper)));
    for (const name of rates) chosen.set(name, value);
    return chosen;
  }
  for (const part of text.split(",")) {
    const [name = "", number = ""] = part.split("=", 2).map((word) => word.trim());
    const value = parseRate(number);
    const meant = rates.filter((rate) => rate === name || rate === `${name}.lr` || rate.startsWith(`${name}.`));
    if (name === "" || meant.length === 0) throw fail(messages.noSuchHyper(name, rates));
    for (const rate of meant) chosen.set(rate, value);
  }
  return chosen;
}

function parseRate(text: string): number {
  const value = Number(text);
  if (text !== "" && Number.isFinite(value) && value >= 0) return value;
  throw fail(messages.badOptionValue("--lr", "a finite number, at least 0", text));
}
