/** Models from sequences to sequences, speech with CTC, and detection, with their training steps. */
import * as F from "../../../../compiler/nn/functional/index.ts";
import * as nn from "../../../../compiler/nn/index.ts";
import { Module } from "../../../../compiler/nn/module.ts";
import { arange, cat, ones, stack } from "../../../../compiler/tensor/create.ts";
import type { Tensor } from "../../../../compiler/trace/tensor.ts";
import { at } from "../../../../ir/type.ts";
import { numbersOf, only, type MakeNets, type Step } from "./port.ts";

class Seq2SeqGru extends Module {
  es: nn.Embedding;
  et: nn.Embedding;
  enc: nn.GRU;
  dec: nn.GRU;
  out: nn.Linear;
  constructor(vs: number, vt: number, emb: number, hidden: number, layers: number) {
    super();
    this.es = new nn.Embedding(vs, emb);
    this.et = new nn.Embedding(vt, emb);
    this.enc = new nn.GRU(emb, hidden, { numLayers: layers, batchFirst: true });
    this.dec = new nn.GRU(emb, hidden, { numLayers: layers, batchFirst: true });
    this.out = new nn.Linear(hidden, vt);
  }
  forward(src: Tensor, tgt: Tensor, teacher: Tensor): Tensor {
    let [, h] = this.enc.forward(this.es.forward(src));
    let token = tgt.select(1, 0);
    const logits: Tensor[] = [];
    for (let t = 0; t < at(tgt.shape, 1) - 1; t++) {
      const [o, next] = this.dec.forward(this.et.forward(token).unsqueeze(1), h);
      h = next;
      const y = this.out.forward(o.select(1, 0));
      logits.push(y);
      token = tgt.select(1, t + 1).where(teacher.select(0, t), y.argmax(1));
    }
    return stack(logits, 1);
  }
}

class AttnSeq2Seq extends Module {
  es: nn.Embedding;
  et: nn.Embedding;
  enc: nn.GRU;
  init: nn.Linear;
  wk: nn.Linear;
  wq: nn.Linear | undefined;
  v: nn.Linear | undefined;
  cell: nn.GRUCell;
  wc: nn.Linear | undefined;
  out: nn.Linear;
  constructor(kind: string, vs: number, vt: number, emb: number, hid: number) {
    super();
    this.es = new nn.Embedding(vs, emb, { paddingIdx: 0 });
    this.et = new nn.Embedding(vt, emb, { paddingIdx: 0 });
    this.enc = new nn.GRU(emb, hid, { batchFirst: true, bidirectional: true });
    this.init = new nn.Linear(2 * hid, hid);
    this.wk = new nn.Linear(2 * hid, hid, { bias: false });
    if (kind === "bahdanau") {
      this.wq = new nn.Linear(hid, hid, { bias: false });
      this.v = new nn.Linear(hid, 1, { bias: false });
      this.cell = new nn.GRUCell(emb + 2 * hid, hid);
      this.wc = undefined;
      this.out = new nn.Linear(emb + 3 * hid, vt);
    } else {
      this.wq = undefined;
      this.v = undefined;
      this.cell = new nn.GRUCell(emb + hid, hid);
      this.wc = new nn.Linear(3 * hid, hid);
      this.out = new nn.Linear(hid, vt);
    }
  }
  forward(src: Tensor, tgt: Tensor): Tensor {
    const [memory, h] = this.enc.forward(this.es.forward(src));
    let state = this.init.forward(cat([h.select(0, 0), h.select(0, 1)], 1)).tanh();
    const keys = this.wk.forward(memory);
    const padding = src.eq(0);
    const context = (scores: Tensor): Tensor =>
      F.softmax(scores.maskedFill(padding, -Infinity), 1).unsqueeze(1).matmul(memory).select(1, 0);
    let feed = state.zerosLike();
    const logits: Tensor[] = [];
    for (let t = 0; t < at(tgt.shape, 1) - 1; t++) {
      const e = this.et.forward(tgt.select(1, t));
      if (this.wq !== undefined && this.v !== undefined) {
        const energy = keys.add(this.wq.forward(state).unsqueeze(1)).tanh();
        const c = context(this.v.forward(energy).select(2, 0));
        state = this.cell.forward(cat([e, c], 1), state);
        logits.push(this.out.forward(cat([state, c, e], 1)));
      } else if (this.wc !== undefined) {
        state = this.cell.forward(cat([e, feed], 1), state);
        const c = context(keys.matmul(state.unsqueeze(-1)).select(2, 0));
        feed = this.wc.forward(cat([c, state], 1)).tanh();
        logits.push(this.out.forward(feed));
      }
    }
    return stack(logits, 1);
  }
}

class TransformerEd extends Module {
  readonly d: number;
  src: nn.Embedding;
  tgt: nn.Embedding;
  tr: nn.Transformer;
  out: nn.Linear;
  constructor(sizes: readonly number[], normFirst: boolean) {
    super();
    const [vs = 0, vt = 0, d = 0, heads = 0, ff = 0, ne = 0, nd = 0] = sizes;
    this.d = d;
    this.src = new nn.Embedding(vs, d, { paddingIdx: 0 });
    this.tgt = new nn.Embedding(vt, d, { paddingIdx: 0 });
    this.tr = new nn.Transformer({
      dModel: d,
      nhead: heads,
      numEncoderLayers: ne,
      numDecoderLayers: nd,
      dimFeedforward: ff,
      dropout: 0,
      batchFirst: true,
      normFirst,
    });
    this.out = new nn.Linear(d, vt);
  }
  #positions(n: number): Tensor {
    const rates = arange(0, this.d, 2)
      .toFloat()
      .mul(-Math.log(10000) / this.d)
      .exp();
    const angles = arange(n).unsqueeze(1).toFloat().mul(rates);
    return stack([angles.sin(), angles.cos()], 2).reshape([n, this.d]);
  }
  forward(src: Tensor, tgt: Tensor): Tensor {
    const scale = Math.sqrt(this.d);
    const [n, m] = [at(src.shape, 1), at(tgt.shape, 1)];
    const x = this.src.forward(src).mul(scale).add(this.#positions(n));
    const y = this.tgt.forward(tgt).mul(scale).add(this.#positions(m));
    const h = this.tr.forward(x, y, {
      tgtMask: ones([m, m]).triu(1).toBool(),
      srcKeyPaddingMask: src.eq(0),
      tgtKeyPaddingMask: tgt.eq(0),
      memoryKeyPaddingMask: src.eq(0),
    });
    return this.out.forward(h);
  }
}

class SpeechCtc extends Module {
  c1: nn.Conv1d;
  b1: nn.BatchNorm1d;
  c2: nn.Conv1d;
  b2: nn.BatchNorm1d;
  rnn: nn.LSTM;
  fc: nn.Linear;
  constructor(f: number, c: number, hidden: number, vocab: number) {
    super();
    this.c1 = new nn.Conv1d(f, c, 5, { stride: 2, padding: 2 });
    this.b1 = new nn.BatchNorm1d(c);
    this.c2 = new nn.Conv1d(c, c, 3, { padding: 1 });
    this.b2 = new nn.BatchNorm1d(c);
    this.rnn = new nn.LSTM(c, hidden, { batchFirst: true, bidirectional: true });
    this.fc = new nn.Linear(2 * hidden, vocab);
  }
  forward(x: Tensor): Tensor {
    let h = F.hardtanh(this.b1.forward(this.c1.forward(x)), 0, 20);
    h = F.hardtanh(this.b2.forward(this.c2.forward(h)), 0, 20);
    const [states] = this.rnn.forward(h.transpose(1, 2));
    return F.logSoftmax(this.fc.forward(states), -1).transpose(0, 1);
  }
}

class TinySsd extends Module {
  readonly k: number;
  base: nn.Sequential;
  down: nn.Sequential;
  loc: nn.ModuleList<nn.Conv2d>;
  cls: nn.ModuleList<nn.Conv2d>;
  constructor(c: number, anchors: number, classes: number) {
    super();
    this.k = classes + 1;
    const block = (i: number, o: number, stride: number): nn.Sequential =>
      new nn.Sequential(
        new nn.Conv2d(i, o, 3, { stride, padding: 1, bias: false }),
        new nn.BatchNorm2d(o),
        new nn.ReLU(),
      );
    const head = (i: number, o: number): nn.Conv2d => new nn.Conv2d(i, o, 3, { padding: 1 });
    this.base = new nn.Sequential(block(3, c, 2), block(c, 2 * c, 2));
    this.down = block(2 * c, 4 * c, 2);
    this.loc = new nn.ModuleList([head(2 * c, anchors * 4), head(4 * c, anchors * 4)]);
    this.cls = new nn.ModuleList([head(2 * c, anchors * this.k), head(4 * c, anchors * this.k)]);
  }
  forward(x: Tensor): readonly [loc: Tensor, cls: Tensor] {
    const first = this.base.forward(x);
    const maps = [first, this.down.forward(first)];
    const heads = (list: nn.ModuleList<nn.Conv2d>, n: number): Tensor =>
      cat(
        list.map((conv, i) =>
          conv
            .forward(at(maps, i))
            .permute([0, 2, 3, 1])
            .reshape([at(x.shape, 0), -1, n]),
        ),
        1,
      );
    return [heads(this.loc, 4), heads(this.cls, this.k)];
  }
}

/** Networks by the name of their model. */
export const sequenceNets: Readonly<Record<string, MakeNets>> = {
  Seq2SeqGRU: (args) => {
    const [vs = 0, vt = 0, emb = 0, hidden = 0, layers = 0] = numbersOf(args);
    return { net: new Seq2SeqGru(vs, vt, emb, hidden, layers) };
  },
  AttnSeq2Seq: (args) => {
    const [, vs = 0, vt = 0, emb = 0, hidden = 0] = numbersOf(args);
    return { net: new AttnSeq2Seq(Array.isArray(args) ? String(args[0]) : "", vs, vt, emb, hidden) };
  },
  TransformerED: (args) => ({ net: new TransformerEd(numbersOf(args), Array.isArray(args) && args[7] === true) }),
  SpeechCTC: (args) => {
    const [f = 0, c = 0, hidden = 0, vocab = 0] = numbersOf(args);
    return { net: new SpeechCtc(f, c, hidden, vocab) };
  },
  TinySSD: (args) => {
    const [c = 0, anchors = 0, classes = 0] = numbersOf(args);
    return { net: new TinySsd(c, anchors, classes) };
  },
};

/** Steps by the name of their function in the reference. */
export const sequenceSteps: Readonly<Record<string, Step>> = {
  s2s_step: (context) => {
    const { b, backwardStep } = context;
    const logits = only(context, Seq2SeqGru).forward(b("src"), b("tgt"), b("tf"));
    const loss = F.crossEntropy(logits.flatten(0, 1), b("tgt").slice(1, 1).flatten());
    backwardStep(loss);
    return [loss];
  },
  attn_step: (context) => {
    const { b, backwardStep } = context;
    const logits = only(context, AttnSeq2Seq).forward(b("src"), b("tgt"));
    const loss = F.crossEntropy(logits.flatten(0, 1), b("tgt").slice(1, 1).flatten(), { ignoreIndex: 0 });
    backwardStep(loss);
    return [loss];
  },
  tr_step: (context) => {
    const { b, backwardStep, rate } = context;
    const y = b("tgt");
    const logits = only(context, TransformerEd).forward(b("src"), y.slice(1, 0, -1));
    const options = { ignoreIndex: 0, labelSmoothing: 0.1 };
    const loss = F.crossEntropy(logits.flatten(0, 1), y.slice(1, 1).flatten(), options);
    backwardStep(loss);
    return [loss, rate("net")];
  },
  ctc_step: (context) => {
    const { b, backwardStep } = context;
    const logs = only(context, SpeechCtc).forward(b("x"));
    const lengths = b("xlen").add(1).floorDivide(2);
    const loss = F.ctcLoss(logs, b("y"), lengths, b("ylen"), { blank: 0, zeroInfinity: true });
    backwardStep(loss);
    return [loss];
  },
  ssd_step: (context) => {
    const { b, backwardStep } = context;
    const [loc, cls] = only(context, TinySsd).forward(b("x"));
    const positive = b("label").gt(0);
    const count = positive.sum().maximum(1);
    const boxes = F.smoothL1Loss(loc, b("box"), { reduction: "none" }).sum(2).where(positive, 0).sum().div(count);
    const entropy = F.crossEntropy(cls.flatten(0, 1), b("label").flatten(), { reduction: "none" }).reshape(
      positive.shape,
    );
    // The hardest negatives, three times as many as there are positives; rank 0 is the hardest.
    const hardness = entropy.detach().maskedFill(positive, -1);
    const rank = hardness.argsort(1, { descending: true }).argsort(1);
    const negative = rank.lt(positive.sum(1, { keepdim: true }).mul(3)).logicalAnd(positive.logicalNot());
    const classes = entropy.mul(positive.logicalOr(negative).to(entropy.dtype)).sum().div(count);
    backwardStep(boxes.add(classes));
    return [boxes, classes];
  },
};
