/** What a model file imports from `kilnjs`: tensors, `nn`, `optim` and `defineTraining`. */
export * as nn from "./nn/index.ts";
export * as F from "./nn/functional/index.ts";
export * as optim from "./optim/index.ts";
export {
  arange,
  bernoulli,
  broadcastTensors,
  cat,
  eye,
  full,
  linspace,
  normal,
  ones,
  rand,
  randLike,
  randn,
  randnLike,
  stack,
  tensor,
  uniform,
  where,
  zeros,
} from "./tensor/create.ts";
export { einsum, tensordot, type TensordotAxes } from "./tensor/products.ts";
export { meshgrid } from "./tensor/rearrange.ts";
export type { IndexList, IndexPart, IndexSlice } from "./tensor/pick.ts";
export { enableGrad, grad, noGrad, type GradOptions } from "./autodiff/backward.ts";
export {
  defineTraining,
  type Batch,
  type Results,
  type TrainingDefinition,
  type TrainingOptions,
} from "./trace/definition.ts";
export { isTensor, Tensor } from "./trace/tensor.ts";
export type { DType, Shape, TensorType } from "../ir/type.ts";
