/** Splitting a data set at random, drawing as PyTorch's `random_split`. */
import { defaultGenerator } from "../../ir/random/default.ts";
import type { Generator } from "../../ir/random/generator.ts";
import { splitIndices } from "../../ir/random/sampling.ts";
import { lengthOf, Subset, type Dataset } from "./dataset.ts";

/**
 * Parts of a data set that have no sample in common. `lengths` are numbers of samples that add up to the data set's, or
 * fractions that add up to 1: then each part gets the floor of its share, and what is left goes one by one to the parts
 * from the first on. Takes one permutation from `generator`, or from the default one.
 *
 * @throws UserError K3103 if the lengths do not add up.
 */
export function randomSplit(
  dataset: Dataset,
  lengths: readonly number[],
  generator: Generator = defaultGenerator,
): Subset[] {
  const parts = splitIndices(lengths, lengthOf(dataset, "randomSplit"), generator);
  return parts.map((indices) => new Subset(dataset, indices));
}
