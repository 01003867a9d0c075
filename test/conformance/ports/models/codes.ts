/** Models of codes: the variational autoencoder, discrete codes, and a decoder over text and picture tokens. */
import * as F from "../../../../compiler/nn/functional/index.ts";
import * as nn from "../../../../compiler/nn/index.ts";
import { Module, type Layer } from "../../../../compiler/nn/module.ts";
import { arange, cat, randn } from "../../../../compiler/tensor/create.ts";
import { einsum } from "../../../../compiler/tensor/products.ts";
import { Parameter } from "../../../../compiler/trace/parameter.ts";
import type { Tensor } from "../../../../compiler/trace/tensor.ts";
import { at } from "../../../../ir/type.ts";
import { GptBlock } from "./language.ts";
import { numbersOf, only, type MakeNets, type Step } from "./port.ts";

class Vae extends Module {
  e1: nn.Linear;
  mu: nn.Linear;
  lv: nn.Linear;
  d1: nn.Linear;
  d2: nn.Linear;
  constructor(inputs: number, hidden: number, z: number) {
    super();
    this.e1 = new nn.Linear(inputs, hidden);
    this.mu = new nn.Linear(hidden, z);
    this.lv = new nn.Linear(hidden, z);
    this.d1 = new nn.Linear(z, hidden);
    this.d2 = new nn.Linear(hidden, inputs);
  }
  forward(x: Tensor, eps: Tensor): readonly [logits: Tensor, mu: Tensor, lv: Tensor] {
    const h = this.e1.forward(x).relu();
    const [mu, lv] = [this.mu.forward(h), this.lv.forward(h)];
    const z = mu.add(lv.mul(0.5).exp().mul(eps));
    return [this.d2.forward(this.d1.forward(z).relu()), mu, lv];
  }
}

class Dvae extends Module {
  readonly hard: boolean;
  enc: nn.Sequential;
  codebook: nn.Embedding;
  dec: nn.Sequential;
  constructor(k: number, dim: number, hidden: number, hard: boolean) {
    super();
    this.hard = hard;
    const halve = (i: number): Layer => new nn.Conv2d(i, hidden, 4, { stride: 2, padding: 1 });
    const double = (): Layer => new nn.ConvTranspose2d(hidden, hidden, 4, { stride: 2, padding: 1 });
    this.enc = new nn.Sequential(halve(3), new nn.ReLU(), halve(hidden), new nn.ReLU(), new nn.Conv2d(hidden, k, 1));
    this.codebook = new nn.Embedding(k, dim);
    this.dec = new nn.Sequential(
      new nn.Conv2d(dim, hidden, 1),
      new nn.ReLU(),
      double(),
      new nn.ReLU(),
      double(),
      new nn.ReLU(),
      new nn.Conv2d(hidden, 3, 1),
    );
  }
  forward(x: Tensor, gumbel: Tensor, tau: Tensor): readonly [picture: Tensor, logits: Tensor] {
    const logits = this.enc.forward(x);
    let y = F.softmax(logits.add(gumbel).div(tau), 1);
    if (this.hard) {
      const one = F.oneHot(y.argmax(1), at(y.shape, 1)).permute([0, 3, 1, 2]).to(y.dtype);
      y = one.sub(y.detach()).add(y);
    }
    return [this.dec.forward(einsum("bkhw,kd->bdhw", y, this.codebook.weight)), logits];
  }
}

class DalleT extends Module {
  readonly vt: number;
  readonly tt: number;
  readonly vi: number;
  readonly side: number;
  row: Parameter;
  col: Parameter;
  te: nn.Embedding;
  ie: nn.Embedding;
  tp: nn.Embedding;
  blocks: nn.ModuleList<GptBlock>;
  ln: nn.LayerNorm;
  head: nn.Linear;
  constructor(sizes: readonly number[]) {
    super();
    const [vt = 0, tt = 0, vi = 0, side = 0, d = 0, layers = 0, heads = 0] = sizes;
    this.vt = vt + tt;
    this.tt = tt;
    this.vi = vi;
    this.side = side;
    this.te = new nn.Embedding(vt + tt, d);
    this.ie = new nn.Embedding(vi, d);
    this.tp = new nn.Embedding(tt + 1, d);
    this.row = new Parameter(randn([side, 1, d]).mul_(0.02));
    this.col = new Parameter(randn([1, side, d]).mul_(0.02));
    this.blocks = new nn.ModuleList(Array.from({ length: layers }, () => new GptBlock(d, heads)));
    this.ln = new nn.LayerNorm(d);
    this.head = new nn.Linear(d, vt + tt + vi);
  }
  forward(given: Tensor, image: Tensor): readonly [text: Tensor, image: Tensor] {
    const n = this.tt + this.side * this.side;
    const own = arange(this.tt).add(this.vt - this.tt);
    const text = own.where(given.eq(0), given);
    const words = this.te.forward(F.pad(text, [1, 0])).add(this.tp.forward(arange(this.tt + 1)));
    const places = this.row.add(this.col).reshape([1, this.side * this.side, -1]);
    let x = cat([words, this.ie.forward(image).add(places)], 1).slice(1, 0, n);
    for (const block of this.blocks) x = block.forward(x);
    const isText = arange(n).unsqueeze(1).lt(this.tt);
    const allowed = isText.eq(
      arange(this.vt + this.vi)
        .unsqueeze(0)
        .lt(this.vt),
    );
    // The smallest finite number of f32, as torch.finfo has it.
    const logits = this.head
      .forward(this.ln.forward(x))
      .maskedFill(allowed.logicalNot(), -3.4028234663852886e38)
      .transpose(1, 2);
    const y = cat([text, image.add(this.vt)], 1);
    const part = (first: number, last: number): Tensor =>
      F.crossEntropy(logits.slice(2, first, last), y.slice(1, first, last));
    return [part(0, this.tt), part(this.tt, n)];
  }
}

/** Networks by the names of their models. */
export const codeNets: Readonly<Record<string, MakeNets>> = {
  VAE: (args) => {
    const [inputs = 0, hidden = 0, z = 0] = numbersOf(args);
    return { net: new Vae(inputs, hidden, z) };
  },
  DVAE: (args) => {
    const [k = 0, dim = 0, hidden = 0] = numbersOf(args);
    return { net: new Dvae(k, dim, hidden, Array.isArray(args) && args[3] === true) };
  },
  DalleT: (args) => ({ net: new DalleT(numbersOf(args)) }),
};

/** Steps by the name of their function in the reference. */
export const codeSteps: Readonly<Record<string, Step>> = {
  vae_step: (context) => {
    const { b, backwardStep } = context;
    const x = b("x");
    const [logits, mu, lv] = only(context, Vae).forward(x, b("eps"));
    const rec = F.binaryCrossEntropyWithLogits(logits, x, { reduction: "sum" }).div(at(x.shape, 0));
    const kld = lv.add(1).sub(mu.square()).sub(lv.exp()).sum(1).mean().mul(-0.5);
    const loss = rec.add(kld);
    backwardStep(loss);
    return [loss, kld];
  },
  dvae_step: (context) => {
    const { b, backwardStep } = context;
    const [picture, logits] = only(context, Dvae).forward(b("x"), b("gumbel"), b("tau"));
    const logs = F.logSoftmax(logits, 1);
    const kl = logs
      .exp()
      .mul(logs.add(Math.log(at(logits.shape, 1))))
      .sum(1)
      .mean();
    const loss = F.mseLoss(picture, b("x")).add(kl.mul(0.1));
    backwardStep(loss);
    return [loss, kl];
  },
  dalle_step: (context) => {
    const { b, backwardStep } = context;
    const [text, image] = only(context, DalleT).forward(b("text"), b("image"));
    const loss = text.add(image.mul(7)).div(8);
    backwardStep(loss);
    return [loss, text, image];
  },
};
