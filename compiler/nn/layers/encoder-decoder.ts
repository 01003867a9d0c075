/** Stacks of transformer blocks, and the whole encoder-decoder (Vaswani et al., 2017), with PyTorch's names. */
import { currentTrace } from "../../trace/trace.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { xavierUniform_ } from "../init.ts";
import { Module } from "../module.ts";
import { ModuleList } from "./container.ts";
import { requireSize } from "./linear.ts";
import { LayerNorm } from "./normalise.ts";
import {
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  type DecoderMasks,
  type TransformerLayerOptions,
} from "./transformer.ts";

/** Masks of an encoder's call. */
export type EncoderMasks = { readonly mask?: Tensor | undefined; readonly srcKeyPaddingMask?: Tensor | undefined };

/**
 * `count` modules that start with equal values: PyTorch makes one and copies it, so only the first one's draws are taken.
 */
function copies<T extends Module>(count: number, make: () => T): T[] {
  const { program } = currentTrace("a transformer");
  const first = make();
  const from = first.stateDict();
  const others = Array.from({ length: count - 1 }, () => {
    const copy = program.withoutSteps(make);
    for (const [name, tensor] of copy.stateDict()) tensor.copy_(from.get(name) ?? tensor);
    return copy;
  });
  return [first, ...others];
}

/** Encoder layers one after the other, and perhaps a norm. `layer` makes one; all start with equal values. */
export class TransformerEncoder extends Module {
  layers: ModuleList<TransformerEncoderLayer>;
  norm: LayerNorm | undefined;

  constructor(layer: () => TransformerEncoderLayer, numLayers: number, options: { readonly norm?: LayerNorm } = {}) {
    super();
    this.layers = new ModuleList(copies(requireSize("TransformerEncoder", "numLayers", numLayers), layer));
    this.norm = options.norm;
  }

  /** src: [length, batch, features] (or batch first). */
  forward(src: Tensor, { mask, srcKeyPaddingMask }: EncoderMasks = {}): Tensor {
    let x = src;
    for (const layer of this.layers) x = layer.forward(x, { srcMask: mask, srcKeyPaddingMask });
    return this.norm?.forward(x) ?? x;
  }
}

/** Decoder layers one after the other, and perhaps a norm. `layer` makes one; all start with equal values. */
export class TransformerDecoder extends Module {
  layers: ModuleList<TransformerDecoderLayer>;
  norm: LayerNorm | undefined;

  constructor(layer: () => TransformerDecoderLayer, numLayers: number, options: { readonly norm?: LayerNorm } = {}) {
    super();
    this.layers = new ModuleList(copies(requireSize("TransformerDecoder", "numLayers", numLayers), layer));
    this.norm = options.norm;
  }

  /** tgt: [length, batch, features], memory: [source length, batch, features] (or batch first). */
  forward(tgt: Tensor, memory: Tensor, masks: DecoderMasks = {}): Tensor {
    let x = tgt;
    for (const layer of this.layers) x = layer.forward(x, memory, masks);
    return this.norm?.forward(x) ?? x;
  }
}

/** Options of `Transformer`. */
export type TransformerOptions = TransformerLayerOptions & {
  readonly dModel?: number;
  readonly nhead?: number;
  readonly numEncoderLayers?: number;
  readonly numDecoderLayers?: number;
};

/** Masks of a transformer's call. */
export type TransformerMasks = DecoderMasks & {
  readonly srcMask?: Tensor | undefined;
  readonly srcKeyPaddingMask?: Tensor | undefined;
};

/** Encoder and decoder, each with a norm at its end; matrices start Xavier-uniform. */
export class Transformer extends Module {
  encoder: TransformerEncoder;
  decoder: TransformerDecoder;

  constructor(options: TransformerOptions = {}) {
    super();
    const { dModel = 512, nhead = 8, numEncoderLayers = 6, numDecoderLayers = 6, ...layer } = options;
    const eps = layer.layerNormEps ?? 1e-5;
    const norm = (): LayerNorm => new LayerNorm(dModel, { eps });
    const encoderLayer = (): TransformerEncoderLayer => new TransformerEncoderLayer(dModel, nhead, layer);
    const decoderLayer = (): TransformerDecoderLayer => new TransformerDecoderLayer(dModel, nhead, layer);
    this.encoder = new TransformerEncoder(encoderLayer, numEncoderLayers, { norm: norm() });
    this.decoder = new TransformerDecoder(decoderLayer, numDecoderLayers, { norm: norm() });
    for (const parameter of this.parameters()) if (parameter.ndim > 1) xavierUniform_(parameter);
  }

  /** src: [source length, batch, dModel], tgt: [length, batch, dModel] (or batch first). */
  forward(src: Tensor, tgt: Tensor, masks: TransformerMasks = {}): Tensor {
    const { srcMask: mask, srcKeyPaddingMask, ...decoder } = masks;
    return this.decoder.forward(tgt, this.encoder.forward(src, { mask, srcKeyPaddingMask }), decoder);
  }
}
