/** `torch.nn.functional` in our words. */
import * as F from "../../../compiler/nn/functional/index.ts";
import { maxPoolWithIndices } from "../../../compiler/nn/functional/window.ts";
import type { Tensor } from "../../../compiler/trace/tensor.ts";
import { isList, type Arg, type Call } from "../call.ts";
import { Unsupported } from "../report.ts";
import { operator, type Operator, type OperatorTable } from "./operator.ts";

function unary(run: (x: Tensor) => Tensor): Operator {
  return operator("input, inplace", (call) => run(call.tensor("input")));
}

/** A number, a list, or what stands for "not given". */
function perAxis<T>(call: Call, name: string, otherwise: T): number | readonly number[] | T {
  const value = call.numbersOr(name);
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return otherwise;
  return Array.isArray(value) && value.length === 1 ? (value[0] ?? otherwise) : value;
}

function adaptiveSize(call: Call): number | (number | undefined)[] {
  const value = call.arg("output_size");
  if (typeof value === "number") return value;
  if (!isList(value)) throw new Unsupported("an output size that is neither a number nor a list");
  return value.map((part: Arg) => (typeof part === "number" ? part : undefined));
}

function conv(call: Call): Tensor {
  const weight = call.tensor("weight");
  const padding = call.arg("padding");
  const options = {
    bias: call.tensorOr("bias"),
    stride: perAxis(call, "stride", 1),
    padding: padding === "same" || padding === "valid" ? padding : perAxis(call, "padding", 0),
    dilation: perAxis(call, "dilation", 1),
    groups: call.numberOr("groups", 1),
  } as const;
  const run = [F.conv1d, F.conv2d, F.conv3d][weight.ndim - 3];
  if (run === undefined) throw new Unsupported(`a kernel of rank ${weight.ndim}`);
  return run(call.tensor("input"), weight, options);
}

function convTranspose(call: Call): Tensor {
  const weight = call.tensor("weight");
  const run = [F.convTranspose1d, F.convTranspose2d, F.convTranspose3d][weight.ndim - 3];
  if (run === undefined) throw new Unsupported(`a kernel of rank ${weight.ndim}`);
  return run(call.tensor("input"), weight, {
    bias: call.tensorOr("bias"),
    stride: perAxis(call, "stride", 1),
    padding: perAxis(call, "padding", 0),
    outputPadding: perAxis(call, "output_padding", 0),
    groups: call.numberOr("groups", 1),
    dilation: perAxis(call, "dilation", 1),
  });
}

const poolSignature = "input, kernel_size, stride, padding, dilation, ceil_mode, return_indices";
const avgSignature = "input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override";

function maxPool(rank: number): Operator {
  return operator(poolSignature, (call) => {
    const { values, indices } = maxPoolWithIndices(call.tensor("input"), perAxis(call, "kernel_size", 1), rank, {
      stride: perAxis(call, "stride", undefined),
      padding: perAxis(call, "padding", 0),
      dilation: perAxis(call, "dilation", 1),
      ceilMode: call.flag("ceil_mode"),
    });
    return call.flag("return_indices") ? [values, indices] : values;
  });
}

function avgPool(run: typeof F.avgPool2d): Operator {
  return operator(avgSignature, (call) =>
    run(call.tensor("input"), perAxis(call, "kernel_size", 1), {
      stride: perAxis(call, "stride", undefined),
      padding: perAxis(call, "padding", 0),
      ceilMode: call.flag("ceil_mode"),
      countIncludePad: call.flag("count_include_pad", true),
      ...(call.has("divisor_override") ? { divisorOverride: call.number("divisor_override") } : {}),
    }),
  );
}

function adaptiveMax(run: typeof F.adaptiveMaxPool2dWithIndices): Operator {
  return operator("input, output_size, return_indices", (call) => {
    const { values, indices } = run(call.tensor("input"), adaptiveSize(call));
    return call.flag("return_indices") ? [values, indices] : values;
  });
}

function adaptiveAverage(run: typeof F.adaptiveAvgPool2d): Operator {
  return operator("input, output_size", (call) => run(call.tensor("input"), adaptiveSize(call)));
}

function norms(call: Call): { weight: Tensor | undefined; bias: Tensor | undefined; eps: number } {
  return { weight: call.tensorOr("weight"), bias: call.tensorOr("bias"), eps: call.numberOr("eps", 1e-5) };
}

function running(call: Call): F.RunningNormOptions {
  const runningMean = call.tensorOr("running_mean");
  const runningVar = call.tensorOr("running_var");
  return { ...norms(call), runningMean, runningVar, momentum: call.numberOr("momentum", 0.1) };
}

function patches(call: Call): F.PatchOptions {
  return {
    dilation: perAxis(call, "dilation", 1),
    padding: perAxis(call, "padding", 0),
    stride: perAxis(call, "stride", 1),
  };
}

function oneOf<T extends string>(call: Call, name: string, choices: readonly T[], otherwise: T): T {
  const text = call.text(name, otherwise);
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new Unsupported(`${name} ${text}`);
  return found;
}

const windows: OperatorTable = {
  "nn.functional.adaptive_avg_pool1d": adaptiveAverage(F.adaptiveAvgPool1d),
  "nn.functional.adaptive_avg_pool2d": adaptiveAverage(F.adaptiveAvgPool2d),
  "nn.functional.adaptive_avg_pool3d": adaptiveAverage(F.adaptiveAvgPool3d),
  "nn.functional.adaptive_max_pool1d": adaptiveMax(F.adaptiveMaxPool1dWithIndices),
  "nn.functional.adaptive_max_pool2d": adaptiveMax(F.adaptiveMaxPool2dWithIndices),
  "nn.functional.adaptive_max_pool3d": adaptiveMax(F.adaptiveMaxPool3dWithIndices),
  "nn.functional.avg_pool1d": avgPool(F.avgPool1d),
  "nn.functional.avg_pool2d": avgPool(F.avgPool2d),
  "nn.functional.avg_pool3d": avgPool(F.avgPool3d),
  "nn.functional.max_pool1d": maxPool(1),
  "nn.functional.max_pool2d": maxPool(2),
  "nn.functional.max_pool3d": maxPool(3),
  ...Object.fromEntries(
    ["conv1d", "conv2d", "conv3d"].map((name) => [
      `nn.functional.${name}`,
      operator("input, weight, bias, stride, padding, dilation, groups", conv),
    ]),
  ),
  ...Object.fromEntries(
    ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"].map((name) => [
      `nn.functional.${name}`,
      operator("input, weight, bias, stride, padding, output_padding, groups, dilation", convTranspose),
    ]),
  ),
  "nn.functional.unfold": operator("input, kernel_size, dilation, padding, stride", (call) =>
    F.unfold(call.tensor("input"), perAxis(call, "kernel_size", 1), patches(call)),
  ),
  "nn.functional.fold": operator("input, output_size, kernel_size, dilation, padding, stride", (call) =>
    F.fold(call.tensor("input"), perAxis(call, "output_size", 1), perAxis(call, "kernel_size", 1), patches(call)),
  ),
  "nn.functional.pixel_shuffle": operator("input, upscale_factor", (call) =>
    F.pixelShuffle(call.tensor("input"), call.number("upscale_factor")),
  ),
  "nn.functional.pixel_unshuffle": operator("input, downscale_factor", (call) =>
    F.pixelUnshuffle(call.tensor("input"), call.number("downscale_factor")),
  ),
  constant_pad_nd: operator("input, pad, value", (call) =>
    F.pad(call.tensor("input"), call.numbers("pad"), { value: call.numberOr("value", 0) }),
  ),
  "nn.functional.pad": operator("input, pad, mode, value", (call) =>
    F.pad(call.tensor("input"), call.numbers("pad"), {
      mode: oneOf(call, "mode", ["constant", "reflect", "replicate", "circular"], "constant"),
      value: call.numberOr("value", 0),
    }),
  ),
  "nn.functional.interpolate": operator(
    "input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias",
    (call) =>
      F.interpolate(call.tensor("input"), {
        size: perAxis(call, "size", undefined),
        scaleFactor: perAxis(call, "scale_factor", undefined),
        mode: oneOf(
          call,
          "mode",
          ["nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area"],
          "nearest",
        ),
        alignCorners: call.flag("align_corners"),
        recomputeScaleFactor: call.flag("recompute_scale_factor"),
        antialias: call.flag("antialias"),
      }),
  ),
  "nn.functional.grid_sample": operator("input, grid, mode, padding_mode, align_corners", (call) =>
    F.gridSample(call.tensor("input"), call.tensor("grid"), {
      mode: oneOf(call, "mode", ["bilinear", "nearest", "bicubic"], "bilinear"),
      paddingMode: oneOf(call, "padding_mode", ["zeros", "border", "reflection"], "zeros"),
      alignCorners: call.flag("align_corners"),
    }),
  ),
  "nn.functional.affine_grid": operator("theta, size, align_corners", (call) =>
    F.affineGrid(call.tensor("theta"), call.numbers("size"), { alignCorners: call.flag("align_corners") }),
  ),
};

const activations: OperatorTable = {
  softmax: operator("input, dim, dtype", (call) => {
    const dtype = call.dtype("dtype");
    const x = call.tensor("input");
    return F.softmax(dtype === undefined ? x : x.to(dtype), call.number("dim"));
  }),
  log_softmax: operator("input, dim, dtype", (call) => {
    const dtype = call.dtype("dtype");
    const x = call.tensor("input");
    return F.logSoftmax(dtype === undefined ? x : x.to(dtype), call.number("dim"));
  }),
  "nn.functional.softmin": operator("input, dim, dtype", (call) => {
    const dtype = call.dtype("dtype");
    const x = call.tensor("input");
    return F.softmin(dtype === undefined ? x : x.to(dtype), call.number("dim"));
  }),
  "nn.functional.celu": operator("input, alpha, inplace", (call) =>
    F.celu(call.tensor("input"), call.numberOr("alpha", 1)),
  ),
  "nn.functional.elu": operator("input, alpha, inplace", (call) =>
    F.elu(call.tensor("input"), call.numberOr("alpha", 1)),
  ),
  "nn.functional.gelu": operator("input, approximate", (call) =>
    F.gelu(call.tensor("input"), { approximate: oneOf(call, "approximate", ["none", "tanh"], "none") }),
  ),
  "nn.functional.glu": operator("input, dim", (call) => F.glu(call.tensor("input"), call.numberOr("dim", -1))),
  "nn.functional.hardshrink": operator("input, lambd", (call) =>
    F.hardshrink(call.tensor("input"), call.numberOr("lambd", 0.5)),
  ),
  "nn.functional.softshrink": operator("input, lambd", (call) =>
    F.softshrink(call.tensor("input"), call.numberOr("lambd", 0.5)),
  ),
  "nn.functional.hardsigmoid": unary(F.hardsigmoid),
  "nn.functional.hardswish": unary(F.hardswish),
  "nn.functional.hardtanh": operator("input, min_val, max_val, inplace", (call) =>
    F.hardtanh(call.tensor("input"), call.numberOr("min_val", -1), call.numberOr("max_val", 1)),
  ),
  "nn.functional.leaky_relu": operator("input, negative_slope, inplace", (call) =>
    F.leakyRelu(call.tensor("input"), call.numberOr("negative_slope", 0.01)),
  ),
  "nn.functional.logsigmoid": unary(F.logsigmoid),
  "nn.functional.mish": unary(F.mish),
  "nn.functional.prelu": operator("input, weight", (call) => F.prelu(call.tensor("input"), call.tensor("weight"))),
  "nn.functional.relu": unary(F.relu),
  "nn.functional.relu6": unary(F.relu6),
  "nn.functional.selu": unary(F.selu),
  "nn.functional.silu": unary(F.silu),
  "nn.functional.softplus": operator("input, beta, threshold", (call) =>
    F.softplus(call.tensor("input"), call.numberOr("beta", 1), call.numberOr("threshold", 20)),
  ),
  "nn.functional.softsign": unary(F.softsign),
  "nn.functional.tanhshrink": unary(F.tanhshrink),
  "nn.functional.threshold": operator("input, threshold, value, inplace", (call) =>
    F.threshold(call.tensor("input"), call.number("threshold"), call.number("value")),
  ),
  "nn.functional.dropout": operator("input, p, training, inplace", (call) =>
    F.dropout(call.tensor("input"), call.numberOr("p", 0.5), call.flag("training", true)),
  ),
};

/** What normalisations write to. */
const averages = ["running_mean", "running_var"];

const layers: OperatorTable = {
  "nn.functional.batch_norm": operator(
    "input, running_mean, running_var, weight, bias, training, momentum, eps",
    (call) => F.batchNorm(call.tensor("input"), { ...running(call), training: call.flag("training") }),
    averages,
  ),
  "nn.functional.instance_norm": operator(
    "input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps",
    (call) =>
      F.instanceNorm(call.tensor("input"), { ...running(call), useInputStats: call.flag("use_input_stats", true) }),
    averages,
  ),
  "nn.functional.group_norm": operator("input, num_groups, weight, bias, eps", (call) =>
    F.groupNorm(call.tensor("input"), call.number("num_groups"), norms(call)),
  ),
  "nn.functional.layer_norm": operator("input, normalized_shape, weight, bias, eps", (call) =>
    F.layerNorm(call.tensor("input"), call.numbers("normalized_shape"), norms(call)),
  ),
  "nn.functional.rms_norm": operator("input, normalized_shape, weight, eps", (call) =>
    F.rmsNorm(call.tensor("input"), call.numbers("normalized_shape"), {
      weight: call.tensorOr("weight"),
      ...(call.has("eps") ? { eps: call.number("eps") } : {}),
    }),
  ),
  "nn.functional.local_response_norm": operator("input, size, alpha, beta, k", (call) =>
    F.localResponseNorm(call.tensor("input"), call.number("size"), {
      alpha: call.numberOr("alpha", 1e-4),
      beta: call.numberOr("beta", 0.75),
      k: call.numberOr("k", 1),
    }),
  ),
  "nn.functional.normalize": operator("input, p, dim, eps", (call) =>
    F.normalize(call.tensor("input"), {
      p: call.numberOr("p", 2),
      dim: call.numberOr("dim", 1),
      eps: call.numberOr("eps", 1e-12),
    }),
  ),
  "nn.functional.linear": operator("input, weight, bias", (call) =>
    F.linear(call.tensor("input"), call.tensor("weight"), call.tensorOr("bias")),
  ),
  "nn.functional.bilinear": operator("input1, input2, weight, bias", (call) =>
    F.bilinear(call.tensor("input1"), call.tensor("input2"), call.tensor("weight"), call.tensorOr("bias")),
  ),
  "nn.functional.embedding": operator("input, weight, padding_idx", (call) =>
    F.embedding(call.tensor("input"), call.tensor("weight"), { paddingIdx: call.numberOr("padding_idx", undefined) }),
  ),
  "nn.functional.one_hot": operator("tensor, num_classes", (call) =>
    F.oneHot(call.tensor("tensor"), call.numberOr("num_classes", -1)),
  ),
  "nn.functional.scaled_dot_product_attention": operator(
    "query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa",
    (call) =>
      F.scaledDotProductAttention(call.tensor("query"), call.tensor("key"), call.tensor("value"), {
        attnMask: call.tensorOr("attn_mask"),
        dropoutP: call.numberOr("dropout_p", 0),
        isCausal: call.flag("is_causal"),
        scale: call.numberOr("scale", undefined),
        enableGqa: call.flag("enable_gqa"),
      }),
  ),
};

/** Layers, activations, windows and resizing. */
export const networkOperators: OperatorTable = { ...windows, ...activations, ...layers };
