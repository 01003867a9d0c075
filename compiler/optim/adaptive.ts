/** Optimizers with a rate per element. Formulas in the order of operations of PyTorch's single-tensor path. */
import type { HostExpr } from "../../ir/artifact/host-expr.ts";
import type { Tensor } from "../trace/tensor.ts";
import {
  decayed,
  descend,
  hostScalar,
  movedTowards,
  Optimizer,
  type CommonOptions,
  type Params,
  type Update,
} from "./optimizer.ts";

/** Options of Adadelta. */
export type AdadeltaOptions = CommonOptions & { readonly rho: number; readonly eps: number };

/** Adadelta (Zeiler, 2012), algorithm 1. */
export class Adadelta extends Optimizer<AdadeltaOptions> {
  constructor(params: Params<AdadeltaOptions>, options: Partial<AdadeltaOptions> = {}) {
    super(params, { lr: 1, rho: 0.9, eps: 1e-6, weightDecay: 0, maximize: false }, options);
  }

  protected override update(update: Update<AdadeltaOptions>): void {
    const { param, options, lr, slot } = update;
    const { rho, eps } = options;
    const grad = decayed(update);
    const squares = slot("square_avg");
    squares.copy_(squares.mul(rho).add(grad.mul(1 - rho).mul(grad)));
    const deltas = slot("acc_delta");
    const delta = deltas.add(eps).sqrt().div(squares.add(eps).sqrt()).mul(grad);
    deltas.copy_(deltas.mul(rho).add(delta.mul(1 - rho).mul(delta)));
    descend(param, delta, lr);
  }
}

/** Options of RMSprop. */
export type RmspropOptions = CommonOptions & {
  /** Decay of the average of the squares. */
  readonly alpha: number;
  readonly eps: number;
  readonly momentum: number;
  /** Whether the variance takes the place of the mean square. */
  readonly centered: boolean;
};

/** RMSprop (Tieleman and Hinton, 2012); centred as in Graves (2013). */
export class RMSprop extends Optimizer<RmspropOptions> {
  constructor(params: Params<RmspropOptions>, options: Partial<RmspropOptions> = {}) {
    super(
      params,
      {
        lr: 1e-2,
        alpha: 0.99,
        eps: 1e-8,
        momentum: 0,
        centered: false,
        weightDecay: 0,
        maximize: false,
      },
      options,
    );
  }

  protected override update(update: Update<RmspropOptions>): void {
    const { param, options, lr, hyper, slot } = update;
    const { alpha, eps, momentum, centered } = options;
    const grad = decayed(update);
    const squares = slot("square_avg");
    squares.copy_(squares.mul(alpha).add(grad.mul(1 - alpha).mul(grad)));
    let spread: Tensor = squares;
    if (centered) {
      const mean = slot("grad_avg");
      mean.copy_(movedTowards(mean, grad, 1 - alpha, 1 - alpha < 0.5));
      spread = squares.sub(mean.mul(mean));
    }
    const scale = spread.sqrt().add(eps);
    if (momentum === 0) {
      param.addcdiv_(grad, scale, { value: hostScalar(["neg", lr]) });
      return;
    }
    const buffer = slot("momentum_buffer");
    buffer.copy_(buffer.mul(hostScalar(hyper("momentum", momentum))).add(grad.div(scale)));
    descend(param, buffer, lr);
  }
}

/** Options of Adagrad. */
export type AdagradOptions = CommonOptions & {
  readonly lrDecay: number;
  readonly initialAccumulatorValue: number;
  readonly eps: number;
};

/** Adagrad (Duchi et al., 2011). */
export class Adagrad extends Optimizer<AdagradOptions> {
  constructor(params: Params<AdagradOptions>, options: Partial<AdagradOptions> = {}) {
    super(
      params,
      {
        lr: 1e-2,
        lrDecay: 0,
        initialAccumulatorValue: 0,
        eps: 1e-10,
        weightDecay: 0,
        maximize: false,
      },
      options,
    );
  }

  protected override update(update: Update<AdagradOptions>): void {
    const { param, options, lr, step, slot } = update;
    const grad = decayed(update);
    const sum = slot("sum", options.initialAccumulatorValue);
    sum.copy_(sum.add(grad.mul(grad)));
    const age: HostExpr = ["add", 1, ["mul", ["sub", step, 1], options.lrDecay]];
    const rate: HostExpr = options.lrDecay === 0 ? lr : ["div", lr, age];
    param.addcdiv_(grad, sum.sqrt().add(options.eps), { value: hostScalar(["neg", rate]) });
  }
}
