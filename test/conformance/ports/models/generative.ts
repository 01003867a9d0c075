/** Generative models: variational, adversarial, diffusion, and discrete codes, with their training steps. */
import { grad, noGrad } from "../../../../compiler/autodiff/backward.ts";
import * as F from "../../../../compiler/nn/functional/index.ts";
import * as nn from "../../../../compiler/nn/index.ts";
import { Module, type Layer } from "../../../../compiler/nn/module.ts";
import { arange, cat, full, randn } from "../../../../compiler/tensor/create.ts";
import { einsum } from "../../../../compiler/tensor/products.ts";
import { Parameter } from "../../../../compiler/trace/parameter.ts";
import type { Tensor } from "../../../../compiler/trace/tensor.ts";
import { at } from "../../../../ir/type.ts";
import { GptBlock } from "./language.ts";
import { numbersOf, only, type MakeNets, type ModelArgs, type Step } from "./port.ts";

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

/** How often a picture of 4 pixels is doubled to reach its side. */
function doublings(side: number): number {
  return Math.log2(side) - 3;
}

class DcGenerator extends Module {
  main: nn.Sequential;
  constructor(nz: number, ngf: number, channels: number, side: number) {
    super();
    const n = doublings(side);
    let c = ngf * 2 ** n;
    const layers: Layer[] = [new nn.ConvTranspose2d(nz, c, 4, { bias: false }), new nn.BatchNorm2d(c), new nn.ReLU()];
    for (let i = 0; i < n; i++) {
      layers.push(
        new nn.ConvTranspose2d(c, c / 2, 4, { stride: 2, padding: 1, bias: false }),
        new nn.BatchNorm2d(c / 2),
        new nn.ReLU(),
      );
      c /= 2;
    }
    layers.push(new nn.ConvTranspose2d(c, channels, 4, { stride: 2, padding: 1, bias: false }), new nn.Tanh());
    this.main = new nn.Sequential(...layers);
  }
  forward(z: Tensor): Tensor {
    return this.main.forward(z);
  }
}

class DcDiscriminator extends Module {
  main: nn.Sequential;
  constructor(ndf: number, channels: number, side: number) {
    super();
    let c = ndf;
    const options = { stride: 2, padding: 1, bias: false };
    const layers: Layer[] = [new nn.Conv2d(channels, c, 4, options), new nn.LeakyReLU(0.2)];
    for (let i = 0; i < doublings(side); i++) {
      layers.push(new nn.Conv2d(c, 2 * c, 4, options), new nn.BatchNorm2d(2 * c), new nn.LeakyReLU(0.2));
      c *= 2;
    }
    layers.push(new nn.Conv2d(c, 1, 4, { bias: false }));
    this.main = new nn.Sequential(...layers);
  }
  forward(x: Tensor): Tensor {
    return this.main.forward(x).reshape([-1]);
  }
}

class EqLinear extends Module {
  readonly g: number;
  weight: Parameter;
  bias: Parameter;
  constructor(inputs: number, outputs: number, bias: number = 0) {
    super();
    this.weight = new Parameter(randn([outputs, inputs]));
    this.bias = new Parameter(full([outputs], bias, { dtype: "f32" }));
    this.g = 1 / Math.sqrt(inputs);
  }
  forward(x: Tensor): Tensor {
    return F.linear(x, this.weight.mul(this.g), this.bias);
  }
}

/** Leaky relu scaled to keep the variance. */
function scaledLeaky(x: Tensor): Tensor {
  return F.leakyRelu(x, 0.2).mul(Math.SQRT2);
}

class ModConv extends Module {
  readonly demod: boolean;
  readonly g: number;
  weight: Parameter;
  aff: EqLinear;
  bias: Parameter;
  noise: Parameter;
  constructor(inputs: number, outputs: number, wdim: number, k: number = 3, demod: boolean = true) {
    super();
    this.weight = new Parameter(randn([outputs, inputs, k, k]));
    this.aff = new EqLinear(wdim, inputs, 1);
    this.demod = demod;
    this.g = 1 / Math.sqrt(inputs * k * k);
    this.bias = new Parameter(full([outputs], 0, { dtype: "f32" }));
    this.noise = new Parameter(full([], 0.1));
  }
  forward(x: Tensor, w: Tensor, { noise, act = true }: { noise?: Tensor; act?: boolean } = {}): Tensor {
    const [B = 0, C = 0, H = 0, W = 0] = x.shape;
    const [outputs = 0, , k = 0] = this.weight.shape;
    const scale = this.aff.forward(w).reshape([B, 1, C, 1, 1]);
    let weights = this.weight.mul(this.g).unsqueeze(0).mul(scale);
    if (this.demod) weights = weights.mul(weights.square().sum([2, 3, 4], { keepdim: true }).add(1e-8).rsqrt());
    const options = { padding: Math.floor(k / 2), groups: B };
    const flat = F.conv2d(x.reshape([1, B * C, H, W]), weights.reshape([B * outputs, C, k, k]), options);
    let y = flat.reshape([B, outputs, ...flat.shape.slice(2)]);
    if (noise !== undefined) y = y.add(noise.mul(this.noise));
    y = y.add(this.bias.reshape([1, -1, 1, 1]));
    return act ? scaledLeaky(y) : y;
  }
}

/** The binomial filter 1 3 3 1 in both directions. */
function blur(x: Tensor): Tensor {
  const channels = at(x.shape, 1);
  const line = [1, 3, 3, 1].map((value) => full([1], value, { dtype: "f32" }));
  const row = cat(line);
  const kernel = row.unsqueeze(1).mul(row.unsqueeze(0)).div(64).reshape([1, 1, 4, 4]).repeat([channels, 1, 1, 1]);
  return F.conv2d(F.pad(x, [2, 1, 2, 1]), kernel, { groups: channels });
}

class StyleGenerator extends Module {
  const: Parameter;
  m1: EqLinear;
  m2: EqLinear;
  c1: ModConv;
  c2: ModConv;
  rgb: ModConv;
  constructor(z: number, wdim: number, c: number) {
    super();
    this.m1 = new EqLinear(z, wdim);
    this.m2 = new EqLinear(wdim, wdim);
    this.const = new Parameter(randn([c, 4, 4]));
    this.c1 = new ModConv(c, c, wdim);
    this.c2 = new ModConv(c, c / 2, wdim);
    this.rgb = new ModConv(c / 2, 3, wdim, 1, false);
  }
  mapping(z: Tensor): Tensor {
    const normal = z.mul(z.square().mean(1, { keepdim: true }).add(1e-8).rsqrt());
    return scaledLeaky(this.m2.forward(scaledLeaky(this.m1.forward(normal))));
  }
  synthesis(w: Tensor, n1: Tensor, n2: Tensor): Tensor {
    const start = this.const.unsqueeze(0).repeat([at(w.shape, 0), 1, 1, 1]);
    const small = this.c1.forward(start, w, { noise: n1 });
    const large = blur(F.interpolate(small, { scaleFactor: 2, mode: "bilinear", alignCorners: false }));
    return this.rgb.forward(this.c2.forward(large, w, { noise: n2 }), w, { act: false });
  }
  forward(z: Tensor, n1: Tensor, n2: Tensor): Tensor {
    return this.synthesis(this.mapping(z), n1, n2);
  }
}

class StyleDiscriminator extends Module {
  frgb: nn.Conv2d;
  c1: nn.Conv2d;
  c2: nn.Conv2d;
  sk: nn.Conv2d;
  c3: nn.Conv2d;
  l1: EqLinear;
  l2: EqLinear;
  constructor(c: number) {
    super();
    this.frgb = new nn.Conv2d(3, c, 1);
    this.c1 = new nn.Conv2d(c, c, 3, { padding: 1 });
    this.c2 = new nn.Conv2d(c, 2 * c, 3, { padding: 1 });
    this.sk = new nn.Conv2d(c, 2 * c, 1, { bias: false });
    this.c3 = new nn.Conv2d(2 * c + 1, 2 * c, 3, { padding: 1 });
    this.l1 = new EqLinear(2 * c * 16, 2 * c);
    this.l2 = new EqLinear(2 * c, 1);
  }
  forward(input: Tensor): Tensor {
    const x = scaledLeaky(this.frgb.forward(input));
    const skip = this.sk.forward(F.avgPool2d(blur(x), 2));
    const main = F.avgPool2d(blur(scaledLeaky(this.c2.forward(scaledLeaky(this.c1.forward(x))))), 2);
    const sum = main.add(skip).div(Math.SQRT2);
    const deviation = sum.var(0, { correction: 0 }).add(1e-8).sqrt().mean().reshape([1, 1, 1, 1]).repeat([at(sum.shape, 0), 1, 4, 4]);
    const last = scaledLeaky(this.c3.forward(cat([sum, deviation], 1)));
    return this.l2.forward(scaledLeaky(this.l1.forward(last.flatten(1)))).reshape([-1]);
  }
}

class CycleResidual extends Module {
  b: nn.Sequential;
  constructor(c: number) {
    super();
    const half = (): Layer[] => [new nn.ReflectionPad2d(1), new nn.Conv2d(c, c, 3), new nn.InstanceNorm2d(c)];
    this.b = new nn.Sequential(...half(), new nn.ReLU(), ...half());
  }
  forward(x: Tensor): Tensor {
    return x.add(this.b.forward(x));
  }
}

class CycleGenerator extends Module {
  main: nn.Sequential;
  constructor(nf: number, blocks: number) {
    super();
    const layers: Layer[] = [new nn.ReflectionPad2d(3), new nn.Conv2d(3, nf, 7), new nn.InstanceNorm2d(nf), new nn.ReLU()];
    for (const i of [1, 2])
      layers.push(new nn.Conv2d(nf * i, nf * 2 * i, 3, { stride: 2, padding: 1 }), new nn.InstanceNorm2d(nf * 2 * i), new nn.ReLU());
    for (let i = 0; i < blocks; i++) layers.push(new CycleResidual(nf * 4));
    for (const i of [2, 1])
      layers.push(
        new nn.ConvTranspose2d(nf * 2 * i, nf * i, 3, { stride: 2, padding: 1, outputPadding: 1 }),
        new nn.InstanceNorm2d(nf * i),
        new nn.ReLU(),
      );
    this.main = new nn.Sequential(...layers, new nn.ReflectionPad2d(3), new nn.Conv2d(nf, 3, 7), new nn.Tanh());
  }
  forward(x: Tensor): Tensor {
    return this.main.forward(x);
  }
}

class PatchDiscriminator extends Module {
  main: nn.Sequential;
  constructor(nf: number) {
    super();
    this.main = new nn.Sequential(
      new nn.Conv2d(3, nf, 4, { stride: 2, padding: 1 }),
      new nn.LeakyReLU(0.2),
      new nn.Conv2d(nf, 2 * nf, 4, { stride: 2, padding: 1 }),
      new nn.InstanceNorm2d(2 * nf),
      new nn.LeakyReLU(0.2),
      new nn.Conv2d(2 * nf, 4 * nf, 4, { padding: 1 }),
      new nn.InstanceNorm2d(4 * nf),
      new nn.LeakyReLU(0.2),
      new nn.Conv2d(4 * nf, 1, 4, { padding: 1 }),
    );
  }
  forward(x: Tensor): Tensor {
    return this.main.forward(x);
  }
}

class ResT extends Module {
  n1: nn.GroupNorm;
  c1: nn.Conv2d;
  t: nn.Linear;
  n2: nn.GroupNorm;
  c2: nn.Conv2d;
  skip: Layer;
  constructor(inputs: number, outputs: number, temb: number) {
    super();
    this.n1 = new nn.GroupNorm(4, inputs);
    this.c1 = new nn.Conv2d(inputs, outputs, 3, { padding: 1 });
    this.t = new nn.Linear(temb, outputs);
    this.n2 = new nn.GroupNorm(4, outputs);
    this.c2 = new nn.Conv2d(outputs, outputs, 3, { padding: 1 });
    this.skip = inputs === outputs ? new nn.Identity() : new nn.Conv2d(inputs, outputs, 1);
  }
  forward(x: Tensor, t: Tensor): Tensor {
    const time = this.t.forward(F.silu(t)).unsqueeze(-1).unsqueeze(-1);
    const h = this.c1.forward(F.silu(this.n1.forward(x))).add(time);
    return this.skip.forward(x).add(this.c2.forward(F.silu(this.n2.forward(h))));
  }
}

/** Angles of a sinusoidal embedding of `t` over `half` frequencies, of which the last is 1 / 10000^((half - 1) / divisor). */
function timeAngles(t: Tensor, half: number, divisor: number): Tensor {
  const rates = arange(half).toFloat().mul(-Math.log(10000)).div(divisor).exp();
  return t.toFloat().unsqueeze(1).mul(rates.unsqueeze(0));
}

class DdpmNet extends Module {
  readonly c: number;
  t1: nn.Linear;
  t2: nn.Linear;
  inp: nn.Conv2d;
  r1: ResT;
  down: nn.Conv2d;
  r2: ResT;
  an: nn.GroupNorm;
  qkv: nn.Conv2d;
  proj: nn.Conv2d;
  up: nn.ConvTranspose2d;
  r3: ResT;
  no: nn.GroupNorm;
  out: nn.Conv2d;
  constructor(inputs: number, c: number) {
    super();
    this.c = c;
    this.t1 = new nn.Linear(c, 4 * c);
    this.t2 = new nn.Linear(4 * c, 4 * c);
    this.inp = new nn.Conv2d(inputs, c, 3, { padding: 1 });
    this.r1 = new ResT(c, c, 4 * c);
    this.down = new nn.Conv2d(c, c, 3, { stride: 2, padding: 1 });
    this.r2 = new ResT(c, 2 * c, 4 * c);
    this.an = new nn.GroupNorm(4, 2 * c);
    this.qkv = new nn.Conv2d(2 * c, 6 * c, 1);
    this.proj = new nn.Conv2d(2 * c, 2 * c, 1);
    this.up = new nn.ConvTranspose2d(2 * c, c, 4, { stride: 2, padding: 1 });
    this.r3 = new ResT(2 * c, c, 4 * c);
    this.no = new nn.GroupNorm(4, c);
    this.out = new nn.Conv2d(c, inputs, 3, { padding: 1 });
  }
  forward(x: Tensor, t: Tensor): Tensor {
    const half = Math.floor(this.c / 2);
    const a = timeAngles(t, half, half - 1);
    const e = this.t2.forward(F.silu(this.t1.forward(cat([a.sin(), a.cos()], 1))));
    const h1 = this.r1.forward(this.inp.forward(x), e);
    const h = this.r2.forward(this.down.forward(h1), e);
    const [B = 0, C = 0, H = 0, W = 0] = h.shape;
    const [q, k, v] = this.qkv.forward(this.an.forward(h)).reshape([B, 3, C, H * W]).unbind(1);
    if (q === undefined || k === undefined || v === undefined) throw new RangeError("three projections");
    const weights = F.softmax(q.transpose(1, 2).matmul(k).mul(C ** -0.5), -1);
    const attended = v.matmul(weights.transpose(1, 2)).reshape([B, C, H, W]);
    const y = this.up.forward(h.add(this.proj.forward(attended)));
    return this.out.forward(F.silu(this.no.forward(this.r3.forward(cat([y, h1], 1), e))));
  }
}

class AttnT extends Module {
  norm: nn.GroupNorm;
  q: nn.Linear;
  k: nn.Linear;
  v: nn.Linear;
  o: nn.Linear;
  q2: nn.Linear;
  k2: nn.Linear;
  v2: nn.Linear;
  o2: nn.Linear;
  constructor(c: number, context: number) {
    super();
    this.norm = new nn.GroupNorm(4, c);
    this.q = new nn.Linear(c, c);
    this.k = new nn.Linear(c, c);
    this.v = new nn.Linear(c, c);
    this.o = new nn.Linear(c, c);
    this.q2 = new nn.Linear(c, c);
    this.k2 = new nn.Linear(context, c);
    this.v2 = new nn.Linear(context, c);
    this.o2 = new nn.Linear(c, c);
  }
  forward(x: Tensor, context: Tensor): Tensor {
    let h = this.norm.forward(x).flatten(2).transpose(1, 2);
    const own = F.scaledDotProductAttention(this.q.forward(h), this.k.forward(h), this.v.forward(h));
    h = h.add(this.o.forward(own));
    const cross = F.scaledDotProductAttention(this.q2.forward(h), this.k2.forward(context), this.v2.forward(context));
    h = h.add(this.o2.forward(cross));
    return x.add(h.transpose(1, 2).reshape(x.shape));
  }
}

class UNet extends Module {
  readonly c: number;
  t1: nn.Linear;
  t2: nn.Linear;
  inp: nn.Conv2d;
  r1: ResT;
  down: nn.Conv2d;
  r2: ResT;
  a2: AttnT;
  up: nn.Conv2d;
  r3: ResT;
  no: nn.GroupNorm;
  out: nn.Conv2d;
  constructor(inputs: number, c: number, context: number) {
    super();
    this.c = c;
    this.t1 = new nn.Linear(c, 4 * c);
    this.t2 = new nn.Linear(4 * c, 4 * c);
    this.inp = new nn.Conv2d(inputs, c, 3, { padding: 1 });
    this.r1 = new ResT(c, c, 4 * c);
    this.down = new nn.Conv2d(c, c, 3, { stride: 2, padding: 1 });
    this.r2 = new ResT(c, 2 * c, 4 * c);
    this.a2 = new AttnT(2 * c, context);
    this.up = new nn.Conv2d(2 * c, c, 3, { padding: 1 });
    this.r3 = new ResT(2 * c, c, 4 * c);
    this.no = new nn.GroupNorm(4, c);
    this.out = new nn.Conv2d(c, inputs, 3, { padding: 1 });
  }
  forward(x: Tensor, t: Tensor, context: Tensor): Tensor {
    const half = Math.floor(this.c / 2);
    const a = timeAngles(t, half, half);
    const e = this.t2.forward(F.silu(this.t1.forward(cat([a.cos(), a.sin()], 1))));
    const h1 = this.r1.forward(this.inp.forward(x), e);
    const deep = this.a2.forward(this.r2.forward(this.down.forward(h1), e), context);
    const h = this.up.forward(F.interpolate(deep, { scaleFactor: 2, mode: "nearest" }));
    return this.out.forward(F.silu(this.no.forward(this.r3.forward(cat([h, h1], 1), e))));
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
    const allowed = isText.eq(arange(this.vt + this.vi).unsqueeze(0).lt(this.vt));
    // The smallest finite number of f32, as torch.finfo has it.
    const logits = this.head.forward(this.ln.forward(x)).maskedFill(allowed.logicalNot(), -3.4028234663852886e38).transpose(1, 2);
    const y = cat([text, image.add(this.vt)], 1);
    const part = (first: number, last: number): Tensor => F.crossEntropy(logits.slice(2, first, last), y.slice(1, first, last));
    return [part(0, this.tt), part(this.tt, n)];
  }
}

function argsOf(args: ModelArgs, name: string): number[] {
  return Array.isArray(args) ? numbersOf(args) : numbersOf((args as Readonly<Record<string, readonly unknown[]>>)[name] ?? []);
}

/** Networks by the names of their models, and of the copies that a step averages. */
export const generativeNets: Readonly<Record<string, MakeNets>> = {
  VAE: (args) => {
    const [inputs = 0, hidden = 0, z = 0] = numbersOf(args);
    return { net: new Vae(inputs, hidden, z) };
  },
  "DCG, DCD": (args) => {
    const [nz = 0, ngf = 0, channels = 0, side = 0] = argsOf(args, "G");
    const [ndf = 0, inputs = 0, seen = 0] = argsOf(args, "D");
    return { G: new DcGenerator(nz, ngf, channels, side), D: new DcDiscriminator(ndf, inputs, seen) };
  },
  "StyleG, StyleD": (args) => {
    const [z = 0, wdim = 0, c = 0] = argsOf(args, "G");
    const [width = 0] = argsOf(args, "D");
    return { G: new StyleGenerator(z, wdim, c), D: new StyleDiscriminator(width) };
  },
  "CycleG, PatchD": (args) => {
    const [nf = 0, blocks = 0] = argsOf(args, "G");
    const [width = 0] = argsOf(args, "D");
    const generator = (): CycleGenerator => new CycleGenerator(nf, blocks);
    const judge = (): PatchDiscriminator => new PatchDiscriminator(width);
    return { G_AB: generator(), G_BA: generator(), D_A: judge(), D_B: judge() };
  },
  "DDPMNet ema": (args) => {
    const [inputs = 0, c = 0] = numbersOf(args);
    return { net: new DdpmNet(inputs, c), ema: new DdpmNet(inputs, c) };
  },
  UNet: (args) => {
    const [inputs = 0, c = 0, context = 0] = numbersOf(args);
    return { net: new UNet(inputs, c, context) };
  },
  DVAE: (args) => {
    const [k = 0, dim = 0, hidden = 0] = numbersOf(args);
    return { net: new Dvae(k, dim, hidden, Array.isArray(args) && args[3] === true) };
  },
  DalleT: (args) => ({ net: new DalleT(numbersOf(args)) }),
};

/** Mean square distance from one number. */
function distanceFrom(x: Tensor, value: number): Tensor {
  return F.mseLoss(x, x.fullLike(value));
}

function noisy(b: (name: string) => Tensor): Tensor {
  const share = b("abar").reshape([-1, 1, 1, 1]);
  return share.sqrt().mul(b("x0")).add(share.rsub(1).sqrt().mul(b("eps")));
}

const adversarialSteps: Readonly<Record<string, Step>> = {
  dcgan_step: (context) => {
    const { b, opts, keep } = context;
    const [G, D] = [only(context, DcGenerator, "G"), only(context, DcDiscriminator, "D")];
    const judged = (x: Tensor, isReal: boolean): Tensor => {
      const scores = D.forward(x);
      return F.binaryCrossEntropyWithLogits(scores, scores.fullLike(Number(isReal)));
    };
    D.zeroGrad();
    const real = judged(b("x"), true);
    real.backward();
    const fake = G.forward(b("z"));
    const false_ = judged(fake.detach(), false);
    false_.backward();
    keep(D, "D.");
    opts["D"]?.step();
    G.zeroGrad();
    const loss = judged(fake, true);
    loss.backward();
    keep(G, "G.");
    opts["G"]?.step();
    return [real.add(false_), loss];
  },
  r1_step: (context) => {
    const { b, opts, keep } = context;
    const [G, D] = [only(context, StyleGenerator, "G"), only(context, StyleDiscriminator, "D")];
    const real = b("x").detach().requiresGrad_();
    const fake = G.forward(b("z"), b("n1"), b("n2"));
    const [scoreReal, scoreFake] = [D.forward(real), D.forward(fake.detach())];
    const dLoss = F.softplus(scoreReal.neg()).mean().add(F.softplus(scoreFake).mean());
    const [slope] = grad(scoreReal.sum(), real, { createGraph: true });
    const r1 = slope.square().sum([1, 2, 3]).mean();
    opts["D"]?.zeroGrad();
    dLoss.add(r1.mul(10 / 2)).backward();
    keep(D, "D.");
    opts["D"]?.step();
    const w = G.mapping(b("z"));
    const picture = G.synthesis(w, b("n1"), b("n2"));
    const gLoss = F.softplus(D.forward(picture).neg()).mean();
    const pixels = Math.sqrt(at(picture.shape, 2) * at(picture.shape, 3));
    const [path] = grad(picture.mul(b("pl")).div(pixels).sum(), w, { createGraph: true });
    const lengths = path.square().sum(1).sqrt();
    const pathLoss = lengths.sub(0.5).square().mean();
    opts["G"]?.zeroGrad();
    gLoss.add(pathLoss.mul(2)).backward();
    keep(G, "G.");
    opts["G"]?.step();
    return [dLoss, r1, gLoss, pathLoss];
  },
  cycle_step: (context) => {
    const { b, opts, keep } = context;
    const [GA, GB] = [only(context, CycleGenerator, "G_AB"), only(context, CycleGenerator, "G_BA")];
    const [DA, DB] = [only(context, PatchDiscriminator, "D_A"), only(context, PatchDiscriminator, "D_B")];
    for (const judge of [DA, DB]) judge.requiresGrad_(false);
    const [fakeB, fakeA] = [GA.forward(b("a")), GB.forward(b("b"))];
    const same = F.l1Loss(GA.forward(b("b")), b("b")).add(F.l1Loss(GB.forward(b("a")), b("a"))).mul(5);
    const cycle = F.l1Loss(GB.forward(fakeB), b("a")).add(F.l1Loss(GA.forward(fakeA), b("b"))).mul(10);
    const fooled = distanceFrom(DB.forward(fakeB), 1).add(distanceFrom(DA.forward(fakeA), 1));
    opts["G"]?.zeroGrad();
    fooled.add(cycle).add(same).backward();
    keep(GA, "G_AB.");
    keep(GB, "G_BA.");
    opts["G"]?.step();
    const judged = (
      [
        ["A", DA, b("a"), fakeA],
        ["B", DB, b("b"), fakeB],
      ] as const
    ).map(([name, judge, real, fake]) => {
      judge.requiresGrad_(true);
      opts[name]?.zeroGrad();
      const loss = distanceFrom(judge.forward(real), 1).add(distanceFrom(judge.forward(fake.detach()), 0)).mul(0.5);
      loss.backward();
      keep(judge, `D_${name}.`);
      opts[name]?.step();
      return loss;
    });
    return [fooled, cycle, same, ...judged];
  },
};

/** Steps by the name of their function in the reference. */
export const generativeSteps: Readonly<Record<string, Step>> = {
  ...adversarialSteps,
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
  ddpm_step: (context) => {
    const { b, backwardStep } = context;
    const [net, ema] = [only(context, DdpmNet), only(context, DdpmNet, "ema")];
    const xt = noisy(b);
    const loss = F.mseLoss(net.forward(xt, b("t")), b("eps"));
    backwardStep(loss);
    return noGrad(() => {
      const current = net.parameters();
      ema.parameters().forEach((average, i) => average.mul_(0.9).add_(at(current, i), { alpha: 0.1 }));
      return [loss, F.mseLoss(ema.forward(xt, b("t")), b("eps"))];
    });
  },
  diff_step: (context) => {
    const { b, backwardStep } = context;
    const loss = F.mseLoss(only(context, UNet).forward(noisy(b), b("t"), b("ctx")), b("eps"));
    backwardStep(loss);
    return [loss];
  },
  dvae_step: (context) => {
    const { b, backwardStep } = context;
    const [picture, logits] = only(context, Dvae).forward(b("x"), b("gumbel"), b("tau"));
    const logs = F.logSoftmax(logits, 1);
    const kl = logs.exp().mul(logs.add(Math.log(at(logits.shape, 1)))).sum(1).mean();
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

/** What is computed after a training, by the name of the function in the reference. `b`: whole tensors of the data. */
export const generativeResults: Readonly<
  Record<string, (nets: Readonly<Record<string, Module>>, b: (name: string) => Tensor) => Record<string, Tensor>>
> = {
  ddpm_sample: (nets, b) => {
    const { ema } = nets;
    if (!(ema instanceof DdpmNet)) throw new TypeError("no averaged network");
    const [beta, abar, noise] = [b("beta").select(0, 0), b("abar_all").select(0, 0), b("noise").select(0, 0)];
    const steps = beta.numel();
    let x = noise.select(0, 0);
    for (let i = 0; i < steps; i++) {
      const t = steps - 1 - i;
      const e = ema.forward(x, full([at(x.shape, 0)], t, { dtype: "i64" }));
      const [own, share] = [beta.select(0, t), abar.select(0, t)];
      x = x.sub(own.div(share.rsub(1).sqrt()).mul(e)).div(own.rsub(1).sqrt());
      if (t > 0) x = x.add(own.sqrt().mul(noise.select(0, i + 1)));
    }
    return { sample: x };
  },
};
