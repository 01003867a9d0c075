/** W1: a training step of the seed MLP on MNIST, batch 64, Adam. */
import { stepsOnMnist } from "../ours.ts";
import type { Workload } from "./workload.ts";

/** The seed MLP's step. */
export const w1: Workload = {
  name: "W1",
  doc: "seed MLP 784-128-10, batch 64, Adam: a step",
  cases: [{ unit: "step", open: (setting) => stepsOnMnist("mlp", setting) }],
};
