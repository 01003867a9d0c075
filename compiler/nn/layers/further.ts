/** Transposed convolutions, and other layers with weights that are neither convolutions nor recurrent. */
import { defaultBiasBound, defaultWeightBound } from "../../../ir/random/fan.ts";
import { full, ones, randn, uniform, zeros } from "../../tensor/create.ts";
import { checkOptions } from "../../trace/options.ts";
import { Parameter } from "../../trace/parameter.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { prelu } from "../functional/activation.ts";
import { bilinear, embeddingBag, type BagMode } from "../functional/attention.ts";
import {
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
  type ConvTransposeOptions,
} from "../functional/conv-transpose.ts";
import { pad, type PadMode } from "../functional/padding.ts";
import { interpolate, type InterpolateOptions } from "../functional/resize.ts";
import { instanceNorm, localResponseNorm, rmsNorm } from "../functional/running-norm.ts";
import { perAxis, type PerAxis } from "../functional/window.ts";
import { Module } from "../module.ts";
import { requireSize } from "./linear.ts";

/** Options of a transposed convolution layer. */
export type ConvTransposeLayerOptions = Omit<ConvTransposeOptions, "bias"> & { readonly bias?: boolean };

const transposeOptions: readonly (keyof ConvTransposeLayerOptions)[] = [
  "stride",
  "padding",
  "outputPadding",
  "dilation",
  "groups",
  "bias",
];

/** What transposed convolutions share. weight: [inChannels, outChannels / groups, ...kernel], bias: [outChannels]. */
class ConvTransposeLayer extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly options: Omit<ConvTransposeOptions, "bias">;
  readonly #run: typeof convTranspose2d;
  weight: Parameter;
  bias: Parameter | undefined;

  constructor(
    kind: { readonly owner: string; readonly rank: number; readonly run: typeof convTranspose2d },
    channels: readonly [inChannels: number, outChannels: number],
    kernelSize: PerAxis,
    options: ConvTransposeLayerOptions,
  ) {
    super();
    const { bias = true, ...rest } = checkOptions(kind.owner, options, transposeOptions);
    this.inChannels = requireSize(kind.owner, "inChannels", channels[0]);
    this.outChannels = requireSize(kind.owner, "outChannels", channels[1]);
    this.options = rest;
    this.#run = kind.run;
    const kernel = perAxis(kind.owner, "kernelSize", kernelSize, kind.rank, 1);
    const shape = [this.inChannels, this.outChannels / (rest.groups ?? 1), ...kernel];
    const bound = defaultWeightBound(shape);
    this.weight = new Parameter(uniform(shape, -bound, bound));
    const biasBound = defaultBiasBound(shape);
    this.bias = bias ? new Parameter(uniform([this.outChannels], -biasBound, biasBound)) : undefined;
  }

  /** x: [batch, inChannels, ...spatial] to [batch, outChannels, ...spatial]. */
  forward(x: Tensor): Tensor {
    return this.#run(x, this.weight, { ...this.options, bias: this.bias });
  }
}

/** Transposed convolution over sequences: [batch, channels, length]. */
export class ConvTranspose1d extends ConvTransposeLayer {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvTransposeLayerOptions = {}) {
    super({ owner: "ConvTranspose1d", rank: 1, run: convTranspose1d }, [inChannels, outChannels], kernelSize, options);
  }
}

/** Transposed convolution over pictures: [batch, channels, height, width]. */
export class ConvTranspose2d extends ConvTransposeLayer {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvTransposeLayerOptions = {}) {
    super({ owner: "ConvTranspose2d", rank: 2, run: convTranspose2d }, [inChannels, outChannels], kernelSize, options);
  }
}

/** Transposed convolution over volumes: [batch, channels, depth, height, width]. */
export class ConvTranspose3d extends ConvTransposeLayer {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvTransposeLayerOptions = {}) {
    super({ owner: "ConvTranspose3d", rank: 3, run: convTranspose3d }, [inChannels, outChannels], kernelSize, options);
  }
}

/** y[k] = x1ᵀ · weight[k] · x2 + bias[k]. weight: [outFeatures, in1Features, in2Features]. */
export class Bilinear extends Module {
  weight: Parameter;
  bias: Parameter | undefined;

  constructor(
    in1Features: number,
    in2Features: number,
    outFeatures: number,
    options: { readonly bias?: boolean } = {},
  ) {
    super();
    const { bias = true } = checkOptions("Bilinear", options, ["bias"]);
    const bound = 1 / Math.sqrt(requireSize("Bilinear", "in1Features", in1Features));
    this.weight = new Parameter(uniform([outFeatures, in1Features, in2Features], -bound, bound));
    this.bias = bias ? new Parameter(uniform([outFeatures], -bound, bound)) : undefined;
  }

  /** x1: [..., in1Features], x2: [..., in2Features] to [..., outFeatures]. */
  forward(x1: Tensor, x2: Tensor): Tensor {
    return bilinear(x1, x2, this.weight, this.bias);
  }
}

/** x where positive, else weight · x, with a weight for all channels or (`numParameters`) one each. */
export class PReLU extends Module {
  weight: Parameter;

  constructor(numParameters: number = 1, options: { readonly init?: number } = {}) {
    super();
    const { init = 0.25 } = checkOptions("PReLU", options, ["init"]);
    this.weight = new Parameter(full([requireSize("PReLU", "numParameters", numParameters)], init, { dtype: "f32" }));
  }

  /** x: [batch, channels, ...]. */
  forward(x: Tensor): Tensor {
    return prelu(x, this.weight);
  }
}

/** Normalisation by the root mean square over the last axes. weight: `normalizedShape`. */
export class RMSNorm extends Module {
  readonly normalizedShape: readonly number[];
  readonly eps: number | undefined;
  weight: Parameter | undefined;

  constructor(
    normalizedShape: number | readonly number[],
    options: { readonly eps?: number; readonly elementwiseAffine?: boolean } = {},
  ) {
    super();
    const { eps, elementwiseAffine = true } = checkOptions("RMSNorm", options, ["eps", "elementwiseAffine"]);
    this.normalizedShape = [normalizedShape].flat();
    this.eps = eps;
    this.weight = elementwiseAffine ? new Parameter(ones(this.normalizedShape)) : undefined;
  }

  /** x: [..., ...normalizedShape], the same shape out. */
  forward(x: Tensor): Tensor {
    const { weight, eps } = this;
    return rmsNorm(x, this.normalizedShape, { weight, ...(eps === undefined ? {} : { eps }) });
  }
}

/** Options of instance normalisation. */
export type InstanceNormOptions = { readonly eps?: number; readonly affine?: boolean };

class InstanceNorm extends Module {
  readonly eps: number;
  weight: Parameter | undefined;
  bias: Parameter | undefined;

  constructor(numFeatures: number, options: InstanceNormOptions = {}) {
    super();
    const { eps = 1e-5, affine = false } = checkOptions("InstanceNorm", options, ["eps", "affine"]);
    requireSize("InstanceNorm", "numFeatures", numFeatures);
    this.eps = eps;
    this.weight = affine ? new Parameter(ones([numFeatures])) : undefined;
    this.bias = affine ? new Parameter(zeros([numFeatures])) : undefined;
  }

  /** x: [batch, channels, ...spatial], the same shape out. */
  forward(x: Tensor): Tensor {
    const { weight, bias, eps } = this;
    return instanceNorm(x, { weight, bias, eps });
  }
}

/** Normalisation of each channel of each sequence: [batch, channels, length]. */
export class InstanceNorm1d extends InstanceNorm {}

/** Normalisation of each channel of each picture: [batch, channels, height, width]. */
export class InstanceNorm2d extends InstanceNorm {}

/** Normalisation of each channel of each volume: [batch, channels, depth, height, width]. */
export class InstanceNorm3d extends InstanceNorm {}

/** Normalisation across neighbouring channels (Krizhevsky et al., 2012). */
export class LocalResponseNorm extends Module {
  readonly size: number;
  readonly options: { readonly alpha?: number; readonly beta?: number; readonly k?: number };

  constructor(size: number, options: { readonly alpha?: number; readonly beta?: number; readonly k?: number } = {}) {
    super();
    this.size = requireSize("LocalResponseNorm", "size", size);
    this.options = checkOptions("LocalResponseNorm", options, ["alpha", "beta", "k"]);
  }

  /** x: [batch, channels, ...], the same shape out. */
  forward(x: Tensor): Tensor {
    return localResponseNorm(x, this.size, this.options);
  }
}

/** Resizing of [batch, channels, ...spatial]. */
export class Upsample extends Module {
  readonly options: InterpolateOptions;

  constructor(
    options: Pick<InterpolateOptions, "size" | "scaleFactor" | "mode" | "alignCorners" | "recomputeScaleFactor">,
  ) {
    super();
    this.options = checkOptions("Upsample", options, [
      "size",
      "scaleFactor",
      "mode",
      "alignCorners",
      "recomputeScaleFactor",
    ]);
  }

  /** x: [batch, channels, ...spatial]. */
  forward(x: Tensor): Tensor {
    return interpolate(x, this.options);
  }
}

/** Mean, sum or largest of the embeddings of each bag. weight: [numEmbeddings, embeddingDim]. */
export class EmbeddingBag extends Module {
  readonly mode: BagMode;
  weight: Parameter;

  constructor(numEmbeddings: number, embeddingDim: number, options: { readonly mode?: BagMode } = {}) {
    super();
    const { mode = "mean" } = checkOptions("EmbeddingBag", options, ["mode"]);
    requireSize("EmbeddingBag", "numEmbeddings", numEmbeddings);
    requireSize("EmbeddingBag", "embeddingDim", embeddingDim);
    this.mode = mode;
    this.weight = new Parameter(randn([numEmbeddings, embeddingDim]));
  }

  /** x: all bags one after the other, with the place where each begins (`offsets`), or [bags, length]. */
  forward(x: Tensor, offsets?: Tensor): Tensor {
    return embeddingBag(x, this.weight, { offsets, mode: this.mode });
  }
}

class Pad extends Module {
  readonly padding: readonly number[];
  readonly mode: PadMode;

  constructor(padding: number | readonly number[], rank: number, mode: PadMode) {
    super();
    this.padding = typeof padding === "number" ? Array.from({ length: 2 * rank }, () => padding) : padding;
    this.mode = mode;
  }

  /** x: [batch, channels, ...spatial]. */
  forward(x: Tensor): Tensor {
    return pad(x, this.padding, { mode: this.mode });
  }
}

/** Pictures mirrored at their edges. `padding`: one number, or left, right, top, bottom. */
export class ReflectionPad2d extends Pad {
  constructor(padding: number | readonly number[]) {
    super(padding, 2, "reflect");
  }
}

/** Pictures with their edges repeated. `padding`: one number, or left, right, top, bottom. */
export class ReplicationPad2d extends Pad {
  constructor(padding: number | readonly number[]) {
    super(padding, 2, "replicate");
  }
}

/** Pictures with zeros around. `padding`: one number, or left, right, top, bottom. */
export class ZeroPad2d extends Pad {
  constructor(padding: number | readonly number[]) {
    super(padding, 2, "constant");
  }
}
