/** Optimizers without adaptive rates. Formulas in the order of operations of PyTorch's single-tensor path. */
import type { HostExpr } from "../../ir/artifact/host-expr.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { givenOptions } from "../trace/options.ts";
import { currentTrace } from "../trace/trace.ts";
import { decayed, descend, hostScalar, Optimizer, type CommonOptions, type Params, type Update } from "./optimizer.ts";

/** Options of SGD. */
export type SgdOptions = CommonOptions & {
  readonly momentum: number;
  /** How much of a new gradient the momentum leaves out. */
  readonly dampening: number;
  readonly nesterov: boolean;
};

/** Stochastic gradient descent with momentum (Sutskever et al., 2013, in PyTorch's form). */
export class SGD extends Optimizer<SgdOptions> {
  constructor(params: Params<SgdOptions>, options: Partial<SgdOptions> = {}) {
    const defaults = { lr: 1e-3, momentum: 0, dampening: 0, weightDecay: 0, nesterov: false, maximize: false };
    super(params, defaults, options);
    const whole = { ...defaults, ...givenOptions(options) };
    if (whole.nesterov && (whole.momentum <= 0 || whole.dampening !== 0)) {
      const expected = "momentum above 0 and dampening 0";
      throw fail(messages.badLayerOption("SGD", "nesterov", expected, "true"), currentTrace().here());
    }
  }

  protected override update(update: Update<SgdOptions>): void {
    const { param, options, lr, hyper, slot, step } = update;
    const grad = decayed(update);
    if (options.momentum === 0) {
      descend(param, grad, lr);
      return;
    }
    const momentum = hostScalar(hyper("momentum", options.momentum));
    const buffer = slot("momentum_buffer");
    // The first buffer is the gradient itself, undamped.
    const isLater: HostExpr = ["min", ["sub", step, 1], 1];
    const taken: HostExpr = ["sub", 1, ["mul", options.dampening, isLater]];
    const fresh = options.dampening === 0 ? grad : grad.mul(hostScalar(taken));
    const next = buffer.copy_(buffer.mul(momentum).add(fresh));
    descend(param, options.nesterov ? grad.add(next.mul(momentum)) : next, lr);
  }
}

/** Options of ASGD. */
export type AsgdOptions = CommonOptions & {
  readonly lambd: number;
  /** Exponent of the decay of the rate. */
  readonly alpha: number;
  /** Step at which averaging begins. */
  readonly t0: number;
};

/** Averaged stochastic gradient descent (Polyak and Juditsky, 1992). The average is the slot `ax`. */
export class ASGD extends Optimizer<AsgdOptions> {
  constructor(params: Params<AsgdOptions>, options: Partial<AsgdOptions> = {}) {
    super(params, { lr: 1e-2, lambd: 1e-4, alpha: 0.75, t0: 1e6, weightDecay: 0, maximize: false }, options);
  }

  protected override update(update: Update<AsgdOptions>): void {
    const { param, options, lr, step, slot } = update;
    const grad = decayed(update);
    const before: HostExpr = ["sub", step, 1];
    const base: HostExpr = ["add", 1, ["mul", ["mul", options.lambd, lr], before]];
    const eta: HostExpr = ["div", lr, ["pow", base, options.alpha]];
    const mu: HostExpr = ["div", 1, ["max", 1, ["sub", before, options.t0]]];
    param.mul_(hostScalar(["sub", 1, ["mul", options.lambd, eta]]));
    descend(param, grad, eta);
    const average = slot("ax");
    average.add_(param.sub(average).mul(hostScalar(mu)));
  }
}

/** Options of Rprop. */
export type RpropOptions = CommonOptions & {
  /** Factors of a step's size after a change of sign, and without one. */
  readonly etas: readonly [number, number];
  /** Smallest and largest step. */
  readonly stepSizes: readonly [number, number];
};

/** Resilient backpropagation (Riedmiller and Braun, 1993). */
export class Rprop extends Optimizer<RpropOptions> {
  constructor(params: Params<RpropOptions>, options: Partial<RpropOptions> = {}) {
    super(params, { lr: 1e-2, etas: [0.5, 1.2], stepSizes: [1e-6, 50], weightDecay: 0, maximize: false }, options);
  }

  protected override update({ param, grad, options, slot }: Update<RpropOptions>): void {
    const previous = slot("prev");
    const size = slot("step_size", options.lr);
    const [minus, plus] = options.etas;
    const agreement = grad.mul(previous);
    const factor = grad.onesLike().where(agreement.eq(0), grad.fullLike(minus).where(agreement.lt(0), plus));
    const [min, max] = options.stepSizes;
    const next = size.copy_(size.mul(factor).clamp({ min, max }));
    const used = grad.maskedFill(agreement.lt(0), 0);
    param.add_(used.sign().mul(next).neg());
    previous.copy_(used);
  }
}
