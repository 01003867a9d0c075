/** Pooling layers. Inputs are [batch, channels, ...spatial], or without the batch axis. */
import { checkOptions } from "../../trace/options.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { adaptiveAvgPool, avgPool, maxPool, type PerAxis, type PoolOptions } from "../functional/window.ts";
import { Module } from "../module.ts";

/** Options of max pooling. */
export type MaxPoolOptions = PoolOptions & { readonly dilation?: PerAxis };

/** Options of average pooling. */
export type AvgPoolOptions = PoolOptions & { readonly countIncludePad?: boolean; readonly divisorOverride?: number };

const poolOptionNames = ["stride", "padding", "ceilMode"];

class MaxPool extends Module {
  readonly rank: number;
  readonly kernelSize: PerAxis;
  readonly options: MaxPoolOptions;

  constructor(rank: number, kernelSize: PerAxis, options: MaxPoolOptions) {
    super();
    this.rank = rank;
    this.kernelSize = kernelSize;
    this.options = checkOptions(`MaxPool${rank}d`, options, [...poolOptionNames, "dilation"]);
  }

  /** Largest element of each window. */
  forward(x: Tensor): Tensor {
    return maxPool(x, this.kernelSize, this.rank, this.options);
  }
}

class AvgPool extends Module {
  readonly rank: number;
  readonly kernelSize: PerAxis;
  readonly options: AvgPoolOptions;

  constructor(rank: number, kernelSize: PerAxis, options: AvgPoolOptions) {
    super();
    this.rank = rank;
    this.kernelSize = kernelSize;
    this.options = checkOptions(`AvgPool${rank}d`, options, [...poolOptionNames, "countIncludePad", "divisorOverride"]);
  }

  /** Mean of each window. */
  forward(x: Tensor): Tensor {
    return avgPool(x, this.kernelSize, this.rank, this.options);
  }
}

class AdaptiveAvgPool extends Module {
  readonly rank: number;
  readonly outputSize: number | readonly (number | undefined)[];

  constructor(rank: number, outputSize: number | readonly (number | undefined)[]) {
    super();
    this.rank = rank;
    this.outputSize = outputSize;
  }

  /** Means over parts that cover each spatial axis. */
  forward(x: Tensor): Tensor {
    return adaptiveAvgPool(x, this.outputSize, this.rank);
  }
}

/** Largest element of each window over 1 spatial axis; windows do not overlap unless `stride` says so. */
export class MaxPool1d extends MaxPool {
  constructor(kernelSize: PerAxis, options: MaxPoolOptions = {}) {
    super(1, kernelSize, options);
  }
}

/** Largest element of each window over 2 spatial axes; windows do not overlap unless `stride` says so. */
export class MaxPool2d extends MaxPool {
  constructor(kernelSize: PerAxis, options: MaxPoolOptions = {}) {
    super(2, kernelSize, options);
  }
}

/** Largest element of each window over 3 spatial axes; windows do not overlap unless `stride` says so. */
export class MaxPool3d extends MaxPool {
  constructor(kernelSize: PerAxis, options: MaxPoolOptions = {}) {
    super(3, kernelSize, options);
  }
}

/** Mean of each window over 1 spatial axis; windows do not overlap unless `stride` says so. */
export class AvgPool1d extends AvgPool {
  constructor(kernelSize: PerAxis, options: AvgPoolOptions = {}) {
    super(1, kernelSize, options);
  }
}

/** Mean of each window over 2 spatial axes; windows do not overlap unless `stride` says so. */
export class AvgPool2d extends AvgPool {
  constructor(kernelSize: PerAxis, options: AvgPoolOptions = {}) {
    super(2, kernelSize, options);
  }
}

/** Mean of each window over 3 spatial axes; windows do not overlap unless `stride` says so. */
export class AvgPool3d extends AvgPool {
  constructor(kernelSize: PerAxis, options: AvgPoolOptions = {}) {
    super(3, kernelSize, options);
  }
}

/** Mean over parts of 1 spatial axis, in the number that `outputSize` says. */
export class AdaptiveAvgPool1d extends AdaptiveAvgPool {
  constructor(outputSize: number | readonly (number | undefined)[]) {
    super(1, outputSize);
  }
}

/** Mean over parts of 2 spatial axes, in the number that `outputSize` says. */
export class AdaptiveAvgPool2d extends AdaptiveAvgPool {
  constructor(outputSize: number | readonly (number | undefined)[]) {
    super(2, outputSize);
  }
}

/** Mean over parts of 3 spatial axes, in the number that `outputSize` says. */
export class AdaptiveAvgPool3d extends AdaptiveAvgPool {
  constructor(outputSize: number | readonly (number | undefined)[]) {
    super(3, outputSize);
  }
}
