/** `nn`: modules, their initialisation, and gradient clipping. */
export { Parameter, Buffer } from "../trace/parameter.ts";
export { Module, type Layer } from "./module.ts";
export * from "./layers/activation.ts";
export * from "./layers/container.ts";
export * from "./layers/encoder-decoder.ts";
export * from "./layers/further.ts";
export { Conv1d, Conv2d, Conv3d, type ConvLayerOptions } from "./layers/conv.ts";
export { Embedding, Flatten, Identity, Linear, Unflatten } from "./layers/linear.ts";
export * from "./layers/loss.ts";
export * from "./layers/normalise.ts";
export * from "./layers/pool.ts";
export { GRUCell, LSTMCell, RNNCell } from "./layers/cell.ts";
export * from "./layers/recurrent.ts";
export * from "./layers/transformer.ts";
export { clipGradNorm_, clipGradValue_ } from "./clip.ts";
export * as functional from "./functional/index.ts";
export * as init from "./init.ts";
