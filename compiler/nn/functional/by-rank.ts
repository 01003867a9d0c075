/** Convolution and pooling by number of spatial axes, as users call them. */
import type { Tensor } from "../../trace/tensor.ts";
import {
  adaptiveAvgPool,
  avgPool,
  conv,
  maxPool,
  maxPoolWithIndices,
  type ConvOptions,
  type PerAxis,
  type PoolOptions,
} from "./window.ts";

/** Options of convolution functions. */
export type ConvFunctionOptions = ConvOptions & { readonly bias?: Tensor | undefined };

type MaxPool = PoolOptions & { readonly dilation?: PerAxis };
type AvgPool = PoolOptions & { readonly countIncludePad?: boolean; readonly divisorOverride?: number };

/** Cross-correlation of [n, channels, length]. weight: [out, in / groups, ...kernel], bias: [out]. */
export function conv1d(x: Tensor, weight: Tensor, { bias, ...options }: ConvFunctionOptions = {}): Tensor {
  return conv(x, weight, bias, options);
}

/** Largest element of each window of [n, channels, length]. */
export function maxPool1d(x: Tensor, kernelSize: PerAxis, options: MaxPool = {}): Tensor {
  return maxPool(x, kernelSize, 1, options);
}

/** The same, with each element's position in the flattened spatial axes (i64). */
export function maxPool1dWithIndices(
  x: Tensor,
  kernelSize: PerAxis,
  options: MaxPool = {},
): { readonly values: Tensor; readonly indices: Tensor } {
  return maxPoolWithIndices(x, kernelSize, 1, options);
}

/** Mean of each window of [n, channels, length]. */
export function avgPool1d(x: Tensor, kernelSize: PerAxis, options: AvgPool = {}): Tensor {
  return avgPool(x, kernelSize, 1, options);
}

/** Means over parts that cover each spatial axis of [n, channels, length]. */
export function adaptiveAvgPool1d(x: Tensor, outputSize: number | readonly (number | undefined)[]): Tensor {
  return adaptiveAvgPool(x, outputSize, 1);
}

/** Cross-correlation of [n, channels, height, width]. weight: [out, in / groups, ...kernel], bias: [out]. */
export function conv2d(x: Tensor, weight: Tensor, { bias, ...options }: ConvFunctionOptions = {}): Tensor {
  return conv(x, weight, bias, options);
}

/** Largest element of each window of [n, channels, height, width]. */
export function maxPool2d(x: Tensor, kernelSize: PerAxis, options: MaxPool = {}): Tensor {
  return maxPool(x, kernelSize, 2, options);
}

/** The same, with each element's position in the flattened spatial axes (i64). */
export function maxPool2dWithIndices(
  x: Tensor,
  kernelSize: PerAxis,
  options: MaxPool = {},
): { readonly values: Tensor; readonly indices: Tensor } {
  return maxPoolWithIndices(x, kernelSize, 2, options);
}

/** Mean of each window of [n, channels, height, width]. */
export function avgPool2d(x: Tensor, kernelSize: PerAxis, options: AvgPool = {}): Tensor {
  return avgPool(x, kernelSize, 2, options);
}

/** Means over parts that cover each spatial axis of [n, channels, height, width]. */
export function adaptiveAvgPool2d(x: Tensor, outputSize: number | readonly (number | undefined)[]): Tensor {
  return adaptiveAvgPool(x, outputSize, 2);
}

/** Cross-correlation of [n, channels, depth, height, width]. weight: [out, in / groups, ...kernel], bias: [out]. */
export function conv3d(x: Tensor, weight: Tensor, { bias, ...options }: ConvFunctionOptions = {}): Tensor {
  return conv(x, weight, bias, options);
}

/** Largest element of each window of [n, channels, depth, height, width]. */
export function maxPool3d(x: Tensor, kernelSize: PerAxis, options: MaxPool = {}): Tensor {
  return maxPool(x, kernelSize, 3, options);
}

/** The same, with each element's position in the flattened spatial axes (i64). */
export function maxPool3dWithIndices(
  x: Tensor,
  kernelSize: PerAxis,
  options: MaxPool = {},
): { readonly values: Tensor; readonly indices: Tensor } {
  return maxPoolWithIndices(x, kernelSize, 3, options);
}

/** Mean of each window of [n, channels, depth, height, width]. */
export function avgPool3d(x: Tensor, kernelSize: PerAxis, options: AvgPool = {}): Tensor {
  return avgPool(x, kernelSize, 3, options);
}

/** Means over parts that cover each spatial axis of [n, channels, depth, height, width]. */
export function adaptiveAvgPool3d(x: Tensor, outputSize: number | readonly (number | undefined)[]): Tensor {
  return adaptiveAvgPool(x, outputSize, 3);
}
