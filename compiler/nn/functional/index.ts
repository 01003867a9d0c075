/** `nn.functional`: layers as functions of tensors, without state. */
export * from "./activation.ts";
export * from "./by-rank.ts";
export * from "./loss.ts";
export * from "./normalise.ts";
export { linear } from "../../tensor/linear.ts";
