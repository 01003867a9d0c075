/**
 * Bounds and standard deviations of PyTorch's weight initialisations, computed in float64 from a weight's shape
 * `[out, in, …kernel]`, in the order of operations of `torch.nn.init`, on which the last bit depends.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import { badDraw } from "../diagnostic/messages.ts";
import type { Shape } from "../type.ts";

/** Which of the two counts of connections `kaiming…` keeps the variance for. */
export type FanMode = "fan_in" | "fan_out";

/** Names that `calculateGain` knows. */
export const nonlinearities = [
  "linear",
  "conv1d",
  "conv2d",
  "conv3d",
  "conv_transpose1d",
  "conv_transpose2d",
  "conv_transpose3d",
  "sigmoid",
  "tanh",
  "relu",
  "leaky_relu",
  "selu",
] as const;

/** A function whose recommended gain is known. */
export type Nonlinearity = (typeof nonlinearities)[number];

/** Options of the `kaiming…` functions, with PyTorch's defaults. */
export type KaimingOptions = {
  /** Negative slope of the leaky ReLU that follows; 0 by default. */
  readonly a?: number;
  /** `fan_in` by default. */
  readonly mode?: FanMode;
  /** `leaky_relu` by default. */
  readonly nonlinearity?: Nonlinearity;
};

/** Connections into each output. @throws UserError K3103 if the shape has fewer than two axes. */
export function fanIn(shape: Shape): number {
  return fans(shape)[0];
}

/** Connections out of each input. @throws UserError K3103 if the shape has fewer than two axes. */
export function fanOut(shape: Shape): number {
  return fans(shape)[1];
}

/**
 * By how much a nonlinearity's weights are to be larger than a linear map's (`calculate_gain`).
 *
 * @param slope Negative slope of `leaky_relu`, 0.01 by default; of no effect elsewhere.
 */
export function calculateGain(nonlinearity: Nonlinearity, slope = 0.01): number {
  if (nonlinearity === "tanh") return 5 / 3;
  if (nonlinearity === "relu") return Math.sqrt(2);
  if (nonlinearity === "leaky_relu") return Math.sqrt(2 / (1 + slope * slope));
  if (nonlinearity === "selu") return 3 / 4;
  return 1;
}

/** Standard deviation of `kaiming_normal_` (He et al., 2015, section 2.2): gain / sqrt(fan). */
export function kaimingNormalStd(shape: Shape, options: KaimingOptions = {}): number {
  const { a = 0, mode = "fan_in", nonlinearity = "leaky_relu" } = options;
  const fan = mode === "fan_in" ? fanIn(shape) : fanOut(shape);
  return calculateGain(nonlinearity, a) / Math.sqrt(fan);
}

/** Bound of `kaiming_uniform_`, values being in [-bound, bound): sqrt(3) times the standard deviation. */
export function kaimingUniformBound(shape: Shape, options: KaimingOptions = {}): number {
  return Math.sqrt(3) * kaimingNormalStd(shape, options);
}

/** Standard deviation of `xavier_normal_` (Glorot and Bengio, 2010, equation 16). */
export function xavierNormalStd(shape: Shape, gain = 1): number {
  return gain * Math.sqrt(2 / (fanIn(shape) + fanOut(shape)));
}

/** Bound of `xavier_uniform_`. */
export function xavierUniformBound(shape: Shape, gain = 1): number {
  return Math.sqrt(3) * xavierNormalStd(shape, gain);
}

/** Bound of the weights of `Linear` and `Conv*` by default: `kaiming_uniform_` with a = sqrt(5). */
export function defaultWeightBound(shape: Shape): number {
  return kaimingUniformBound(shape, { a: Math.sqrt(5) });
}

/** Bound of their biases by default: 1 / sqrt(fan in of the weight), and 0 where that is empty. */
export function defaultBiasBound(weightShape: Shape): number {
  const fan = fanIn(weightShape);
  return fan > 0 ? 1 / Math.sqrt(fan) : 0;
}

function fans(shape: Shape): readonly [fanIn: number, fanOut: number] {
  const [outputs, inputs, ...kernel] = shape;
  if (outputs === undefined || inputs === undefined)
    throw fail(badDraw("nn.init", "a weight of at least two axes", `shape [${shape.join(", ")}]`));
  const field = kernel.reduce((count, extent) => count * extent, 1);
  return [inputs * field, outputs * field];
}
