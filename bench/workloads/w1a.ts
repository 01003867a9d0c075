/** W1a: a whole epoch of the seed program through the DataLoader: shuffled, `toTensor`, the ragged last batch. */
import { epochsOnMnist } from "../ours.ts";
import type { Workload } from "./workload.ts";

/** The seed program's epoch. */
export const w1a: Workload = {
  name: "W1a",
  doc: "seed MLP on MNIST through the DataLoader: an epoch",
  cases: [{ unit: "epoch", open: (setting) => epochsOnMnist("mlp", setting) }],
};
