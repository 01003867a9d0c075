/**
 * Feeding: what a loader gives, as runs of steps a program can execute in one call. Where the data is resident a run has
 * many steps and hands over row numbers only; otherwise one batch at a time. Every batch is checked against what was
 * compiled before anything runs, the ragged last one too.
 */
import type { ManifestBuffer, ManifestEntry } from "../../ir/artifact/manifest.ts";
import { describe, type FieldDescription } from "../../ir/data/description.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at, formatType, sameShape } from "../../ir/type.ts";
import { isIterableDataset } from "../data/dataset.ts";
import type { DataLoader } from "../data/loader.ts";
import type { Epoch } from "../data/pass.ts";
import type { Batch } from "../data/collate.ts";
import type { Tensorlike } from "../data/tensorlike.ts";
import type { TypedArray } from "../typed-array.ts";
import type { StepsCall, TrainedProgram } from "./trained-program.ts";

/** One pass over a loader; `next(limit)` gives its next run, of at most `limit` steps, and `undefined` at the end. */
export type FeedPass = {
  /** Number of the first batch of the pass that is fed. */
  readonly first: number;
  next(limit: number): Promise<StepsCall | undefined>;
  close(): Promise<void>;
};

/** A loader, bound to the entry of a program that takes its batches. */
export class Feed {
  readonly #name: string;
  readonly #loader: DataLoader;
  readonly #entries: ReadonlyMap<number, ManifestEntry>;
  readonly #entry: string;

  /** Throws a `UserError` (K4002, K4003, K4005) unless `entry` of the program takes all batches of the loader. */
  constructor(program: TrainedProgram, entry: string, name: string, loader: DataLoader) {
    this.#name = name;
    this.#loader = loader;
    this.#entry = entry;
    const entries = program.manifest.entries.filter((each) => each.name === entry);
    this.#entries = new Map(entries.map((each) => [each.batch, each]));
    this.#check();
  }

  /** Samples of a whole pass. */
  get samples(): number {
    const { samples, batchSize, dropLast } = this.#loader[describe]();
    return dropLast ? samples - (samples % batchSize) : samples;
  }

  /** Begins a pass: the loader draws its order now. */
  begin(): FeedPass {
    const { dataset } = this.#loader;
    const resident = isIterableDataset(dataset) ? undefined : this.#loader.resident();
    if (resident !== undefined) return this.#residentPass(this.#loader.epoch(), resident.fields);
    const pass = this.#loader.iterate();
    const first = "skip" in pass && typeof pass.skip === "number" ? pass.skip : 0;
    return this.#batchPass(pass[Symbol.asyncIterator](), first);
  }

  #residentPass(epoch: Epoch, fields: readonly Tensorlike[]): FeedPass {
    let next = epoch.skip;
    let start = 0;
    for (let batch = 0; batch < next; batch++) start += epoch.indices(batch).length;
    const take = (limit: number): StepsCall | undefined => {
      if (next >= epoch.count) return undefined;
      const batch = epoch.indices(next).length;
      let steps = 1;
      while (steps < limit && next + steps < epoch.count && epoch.indices(next + steps).length === batch) steps++;
      const indices = epoch.order.subarray(start, start + steps * batch);
      next += steps;
      start += steps * batch;
      const entry = this.#entryFor(batch);
      return { entry: this.#entry, batch, steps, indices, datasets: byName(entry, "dataset", fields) };
    };
    return { first: epoch.skip, next: async (limit) => take(limit), close: async () => undefined };
  }

  #batchPass(batches: AsyncIterator<Batch>, first: number): FeedPass {
    return {
      first,
      next: async () => {
        const { done, value: fields } = await batches.next();
        if (done === true) return undefined;
        const batch = at(at(fields, 0).shape, 0);
        const named = byName(this.#entryFor(batch), "input", fields);
        const inputs: Record<string, TypedArray> = {};
        for (const [name, field] of Object.entries(named)) inputs[name] = field.data;
        return { entry: this.#entry, batch, steps: 1, inputs };
      },
      close: async () => {
        await batches.return?.();
      },
    };
  }

  #entryFor(batch: number): ManifestEntry {
    const entry = this.#entries.get(batch);
    if (entry !== undefined) return entry;
    const { samples } = this.#loader[describe]();
    throw fail(messages.batchNotCompiled(this.#name, this.#entry, batch, [...this.#entries.keys()], samples));
  }

  #check(): void {
    const { samples, batchSize, dropLast, fields } = this.#loader[describe]();
    const rest = samples % batchSize;
    if (samples === 0 || (dropLast && samples < batchSize)) {
      throw fail(messages.loaderEmpty(this.#name, samples, batchSize));
    }
    if (samples >= batchSize) checkFields(this.#name, this.#entryFor(batchSize), fields);
    if (rest > 0 && !dropLast) checkFields(this.#name, this.#entryFor(rest), fields);
  }
}

/** Whether a value does what a loader does; one of another copy of the library is one too. */
export function isLoader(value: unknown): value is DataLoader {
  return typeof value === "object" && value !== null && "startAt" in value && "epoch" in value;
}

function isField(buffer: ManifestBuffer): boolean {
  return buffer.role === "input" || buffer.role === "dataset";
}

/** The fields an entry takes, under its names for them. Buffers of fields are in the order of the fields. */
function byName(
  entry: ManifestEntry,
  role: "input" | "dataset",
  fields: readonly Tensorlike[],
): Record<string, Tensorlike> {
  const named: Record<string, Tensorlike> = {};
  const buffers = entry.buffers.filter(isField);
  buffers.forEach((buffer, position) => {
    if (buffer.role === role) named[buffer.name] = at(fields, position);
  });
  return named;
}

/** Throws a `UserError` (K4003) unless the fields are of the types and shapes that the entry was compiled for. */
function checkFields(loader: string, entry: ManifestEntry, fields: readonly FieldDescription[]): void {
  const buffers = entry.buffers.filter(isField);
  buffers.forEach((buffer, position) => {
    const expected = { dtype: buffer.dtype, shape: buffer.shape.slice(1) };
    const field = fields[position];
    const fits =
      field !== undefined &&
      field.dtype === expected.dtype &&
      sameShape(field.shape, expected.shape) &&
      field.resident === (buffer.role === "dataset");
    if (fits) return;
    const resident = (is: boolean): string => (is ? ", held as an array" : ", read sample by sample");
    const got = field === undefined ? "no such field" : formatType(field) + resident(field.resident);
    const wanted = formatType(expected) + resident(buffer.role === "dataset");
    throw fail(messages.fieldNotCompiled(loader, position, wanted, got));
  });
}
