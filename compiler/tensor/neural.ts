/** Activations and pooling as methods. */
import * as activation from "../nn/functional/activation.ts";
import { adaptiveAvgPool, avgPool, maxPool, type PerAxis, type PoolOptions } from "../nn/functional/window.ts";
import type { Tensor } from "../trace/tensor.ts";

/** Methods of networks. */
export interface NeuralMethods {
  /** e^x / Σ e^x along `dim` */
  softmax(this: Tensor, dim: number): Tensor;
  /** log softmax along `dim` */
  logSoftmax(this: Tensor, dim: number): Tensor;
  /** x · Φ(x) */
  gelu(this: Tensor, options?: { readonly approximate?: "none" | "tanh" }): Tensor;
  /** x · sigmoid(x) */
  silu(this: Tensor): Tensor;
  /** x where positive, else slope · x */
  leakyRelu(this: Tensor, negativeSlope?: number): Tensor;
  /** x where positive, else alpha (e^x - 1) */
  elu(this: Tensor, alpha?: number): Tensor;
  /** log(1 + e^x) */
  softplus(this: Tensor, beta?: number, threshold?: number): Tensor;
  /** Largest element of each window of [batch, channels, height, width]. */
  maxPool2d(this: Tensor, kernelSize: PerAxis, options?: PoolOptions): Tensor;
  /** Mean of each window of [batch, channels, height, width]. */
  avgPool2d(this: Tensor, kernelSize: PerAxis, options?: PoolOptions): Tensor;
  /** Means over parts that cover height and width. */
  adaptiveAvgPool2d(this: Tensor, outputSize: number | readonly (number | undefined)[]): Tensor;
}

/** The implementations of `NeuralMethods`. */
export const neuralMethods: NeuralMethods = {
  softmax(dim) {
    return activation.softmax(this, dim);
  },
  logSoftmax(dim) {
    return activation.logSoftmax(this, dim);
  },
  gelu(options) {
    return activation.gelu(this, options);
  },
  silu() {
    return activation.silu(this);
  },
  leakyRelu(negativeSlope) {
    return activation.leakyRelu(this, negativeSlope);
  },
  elu(alpha) {
    return activation.elu(this, alpha);
  },
  softplus(beta, threshold) {
    return activation.softplus(this, beta, threshold);
  },
  maxPool2d(kernelSize, options) {
    return maxPool(this, kernelSize, 2, options);
  },
  avgPool2d(kernelSize, options) {
    return avgPool(this, kernelSize, 2, options);
  },
  adaptiveAvgPool2d(outputSize) {
    return adaptiveAvgPool(this, outputSize, 2);
  },
};
