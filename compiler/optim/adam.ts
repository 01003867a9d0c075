/** Adam and its relatives. Formulas in the order of operations of PyTorch's single-tensor path. */
import type { HostExpr } from "../../ir/artifact/host-expr.ts";
import type { Tensor } from "../trace/tensor.ts";
import {
  decayed,
  hostScalar,
  movedTowards,
  Optimizer,
  type CommonOptions,
  type Params,
  type Update,
} from "./optimizer.ts";

/** Options of Adam and AdamW. */
export type AdamOptions = CommonOptions & {
  /** Decay of the averages of the gradient and of its square. */
  readonly betas: readonly [number, number];
  readonly eps: number;
  /** Whether the largest square so far is used (Reddi et al., 2018). */
  readonly amsgrad: boolean;
};

type Moments = { readonly first: Tensor; readonly second: Tensor; readonly beta1: HostExpr };

/** Moves the averages of the gradient and of its square. */
function moveMoments(
  { options, hyper, slot }: Update<CommonOptions & { readonly betas: readonly [number, number] }>,
  grad: Tensor,
): Moments {
  const [beta1, beta2] = options.betas;
  const decay = hyper("beta1", beta1);
  const first = slot("exp_avg");
  first.copy_(movedTowards(first, grad, ["sub", 1, decay], 1 - beta1 < 0.5));
  const second = slot("exp_avg_sq");
  second.copy_(second.mul(beta2).add(grad.mul(1 - beta2).mul(grad)));
  return { first, second, beta1: decay };
}

/** 1 - beta^step */
function correction(beta: HostExpr, step: HostExpr): HostExpr {
  return ["sub", 1, ["pow", beta, step]];
}

/** param = param · (1 - lr · weightDecay) */
function shrink({ param, options, lr }: Update<CommonOptions>): void {
  if (options.weightDecay !== 0) param.mul_(hostScalar(["sub", 1, ["mul", lr, options.weightDecay]]));
}

/** Kingma and Ba (2015), algorithm 1, with the bias corrections in the step's size and the denominator. */
function adamUpdate(update: Update<AdamOptions>, grad: Tensor): void {
  const { param, options, lr, step, slot } = update;
  const { first, second, beta1 } = moveMoments(update, grad);
  const size: HostExpr = ["neg", ["div", lr, correction(beta1, step)]];
  const root = hostScalar(["sqrt", correction(options.betas[1], step)]);
  const largest = options.amsgrad ? slot("max_exp_avg_sq") : undefined;
  const square = largest === undefined ? second : largest.copy_(largest.maximum(second));
  const denominator = square.sqrt().div(root).add(options.eps);
  param.addcdiv_(first, denominator, { value: hostScalar(size) });
}

const adamDefaults: AdamOptions = {
  lr: 1e-3,
  betas: [0.9, 0.999],
  eps: 1e-8,
  weightDecay: 0,
  amsgrad: false,
  maximize: false,
};

/** Adam (Kingma and Ba, 2015). Weight decay is added to the gradient. */
export class Adam extends Optimizer<AdamOptions> {
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(params, adamDefaults, options);
  }

  protected override update(update: Update<AdamOptions>): void {
    adamUpdate(update, decayed(update));
  }
}

/** Adam with decoupled weight decay (Loshchilov and Hutter, 2019). */
export class AdamW extends Optimizer<AdamOptions> {
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(params, { ...adamDefaults, weightDecay: 1e-2 }, options);
  }

  protected override update(update: Update<AdamOptions>): void {
    shrink(update);
    adamUpdate(update, update.grad);
  }
}

/** Options of Adamax. */
export type AdamaxOptions = Omit<AdamOptions, "amsgrad">;

/** Adam with the infinity norm (Kingma and Ba, 2015, algorithm 2). */
export class Adamax extends Optimizer<AdamaxOptions> {
  constructor(params: Params<AdamaxOptions>, options: Partial<AdamaxOptions> = {}) {
    super(params, { ...adamDefaults, lr: 2e-3 }, options);
  }

  protected override update(update: Update<AdamaxOptions>): void {
    const { param, options, lr, step, hyper, slot } = update;
    const grad = decayed(update);
    const [beta1, beta2] = options.betas;
    const decay = hyper("beta1", beta1);
    const first = slot("exp_avg");
    first.copy_(movedTowards(first, grad, ["sub", 1, decay], 1 - beta1 < 0.5));
    const norm = slot("exp_inf");
    norm.copy_(norm.mul(beta2).maximum(grad.abs().add(options.eps)));
    const size: HostExpr = ["neg", ["div", lr, correction(decay, step)]];
    param.addcdiv_(first, norm, { value: hostScalar(size) });
  }
}

/** Options of NAdam. */
export type NAdamOptions = Omit<AdamOptions, "amsgrad"> & {
  readonly momentumDecay: number;
  readonly decoupledWeightDecay: boolean;
};

/** Adam with Nesterov's momentum (Dozat, 2016). */
export class NAdam extends Optimizer<NAdamOptions> {
  constructor(params: Params<NAdamOptions>, options: Partial<NAdamOptions> = {}) {
    super(params, { ...adamDefaults, lr: 2e-3, momentumDecay: 4e-3, decoupledWeightDecay: false }, options);
  }

  protected override update(update: Update<NAdamOptions>): void {
    const { param, options, lr, step, slot } = update;
    if (options.decoupledWeightDecay) shrink(update);
    const grad = options.decoupledWeightDecay ? update.grad : decayed(update);
    const { first, second, beta1 } = moveMoments(update, grad);
    const momentum = (at: HostExpr): HostExpr => [
      "mul",
      beta1,
      ["sub", 1, ["mul", 0.5, ["pow", 0.96, ["mul", at, options.momentumDecay]]]],
    ];
    const now = momentum(step);
    const next = momentum(["add", step, 1]);
    // The product of all momenta so far has no closed form: it is state.
    const product = slot("mu_product", 1, []);
    product.mul_(hostScalar(now));
    const denominator = second
      .div(hostScalar(correction(options.betas[1], step)))
      .sqrt()
      .add(options.eps);
    const own = hostScalar(["neg", ["mul", lr, ["sub", 1, now]]]).div(product.rsub(1));
    const ahead = hostScalar(["neg", ["mul", lr, next]]).div(product.mul(hostScalar(next)).rsub(1));
    param.addcdiv_(grad, denominator, { value: own });
    param.addcdiv_(first, denominator, { value: ahead });
  }
}

/** Options of RAdam. */
export type RAdamOptions = Omit<AdamOptions, "amsgrad"> & { readonly decoupledWeightDecay: boolean };

/** Rectified Adam (Liu et al., 2020). */
export class RAdam extends Optimizer<RAdamOptions> {
  constructor(params: Params<RAdamOptions>, options: Partial<RAdamOptions> = {}) {
    super(params, { ...adamDefaults, decoupledWeightDecay: false }, options);
  }

  protected override update(update: Update<RAdamOptions>): void {
    const { param, options, lr, step } = update;
    if (options.decoupledWeightDecay) shrink(update);
    const grad = options.decoupledWeightDecay ? update.grad : decayed(update);
    const { first, second, beta1 } = moveMoments(update, grad);
    const beta2 = options.betas[1];
    const bias2 = correction(beta2, step);
    // Length of the approximated simple moving average, section 3.3 of the paper.
    const longest = 2 / (1 - beta2) - 1;
    const length: HostExpr = ["sub", longest, ["div", ["mul", ["mul", 2, step], ["pow", beta2, step]], bias2]];
    // 1 where the length is above 5, else 0: there is no choice among host scalars.
    const isRectified: HostExpr = ["min", 1, ["max", 0, ["mul", ["sub", length, 5], 1e300]]];
    const numerator: HostExpr = ["mul", ["mul", ["sub", length, 4], ["sub", length, 2]], longest];
    const denominator: HostExpr = ["mul", (longest - 4) * (longest - 2), ["max", length, 1e-300]];
    const rectification: HostExpr = ["sqrt", ["max", 0, ["div", numerator, denominator]]];
    const adaptive: HostExpr = ["mul", isRectified, ["mul", ["sqrt", bias2], rectification]];
    const corrected = first.div(hostScalar(correction(beta1, step)));
    const rate = hostScalar(adaptive)
      .div(second.sqrt().add(options.eps))
      .add(hostScalar(["sub", 1, isRectified]));
    param.sub_(corrected.mul(hostScalar(lr)).mul(rate));
  }
}
