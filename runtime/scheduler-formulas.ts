/**
 * The formulas of learning-rate schedulers, one for each of PyTorch's kinds: the rate of a group after a number of
 * scheduler steps. Where PyTorch computes a rate from the one before (so that schedulers can be combined and rates can
 * be changed in between), so does the formula. All in float64. Options are PyTorch's, in camel case, and are checked
 * when a formula is made.
 */
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import type { ManifestScheduler } from "../ir/artifact/manifest.ts";

/** Options as they stand in a manifest. */
export type SchedulerOptions = ManifestScheduler["options"];

/** How one kind of scheduler computes rates. Steps count from 0, which is the moment before the first optimizer step. */
export type Formula = {
  /** The rate at step `t`, given the rate before (`lr`) and the one the optimizer was made with (`base`). */
  readonly next: (t: number, lr: number, base: number) => number;
  /** The rate at step `t` from `base` alone, where PyTorch has one that differs: it is used when a sequence restarts. */
  readonly closed?: (t: number, base: number) => number;
  /** The momentum (or beta1) at step `t`, for kinds that cycle it. */
  readonly momentum?: (t: number) => number;
  /** The rate that stands in for `base`, for kinds that bring their own. */
  readonly initial?: number;
};

/** Reads the options of one scheduler. */
export class OptionReader {
  readonly kind: string;
  readonly #options: SchedulerOptions;

  constructor(kind: string, options: SchedulerOptions) {
    this.kind = kind;
    this.#options = options;
  }

  /** The error for an option. */
  bad(name: string, expected: string, got: unknown): Error {
    return fail(messages.badScheduler(this.kind, name, expected, String(got)));
  }

  /** Whether an option is given. */
  has(name: string): boolean {
    return Object.hasOwn(this.#options, name);
  }

  /** A finite number. */
  number(name: string, fallback?: number): number {
    const value = this.has(name) ? this.#options[name] : fallback;
    if (typeof value !== "number" || !Number.isFinite(value)) throw this.bad(name, "a finite number", value);
    return value;
  }

  /** A whole number of at least `least`. */
  count(name: string, least: number, fallback?: number): number {
    const value = this.number(name, fallback);
    if (!Number.isSafeInteger(value) || value < least)
      throw this.bad(name, `a whole number of at least ${least}`, value);
    return value;
  }

  /** A truth value. */
  flag(name: string, fallback: boolean): boolean {
    const value = this.has(name) ? this.#options[name] : fallback;
    if (typeof value !== "boolean") throw this.bad(name, "true or false", value);
    return value;
  }

  /** One of some words. */
  word<T extends string>(name: string, words: readonly T[], fallback: T): T {
    const value = this.has(name) ? this.#options[name] : fallback;
    const word = words.find((each) => each === value);
    if (word === undefined) throw this.bad(name, `one of ${words.join(", ")}`, value);
    return word;
  }

  /** A list of finite numbers. */
  list(name: string): readonly number[] {
    const value = this.#options[name];
    if (!Array.isArray(value) || !value.every((each) => Number.isFinite(each)))
      throw this.bad(name, "a list of numbers", value);
    return value;
  }

  /** The options whose names begin with `prefix`, without it; and the kind among them. */
  part(prefix: string): OptionReader {
    const part = Object.entries(this.#options)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]): [string, SchedulerOptions[string]] => [name.slice(prefix.length), value]);
    const options = Object.fromEntries(part);
    const { kind } = options;
    if (typeof kind !== "string") throw this.bad(`${prefix}kind`, "the name of a scheduler", kind);
    return new OptionReader(kind, options);
  }
}

/** How many of the sorted numbers are at most `x`: Python's `bisect_right`. */
export function countUpTo(sorted: readonly number[], x: number): number {
  return sorted.filter((each) => each <= x).length;
}

/** Makes the formula of each kind. Sources: the classes of these names in PyTorch's `torch.optim.lr_scheduler`. */
export const formulas: Readonly<Record<string, (read: OptionReader) => Formula>> = {
  StepLR(read) {
    const size = read.count("stepSize", 1);
    const gamma = read.number("gamma", 0.1);
    return {
      next: (t, lr) => (t === 0 || t % size !== 0 ? lr : lr * gamma),
      closed: (t, base) => base * gamma ** Math.floor(t / size),
    };
  },
  MultiStepLR(read) {
    const milestones = read.list("milestones").toSorted((a, b) => a - b);
    const gamma = read.number("gamma", 0.1);
    return {
      next: (t, lr) => lr * gamma ** milestones.filter((milestone) => milestone === t).length,
      closed: (t, base) => base * gamma ** countUpTo(milestones, t),
    };
  },
  ExponentialLR(read) {
    const gamma = read.number("gamma");
    return { next: (t, lr) => (t === 0 ? lr : lr * gamma), closed: (t, base) => base * gamma ** t };
  },
  ConstantLR(read) {
    const factor = read.number("factor", 1 / 3);
    const total = read.count("totalIters", 0, 5);
    return {
      next: (t, lr) => (t === 0 ? lr * factor : t === total ? lr * (1 / factor) : lr),
      closed: (t, base) => base * (t >= total ? 1 : factor),
    };
  },
  LinearLR(read) {
    const start = read.number("startFactor", 1 / 3);
    const end = read.number("endFactor", 1);
    const total = read.count("totalIters", 1, 5);
    return {
      next(t, lr) {
        if (t === 0) return lr * start;
        return t > total ? lr : lr * (1 + (end - start) / (total * start + (t - 1) * (end - start)));
      },
      closed: (t, base) => base * (start + ((end - start) * Math.min(total, t)) / total),
    };
  },
  PolynomialLR(read) {
    const total = read.count("totalIters", 1, 5);
    const power = read.number("power", 1);
    return {
      next: (t, lr) => (t === 0 || t > total ? lr : lr * ((1 - t / total) / (1 - (t - 1) / total)) ** power),
      closed: (t, base) => base * (1 - Math.min(total, t) / total) ** power,
    };
  },
  CosineAnnealingLR(read) {
    const half = read.count("tMax", 1);
    const low = read.number("etaMin", 0);
    const wave = (t: number): number => 1 + Math.cos((Math.PI * t) / half);
    return {
      next(t, lr, base) {
        if (t === 0) return lr;
        // Just past a minimum the ratio below divides by 0.
        if ((t - 1 - half) % (2 * half) === 0) return lr + ((base - low) * (1 - Math.cos(Math.PI / half))) / 2;
        return (wave(t) / wave(t - 1)) * (lr - low) + low;
      },
      closed: (t, base) => low + ((base - low) * wave(t)) / 2,
    };
  },
  CosineAnnealingWarmRestarts(read) {
    const first = read.count("t0", 1);
    const factor = read.count("tMult", 1, 1);
    const low = read.number("etaMin", 0);
    return {
      next(t, _lr, base) {
        let length = first;
        let left = t;
        if (factor === 1) left %= first;
        else for (; left >= length; length *= factor) left -= length;
        return low + ((base - low) * (1 + Math.cos((Math.PI * left) / length))) / 2;
      },
    };
  },
  LambdaLR(read) {
    const factor = table(read, 0);
    return { next: (t, _lr, base) => base * factor(t) };
  },
  MultiplicativeLR(read) {
    const factor = table(read, 1);
    return { next: (t, lr) => (t === 0 ? lr : lr * factor(t)) };
  },
  OneCycleLR: oneCycle,
  CyclicLR: cyclic,
};

/** A user's function of the step, as a table that starts with step `first`. */
function table(read: OptionReader, first: number): (t: number) => number {
  const factors = read.list("factors");
  return (t) => {
    const factor = factors[t - first];
    if (factor === undefined)
      throw read.bad(
        "factors",
        `at most ${factors.length - 1 + first} steps, as many as it was compiled for`,
        `step ${t}`,
      );
    return factor;
  };
}

/** L. N. Smith, N. Topin, "Super-Convergence" (arXiv 1708.07120). */
function oneCycle(read: OptionReader): Formula {
  const total = read.count("totalSteps", 1);
  const high = read.number("maxLr");
  const share = read.number("pctStart", 0.3);
  const initial = high / read.number("divFactor", 25);
  const last = initial / read.number("finalDivFactor", 1e4);
  const low = read.number("baseMomentum", 0.85);
  const top = read.number("maxMomentum", 0.95);
  const phases = read.flag("threePhase", false)
    ? [
        { end: share * total - 1, lr: [initial, high], momentum: [top, low] },
        { end: 2 * share * total - 2, lr: [high, initial], momentum: [low, top] },
        { end: total - 1, lr: [initial, last], momentum: [top, top] },
      ]
    : [
        { end: share * total - 1, lr: [initial, high], momentum: [top, low] },
        { end: total - 1, lr: [high, last], momentum: [low, top] },
      ];
  const linear = read.word("annealStrategy", ["cos", "linear"], "cos") === "linear";
  const value = (t: number, what: "lr" | "momentum"): number => {
    if (t > total) throw read.bad("totalSteps", `at least ${t}, the step that is asked for`, total);
    let start = 0;
    for (const [i, phase] of phases.entries()) {
      if (t <= phase.end || i === phases.length - 1) {
        const [from = 0, to = 0] = phase[what];
        const done = (t - start) / (phase.end - start);
        return linear ? (to - from) * done + from : to + ((from - to) / 2) * (Math.cos(Math.PI * done) + 1);
      }
      start = phase.end;
    }
    return last;
  };
  return {
    next: (t) => value(t, "lr"),
    initial,
    ...(read.flag("cycleMomentum", true) ? { momentum: (t: number) => value(t, "momentum") } : {}),
  };
}

/** L. N. Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv 1506.01186). */
function cyclic(read: OptionReader): Formula {
  const base = read.number("baseLr");
  const high = read.number("maxLr");
  const up = read.number("stepSizeUp", 2000);
  const all = up + read.number("stepSizeDown", up);
  const ratio = up / all;
  const mode = read.word("mode", ["triangular", "triangular2", "exp_range"], "triangular");
  const gamma = read.number("gamma", 1);
  const low = read.number("baseMomentum", 0.8);
  const top = read.number("maxMomentum", 0.9);
  if (!(up > 0 && all > up)) throw read.bad("stepSizeUp", "a positive number, as stepSizeDown", up);
  const height = (t: number): number => {
    const cycle = Math.floor(1 + t / all);
    const x = 1 + t / all - cycle;
    const scale = x <= ratio ? x / ratio : (x - 1) / (ratio - 1);
    if (mode === "triangular") return scale;
    return scale * (mode === "triangular2" ? 1 / 2 ** (cycle - 1) : gamma ** t);
  };
  return {
    next: (t) => base + (high - base) * height(t),
    initial: base,
    ...(read.flag("cycleMomentum", true) ? { momentum: (t: number) => top - (top - low) * height(t) } : {}),
  };
}
