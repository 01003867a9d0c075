/**
 * Results of steps as numbers: scalars out of typed arrays, and their combination over the ragged batches of a pass.
 */
import type { ManifestEntry, ManifestMetric } from "../../ir/artifact/manifest.ts";
import { isFloat } from "../../ir/type.ts";
import type { TypedArray } from "../typed-array.ts";
import type { StepsCall, StepsResult } from "./trained-program.ts";

/** The results of one step or pass by name. */
export type Numbers = Record<string, number>;

/** Names of an entry's scalar results, in order. */
export function scalarResults(entry: ManifestEntry): string[] {
  return entry.buffers
    .filter((buffer) => buffer.role === "output" && buffer.shape.length === 0)
    .map((buffer) => buffer.name);
}

/** Names of the results that must stay finite and make up the loss curve: those called loss, else all that are real. */
export function lossResults(entry: ManifestEntry): string[] {
  const real = entry.buffers.filter(
    (buffer) => buffer.role === "output" && buffer.shape.length === 0 && isFloat(buffer.dtype),
  );
  const losses = real.filter((buffer) => /loss/i.test(buffer.name));
  return (losses.length > 0 ? losses : real).map((buffer) => buffer.name);
}

/** Element `index` of an array, as a number. */
export function numberAt(values: TypedArray | undefined, index: number): number {
  const value = values?.[index];
  return value === undefined ? Number.NaN : Number(value);
}

/** Combines results over a pass: `mean` weighs each batch by its samples, `sum` adds up. */
export class Combination {
  readonly #names: readonly string[];
  readonly #means: ReadonlySet<string>;
  readonly #sums: Map<string, number>;
  #samples = 0;

  constructor(entry: ManifestEntry, metrics: readonly ManifestMetric[]) {
    this.#names = scalarResults(entry);
    const isMean = (name: string): boolean => {
      const declared = metrics.find((metric) => metric.name === name)?.combine;
      const dtype = entry.buffers.find((buffer) => buffer.role === "output" && buffer.name === name)?.dtype;
      return (declared ?? (dtype !== undefined && isFloat(dtype) ? "mean" : "sum")) === "mean";
    };
    this.#means = new Set(this.#names.filter(isMean));
    this.#sums = new Map(this.#names.map((name) => [name, 0]));
  }

  /** Adds the results of a run of steps. */
  add({ batch }: StepsCall, { steps, outputs }: StepsResult): void {
    for (const name of this.#names) {
      const weight = this.#means.has(name) ? batch : 1;
      let sum = this.#sums.get(name) ?? 0;
      for (let step = 0; step < steps; step++) sum += weight * numberAt(outputs[name], step);
      this.#sums.set(name, sum);
    }
    this.#samples += batch * steps;
  }

  /** Samples so far. */
  get samples(): number {
    return this.#samples;
  }

  /** The combined results. */
  results(): Numbers {
    const results: Numbers = {};
    for (const [name, sum] of this.#sums) results[name] = this.#means.has(name) ? sum / this.#samples : sum;
    return results;
  }
}
