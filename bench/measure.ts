/**
 * Measures contestants in turn (A B C A B C …), so that a drift of the machine meets all of them alike. Each turn is a
 * block of as many steps as fit a quarter of a second, after a few that are not counted; the result is the median of the
 * blocks. What other processes took of the processor meanwhile is measured too, since it decides whether a figure counts.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { at } from "../ir/type.ts";
import type { Contestant } from "./contestant.ts";
import { ForeignLoad } from "./foreign-load.ts";

/** How long to measure. */
export type MeasureOptions = {
  /** Seconds for each contestant. */
  readonly seconds: number;
  /** Milliseconds of a block; a step that takes longer is a block of its own. */
  readonly block?: number;
};

/** What one contestant took. */
export type Measured = {
  readonly name: string;
  /** Milliseconds a step: median, quickest and slowest block. */
  readonly median: number;
  readonly fastest: number;
  readonly slowest: number;
  readonly blocks: number;
  /** Steps in a block. */
  readonly steps: number;
  readonly loss: number | undefined;
  /** Kernels that a step starts on a GPU. */
  readonly dispatches: number | undefined;
};

/** Results of a comparison, in the order of the contestants. */
export type Comparison = {
  readonly results: readonly Measured[];
  /** Processor cores that other processes kept busy meanwhile; `undefined` where the system does not tell. */
  readonly foreignCores: number | undefined;
};

/** Spinning threads of the one that has just run must have gone to sleep before the next one runs. Milliseconds. */
const pause = 20;
const defaultBlock = 250;
const fewestBlocks = 3;

/** Measures all contestants in turn. */
export async function compare(contestants: readonly Contestant[], options: MeasureOptions): Promise<Comparison> {
  const block = options.block ?? defaultBlock;
  const steps: number[] = [];
  for (const contestant of contestants) steps.push(await stepsFor(contestant, block));
  const times: number[][] = contestants.map(() => []);
  const load = new ForeignLoad(contestants.map((contestant) => contestant.pid));
  const end = performance.now() + options.seconds * 1000 * contestants.length;
  while (performance.now() < end || at(times, 0).length < fewestBlocks) {
    for (const [i, contestant] of contestants.entries()) {
      const count = at(steps, i);
      at(times, i).push((await timeBlock(contestant, count)) / count);
    }
  }
  const foreignCores = load.cores();
  const results = contestants.map((contestant, i) => ({
    name: contestant.name,
    ...summarize(at(times, i)),
    blocks: at(times, i).length,
    steps: at(steps, i),
    loss: contestant.lastLoss(),
    dispatches: contestant.dispatches,
  }));
  return { results, foreignCores };
}

/** Milliseconds of a block of `steps` steps, after a pause and some steps that are not counted. */
export async function timeBlock(contestant: Contestant, steps: number): Promise<number> {
  await sleep(pause);
  const lead = Math.floor(steps / 20);
  if (lead > 0) await contestant.run(lead);
  return contestant.run(steps);
}

/** Warms a contestant up and finds how many of its steps make a block. */
export async function stepsFor(contestant: Contestant, block: number = defaultBlock): Promise<number> {
  await contestant.run(1);
  let steps = 1;
  for (;;) {
    const time = await contestant.run(steps);
    if (time >= block / 2) return Math.max(1, Math.round((steps * block) / time));
    steps = Math.max(steps + 1, Math.min(steps * 8, Math.ceil((steps * block) / Math.max(time, 1e-3))));
  }
}

/** The middle of a list of numbers. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? at(sorted, middle) : (at(sorted, middle - 1) + at(sorted, middle)) / 2;
}

function summarize(times: readonly number[]): Pick<Measured, "median" | "fastest" | "slowest"> {
  return { median: median(times), fastest: Math.min(...times), slowest: Math.max(...times) };
}
