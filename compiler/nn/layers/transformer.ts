/** Attention layers and the blocks of transformers (Vaswani et al., 2017), with PyTorch's parameters and options. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at } from "../../../ir/type.ts";
import { zeros } from "../../tensor/create.ts";
import { composed } from "../../tensor/elementwise.ts";
import { linear } from "../../tensor/linear.ts";
import { checkOptions } from "../../trace/options.ts";
import { Parameter } from "../../trace/parameter.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import * as functional from "../functional/activation.ts";
import { dropout } from "../functional/normalise.ts";
import { xavierUniform_, zeros_ } from "../init.ts";
import { Module } from "../module.ts";
import { Linear, requireSize } from "./linear.ts";
import { Dropout, LayerNorm } from "./normalise.ts";

/** Options of `MultiheadAttention`. */
export type MultiheadAttentionOptions = {
  readonly dropout?: number;
  readonly bias?: boolean;
  /** Features of keys and values, if they are not those of queries. */
  readonly kdim?: number;
  readonly vdim?: number;
  /** Whether tensors are [batch, length, features] instead of [length, batch, features]. */
  readonly batchFirst?: boolean;
};

/** Options of a call of attention. Masks are bool (true: not allowed) or numbers added to the scores. */
export type AttentionCallOptions = {
  /** [batch, keys] */
  readonly keyPaddingMask?: Tensor | undefined;
  /** [queries, keys] or [batch · heads, queries, keys] */
  readonly attnMask?: Tensor | undefined;
  readonly needWeights?: boolean;
  /** Whether the weights are averaged over the heads. */
  readonly averageAttnWeights?: boolean;
};

/** A mask as numbers to add to scores. */
function additive(mask: Tensor, like: Tensor): Tensor {
  if (mask.dtype !== "bool") return mask;
  return mask.zerosLike({ dtype: like.dtype }).maskedFill(mask, -Infinity);
}

/** Attention with several heads. */
export class MultiheadAttention extends Module {
  readonly embedDim: number;
  readonly numHeads: number;
  readonly dropout: number;
  readonly batchFirst: boolean;
  q_proj_weight: Parameter | undefined;
  k_proj_weight: Parameter | undefined;
  v_proj_weight: Parameter | undefined;
  in_proj_weight: Parameter | undefined;
  in_proj_bias: Parameter | undefined;
  out_proj: Linear;

  constructor(embedDim: number, numHeads: number, options: MultiheadAttentionOptions = {}) {
    super();
    const {
      dropout: p = 0,
      bias = true,
      kdim = embedDim,
      vdim = embedDim,
      batchFirst = false,
    } = checkOptions("MultiheadAttention", options, ["dropout", "bias", "kdim", "vdim", "batchFirst"]);
    this.embedDim = requireSize("MultiheadAttention", "embedDim", embedDim);
    this.numHeads = requireSize("MultiheadAttention", "numHeads", numHeads);
    if (embedDim % numHeads !== 0)
      throw fail(
        messages.badLayerOption("MultiheadAttention", "numHeads", `a divisor of ${embedDim}`, String(numHeads)),
        currentTrace("MultiheadAttention").here(),
      );
    this.dropout = p;
    this.batchFirst = batchFirst;
    const same = kdim === embedDim && vdim === embedDim;
    this.q_proj_weight = same ? undefined : new Parameter(zeros([embedDim, embedDim]));
    this.k_proj_weight = same ? undefined : new Parameter(zeros([embedDim, kdim]));
    this.v_proj_weight = same ? undefined : new Parameter(zeros([embedDim, vdim]));
    this.in_proj_weight = same ? new Parameter(zeros([3 * embedDim, embedDim])) : undefined;
    this.in_proj_bias = bias ? new Parameter(zeros([3 * embedDim])) : undefined;
    this.out_proj = new Linear(embedDim, embedDim, { bias });
    for (const weight of [this.in_proj_weight, this.q_proj_weight, this.k_proj_weight, this.v_proj_weight])
      if (weight !== undefined) xavierUniform_(weight);
    if (this.out_proj.bias !== undefined) zeros_(this.out_proj.bias);
  }

  /** query, key, value: [length, batch, features] (or batch first, or without batch). Gives output and weights. */
  forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: AttentionCallOptions = {},
  ): readonly [output: Tensor, weights: Tensor | undefined] {
    return composed("MultiheadAttention", () => {
      if (query.ndim === 2) return this.#unbatched(query, key, value, options);
      if (query.ndim !== 3 || query.shape.at(-1) !== this.embedDim)
        throw fail(
          messages.layerInput("MultiheadAttention", `[length, batch, ${this.embedDim}]`, query.type),
          currentTrace("MultiheadAttention").here(),
        );
      const { needWeights = true, averageAttnWeights = true } = options;
      const [q, k, v] = this.#projected(query, key, value).map((x) =>
        this.#split(this.batchFirst ? x : x.transpose(0, 1)),
      );
      if (q === undefined || k === undefined || v === undefined) throw new RangeError("three projections");
      const scores = q.mul(Math.sqrt(this.numHeads / this.embedDim)).matmul(k.transpose(-2, -1));
      const weights = dropout(functional.softmax(this.#masked(scores, options), -1), this.dropout, this.training);
      const joined = weights.matmul(v).transpose(1, 2).flatten(2);
      const output = this.out_proj.forward(this.batchFirst ? joined : joined.transpose(0, 1));
      return [output, needWeights ? (averageAttnWeights ? weights.mean(1) : weights) : undefined];
    });
  }

  #unbatched(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: AttentionCallOptions,
  ): readonly [Tensor, Tensor | undefined] {
    const axis = this.batchFirst ? 0 : 1;
    const { keyPaddingMask } = options;
    const [output, weights] = this.forward(query.unsqueeze(axis), key.unsqueeze(axis), value.unsqueeze(axis), {
      ...options,
      keyPaddingMask: keyPaddingMask?.unsqueeze(0),
    });
    return [output.squeeze(axis), weights?.squeeze(0)];
  }

  /** Queries, keys and values of all heads: [..., embedDim] each. */
  #projected(query: Tensor, key: Tensor, value: Tensor): Tensor[] {
    const biases = this.in_proj_bias?.chunk(3, 0);
    const weights = this.in_proj_weight?.chunk(3, 0) ?? [this.q_proj_weight, this.k_proj_weight, this.v_proj_weight];
    if (this.in_proj_weight !== undefined && query === key && key === value)
      return linear(query, this.in_proj_weight, this.in_proj_bias).chunk(3, -1);
    return [query, key, value].map((x, i) => {
      const weight = weights[i];
      if (weight === undefined) throw new RangeError("a projection without weight");
      return linear(x, weight, biases?.[i]);
    });
  }

  /** [batch, length, embedDim] to [batch, heads, length, embedDim / heads]. */
  #split(x: Tensor): Tensor {
    const [batch = 0, length = 0] = x.shape;
    return x.reshape([batch, length, this.numHeads, this.embedDim / this.numHeads]).transpose(1, 2);
  }

  /** scores: [batch, heads, queries, keys] */
  #masked(scores: Tensor, { attnMask, keyPaddingMask }: AttentionCallOptions): Tensor {
    const [batch = 0, heads = 0] = scores.shape;
    const own = attnMask === undefined ? undefined : additive(attnMask, scores);
    const shaped = own !== undefined && own.ndim === 3 ? own.reshape([batch, heads, ...own.shape.slice(1)]) : own;
    const masked = shaped === undefined ? scores : scores.add(shaped);
    if (keyPaddingMask === undefined) return masked;
    const [rows = 0, keys = 0] = keyPaddingMask.shape;
    return masked.add(additive(keyPaddingMask, scores).reshape([rows, 1, 1, keys]));
  }
}

/** Options of transformer blocks. */
export type TransformerLayerOptions = {
  readonly dimFeedforward?: number;
  readonly dropout?: number;
  readonly activation?: "relu" | "gelu";
  readonly layerNormEps?: number;
  readonly batchFirst?: boolean;
  /** Whether norms come before attention and feed-forward, not behind them. */
  readonly normFirst?: boolean;
};

const layerOptions: readonly (keyof TransformerLayerOptions)[] = [
  "dimFeedforward",
  "dropout",
  "activation",
  "layerNormEps",
  "batchFirst",
  "normFirst",
];

function activate(name: "relu" | "gelu", x: Tensor): Tensor {
  return name === "relu" ? x.relu() : functional.gelu(x);
}

/** Self-attention and feed-forward. */
export class TransformerEncoderLayer extends Module {
  readonly activation: "relu" | "gelu";
  readonly normFirst: boolean;
  self_attn: MultiheadAttention;
  linear1: Linear;
  dropout: Dropout;
  linear2: Linear;
  norm1: LayerNorm;
  norm2: LayerNorm;
  dropout1: Dropout;
  dropout2: Dropout;

  constructor(dModel: number, nhead: number, options: TransformerLayerOptions = {}) {
    super();
    const {
      dimFeedforward = 2048,
      dropout: p = 0.1,
      activation = "relu",
      layerNormEps: eps = 1e-5,
      batchFirst = false,
      normFirst = false,
    } = checkOptions("TransformerEncoderLayer", options, layerOptions);
    this.activation = activation;
    this.normFirst = normFirst;
    this.self_attn = new MultiheadAttention(dModel, nhead, { dropout: p, batchFirst });
    this.linear1 = new Linear(dModel, dimFeedforward);
    this.dropout = new Dropout(p);
    this.linear2 = new Linear(dimFeedforward, dModel);
    this.norm1 = new LayerNorm(dModel, { eps });
    this.norm2 = new LayerNorm(dModel, { eps });
    this.dropout1 = new Dropout(p);
    this.dropout2 = new Dropout(p);
  }

  /** src: [length, batch, dModel] (or batch first); masks as for attention. */
  forward(
    src: Tensor,
    {
      srcMask,
      srcKeyPaddingMask,
    }: { readonly srcMask?: Tensor | undefined; readonly srcKeyPaddingMask?: Tensor | undefined } = {},
  ): Tensor {
    const attend = (x: Tensor): Tensor => {
      const masks = { attnMask: srcMask, keyPaddingMask: srcKeyPaddingMask, needWeights: false };
      return this.dropout1.forward(this.self_attn.forward(x, x, x, masks)[0]);
    };
    const feed = (x: Tensor): Tensor =>
      this.dropout2.forward(
        this.linear2.forward(this.dropout.forward(activate(this.activation, this.linear1.forward(x)))),
      );
    if (this.normFirst) {
      const x = src.add(attend(this.norm1.forward(src)));
      return x.add(feed(this.norm2.forward(x)));
    }
    const x = this.norm1.forward(src.add(attend(src)));
    return this.norm2.forward(x.add(feed(x)));
  }
}

/** Masks of a decoder's call. */
export type DecoderMasks = {
  readonly tgtMask?: Tensor | undefined;
  readonly memoryMask?: Tensor | undefined;
  readonly tgtKeyPaddingMask?: Tensor | undefined;
  readonly memoryKeyPaddingMask?: Tensor | undefined;
};

/** Self-attention, attention to an encoder's memory, and feed-forward. */
export class TransformerDecoderLayer extends Module {
  readonly activation: "relu" | "gelu";
  readonly normFirst: boolean;
  self_attn: MultiheadAttention;
  multihead_attn: MultiheadAttention;
  linear1: Linear;
  dropout: Dropout;
  linear2: Linear;
  norm1: LayerNorm;
  norm2: LayerNorm;
  norm3: LayerNorm;
  dropout1: Dropout;
  dropout2: Dropout;
  dropout3: Dropout;

  constructor(dModel: number, nhead: number, options: TransformerLayerOptions = {}) {
    super();
    const {
      dimFeedforward = 2048,
      dropout: p = 0.1,
      activation = "relu",
      layerNormEps: eps = 1e-5,
      batchFirst = false,
      normFirst = false,
    } = checkOptions("TransformerDecoderLayer", options, layerOptions);
    this.activation = activation;
    this.normFirst = normFirst;
    this.self_attn = new MultiheadAttention(dModel, nhead, { dropout: p, batchFirst });
    this.multihead_attn = new MultiheadAttention(dModel, nhead, { dropout: p, batchFirst });
    this.linear1 = new Linear(dModel, dimFeedforward);
    this.dropout = new Dropout(p);
    this.linear2 = new Linear(dimFeedforward, dModel);
    this.norm1 = new LayerNorm(dModel, { eps });
    this.norm2 = new LayerNorm(dModel, { eps });
    this.norm3 = new LayerNorm(dModel, { eps });
    this.dropout1 = new Dropout(p);
    this.dropout2 = new Dropout(p);
    this.dropout3 = new Dropout(p);
  }

  /** tgt: [length, batch, dModel], memory: [source length, batch, dModel] (or batch first). */
  forward(tgt: Tensor, memory: Tensor, masks: DecoderMasks = {}): Tensor {
    const own = (x: Tensor): Tensor => {
      const options = { attnMask: masks.tgtMask, keyPaddingMask: masks.tgtKeyPaddingMask, needWeights: false };
      return this.dropout1.forward(this.self_attn.forward(x, x, x, options)[0]);
    };
    const cross = (x: Tensor): Tensor => {
      const options = { attnMask: masks.memoryMask, keyPaddingMask: masks.memoryKeyPaddingMask, needWeights: false };
      return this.dropout2.forward(this.multihead_attn.forward(x, memory, memory, options)[0]);
    };
    const feed = (x: Tensor): Tensor =>
      this.dropout3.forward(
        this.linear2.forward(this.dropout.forward(activate(this.activation, this.linear1.forward(x)))),
      );
    if (this.normFirst) {
      const x = tgt.add(own(this.norm1.forward(tgt)));
      const y = x.add(cross(this.norm2.forward(x)));
      return y.add(feed(this.norm3.forward(y)));
    }
    const x = this.norm1.forward(tgt.add(own(tgt)));
    const y = this.norm2.forward(x.add(cross(x)));
    return this.norm3.forward(y.add(feed(y)));
  }
}

/** A mask for attention: 0 on and below the diagonal, -∞ above. */
export function causalMask(length: number): Tensor {
  return composed("causalMask", () => {
    const shape = [length, length];
    const above = zeros(shape).add(1).triu(1).ne(0);
    return zeros([at(shape, 0), at(shape, 1)]).maskedFill(above, -Infinity);
  });
}
