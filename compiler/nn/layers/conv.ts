/** Convolutions. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { defaultBiasBound, defaultWeightBound } from "../../../ir/random/fan.ts";
import { uniform } from "../../tensor/create.ts";
import { checkOptions } from "../../trace/options.ts";
import { Parameter } from "../../trace/parameter.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import { pad } from "../functional/padding.ts";
import { conv, convPadding, perAxis, type ConvOptions, type PerAxis } from "../functional/window.ts";
import { Module } from "../module.ts";
import { requireSize } from "./linear.ts";

/** Options of a convolution layer. */
export type ConvLayerOptions = ConvOptions & {
  readonly bias?: boolean;
  /** What lies beyond the ends: zeros, or the input mirrored, repeated or from the far end. */
  readonly paddingMode?: "zeros" | "reflect" | "replicate" | "circular";
};

const convOptionNames = ["stride", "padding", "dilation", "groups", "bias", "paddingMode"];

/** What convolutions of all ranks share. weight: [outChannels, inChannels / groups, ...kernel], bias: [outChannels]. */
class ConvLayer extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly options: ConvOptions;
  readonly paddingMode: "zeros" | "reflect" | "replicate" | "circular";
  weight: Parameter;
  bias: Parameter | undefined;

  constructor(rank: number, inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvLayerOptions) {
    super();
    const owner = `Conv${rank}d`;
    const { bias = true, groups = 1, paddingMode = "zeros", ...rest } = checkOptions(owner, options, convOptionNames);
    this.inChannels = requireSize(owner, "inChannels", inChannels);
    this.outChannels = requireSize(owner, "outChannels", outChannels);
    if (inChannels % requireSize(owner, "groups", groups) !== 0 || outChannels % groups !== 0)
      throw fail(
        messages.badLayerOption(owner, "groups", `a divisor of ${inChannels} and ${outChannels}`, String(groups)),
        currentTrace(owner).here(),
      );
    this.options = { ...rest, groups };
    this.paddingMode = paddingMode;
    const shape = [outChannels, inChannels / groups, ...perAxis(owner, "kernelSize", kernelSize, rank, 1)];
    const bound = defaultWeightBound(shape);
    this.weight = new Parameter(uniform(shape, -bound, bound));
    const biasBound = defaultBiasBound(shape);
    this.bias = bias ? new Parameter(uniform([outChannels], -biasBound, biasBound)) : undefined;
  }

  /** x: [batch, inChannels, ...spatial] to [batch, outChannels, ...spatial]. */
  forward(x: Tensor): Tensor {
    if (this.paddingMode === "zeros") return conv(x, this.weight, this.bias, this.options);
    const kernel = this.weight.shape.slice(2);
    const dilation = perAxis("Conv", "dilation", this.options.dilation ?? 1, kernel.length, 1);
    const borders = convPadding("Conv", this.options.padding ?? 0, kernel, dilation);
    const padded = pad(x, borders.toReversed().flat(), { mode: this.paddingMode });
    return conv(padded, this.weight, this.bias, { ...this.options, padding: 0 });
  }
}

/** Convolution over sequences: [batch, channels, length]. */
export class Conv1d extends ConvLayer {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvLayerOptions = {}) {
    super(1, inChannels, outChannels, kernelSize, options);
  }
}

/** Convolution over pictures: [batch, channels, height, width]. */
export class Conv2d extends ConvLayer {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvLayerOptions = {}) {
    super(2, inChannels, outChannels, kernelSize, options);
  }
}

/** Convolution over volumes: [batch, channels, depth, height, width]. */
export class Conv3d extends ConvLayer {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvLayerOptions = {}) {
    super(3, inChannels, outChannels, kernelSize, options);
  }
}
