/**
 * Initialisation programs: how each state gets its first value. Steps run in order on the host when a program starts,
 * drawing from the default generator, on tensors in PyTorch's logical layout; `setup()` records them in the order in
 * which PyTorch would draw.
 */

import type { DType, Shape } from "../type.ts";

/** One step; `state` names the tensor it changes in place. */
export type InitStep =
  | { readonly kind: "constant"; readonly state: string; readonly value: number }
  | { readonly kind: "uniform"; readonly state: string; readonly low: number; readonly high: number }
  | { readonly kind: "normal"; readonly state: string; readonly mean: number; readonly std: number }
  | {
      readonly kind: "truncNormal";
      readonly state: string;
      readonly mean: number;
      readonly std: number;
      readonly low: number;
      readonly high: number;
    }
  | { readonly kind: "orthogonal"; readonly state: string; readonly gain: number }
  /** Fills row `row` of the first axis. */
  | { readonly kind: "row"; readonly state: string; readonly row: number; readonly value: number }
  | { readonly kind: "copy"; readonly state: string; readonly from: string }
  /** Little-endian elements in base64. */
  | { readonly kind: "values"; readonly state: string; readonly base64: string }
  /** Multiplies every element. */
  | { readonly kind: "scale"; readonly state: string; readonly factor: number }
  /** `nn.init.sparse_`: normal, then the given fraction of each column (rounded up) is set to 0 at random rows. */
  | { readonly kind: "sparse"; readonly state: string; readonly sparsity: number; readonly std: number }
  /**
   * Makes a tensor of zeros that later steps may name like a state and that is gone when initialisation ends: for draws
   * that are taken and thrown away, as those of a layer that was replaced.
   */
  | { readonly kind: "scratch"; readonly state: string; readonly dtype: DType; readonly shape: Shape };
