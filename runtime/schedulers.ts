/**
 * Learning-rate schedulers, run from the plain data in a manifest. A scheduler sets the rates (and, for some kinds, the
 * momentum) of all groups of its optimizer, by the names `<optimizer>.<group>.lr`: once when it is made, as in PyTorch,
 * then at each `step`. Its state is plain data that a checkpoint can hold.
 */
import * as v from "valibot";
import type { ManifestScheduler } from "../ir/artifact/manifest.ts";
import { OptionReader } from "./scheduler-formulas.ts";
import { createNode, rateOf, type Group, type SchedulerState } from "./scheduler-nodes.ts";

export type { SchedulerState } from "./scheduler-nodes.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(-1));
const numbers = v.array(v.pipe(v.number(), v.finite()));
const stateSchema: v.GenericSchema<unknown, SchedulerState> = v.object({
  step: count,
  rates: numbers,
  momenta: numbers,
  bases: numbers,
  best: v.nullable(v.number()),
  badEpochs: count,
  cooldown: count,
  parts: v.array(v.lazy(() => stateSchema)),
});

/** A running scheduler. */
export type Scheduler = {
  readonly optimizer: string;
  readonly kind: string;
  readonly per: ManifestScheduler["per"];
  /** Name of the result that `step` must be given; only `ReduceLROnPlateau` has one. */
  readonly metric: string | undefined;
  /** Goes one step on. @throws UserError K3014 without a metric where one is needed, or past the last step it was made for. */
  step(metric?: number): void;
  /** What `restore` needs. */
  state(): SchedulerState;
  /** Continues where `state` was taken, rates included. @throws UserError K3014 if it is no state of this scheduler. */
  restore(state: unknown): void;
};

/**
 * The schedulers of a program, in the manifest's order, each having set its first rates.
 *
 * @throws UserError K3014 for an unknown kind, a bad option, or an optimizer without the hyperparameters it sets.
 */
export function createSchedulers(descriptions: readonly ManifestScheduler[], hyper: Map<string, number>): Scheduler[] {
  const optimizers = new Map<string, Group[]>();
  return descriptions.map((description) => {
    const { optimizer, kind, per } = description;
    const read = new OptionReader(kind, description.options);
    const groups = optimizers.get(optimizer) ?? groupsOf(optimizer, hyper);
    if (groups.length === 0) throw read.bad("optimizer", "an optimizer with a learning rate", optimizer);
    optimizers.set(optimizer, groups);
    const node = createNode(read, groups, hyper);
    node.begin();
    return {
      optimizer,
      kind,
      per,
      metric: kind === "ReduceLROnPlateau" ? metricOf(description) : undefined,
      step: (metric) => node.step(metric),
      state: () => node.state(),
      restore(state) {
        const result = v.safeParse(stateSchema, state);
        if (!result.success || !node.accepts(result.output))
          throw read.bad("state", "a state of this scheduler", "something else");
        node.restore(result.output);
      },
    };
  });
}

function metricOf({ options }: ManifestScheduler): string {
  const { metric } = options;
  return typeof metric === "string" ? metric : "loss";
}

function groupsOf(optimizer: string, hyper: Map<string, number>): Group[] {
  const groups: Group[] = [];
  for (let i = 0; hyper.has(`${optimizer}.${i}.lr`); i++) {
    const lr = `${optimizer}.${i}.lr`;
    const momentum = [`${optimizer}.${i}.beta1`, `${optimizer}.${i}.momentum`].find((name) => hyper.has(name));
    groups.push({ lr, momentum, base: rateOf(hyper, lr) });
  }
  return groups;
}
