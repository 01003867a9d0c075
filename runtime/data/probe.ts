/**
 * Probing: a user's data set tells the types of its fields only by a sample. Sample 0 is read for that, with the default
 * generator put back afterwards, so that looking changes no draw.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { defaultGenerator } from "../../ir/random/default.ts";
import type { TensorType } from "../../ir/type.ts";
import { checkSample, collateByUser, readFailure, readSample, sampleTypes, type Collate } from "./collate.ts";
import { isIterableDataset, type Dataset, type IterableDataset, type Sample } from "./dataset.ts";
import { residentOf } from "./resident.ts";

/** What sample 0 told. */
export type Probe = {
  /** The type of each field of one sample. */
  readonly types: readonly TensorType[];
  /** Whether reading a sample draws from the default generator; its batches must not be made ahead then. */
  readonly drawsRandom: boolean;
};

/** Looks at sample 0. @throws UserError K2003 for an empty stream, else as reading and collating it does. */
export function probe(dataset: Dataset | IterableDataset, collate: Collate | undefined): Probe {
  const view = collate === undefined ? residentOf(dataset) : undefined;
  if (view !== undefined) return { types: view.types, drawsRandom: false };
  const before = defaultGenerator.save();
  try {
    const sample = isIterableDataset(dataset) ? firstSample(dataset) : readSample(dataset, 0);
    const types =
      collate === undefined
        ? sampleTypes(sample, `sample 0 of ${dataset.constructor.name}`)
        : collateByUser(collate, [sample], undefined).map(({ dtype, shape }) => ({ dtype, shape: shape.slice(1) }));
    return { types, drawsRandom: defaultGenerator.state.some((word, i) => word !== before[i]) };
  } finally {
    defaultGenerator.restore(before);
  }
}

/** The first sample of a pass of its own. */
function firstSample(dataset: IterableDataset): Sample {
  const place = `sample 0 of ${dataset.constructor.name}`;
  try {
    for (const sample of dataset) return checkSample(sample, place);
  } catch (cause) {
    throw readFailure(place, cause);
  }
  throw fail(messages.emptyDataset("DataLoader"));
}
