/** Linear layers, embedding, and layers that only move or pass on. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { defaultBiasBound, defaultWeightBound } from "../../../ir/random/fan.ts";
import { randn, uniform } from "../../tensor/create.ts";
import { takeSlices } from "../../tensor/indexing.ts";
import { linear } from "../../tensor/linear.ts";
import { checkOptions } from "../../trace/options.ts";
import { Parameter } from "../../trace/parameter.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import { row_ } from "../init.ts";
import { Module } from "../module.ts";

/** Checks a size that must be a whole number of at least `least`. */
export function requireSize(owner: string, option: string, size: number, least = 1): number {
  if (!Number.isSafeInteger(size) || size < least) {
    const expected = `a whole number of at least ${least}`;
    throw fail(messages.badLayerOption(owner, option, expected, String(size)), currentTrace(owner).here());
  }
  return size;
}

/** y = x · weightᵀ + bias. x: [..., inFeatures], weight: [outFeatures, inFeatures], bias: [outFeatures]. */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  weight: Parameter;
  bias: Parameter | undefined;

  constructor(inFeatures: number, outFeatures: number, options: { readonly bias?: boolean } = {}) {
    super();
    const { bias = true } = checkOptions("Linear", options, ["bias"]);
    this.inFeatures = requireSize("Linear", "inFeatures", inFeatures);
    this.outFeatures = requireSize("Linear", "outFeatures", outFeatures);
    const shape = [outFeatures, inFeatures];
    const bound = defaultWeightBound(shape);
    this.weight = new Parameter(uniform(shape, -bound, bound));
    const biasBound = defaultBiasBound(shape);
    this.bias = bias ? new Parameter(uniform([outFeatures], -biasBound, biasBound)) : undefined;
  }

  /** x: [..., inFeatures] to [..., outFeatures]. */
  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}

/** A table of vectors looked up by number. weight: [numEmbeddings, embeddingDim]. */
export class Embedding extends Module {
  readonly paddingIdx: number | undefined;
  weight: Parameter;

  constructor(numEmbeddings: number, embeddingDim: number, options: { readonly paddingIdx?: number } = {}) {
    super();
    requireSize("Embedding", "numEmbeddings", numEmbeddings);
    requireSize("Embedding", "embeddingDim", embeddingDim);
    const { paddingIdx } = checkOptions("Embedding", options, ["paddingIdx"]);
    if (paddingIdx !== undefined && !(paddingIdx >= -numEmbeddings && paddingIdx < numEmbeddings))
      requireSize("Embedding", "paddingIdx", Number.NaN);
    this.paddingIdx = paddingIdx === undefined || paddingIdx >= 0 ? paddingIdx : paddingIdx + numEmbeddings;
    this.weight = new Parameter(randn([numEmbeddings, embeddingDim]));
    if (this.paddingIdx !== undefined) row_(this.weight, this.paddingIdx, 0);
  }

  /** x: integers of any shape to [...x, embeddingDim]. The row `paddingIdx` takes no gradient. */
  forward(x: Tensor): Tensor {
    const rows = takeSlices(this.weight, 0, x);
    if (this.paddingIdx === undefined) return rows;
    return rows.detach().where(x.eq(this.paddingIdx).unsqueeze(-1), rows);
  }
}

/** Passes its input on. */
export class Identity extends Module {
  /** x itself. */
  forward(x: Tensor): Tensor {
    return x;
  }
}

/** Axes `startDim` to `endDim` as one: by default all but the batch. */
export class Flatten extends Module {
  readonly startDim: number;
  readonly endDim: number;

  constructor(startDim: number = 1, endDim: number = -1) {
    super();
    this.startDim = startDim;
    this.endDim = endDim;
  }

  /** x: [batch, ...] to [batch, elements]. */
  forward(x: Tensor): Tensor {
    return x.flatten(this.startDim, this.endDim);
  }
}

/** Axis `dim` as several. */
export class Unflatten extends Module {
  readonly dim: number;
  readonly sizes: readonly number[];

  constructor(dim: number, sizes: readonly number[]) {
    super();
    this.dim = dim;
    this.sizes = sizes;
  }

  /** x with axis `dim` split. */
  forward(x: Tensor): Tensor {
    return x.unflatten(this.dim, this.sizes);
  }
}
