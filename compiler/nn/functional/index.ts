/** `nn.functional`: layers as functions of tensors, without state. */
export * from "./activation.ts";
export * from "./adaptive.ts";
export * from "./attention.ts";
export * from "./by-rank.ts";
export * from "./conv-transpose.ts";
export * from "./ctc.ts";
export * from "./distance.ts";
export * from "./loss.ts";
export { dropout, featureDropout, groupNorm, layerNorm } from "./normalise.ts";
export { pad, type PadMode } from "./padding.ts";
export * from "./patches.ts";
export { interpolate, type InterpolateMode, type InterpolateOptions } from "./resize.ts";
export * from "./running-norm.ts";
export * from "./sample.ts";
export { linear } from "../../tensor/linear.ts";
