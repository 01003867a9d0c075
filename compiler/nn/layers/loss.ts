/** Losses as modules; each calls the function of the same name. */
import { checkOptions } from "../../trace/options.ts";
import { Buffer } from "../../trace/parameter.ts";
import type { Tensor } from "../../trace/tensor.ts";
import * as functional from "../functional/loss.ts";
import type { ClassLossOptions, LossOptions, Reduction } from "../functional/loss.ts";
import { Module } from "../module.ts";

class Loss<O extends object> extends Module {
  readonly options: O;

  constructor(options: O, known: readonly string[] = []) {
    super();
    this.options = checkOptions(this.constructor.name, options, ["reduction", ...known]);
  }
}

/** Options without the tensors, which become buffers of the module. */
function bufferOf(tensor: Tensor | undefined): Buffer | undefined {
  return tensor === undefined ? undefined : new Buffer(tensor);
}

/** Cross entropy of logits [n, classes, …] with classes i64 [n, …] or probabilities. */
export class CrossEntropyLoss extends Loss<Omit<ClassLossOptions, "weight"> & { readonly labelSmoothing?: number }> {
  weight: Buffer | undefined;

  constructor({ weight, ...options }: ClassLossOptions & { readonly labelSmoothing?: number } = {}) {
    super(options, ["ignoreIndex", "labelSmoothing"]);
    this.weight = bufferOf(weight);
  }

  /** input: [n, classes, …], target: [n, …]. */
  forward(input: Tensor, target: Tensor): Tensor {
    return functional.crossEntropy(input, target, { ...this.options, weight: this.weight });
  }
}

/** Negative log likelihood of log probabilities [n, classes, …]. */
export class NLLLoss extends Loss<Omit<ClassLossOptions, "weight">> {
  weight: Buffer | undefined;

  constructor({ weight, ...options }: ClassLossOptions = {}) {
    super(options, ["ignoreIndex"]);
    this.weight = bufferOf(weight);
  }

  /** input: [n, classes, …], target: [n, …]. */
  forward(input: Tensor, target: Tensor): Tensor {
    return functional.nllLoss(input, target, { ...this.options, weight: this.weight });
  }
}

/** Squared difference. */
export class MSELoss extends Loss<LossOptions> {
  constructor(options: LossOptions = {}) {
    super(options);
  }

  /** input and target of one shape. */
  forward(input: Tensor, target: Tensor): Tensor {
    return functional.mseLoss(input, target, this.options);
  }
}

/** Absolute difference. */
export class L1Loss extends Loss<LossOptions> {
  constructor(options: LossOptions = {}) {
    super(options);
  }

  /** input and target of one shape. */
  forward(input: Tensor, target: Tensor): Tensor {
    return functional.l1Loss(input, target, this.options);
  }
}

/** Quadratic within `beta`, linear beyond. */
export class SmoothL1Loss extends Loss<LossOptions & { readonly beta?: number }> {
  constructor(options: LossOptions & { readonly beta?: number } = {}) {
    super(options, ["beta"]);
  }

  /** input and target of one shape. */
  forward(input: Tensor, target: Tensor): Tensor {
    return functional.smoothL1Loss(input, target, this.options);
  }
}

/** Quadratic within `delta`, linear beyond. */
export class HuberLoss extends Loss<LossOptions & { readonly delta?: number }> {
  constructor(options: LossOptions & { readonly delta?: number } = {}) {
    super(options, ["delta"]);
  }

  /** input and target of one shape. */
  forward(input: Tensor, target: Tensor): Tensor {
    return functional.huberLoss(input, target, this.options);
  }
}

/** Kullback-Leibler divergence of log probabilities. */
export class KLDivLoss extends Loss<{ readonly reduction?: Reduction | "batchmean"; readonly logTarget?: boolean }> {
  constructor(options: { readonly reduction?: Reduction | "batchmean"; readonly logTarget?: boolean } = {}) {
    super(options, ["logTarget"]);
  }

  /** input: log probabilities, target: probabilities, of one shape. */
  forward(input: Tensor, target: Tensor): Tensor {
    return functional.klDiv(input, target, this.options);
  }
}

/** Binary cross entropy of probabilities. */
export class BCELoss extends Loss<LossOptions> {
  weight: Buffer | undefined;

  constructor({ weight, ...options }: LossOptions & { readonly weight?: Tensor } = {}) {
    super(options);
    this.weight = bufferOf(weight);
  }

  /** input and target of one shape. */
  forward(input: Tensor, target: Tensor): Tensor {
    return functional.binaryCrossEntropy(input, target, { ...this.options, weight: this.weight });
  }
}

/** Binary cross entropy of logits. */
export class BCEWithLogitsLoss extends Loss<LossOptions> {
  weight: Buffer | undefined;
  pos_weight: Buffer | undefined;

  constructor({
    weight,
    posWeight,
    ...options
  }: LossOptions & { readonly weight?: Tensor; readonly posWeight?: Tensor } = {}) {
    super(options);
    this.weight = bufferOf(weight);
    this.pos_weight = bufferOf(posWeight);
  }

  /** input and target of one shape. */
  forward(input: Tensor, target: Tensor): Tensor {
    const { weight, pos_weight: posWeight } = this;
    return functional.binaryCrossEntropyWithLogits(input, target, { ...this.options, weight, posWeight });
  }
}
