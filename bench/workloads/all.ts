/** The list of workloads. */
import { w1 } from "./w1.ts";
import { w1a } from "./w1a.ts";
import { w2 } from "./w2.ts";
import { w6 } from "./w6.ts";
import type { Workload } from "./workload.ts";

/** All workloads, in the order they are shown. */
export const workloads: readonly Workload[] = [w1, w1a, w2, w6];
