/** What a workload is: some work that we and a peer do alike. */
import type { DeviceName } from "../../runtime/select-target.ts";
import type { Contestant } from "../contestant.ts";

/** How a workload is run. `device`: where our side runs; `cpu` if left out. */
export type Setting = { readonly threads: number; readonly device?: DeviceName };

/** One thing to be measured. */
export type Case = {
  /** Which of several cases of the workload; `undefined` if it has only one. */
  readonly name?: string;
  /** What a time is the time of. */
  readonly unit: "step" | "epoch" | "call";
  /** Floating-point operations that it is known to take. */
  readonly flops?: number;
  /** Compiles and loads our side. */
  open(setting: Setting): Promise<Contestant>;
};

/** A workload by name, such as `W1`. Its peers are the module of that name in `bench/peers`. */
export type Workload = {
  readonly name: string;
  readonly doc: string;
  readonly cases: readonly Case[];
};
