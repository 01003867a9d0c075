/** Diffusion models, in pixels and conditioned in a latent space, with their training steps and a sampler. */
import { noGrad } from "../../../../compiler/autodiff/backward.ts";
import * as F from "../../../../compiler/nn/functional/index.ts";
import * as nn from "../../../../compiler/nn/index.ts";
import { Module, type Layer } from "../../../../compiler/nn/module.ts";
import { arange, cat, full } from "../../../../compiler/tensor/create.ts";
import type { Tensor } from "../../../../compiler/trace/tensor.ts";
import { at } from "../../../../ir/type.ts";
import { numbersOf, only, type MakeNets, type Step } from "./port.ts";

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
    const [q, k, v] = this.qkv
      .forward(this.an.forward(h))
      .reshape([B, 3, C, H * W])
      .unbind(1);
    if (q === undefined || k === undefined || v === undefined) throw new RangeError("three projections");
    const weights = F.softmax(
      q
        .transpose(1, 2)
        .matmul(k)
        .mul(C ** -0.5),
      -1,
    );
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

/** Networks by the names of their models, and of the copies that a step averages. */
export const diffusionNets: Readonly<Record<string, MakeNets>> = {
  "DDPMNet ema": (args) => {
    const [inputs = 0, c = 0] = numbersOf(args);
    return { net: new DdpmNet(inputs, c), ema: new DdpmNet(inputs, c) };
  },
  UNet: (args) => {
    const [inputs = 0, c = 0, context = 0] = numbersOf(args);
    return { net: new UNet(inputs, c, context) };
  },
};

function noisy(b: (name: string) => Tensor): Tensor {
  const share = b("abar").reshape([-1, 1, 1, 1]);
  return share
    .sqrt()
    .mul(b("x0"))
    .add(share.rsub(1).sqrt().mul(b("eps")));
}

/** Steps by the name of their function in the reference. */
export const diffusionSteps: Readonly<Record<string, Step>> = {
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
};

/** What is computed after a training, by the name of the function in the reference. `b`: whole tensors of the data. */
export const diffusionResults: Readonly<
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
