/**
 * Schedulers at work: one with a formula of its own, or made of others, each setting the rates of all groups of its
 * optimizer. What they set is what PyTorch's classes of the same names set, also when they are combined.
 */
import { invariant } from "../ir/diagnostic/diagnostic.ts";
import { at } from "../ir/type.ts";
import { countUpTo, formulas, type Formula, type OptionReader } from "./scheduler-formulas.ts";

/** What a scheduler must remember, as JSON. */
export type SchedulerState = {
  /** Steps done; 0 after it was made. */
  readonly step: number;
  /** The rates and momenta it set last, and the rates that its formula starts from, by group. */
  readonly rates: readonly number[];
  readonly momenta: readonly number[];
  readonly bases: readonly number[];
  /** `ReduceLROnPlateau`: the best result so far (`null` before the first), bad epochs since, and cool-down left. */
  readonly best: number | null;
  readonly badEpochs: number;
  readonly cooldown: number;
  /** The states of the schedulers it is made of. */
  readonly parts: readonly SchedulerState[];
};

/** A group of an optimizer's parameters. `base`: its first rate, which its schedulers share as PyTorch's `initial_lr`. */
export type Group = { readonly lr: string; readonly momentum: string | undefined; base: number };

/** A hyperparameter that is known to be there. */
export function rateOf(hyper: ReadonlyMap<string, number>, name: string): number {
  const value = hyper.get(name);
  invariant(value !== undefined, `the hyperparameter ${name} is gone`);
  return value;
}

/** A scheduler, alone or as a part of another. */
export type SchedulerNode = {
  /** Step 0: what PyTorch does when a scheduler is made. */
  begin(): void;
  step(metric?: number): void;
  /** Begins again at step 0, as the next one of a sequence does. */
  restart(): void;
  state(): SchedulerState;
  /** Whether a state is of this scheduler's form. */
  accepts(state: SchedulerState): boolean;
  restore(state: SchedulerState): void;
};

/** Makes a scheduler from its options. @throws UserError K3014 for an unknown kind or a bad option. */
export function createNode(read: OptionReader, groups: readonly Group[], hyper: Map<string, number>): SchedulerNode {
  switch (read.kind) {
    case "SequentialLR":
      return new Sequence(partsOf(read, groups, hyper), read, groups, hyper);
    case "ChainedScheduler":
      return new Chain(partsOf(read, groups, hyper), groups, hyper);
    case "ReduceLROnPlateau":
      return new Plateau(read, groups, hyper);
    default: {
      const make = Object.hasOwn(formulas, read.kind) ? formulas[read.kind] : undefined;
      if (make === undefined) throw read.bad("kind", "a scheduler that this runtime knows", read.kind);
      return new Single(make(read), read, groups, hyper);
    }
  }
}

function partsOf(read: OptionReader, groups: readonly Group[], hyper: Map<string, number>): SchedulerNode[] {
  const length = read.count("count", 1);
  if (length > 1000) throw read.bad("count", "at most 1000", length);
  return Array.from({ length }, (_, i) => createNode(read.part(`${i}.`), groups, hyper));
}

/** What all kinds share: the groups, and the state that describes them. */
class Rates {
  readonly groups: readonly Group[];
  readonly hyper: Map<string, number>;

  constructor(groups: readonly Group[], hyper: Map<string, number>) {
    this.groups = groups;
    this.hyper = hyper;
  }

  read(step: number, more: Partial<SchedulerState> = {}): SchedulerState {
    return {
      step,
      rates: this.groups.map((group) => rateOf(this.hyper, group.lr)),
      momenta: this.groups.flatMap((group) =>
        group.momentum === undefined ? [] : [rateOf(this.hyper, group.momentum)],
      ),
      bases: this.groups.map((group) => group.base),
      best: null,
      badEpochs: 0,
      cooldown: 0,
      parts: [],
      ...more,
    };
  }

  accepts(state: SchedulerState): boolean {
    const momenta = this.groups.filter((group) => group.momentum !== undefined).length;
    const { groups } = this;
    return (
      state.rates.length === groups.length && state.bases.length === groups.length && state.momenta.length === momenta
    );
  }

  write(state: SchedulerState): void {
    let next = 0;
    for (const [i, group] of this.groups.entries()) {
      group.base = at(state.bases, i);
      this.hyper.set(group.lr, at(state.rates, i));
      if (group.momentum !== undefined) this.hyper.set(group.momentum, at(state.momenta, next++));
    }
  }
}

/** A scheduler with one formula. */
class Single implements SchedulerNode {
  readonly #formula: Formula;
  readonly #rates: Rates;
  #step = -1;

  constructor(formula: Formula, read: OptionReader, groups: readonly Group[], hyper: Map<string, number>) {
    this.#formula = formula;
    this.#rates = new Rates(groups, hyper);
    if (formula.momentum !== undefined && groups.some((group) => group.momentum === undefined))
      throw read.bad("cycleMomentum", "false, or an optimizer with momentum or betas", true);
  }

  begin(): void {
    const { initial } = this.#formula;
    if (initial !== undefined) for (const group of this.#rates.groups) group.base = initial;
    this.step();
  }

  step(): void {
    this.#step++;
    this.#apply((lr, base) => this.#formula.next(this.#step, lr, base));
  }

  restart(): void {
    this.#step = 0;
    const { closed, next } = this.#formula;
    this.#apply((lr, base) => (closed === undefined ? next(0, lr, base) : closed(0, base)));
  }

  #apply(rate: (lr: number, base: number) => number): void {
    const { groups, hyper } = this.#rates;
    const momentum = this.#formula.momentum?.(this.#step);
    for (const group of groups) {
      hyper.set(group.lr, rate(rateOf(hyper, group.lr), group.base));
      if (momentum !== undefined && group.momentum !== undefined) hyper.set(group.momentum, momentum);
    }
  }

  state(): SchedulerState {
    return this.#rates.read(this.#step);
  }

  accepts(state: SchedulerState): boolean {
    return this.#rates.accepts(state) && state.parts.length === 0;
  }

  restore(state: SchedulerState): void {
    this.#step = state.step;
    this.#rates.write(state);
  }
}

/** One scheduler after the other, changing at the milestones. */
class Sequence implements SchedulerNode {
  readonly #parts: readonly SchedulerNode[];
  readonly #milestones: readonly number[];
  readonly #rates: Rates;
  #step = 0;

  constructor(
    parts: readonly SchedulerNode[],
    read: OptionReader,
    groups: readonly Group[],
    hyper: Map<string, number>,
  ) {
    this.#parts = parts;
    this.#milestones = read.list("milestones");
    this.#rates = new Rates(groups, hyper);
    if (this.#milestones.length !== parts.length - 1)
      throw read.bad(
        "milestones",
        `${parts.length - 1} numbers, one less than there are schedulers`,
        this.#milestones.length,
      );
  }

  begin(): void {
    at(this.#parts, 0).begin();
  }

  step(metric?: number): void {
    this.#step++;
    const place = countUpTo(this.#milestones, this.#step);
    const part = at(this.#parts, place);
    if (place > 0 && this.#milestones[place - 1] === this.#step) part.restart();
    else part.step(metric);
  }

  restart(): void {
    this.#step = 0;
    at(this.#parts, 0).restart();
  }

  state(): SchedulerState {
    return this.#rates.read(this.#step, { parts: this.#parts.map((part) => part.state()) });
  }

  accepts(state: SchedulerState): boolean {
    return this.#rates.accepts(state) && acceptsParts(this.#parts, state);
  }

  restore(state: SchedulerState): void {
    restoreParts(this.#parts, state);
    this.#step = state.step;
    this.#rates.write(state);
  }
}

/** Several schedulers that step together. */
class Chain implements SchedulerNode {
  readonly #parts: readonly SchedulerNode[];
  readonly #rates: Rates;
  #step = 0;

  constructor(parts: readonly SchedulerNode[], groups: readonly Group[], hyper: Map<string, number>) {
    this.#parts = parts;
    this.#rates = new Rates(groups, hyper);
  }

  begin(): void {
    for (const part of this.#parts) part.begin();
  }

  step(metric?: number): void {
    this.#step++;
    for (const part of this.#parts) part.step(metric);
  }

  restart(): void {
    this.#step = 0;
    for (const part of this.#parts) part.restart();
  }

  state(): SchedulerState {
    return this.#rates.read(this.#step, { parts: this.#parts.map((part) => part.state()) });
  }

  accepts(state: SchedulerState): boolean {
    return this.#rates.accepts(state) && acceptsParts(this.#parts, state);
  }

  restore(state: SchedulerState): void {
    restoreParts(this.#parts, state);
    this.#step = state.step;
    this.#rates.write(state);
  }
}

function acceptsParts(parts: readonly SchedulerNode[], state: SchedulerState): boolean {
  return state.parts.length === parts.length && parts.every((part, i) => part.accepts(at(state.parts, i)));
}

function restoreParts(parts: readonly SchedulerNode[], state: SchedulerState): void {
  for (const [i, part] of parts.entries()) part.restore(at(state.parts, i));
}

/** Lowers the rates when a result has stopped getting better: PyTorch's `ReduceLROnPlateau`. */
class Plateau implements SchedulerNode {
  readonly #read: OptionReader;
  readonly #rates: Rates;
  readonly #isBetter: (result: number, best: number) => boolean;
  readonly #factor: number;
  readonly #patience: number;
  readonly #cooldown: number;
  readonly #least: number;
  readonly #eps: number;
  #step = 0;
  #best: number | undefined;
  #badEpochs = 0;
  #cooldownLeft = 0;

  constructor(read: OptionReader, groups: readonly Group[], hyper: Map<string, number>) {
    this.#read = read;
    this.#rates = new Rates(groups, hyper);
    const sign = read.word("mode", ["min", "max"], "min") === "min" ? -1 : 1;
    const relative = read.word("thresholdMode", ["rel", "abs"], "rel") === "rel";
    const threshold = read.number("threshold", 1e-4);
    this.#isBetter = (result, best) => {
      const bar = relative ? best * (1 + sign * threshold) : best + sign * threshold;
      return sign < 0 ? result < bar : result > bar;
    };
    this.#factor = read.number("factor", 0.1);
    if (this.#factor >= 1) throw read.bad("factor", "a number below 1", this.#factor);
    this.#patience = read.count("patience", 0, 10);
    this.#cooldown = read.count("cooldown", 0, 0);
    this.#least = read.number("minLr", 0);
    this.#eps = read.number("eps", 1e-8);
  }

  begin(): void {
    // The first rates are the optimizer's own.
  }

  step(metric?: number): void {
    if (metric === undefined) throw this.#read.bad("metric", "the result it watches", metric);
    this.#step++;
    // NaN is never better, so a run that has diverged lowers its rates.
    const better = this.#best === undefined ? !Number.isNaN(metric) : this.#isBetter(metric, this.#best);
    if (better) {
      this.#best = metric;
      this.#badEpochs = 0;
    } else this.#badEpochs++;
    if (this.#cooldownLeft > 0) {
      this.#cooldownLeft--;
      this.#badEpochs = 0;
    }
    if (this.#badEpochs <= this.#patience) return;
    const { groups, hyper } = this.#rates;
    for (const { lr } of groups) {
      const old = rateOf(hyper, lr);
      const lower = Math.max(old * this.#factor, this.#least);
      if (old - lower > this.#eps) hyper.set(lr, lower);
    }
    this.#cooldownLeft = this.#cooldown;
    this.#badEpochs = 0;
  }

  restart(): void {
    this.#step = 0;
    this.#best = undefined;
    this.#badEpochs = 0;
    this.#cooldownLeft = 0;
  }

  state(): SchedulerState {
    const more = { best: this.#best ?? null, badEpochs: this.#badEpochs, cooldown: this.#cooldownLeft };
    return this.#rates.read(this.#step, more);
  }

  accepts(state: SchedulerState): boolean {
    return this.#rates.accepts(state) && state.parts.length === 0;
  }

  restore(state: SchedulerState): void {
    this.#step = state.step;
    this.#best = state.best ?? undefined;
    this.#badEpochs = state.badEpochs;
    this.#cooldownLeft = state.cooldown;
    this.#rates.write(state);
  }
}
