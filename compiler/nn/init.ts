/**
 * `nn.init`: how parameters start. Each function records one step that runs when a program starts, in the order of the
 * calls, as PyTorch draws. Bounds are computed in float64 by `ir/random/fan.ts`. Only in `setup`.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import {
  kaimingNormalStd,
  kaimingUniformBound,
  xavierNormalStd,
  xavierUniformBound,
  type KaimingOptions,
} from "../../ir/random/fan.ts";
import type { InitStep } from "../../ir/random/init.ts";
import { at } from "../../ir/type.ts";
import { stateOf } from "../tensor/in-place.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import { eye } from "../tensor/create.ts";

export { calculateGain, type KaimingOptions, type Nonlinearity } from "../../ir/random/fan.ts";

/** A step without the name of its state. */
type Unnamed<T> = T extends { readonly state: string } ? Omit<T, "state"> : never;

const drawing: readonly InitStep["kind"][] = ["uniform", "normal", "truncNormal", "orthogonal", "sparse"];

/** Records a step for `x`. */
function record(op: string, x: Tensor, step: Unnamed<InitStep>): Tensor {
  const trace = currentTrace(op);
  if (trace.kind !== "setup") throw fail(messages.initOutsideSetup(op), trace.here());
  const state = stateOf(op, x);
  trace.program.addStep({
    state,
    draws: drawing.includes(step.kind),
    from: undefined,
    step: (nameOf) => ({ ...step, state: nameOf(state) }),
  });
  return x;
}

/** Uniform in [low, high). */
export function uniform_(x: Tensor, low: number = 0, high: number = 1): Tensor {
  return record("uniform_", x, { kind: "uniform", low, high });
}

/** Normally distributed. */
export function normal_(x: Tensor, mean: number = 0, std: number = 1): Tensor {
  return record("normal_", x, { kind: "normal", mean, std });
}

/** Normally distributed, within [low, high]. */
export function truncNormal_(x: Tensor, mean: number = 0, std: number = 1, low: number = -2, high: number = 2): Tensor {
  return record("truncNormal_", x, { kind: "truncNormal", mean, std, low, high });
}

/** `value` in every element. */
export function constant_(x: Tensor, value: number): Tensor {
  return record("constant_", x, { kind: "constant", value });
}

/** Zeros. */
export function zeros_(x: Tensor): Tensor {
  return constant_(x, 0);
}

/** Ones. */
export function ones_(x: Tensor): Tensor {
  return constant_(x, 1);
}

/** The identity, for a matrix. */
export function eye_(x: Tensor): Tensor {
  if (x.ndim !== 2) throw fail(messages.rankMismatch("eye_", "a matrix", x.type), currentTrace("eye_").here());
  return x.copy_(eye(at(x.shape, 0), at(x.shape, 1)));
}

/** Glorot and Bengio (2010): uniform in ±gain · √(6 / (fan in + fan out)). */
export function xavierUniform_(x: Tensor, gain: number = 1): Tensor {
  const bound = xavierUniformBound(x.shape, gain);
  return uniform_(x, -bound, bound);
}

/** Glorot and Bengio (2010): normal with deviation gain · √(2 / (fan in + fan out)). */
export function xavierNormal_(x: Tensor, gain: number = 1): Tensor {
  return normal_(x, 0, xavierNormalStd(x.shape, gain));
}

/** He et al. (2015): uniform in ±gain · √(3 / fan). */
export function kaimingUniform_(x: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = kaimingUniformBound(x.shape, options);
  return uniform_(x, -bound, bound);
}

/** He et al. (2015): normal with deviation gain / √fan. */
export function kaimingNormal_(x: Tensor, options: KaimingOptions = {}): Tensor {
  return normal_(x, 0, kaimingNormalStd(x.shape, options));
}

/** Orthogonal rows or columns (Saxe et al., 2013), times `gain`. */
export function orthogonal_(x: Tensor, gain: number = 1): Tensor {
  return record("orthogonal_", x, { kind: "orthogonal", gain });
}

/** Normal with deviation `std`, then a fraction of each column set to 0. */
export function sparse_(x: Tensor, sparsity: number, std: number = 0.01): Tensor {
  return record("sparse_", x, { kind: "sparse", sparsity, std });
}

/** `value` in row `row` of the first axis. */
export function row_(x: Tensor, row: number, value: number): Tensor {
  return record("row_", x, { kind: "row", row, value });
}
