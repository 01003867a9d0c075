/** Adversarial models: DCGAN, StyleGAN 2 with its gradient penalties, CycleGAN; and their training steps. */
import { grad } from "../../../../compiler/autodiff/backward.ts";
import * as F from "../../../../compiler/nn/functional/index.ts";
import * as nn from "../../../../compiler/nn/index.ts";
import { Module, type Layer } from "../../../../compiler/nn/module.ts";
import { cat, full, randn } from "../../../../compiler/tensor/create.ts";
import { Parameter } from "../../../../compiler/trace/parameter.ts";
import type { Tensor } from "../../../../compiler/trace/tensor.ts";
import { at } from "../../../../ir/type.ts";
import { numbersOf, only, type MakeNets, type ModelArgs, type Step } from "./port.ts";

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
    const deviation = sum
      .var(0, { correction: 0 })
      .add(1e-8)
      .sqrt()
      .mean()
      .reshape([1, 1, 1, 1])
      .repeat([at(sum.shape, 0), 1, 4, 4]);
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
    const layers: Layer[] = [
      new nn.ReflectionPad2d(3),
      new nn.Conv2d(3, nf, 7),
      new nn.InstanceNorm2d(nf),
      new nn.ReLU(),
    ];
    for (const i of [1, 2])
      layers.push(
        new nn.Conv2d(nf * i, nf * 2 * i, 3, { stride: 2, padding: 1 }),
        new nn.InstanceNorm2d(nf * 2 * i),
        new nn.ReLU(),
      );
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

function argsOf(args: ModelArgs, name: string): number[] {
  return Array.isArray(args)
    ? numbersOf(args)
    : numbersOf((args as Readonly<Record<string, readonly unknown[]>>)[name] ?? []);
}

/** Networks by the names of their models. */
export const adversarialNets: Readonly<Record<string, MakeNets>> = {
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
};

/** Mean square distance from one number. */
function distanceFrom(x: Tensor, value: number): Tensor {
  return F.mseLoss(x, x.fullLike(value));
}

/** Steps by the name of their function in the reference. */
export const adversarialSteps: Readonly<Record<string, Step>> = {
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
    const same = F.l1Loss(GA.forward(b("b")), b("b"))
      .add(F.l1Loss(GB.forward(b("a")), b("a")))
      .mul(5);
    const cycle = F.l1Loss(GB.forward(fakeB), b("a"))
      .add(F.l1Loss(GA.forward(fakeA), b("b")))
      .mul(10);
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
      const loss = distanceFrom(judge.forward(real), 1)
        .add(distanceFrom(judge.forward(fake.detach()), 0))
        .mul(0.5);
      loss.backward();
      keep(judge, `D_${name}.`);
      opts[name]?.step();
      return loss;
    });
    return [fooled, cycle, same, ...judged];
  },
};
