/** W2: a training step of the MNIST CNN, batch 64, Adam. */
import { stepsOnMnist } from "../ours.ts";
import type { Workload } from "./workload.ts";

/** The MNIST CNN's step. */
export const w2: Workload = {
  name: "W2",
  doc: "MNIST CNN 32-64-128, batch 64, Adam: a step",
  cases: [{ unit: "step", open: (setting) => stepsOnMnist("cnn", setting) }],
};
