/** Classifiers of pictures: the multilayer perceptron, LeNet's and AlexNet's kind, VGG, ResNet, and their training steps. */
import * as F from "../../../../compiler/nn/functional/index.ts";
import * as nn from "../../../../compiler/nn/index.ts";
import { Module, type Layer } from "../../../../compiler/nn/module.ts";
import type { Tensor } from "../../../../compiler/trace/tensor.ts";
import { currentTrace } from "../../../../compiler/trace/trace.ts";
import { noGrad } from "../../../../compiler/autodiff/backward.ts";
import { isFloat } from "../../../../ir/type.ts";
import { Cnn } from "../programs.ts";
import { numbersOf, only, type MakeNets, type ModelArgs, type Step } from "./port.ts";

/** A network from pictures to logits. */
export type PictureNet = Module & { forward(x: Tensor): Tensor };

class Mlp extends Module {
  fc1: nn.Linear;
  fc2: nn.Linear;
  constructor(inputs: number, hidden: number, outputs: number) {
    super();
    this.fc1 = new nn.Linear(inputs, hidden);
    this.fc2 = new nn.Linear(hidden, outputs);
  }
  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.fc1.forward(x.flatten(1)).relu());
  }
}

class AlexNet extends Module {
  features: nn.Sequential;
  pool: nn.AdaptiveAvgPool2d;
  fc1: nn.Linear;
  fc2: nn.Linear;
  fc3: nn.Linear;
  constructor(w: number, hidden: number, classes: number, lrn: boolean, k: number = 2) {
    super();
    const norm = (): Layer =>
      lrn ? new nn.LocalResponseNorm(5, { alpha: 1e-2, beta: 0.75, k: 2 }) : new nn.Identity();
    const conv = (i: number, o: number, kernel: number, stride: number, padding: number): Layer =>
      new nn.Conv2d(i, o, kernel, { stride, padding });
    this.features = new nn.Sequential(
      conv(3, w, 5, 2, 2),
      new nn.ReLU(),
      norm(),
      new nn.MaxPool2d(3, { stride: 2 }),
      conv(w, 3 * w, 5, 1, 2),
      new nn.ReLU(),
      norm(),
      new nn.MaxPool2d(3, { stride: 2 }),
      conv(3 * w, 6 * w, 3, 1, 1),
      new nn.ReLU(),
      conv(6 * w, 4 * w, 3, 1, 1),
      new nn.ReLU(),
      conv(4 * w, 4 * w, 3, 1, 1),
      new nn.ReLU(),
    );
    this.pool = new nn.AdaptiveAvgPool2d(k);
    this.fc1 = new nn.Linear(4 * w * k * k, hidden);
    this.fc2 = new nn.Linear(hidden, hidden);
    this.fc3 = new nn.Linear(hidden, classes);
  }
  forward(x: Tensor, m1: Tensor, m2: Tensor): Tensor {
    const flat = this.pool.forward(this.features.forward(x)).flatten(1).mul(m1).div(0.5);
    const hidden = this.fc1.forward(flat).relu().mul(m2).div(0.5);
    return this.fc3.forward(this.fc2.forward(hidden).relu());
  }
}

class Vgg11Bn extends Module {
  features: nn.Sequential;
  fc1: nn.Linear;
  fc2: nn.Linear;
  fc3: nn.Linear;
  constructor(w: number, hidden: number, classes: number) {
    super();
    const layers: Layer[] = [];
    let channels = 3;
    for (const width of [1, "M", 2, "M", 4, 4, "M", 8, 8, "M", 8, 8, "M"] as const) {
      if (width === "M") layers.push(new nn.MaxPool2d(2, { stride: 2 }));
      else {
        layers.push(
          new nn.Conv2d(channels, width * w, 3, { padding: 1 }),
          new nn.BatchNorm2d(width * w),
          new nn.ReLU(),
        );
        channels = width * w;
      }
    }
    this.features = new nn.Sequential(...layers);
    this.fc1 = new nn.Linear(channels, hidden);
    this.fc2 = new nn.Linear(hidden, hidden);
    this.fc3 = new nn.Linear(hidden, classes);
  }
  forward(x: Tensor, m1: Tensor, m2: Tensor): Tensor {
    const first = this.fc1.forward(this.features.forward(x).flatten(1)).relu().mul(m1).div(0.5);
    return this.fc3.forward(this.fc2.forward(first).relu().mul(m2).div(0.5));
  }
}

class BasicBlock extends Module {
  conv1: nn.Conv2d;
  bn1: nn.BatchNorm2d;
  conv2: nn.Conv2d;
  bn2: nn.BatchNorm2d;
  short: nn.Sequential;
  constructor(inputs: number, outputs: number, stride: number) {
    super();
    this.conv1 = new nn.Conv2d(inputs, outputs, 3, { stride, padding: 1, bias: false });
    this.bn1 = new nn.BatchNorm2d(outputs);
    this.conv2 = new nn.Conv2d(outputs, outputs, 3, { padding: 1, bias: false });
    this.bn2 = new nn.BatchNorm2d(outputs);
    this.short =
      stride !== 1 || inputs !== outputs
        ? new nn.Sequential(new nn.Conv2d(inputs, outputs, 1, { stride, bias: false }), new nn.BatchNorm2d(outputs))
        : new nn.Sequential();
  }
  forward(x: Tensor): Tensor {
    const h = this.bn1.forward(this.conv1.forward(x)).relu();
    return this.bn2.forward(this.conv2.forward(h)).add(this.short.forward(x)).relu();
  }
}

class ResNet18 extends Module {
  conv1: nn.Conv2d;
  bn1: nn.BatchNorm2d;
  layers: nn.Sequential;
  fc: nn.Linear;
  constructor(w: number = 64, classes: number = 10) {
    super();
    this.conv1 = new nn.Conv2d(3, w, 3, { padding: 1, bias: false });
    this.bn1 = new nn.BatchNorm2d(w);
    let inputs = w;
    const blocks = [1, 2, 2, 2].flatMap((stride, i) =>
      [stride, 1].map((own) => {
        const block = new BasicBlock(inputs, w << i, own);
        inputs = w << i;
        return block;
      }),
    );
    this.layers = new nn.Sequential(...blocks);
    this.fc = new nn.Linear(inputs, classes);
  }
  forward(x: Tensor): Tensor {
    const h = this.layers.forward(this.bn1.forward(this.conv1.forward(x)).relu());
    return this.fc.forward(F.adaptiveAvgPool2d(h, 1).flatten(1));
  }
}

class SmallCnn extends Module {
  f: nn.Sequential;
  fc: nn.Linear;
  constructor(inputs: number, c: number, classes: number, batchNorm: boolean) {
    super();
    const norm = (k: number): Layer => (batchNorm ? new nn.BatchNorm2d(k) : new nn.GroupNorm(2, k));
    this.f = new nn.Sequential(
      new nn.Conv2d(inputs, c, 3, { padding: 1 }),
      norm(c),
      new nn.ReLU(),
      new nn.Conv2d(c, 2 * c, 3, { stride: 2, padding: 1 }),
      norm(2 * c),
      new nn.ReLU(),
      new nn.Conv2d(2 * c, 2 * c, 3, { padding: 1 }),
      norm(2 * c),
      new nn.ReLU(),
    );
    this.fc = new nn.Linear(2 * c, classes);
  }
  forward(x: Tensor): Tensor {
    return this.fc.forward(this.f.forward(x).mean([2, 3]));
  }
}

function smallCnn(args: ModelArgs): SmallCnn {
  const [inputs = 0, c = 0, classes = 0] = numbersOf(args);
  return new SmallCnn(inputs, c, classes, Array.isArray(args) ? args[3] !== false : true);
}

/** Networks by the name of their model, and of the copies that a step trains besides. */
export const classifierNets: Readonly<Record<string, MakeNets>> = {
  MLP: (args) => {
    const [inputs = 0, hidden = 0, outputs = 0] = numbersOf(args);
    return { net: new Mlp(inputs, hidden, outputs) };
  },
  CNN: (args) => {
    const [c1, c2, hid, side, p1, p2] = numbersOf(args);
    const given = Object.entries({ c1, c2, hid, side, p1, p2 }).filter(([, value]) => value !== undefined);
    return { net: new Cnn(Object.fromEntries(given)) };
  },
  AlexNet: (args) => {
    const [w = 0, hidden = 0, classes = 0, , k] = numbersOf(args);
    return { net: new AlexNet(w, hidden, classes, Array.isArray(args) && args[3] === true, k) };
  },
  VGG11BN: (args) => {
    const [w = 0, hidden = 0, classes = 0] = numbersOf(args);
    return { net: new Vgg11Bn(w, hidden, classes) };
  },
  ResNet18: (args) => {
    const [w, classes] = numbersOf(args);
    return { net: new ResNet18(w, classes) };
  },
  "SmallCNN ema": (args) => ({ net: smallCnn(args), ema: smallCnn(args) }),
  "SmallCNN full accum": (args) => ({ full: smallCnn(args), accum: smallCnn(args) }),
};

function plainNet(net: Module): PictureNet {
  if ("forward" in net) return net as PictureNet; // the models of these steps take pictures only
  throw new TypeError("a network without forward");
}

/** Copies of a batch norm's counters, and averages of everything else, from `from` into `into`. */
function average(into: Module, from: Module, decay: Tensor): void {
  const current = from.stateDict();
  for (const [name, tensor] of into.stateDict()) {
    const value = current.get(name) ?? tensor;
    tensor.copy_(isFloat(tensor.dtype) ? tensor.mul(decay).add(value.mul(decay.rsub(1))) : value);
  }
}

/** Steps by the name of their function in the reference. */
export const classifierSteps: Readonly<Record<string, Step>> = {
  xent_step: ({ nets, b, backwardStep }) => {
    const { net } = nets;
    if (net === undefined) throw new TypeError("no network");
    const loss = F.crossEntropy(plainNet(net).forward(b("x")), b("y"));
    backwardStep(loss);
    return [loss];
  },
  cnn_step: (context) => {
    const { b, backwardStep } = context;
    const loss = F.nllLoss(only(context, Cnn).forward(b("x"), b("m1"), b("m2")), b("y"));
    backwardStep(loss);
    return [loss];
  },
  masks_step: ({ nets, b, backwardStep }) => {
    const net = nets["net"];
    if (!(net instanceof AlexNet || net instanceof Vgg11Bn)) throw new TypeError("no network with masks");
    const loss = F.crossEntropy(net.forward(b("x"), b("m1"), b("m2")), b("y"));
    backwardStep(loss);
    return [loss];
  },
  ema_step: (context) => {
    const { b, s, backwardStep } = context;
    const [net, ema] = [only(context, SmallCnn), only(context, SmallCnn, "ema")];
    const loss = F.crossEntropy(net.forward(b("x")), b("y"));
    backwardStep(loss);
    return noGrad(() => {
      average(ema, net, s.add(1).div(s.add(10)).minimum(0.95));
      ema.eval();
      const averaged = F.crossEntropy(ema.forward(b("x")), b("y"));
      return [loss, averaged];
    });
  },
  accum_step: (context) => {
    const { b, opts, keep } = context;
    return (
      [
        ["full", 1],
        ["accum", 4],
      ] as const
    ).map(([name, parts]) => {
      const net = only(context, SmallCnn, name);
      opts[name]?.zeroGrad();
      const labels = b("y").chunk(parts);
      const losses = b("x")
        .chunk(parts)
        .map((x, i) => {
          const y = labels[i];
          if (y === undefined) throw new RangeError("fewer labels than pictures");
          const loss = F.crossEntropy(net.forward(x), y).div(parts);
          loss.backward();
          return loss.detach();
        });
      keep(net, `${name}.`);
      opts[name]?.step();
      return currentTrace().at(undefined, () => losses.reduce((sum, each) => sum.add(each)));
    });
  },
};
