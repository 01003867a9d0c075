/**
 * Modules of `torch.nn` built from PyTorch's own arguments. A recipe names the constructor's parameters in PyTorch's
 * order; those in front of the bar are ours too, the others become options under their names in camel case.
 */
import * as nn from "../../../compiler/nn/index.ts";
import type { Module } from "../../../compiler/nn/module.ts";
import { Call, type Arg } from "../call.ts";
import { Unsupported } from "../report.ts";

type Recipe = {
  readonly positional: readonly string[];
  readonly options: readonly string[];
  readonly make: (call: Call, options: never) => Module;
};

function recipe(signature: string, make: Recipe["make"]): Recipe {
  const [before = "", after = ""] = signature.split("|");
  const names = (text: string): string[] =>
    text
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "");
  return { positional: names(before), options: names(after), make };
}

/** `num_layers` as `numLayers`, `T_0` as `t0`. */
export function camelCase(name: string): string {
  const joined = name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return joined.charAt(0).toLowerCase() + joined.slice(1);
}

const sizes = (call: Call, name: string): number | number[] => call.numbersOr(name) ?? [];

const convolution = "in_channels, out_channels, kernel_size | stride, padding, dilation, groups, bias, padding_mode";
const transposed = "in_channels, out_channels, kernel_size | stride, padding, output_padding, groups, bias, dilation";
const batchNorm = "num_features | eps, momentum, affine, track_running_stats";
const instanceNorm = "num_features | eps, momentum, affine, track_running_stats";
const recurrent = "input_size, hidden_size | num_layers, bias, batch_first, dropout, bidirectional";
const transformer = "d_model, nhead | dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first";
const classLoss = "| weight, size_average, ignore_index, reduce, reduction, label_smoothing";

type SizesClass = new (a: number, b: number, c: number | number[], options: never) => Module;
type CountClass = new (count: number, options: never) => Module;
type PairClass = new (a: number, b: number, options: never) => Module;

const channels =
  (type: SizesClass): Recipe["make"] =>
  (call, options) =>
    new type(call.number("in_channels"), call.number("out_channels"), sizes(call, "kernel_size"), options);
const counted =
  (type: CountClass, name: string): Recipe["make"] =>
  (call, options) =>
    new type(call.number(name), options);
const paired =
  (type: PairClass, a: string, b: string): Recipe["make"] =>
  (call, options) =>
    new type(call.number(a), call.number(b), options);

const recipes: Readonly<Record<string, Recipe>> = {
  Linear: recipe("in_features, out_features | bias", paired(nn.Linear, "in_features", "out_features")),
  Bilinear: recipe(
    "in1_features, in2_features, out_features | bias",
    (call, options) =>
      new nn.Bilinear(call.number("in1_features"), call.number("in2_features"), call.number("out_features"), options),
  ),
  Conv1d: recipe(convolution, channels(nn.Conv1d)),
  Conv2d: recipe(convolution, channels(nn.Conv2d)),
  Conv3d: recipe(convolution, channels(nn.Conv3d)),
  ConvTranspose1d: recipe(transposed, channels(nn.ConvTranspose1d)),
  ConvTranspose2d: recipe(transposed, channels(nn.ConvTranspose2d)),
  ConvTranspose3d: recipe(transposed, channels(nn.ConvTranspose3d)),
  Embedding: recipe(
    "num_embeddings, embedding_dim | padding_idx",
    paired(nn.Embedding, "num_embeddings", "embedding_dim"),
  ),
  BatchNorm1d: recipe(batchNorm, counted(nn.BatchNorm1d, "num_features")),
  BatchNorm2d: recipe(batchNorm, counted(nn.BatchNorm2d, "num_features")),
  BatchNorm3d: recipe(batchNorm, counted(nn.BatchNorm3d, "num_features")),
  InstanceNorm1d: recipe(instanceNorm, counted(nn.InstanceNorm1d, "num_features")),
  InstanceNorm2d: recipe(instanceNorm, counted(nn.InstanceNorm2d, "num_features")),
  InstanceNorm3d: recipe(instanceNorm, counted(nn.InstanceNorm3d, "num_features")),
  GroupNorm: recipe("num_groups, num_channels | eps, affine", paired(nn.GroupNorm, "num_groups", "num_channels")),
  LayerNorm: recipe(
    "normalized_shape | eps, elementwise_affine, bias",
    (call, options) => new nn.LayerNorm(sizes(call, "normalized_shape"), options),
  ),
  RMSNorm: recipe(
    "normalized_shape | eps, elementwise_affine",
    (call, options) => new nn.RMSNorm(sizes(call, "normalized_shape"), options),
  ),
  LocalResponseNorm: recipe("size | alpha, beta, k", counted(nn.LocalResponseNorm, "size")),
  PReLU: recipe("num_parameters | init", (call, options) => new nn.PReLU(call.numberOr("num_parameters", 1), options)),
  Upsample: recipe(
    "| size, scale_factor, mode, align_corners, recompute_scale_factor",
    (_, options) => new nn.Upsample(options),
  ),
  CrossEntropyLoss: recipe(classLoss, (_, options) => new nn.CrossEntropyLoss(options)),
  NLLLoss: recipe("| weight, size_average, ignore_index, reduce, reduction", (_, options) => new nn.NLLLoss(options)),
  MSELoss: recipe("| size_average, reduce, reduction", (_, options) => new nn.MSELoss(options)),
  L1Loss: recipe("| size_average, reduce, reduction", (_, options) => new nn.L1Loss(options)),
  ReLU: recipe("inplace", () => new nn.ReLU()),
  Flatten: recipe(
    "start_dim, end_dim",
    (call) => new nn.Flatten(call.numberOr("start_dim", 1), call.numberOr("end_dim", -1)),
  ),
  Dropout: recipe("p, inplace", (call) => new nn.Dropout(call.numberOr("p", 0.5))),
  LSTM: recipe(`${recurrent}, proj_size`, paired(nn.LSTM, "input_size", "hidden_size")),
  GRU: recipe(recurrent, paired(nn.GRU, "input_size", "hidden_size")),
  RNN: recipe(`${recurrent}, nonlinearity`, paired(nn.RNN, "input_size", "hidden_size")),
  LSTMCell: recipe("input_size, hidden_size | bias", paired(nn.LSTMCell, "input_size", "hidden_size")),
  GRUCell: recipe("input_size, hidden_size | bias", paired(nn.GRUCell, "input_size", "hidden_size")),
  RNNCell: recipe("input_size, hidden_size | bias, nonlinearity", paired(nn.RNNCell, "input_size", "hidden_size")),
  MultiheadAttention: recipe(
    "embed_dim, num_heads | dropout, bias, add_bias_kv, add_zero_attn, kdim, vdim, batch_first",
    paired(nn.MultiheadAttention, "embed_dim", "num_heads"),
  ),
  TransformerEncoderLayer: recipe(transformer, paired(nn.TransformerEncoderLayer, "d_model", "nhead")),
  TransformerDecoderLayer: recipe(transformer, paired(nn.TransformerDecoderLayer, "d_model", "nhead")),
};

/** Options for which None is a value of its own. */
const nullable: readonly string[] = ["momentum"];

/** Whether there is a recipe for this module. */
export function hasModule(name: string): boolean {
  return Object.hasOwn(recipes, name);
}

/** `torch.nn.<name>(*args, **kwargs)`. Only in `setup`. */
export function makeModule(name: string, args: readonly Arg[], kwargs: Readonly<Record<string, Arg>>): Module {
  const found = recipes[name];
  if (found === undefined) throw new Unsupported(`no module ${name}`);
  const call = new Call([...found.positional, ...found.options], args, kwargs);
  const options: Record<string, Arg> = {};
  for (const option of found.options) {
    if (call.has(option) || (call.given(option) && nullable.includes(option)))
      options[camelCase(option)] = call.arg(option);
  }
  // The names are PyTorch's in camel case; the layers themselves refuse options that they have not.
  return found.make(call, options as never);
}
