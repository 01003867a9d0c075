/** Activation layers; each says its function, applied element by element unless noted. */
import type { Tensor } from "../../trace/tensor.ts";
import * as functional from "../functional/activation.ts";
import { Module } from "../module.ts";

/** max(x, 0) */
export class ReLU extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.relu(x);
  }
}

/** x limited to [0, 6] */
export class ReLU6 extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.relu6(x);
  }
}

/** Klambauer et al. (2017) */
export class SELU extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.selu(x);
  }
}

/** x · sigmoid(x) */
export class SiLU extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.silu(x);
  }
}

/** x · tanh(softplus(x)) */
export class Mish extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.mish(x);
  }
}

/** x / (1 + |x|) */
export class Softsign extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.softsign(x);
  }
}

/** relu6(x + 3) / 6 */
export class Hardsigmoid extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.hardsigmoid(x);
  }
}

/** x · relu6(x + 3) / 6 */
export class Hardswish extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.hardswish(x);
  }
}

/** log sigmoid(x) */
export class LogSigmoid extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.logsigmoid(x);
  }
}

/** 1 / (1 + e^-x) */
export class Sigmoid extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return x.sigmoid();
  }
}

/** Hyperbolic tangent. */
export class Tanh extends Module {
  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return x.tanh();
  }
}

/** e^x / Σ e^x along `dim` */
export class Softmax extends Module {
  readonly dim: number;

  constructor(dim: number) {
    super();
    this.dim = dim;
  }

  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.softmax(x, this.dim);
  }
}

/** log softmax along `dim` */
export class LogSoftmax extends Module {
  readonly dim: number;

  constructor(dim: number) {
    super();
    this.dim = dim;
  }

  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.logSoftmax(x, this.dim);
  }
}

/** x where positive, else negativeSlope · x */
export class LeakyReLU extends Module {
  readonly negativeSlope: number;

  constructor(negativeSlope: number = 0.01) {
    super();
    this.negativeSlope = negativeSlope;
  }

  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.leakyRelu(x, this.negativeSlope);
  }
}

/** x where positive, else alpha (e^x - 1) */
export class ELU extends Module {
  readonly alpha: number;

  constructor(alpha: number = 1) {
    super();
    this.alpha = alpha;
  }

  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.elu(x, this.alpha);
  }
}

/** x limited to [min, max] */
export class Hardtanh extends Module {
  readonly min: number;
  readonly max: number;

  constructor(min: number = -1, max: number = 1) {
    super();
    this.min = min;
    this.max = max;
  }

  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.hardtanh(x, this.min, this.max);
  }
}

/** log(1 + e^(beta x)) / beta, and x itself where beta x > threshold */
export class Softplus extends Module {
  readonly beta: number;
  readonly threshold: number;

  constructor(beta: number = 1, threshold: number = 20) {
    super();
    this.beta = beta;
    this.threshold = threshold;
  }

  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.softplus(x, this.beta, this.threshold);
  }
}

/** x · Φ(x), exactly or by the tanh approximation */
export class GELU extends Module {
  readonly approximate: "none" | "tanh";

  constructor({ approximate = "none" }: { readonly approximate?: "none" | "tanh" } = {}) {
    super();
    this.approximate = approximate;
  }

  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.gelu(x, { approximate: this.approximate });
  }
}
