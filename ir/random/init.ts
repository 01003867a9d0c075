/**
 * Initialisation programs: how each state gets its first value. Steps run in order on the host when a program starts,
 * drawing from the default generator, on tensors in PyTorch's logical layout; `setup()` records them in the order in
 * which PyTorch would draw.
 */

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
  | { readonly kind: "values"; readonly state: string; readonly base64: string };
