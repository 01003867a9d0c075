/** Language models: decoders and encoders of attention, recurrent ones, and text classifiers, with their training steps. */
import { clipGradNorm_ } from "../../../../compiler/nn/clip.ts";
import * as F from "../../../../compiler/nn/functional/index.ts";
import * as init from "../../../../compiler/nn/init.ts";
import * as nn from "../../../../compiler/nn/index.ts";
import { Module } from "../../../../compiler/nn/module.ts";
import { arange, ones } from "../../../../compiler/tensor/create.ts";
import type { Tensor } from "../../../../compiler/trace/tensor.ts";
import { at } from "../../../../ir/type.ts";
import { numbersOf, only, type MakeNets, type Step } from "./port.ts";

/** A block of a decoder; with p > 0 dropout on attention, its output and the feed-forward, in this order. */
export class GptBlock extends Module {
  readonly h: number;
  readonly approximate: "none" | "tanh";
  ln1: nn.LayerNorm;
  ln2: nn.LayerNorm;
  qkv: nn.Linear;
  proj: nn.Linear;
  fc: nn.Linear;
  out: nn.Linear;
  da: nn.Dropout;
  dr: nn.Dropout;
  df: nn.Dropout;

  constructor(
    d: number,
    heads: number,
    { p = 0, approximate = "tanh" }: { p?: number; approximate?: "none" | "tanh" } = {},
  ) {
    super();
    this.h = heads;
    this.approximate = approximate;
    this.ln1 = new nn.LayerNorm(d);
    this.ln2 = new nn.LayerNorm(d);
    this.qkv = new nn.Linear(d, 3 * d);
    this.proj = new nn.Linear(d, d);
    this.fc = new nn.Linear(d, 4 * d);
    this.out = new nn.Linear(4 * d, d);
    this.da = new nn.Dropout(p);
    this.dr = new nn.Dropout(p);
    this.df = new nn.Dropout(p);
  }

  forward(x: Tensor): Tensor {
    const [B = 0, T = 0, D = 0] = x.shape;
    const heads = this.qkv
      .forward(this.ln1.forward(x))
      .reshape([B, T, 3, this.h, D / this.h])
      .permute([2, 0, 3, 1, 4]);
    const [q, k, v] = heads.unbind(0);
    if (q === undefined || k === undefined || v === undefined) throw new RangeError("three projections");
    const scores = q.matmul(k.transpose(-2, -1)).div(Math.sqrt(D / this.h));
    const future = ones([T, T]).triu(1).toBool();
    const weights = this.da.forward(F.softmax(scores.maskedFill(future, -Infinity), -1));
    const joined = weights.matmul(v).transpose(1, 2).reshape([B, T, D]);
    const y = x.add(this.dr.forward(this.proj.forward(joined)));
    const fed = F.gelu(this.fc.forward(this.ln2.forward(y)), { approximate: this.approximate });
    return y.add(this.df.forward(this.out.forward(fed)));
  }
}

class Gpt extends Module {
  wte: nn.Embedding;
  wpe: nn.Embedding;
  blocks: nn.ModuleList<GptBlock>;
  ln_f: nn.LayerNorm;
  constructor(vocab: number, block: number, layers: number, heads: number, d: number) {
    super();
    this.wte = new nn.Embedding(vocab, d);
    this.wpe = new nn.Embedding(block, d);
    this.blocks = new nn.ModuleList(Array.from({ length: layers }, () => new GptBlock(d, heads)));
    this.ln_f = new nn.LayerNorm(d);
    for (const parameter of this.parameters()) if (parameter.ndim > 1) init.normal_(parameter, 0, 0.02);
  }
  forward(idx: Tensor): Tensor {
    let x = this.wte.forward(idx).add(this.wpe.forward(arange(at(idx.shape, 1))));
    for (const block of this.blocks) x = block.forward(x);
    return this.ln_f.forward(x).matmul(this.wte.weight.t());
  }
}

class DropGpt extends Module {
  wte: nn.Embedding;
  wpe: nn.Embedding;
  drop: nn.Dropout;
  blocks: nn.ModuleList<GptBlock>;
  ln_f: nn.LayerNorm;
  head: nn.Linear;
  constructor(vocab: number, block: number, layers: number, heads: number, d: number, p: number) {
    super();
    this.wte = new nn.Embedding(vocab, d);
    this.wpe = new nn.Embedding(block, d);
    this.drop = new nn.Dropout(p);
    this.blocks = new nn.ModuleList(
      Array.from({ length: layers }, () => new GptBlock(d, heads, { p, approximate: "none" })),
    );
    this.ln_f = new nn.LayerNorm(d);
    this.head = new nn.Linear(d, vocab, { bias: false });
  }
  forward(idx: Tensor): Tensor {
    let x = this.drop.forward(this.wte.forward(idx).add(this.wpe.forward(arange(at(idx.shape, 1)))));
    for (const block of this.blocks) x = block.forward(x);
    return this.head.forward(this.ln_f.forward(x));
  }
}

class TinyBert extends Module {
  tok: nn.Embedding;
  pos: nn.Embedding;
  ln: nn.LayerNorm;
  enc: nn.ModuleList<nn.TransformerEncoderLayer>;
  head: nn.Linear;
  constructor(vocab: number, longest: number, layers: number, heads: number, d: number) {
    super();
    this.tok = new nn.Embedding(vocab, d, { paddingIdx: 0 });
    this.pos = new nn.Embedding(longest, d);
    this.ln = new nn.LayerNorm(d, { eps: 1e-12 });
    const options = { dimFeedforward: 4 * d, dropout: 0, activation: "gelu", batchFirst: true } as const;
    this.enc = new nn.ModuleList(
      Array.from({ length: layers }, () => new nn.TransformerEncoderLayer(d, heads, options)),
    );
    this.head = new nn.Linear(d, vocab);
  }
  forward(idx: Tensor): Tensor {
    let x = this.ln.forward(this.tok.forward(idx).add(this.pos.forward(arange(at(idx.shape, 1)))));
    for (const layer of this.enc) x = layer.forward(x, { srcKeyPaddingMask: idx.eq(0) });
    return this.head.forward(x);
  }
}

class CharRnn extends Module {
  emb: nn.Embedding;
  rnn: nn.LSTM | nn.GRU | nn.RNN;
  fc: nn.Linear;
  constructor(kind: string, vocab: number, emb: number, hidden: number, layers: number) {
    super();
    this.emb = new nn.Embedding(vocab, emb);
    const options = { numLayers: layers, batchFirst: true };
    const make = { LSTM: nn.LSTM, GRU: nn.GRU, RNN: nn.RNN }[kind];
    if (make === undefined) throw new TypeError(`no recurrent layer ${kind}`);
    this.rnn = new make(emb, hidden, options);
    this.fc = new nn.Linear(hidden, vocab);
  }
  forward(idx: Tensor): Tensor {
    return this.fc.forward(this.rnn.forward(this.emb.forward(idx))[0]);
  }
}

class TextBag extends Module {
  emb: nn.EmbeddingBag;
  fc: nn.Linear;
  constructor(vocab: number, emb: number, classes: number) {
    super();
    this.emb = new nn.EmbeddingBag(vocab, emb, { mode: "mean" });
    this.fc = new nn.Linear(emb, classes);
  }
  forward(text: Tensor, offsets: Tensor): Tensor {
    return this.fc.forward(this.emb.forward(text, offsets));
  }
}

class TextLstm extends Module {
  emb: nn.Embedding;
  rnn: nn.LSTM;
  fc: nn.Linear;
  constructor(vocab: number, emb: number, hidden: number) {
    super();
    this.emb = new nn.Embedding(vocab, emb, { paddingIdx: 0 });
    this.rnn = new nn.LSTM(emb, hidden, { batchFirst: true, bidirectional: true });
    this.fc = new nn.Linear(2 * hidden, 1);
  }
  forward(x: Tensor, lengths: Tensor): Tensor {
    const [, [h]] = this.rnn.forward(this.emb.forward(x), undefined, { lengths });
    const [hidden] = [h.transpose(0, 1).flatten(1)];
    return this.fc.forward(hidden).select(1, 0);
  }
}

/** Networks by the name of their model. */
export const languageNets: Readonly<Record<string, MakeNets>> = {
  GPT: (args) => {
    const [vocab = 0, block = 0, layers = 0, heads = 0, d = 0] = numbersOf(args);
    return { net: new Gpt(vocab, block, layers, heads, d) };
  },
  DropGPT: (args) => {
    const [vocab = 0, block = 0, layers = 0, heads = 0, d = 0, p = 0] = numbersOf(args);
    return { net: new DropGpt(vocab, block, layers, heads, d, p) };
  },
  TinyBERT: (args) => {
    const [vocab = 0, longest = 0, layers = 0, heads = 0, d = 0] = numbersOf(args);
    return { net: new TinyBert(vocab, longest, layers, heads, d) };
  },
  CharRNN: (args) => {
    const [, vocab = 0, emb = 0, hidden = 0, layers = 0] = numbersOf(args);
    return { net: new CharRnn(Array.isArray(args) ? String(args[0]) : "", vocab, emb, hidden, layers) };
  },
  TextBag: (args) => {
    const [vocab = 0, emb = 0, classes = 0] = numbersOf(args);
    return { net: new TextBag(vocab, emb, classes) };
  },
  TextLSTM: (args) => {
    const [vocab = 0, emb = 0, hidden = 0] = numbersOf(args);
    return { net: new TextLstm(vocab, emb, hidden) };
  },
};

type LanguageModel = Module & { forward(idx: Tensor): Tensor };

function languageModel(net: Module | undefined): LanguageModel {
  if (net instanceof Gpt || net instanceof DropGpt || net instanceof CharRnn || net instanceof TinyBert) return net;
  throw new TypeError("no language model");
}

/** Cross entropy over all positions. */
function languageLoss(net: Module | undefined, x: Tensor, y: Tensor): Tensor {
  const logits = languageModel(net).forward(x);
  return F.crossEntropy(logits.flatten(0, 1), y.flatten());
}

/** Steps by the name of their function in the reference. */
export const languageSteps: Readonly<Record<string, Step>> = {
  lm_step: ({ nets, opts, b, keep, clip }) => {
    const { net } = nets;
    const loss = languageLoss(net, b("x"), b("y"));
    if (net === undefined) throw new TypeError("no network");
    opts["net"]?.zeroGrad();
    loss.backward();
    keep(net);
    const norm = clipGradNorm_(net.parameters(), clip);
    opts["net"]?.step();
    return [loss, norm];
  },
  drop_step: ({ nets, b, backwardStep }) => {
    const loss = languageLoss(nets["net"], b("x"), b("y"));
    backwardStep(loss);
    return [loss];
  },
  mlm_step: (context) => {
    const { b, backwardStep } = context;
    const logits = only(context, TinyBert).forward(b("x"));
    const loss = F.crossEntropy(logits.flatten(0, 1), b("y").flatten(), { ignoreIndex: -100 });
    backwardStep(loss);
    return [loss];
  },
  bag_step: (context) => {
    const { b, backwardStep } = context;
    const loss = F.crossEntropy(only(context, TextBag).forward(b("text"), b("offsets")), b("y"));
    backwardStep(loss);
    return [loss];
  },
  text_step: (context) => {
    const { b, backwardStep } = context;
    const loss = F.binaryCrossEntropyWithLogits(only(context, TextLstm).forward(b("x"), b("lens")), b("y"));
    backwardStep(loss);
    return [loss];
  },
};
