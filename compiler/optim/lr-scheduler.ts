/**
 * Learning-rate schedulers: descriptions only. The runtime runs them in float64 and sets the hyperparameters between
 * steps; nothing of them is compiled. Kinds and options are PyTorch's, options in camel case with PyTorch's defaults.
 */
import type { ManifestScheduler } from "../../ir/artifact/manifest.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { checkOptions } from "../trace/options.ts";
import { activeTrace, currentTrace } from "../trace/trace.ts";
import type { Optimizer } from "./optimizer.ts";

/** When a scheduler steps: after each epoch (default), or after each optimizer step. */
export type When = { readonly per?: "epoch" | "step" };

type Options = ManifestScheduler["options"];

/** Any optimizer. */
type AnyOptimizer = Pick<Optimizer, "name">;

/** Marks schedulers of every copy of the library. */
export const schedulerBrand: unique symbol = Symbol.for("kiln.scheduler");

/** The base class of schedulers. */
export abstract class LRScheduler {
  readonly optimizer: AnyOptimizer;
  readonly kind: string;
  #per: "epoch" | "step";

  constructor(kind: string, optimizer: AnyOptimizer, when: When) {
    this.kind = kind;
    this.optimizer = optimizer;
    this.#per = when.per ?? "epoch";
  }

  /** Marks schedulers of every copy of the library. */
  get [schedulerBrand](): true {
    return true;
  }

  /** When it steps. */
  get per(): "epoch" | "step" {
    return this.#per;
  }

  /** Called in `trainStep`: this scheduler steps after each step instead of after each epoch. */
  step(): void {
    if (activeTrace()?.kind !== "entry") throw fail(messages.schedulerStep(), activeTrace()?.here());
    this.#per = "step";
  }

  /** The plain data for the manifest. `times`: how often it will step, for tables of functions. */
  describe(times: number): ManifestScheduler {
    const { name } = this.optimizer;
    if (name === undefined) throw fail(messages.unownedState("optimizer"));
    return { optimizer: name, kind: this.kind, per: this.#per, options: this.options(times) };
  }

  /** Options as plain data. */
  abstract options(times: number): Options;
}

/** Options that count steps. */
const counts = ["stepSize", "tMax", "t0", "totalSteps", "stepSizeUp"];

/** Checks an option that is given, or has to be. */
function checkOption(kind: string, name: string, value: Options[string] | undefined, isNeeded: boolean): void {
  if (!isNeeded) return;
  const isCount = counts.includes(name);
  const fits = isCount ? Number.isSafeInteger(value) && Number(value) >= 1 : value !== undefined;
  if (fits) return;
  const expected = isCount ? "a whole number of at least 1" : "a value, which has no default";
  throw fail(messages.badLayerOption(kind, name, expected, String(value)), currentTrace(kind).here());
}

/** A scheduler whose options are plain data from the start. */
class PlainScheduler extends LRScheduler {
  readonly #options: Options;

  constructor(
    kind: string,
    optimizer: AnyOptimizer,
    given: Options & When,
    {
      defaults,
      others = [],
      optional = [],
    }: { readonly defaults: Options; readonly others?: readonly string[]; readonly optional?: readonly string[] },
  ) {
    super(kind, optimizer, given);
    const { per: _per, ...options } = checkOptions(kind, given, [
      "per",
      ...others,
      ...optional,
      ...Object.keys(defaults),
    ]);
    this.#options = {
      ...defaults,
      ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
    };
    for (const name of [...counts, ...others])
      checkOption(kind, name, this.#options[name], name in given || others.includes(name));
  }

  override options(): Options {
    return this.#options;
  }
}

/** lr · gamma every `stepSize` steps. */
export class StepLR extends PlainScheduler {
  constructor(optimizer: AnyOptimizer, options: { readonly stepSize: number; readonly gamma?: number } & When) {
    super("StepLR", optimizer, options, { defaults: { gamma: 0.1 }, others: ["stepSize"] });
  }
}

/** lr · gamma at each milestone. */
export class MultiStepLR extends PlainScheduler {
  constructor(
    optimizer: AnyOptimizer,
    options: { readonly milestones: readonly number[]; readonly gamma?: number } & When,
  ) {
    super(
      "MultiStepLR",
      optimizer,
      { ...options, milestones: [...options.milestones] },
      { defaults: { gamma: 0.1 }, others: ["milestones"] },
    );
  }
}

/** lr · gamma every step. */
export class ExponentialLR extends PlainScheduler {
  constructor(optimizer: AnyOptimizer, options: { readonly gamma: number } & When) {
    super("ExponentialLR", optimizer, options, { defaults: {}, others: ["gamma"] });
  }
}

/** From the first rate to `etaMin` along half a cosine in `tMax` steps (Loshchilov and Hutter, 2017), by the recursive form. */
export class CosineAnnealingLR extends PlainScheduler {
  constructor(optimizer: AnyOptimizer, options: { readonly tMax: number; readonly etaMin?: number } & When) {
    super("CosineAnnealingLR", optimizer, options, { defaults: { etaMin: 0 }, others: ["tMax"] });
  }
}

/** Half a cosine from the first rate to `etaMin` in `t0` steps, then again, `tMult` times as long each time. */
export class CosineAnnealingWarmRestarts extends PlainScheduler {
  constructor(
    optimizer: AnyOptimizer,
    options: { readonly t0: number; readonly tMult?: number; readonly etaMin?: number } & When,
  ) {
    super("CosineAnnealingWarmRestarts", optimizer, options, { defaults: { tMult: 1, etaMin: 0 }, others: ["t0"] });
  }
}

/** Up to `maxLr` and down again in `totalSteps` steps (Smith and Topin, 2018). */
export class OneCycleLR extends PlainScheduler {
  constructor(
    optimizer: AnyOptimizer,
    options: {
      readonly maxLr: number;
      readonly totalSteps: number;
      readonly pctStart?: number;
      readonly annealStrategy?: "cos" | "linear";
      readonly cycleMomentum?: boolean;
      readonly baseMomentum?: number;
      readonly maxMomentum?: number;
      readonly divFactor?: number;
      readonly finalDivFactor?: number;
      readonly threePhase?: boolean;
    } & When,
  ) {
    super("OneCycleLR", optimizer, options, {
      defaults: {
        pctStart: 0.3,
        annealStrategy: "cos",
        cycleMomentum: true,
        baseMomentum: 0.85,
        maxMomentum: 0.95,
        divFactor: 25,
        finalDivFactor: 1e4,
        threePhase: false,
      },
      others: ["maxLr", "totalSteps"],
    });
  }
}

/** The first rate times a factor that goes from `startFactor` to `endFactor` in `totalIters` steps. */
export class LinearLR extends PlainScheduler {
  constructor(
    optimizer: AnyOptimizer,
    options: { readonly startFactor?: number; readonly endFactor?: number; readonly totalIters?: number } & When = {},
  ) {
    super("LinearLR", optimizer, options, { defaults: { startFactor: 1 / 3, endFactor: 1, totalIters: 5 } });
  }
}

/** The first rate times `factor` for `totalIters` steps, then the first rate. */
export class ConstantLR extends PlainScheduler {
  constructor(
    optimizer: AnyOptimizer,
    options: { readonly factor?: number; readonly totalIters?: number } & When = {},
  ) {
    super("ConstantLR", optimizer, options, { defaults: { factor: 1 / 3, totalIters: 5 } });
  }
}

/** The first rate falling to 0 in `totalIters` steps by a power. */
export class PolynomialLR extends PlainScheduler {
  constructor(optimizer: AnyOptimizer, options: { readonly totalIters?: number; readonly power?: number } & When = {}) {
    super("PolynomialLR", optimizer, options, { defaults: { totalIters: 5, power: 1 } });
  }
}

/** Between `baseLr` and `maxLr` and back (Smith, 2017). */
export class CyclicLR extends PlainScheduler {
  constructor(
    optimizer: AnyOptimizer,
    options: {
      readonly baseLr: number;
      readonly maxLr: number;
      readonly stepSizeUp?: number;
      readonly stepSizeDown?: number;
      readonly mode?: "triangular" | "triangular2" | "exp_range";
      readonly gamma?: number;
      readonly cycleMomentum?: boolean;
      readonly baseMomentum?: number;
      readonly maxMomentum?: number;
    } & When,
  ) {
    super("CyclicLR", optimizer, options, {
      defaults: {
        stepSizeUp: 2000,
        mode: "triangular",
        gamma: 1,
        cycleMomentum: true,
        baseMomentum: 0.8,
        maxMomentum: 0.9,
      },
      others: ["baseLr", "maxLr"],
      optional: ["stepSizeDown"],
    });
  }
}

/** lr · factor when a metric has not improved for `patience` steps. `metric`: the name of a step's result. */
export class ReduceLROnPlateau extends PlainScheduler {
  constructor(
    optimizer: AnyOptimizer,
    options: {
      readonly metric?: string;
      readonly mode?: "min" | "max";
      readonly factor?: number;
      readonly patience?: number;
      readonly threshold?: number;
      readonly thresholdMode?: "rel" | "abs";
      readonly cooldown?: number;
      readonly minLr?: number;
      readonly eps?: number;
    } & When = {},
  ) {
    super("ReduceLROnPlateau", optimizer, options, {
      defaults: {
        metric: "loss",
        mode: "min",
        factor: 0.1,
        patience: 10,
        threshold: 1e-4,
        thresholdMode: "rel",
        cooldown: 0,
        minLr: 0,
        eps: 1e-8,
      },
    });
  }
}

/** A scheduler given by a function of the step, which is turned into a table: what the function says is data. */
class TableScheduler extends LRScheduler {
  readonly #factor: (step: number) => number;
  readonly #first: number;

  constructor(kind: string, optimizer: AnyOptimizer, factor: (step: number) => number, first: number, when: When) {
    super(kind, optimizer, when);
    this.#factor = factor;
    this.#first = first;
  }

  override options(times: number): Options {
    const factors = Array.from({ length: times + 1 - this.#first }, (_, i) => this.#factor(i + this.#first));
    const bad = factors.find((factor) => !Number.isFinite(factor));
    if (bad !== undefined) throw fail(messages.badFactor(this.kind, bad));
    return { factors };
  }
}

/** The first rate times a function of the step, counted from 0. */
export class LambdaLR extends TableScheduler {
  constructor(optimizer: AnyOptimizer, factor: (step: number) => number, when: When = {}) {
    super("LambdaLR", optimizer, factor, 0, when);
  }
}

/** The rate times a function of the step, from step 1 on. */
export class MultiplicativeLR extends TableScheduler {
  constructor(optimizer: AnyOptimizer, factor: (step: number) => number, when: When = {}) {
    super("MultiplicativeLR", optimizer, factor, 1, when);
  }
}

/** Options of several schedulers in one record: `0.kind`, `0.gamma`, … */
function nested(schedulers: readonly LRScheduler[], times: number): Options {
  const parts = schedulers.flatMap((scheduler, i): [string, Options[string]][] => [
    [`${i}.kind`, scheduler.kind],
    ...Object.entries(scheduler.options(times)).map(([key, value]): [string, Options[string]] => [
      `${i}.${key}`,
      value,
    ]),
  ]);
  return { count: schedulers.length, ...Object.fromEntries(parts) };
}

/** One scheduler after the other, changing at the milestones. */
export class SequentialLR extends LRScheduler {
  readonly #schedulers: readonly LRScheduler[];
  readonly #milestones: readonly number[];

  constructor(
    optimizer: AnyOptimizer,
    options: { readonly schedulers: readonly LRScheduler[]; readonly milestones: readonly number[] } & When,
  ) {
    super("SequentialLR", optimizer, options);
    this.#schedulers = options.schedulers;
    this.#milestones = options.milestones;
  }

  override options(times: number): Options {
    return { milestones: [...this.#milestones], ...nested(this.#schedulers, times) };
  }
}

/** Several schedulers at once. */
export class ChainedScheduler extends LRScheduler {
  readonly #schedulers: readonly LRScheduler[];

  constructor(schedulers: readonly [LRScheduler, ...LRScheduler[]], when: When = {}) {
    super("ChainedScheduler", schedulers[0].optimizer, when);
    this.#schedulers = schedulers;
  }

  override options(times: number): Options {
    return nested(this.#schedulers, times);
  }
}
