/**
 * The introductory programs and the small convolutional network as training definitions, configured from the reference
 * data: sizes from its tensors, optimizer, schedule and penalty from its texts.
 */
import * as F from "../../../compiler/nn/functional/index.ts";
import * as nn from "../../../compiler/nn/index.ts";
import { Module } from "../../../compiler/nn/module.ts";
import { defineTraining, type TrainingDefinition } from "../../../compiler/trace/definition.ts";
import type { Tensor } from "../../../compiler/trace/tensor.ts";
import type { DataLoader } from "../../../runtime/data/index.ts";
import { Unsupported } from "../report.ts";
import { makeOptimizer, makeScheduler, type Keywords } from "./optimizers.ts";

/** `Adam lr=1e-3 betas=…`: a name and its keywords. */
export type Recipe = { readonly name: string; readonly kwargs: Keywords };

/** What the text about a program's optimizer says: its parts stand between semicolons. */
export type TrainingRecipe = {
  readonly optimizer: Recipe;
  /** Steps once an epoch. */
  readonly scheduler: Recipe | undefined;
  /** Factor of the sum of all |parameters| in the loss; 0: none. */
  readonly l1: number;
};

function parseRecipe(text: string): Recipe {
  const [name = "", ...words] = text.trim().split(/\s+/);
  const pairs = words.flatMap((word) => {
    const [key = "", value] = word.split("=");
    return value === undefined ? [] : [[key, Number(value)] as const];
  });
  return { name, kwargs: Object.fromEntries(pairs) };
}

/** Reads `SGD lr=0.05 momentum=0.9; StepLR step_size=1 (epoch) gamma=0.1; L1 penalty 1e-5 * sum |parameter| …`. */
export function parseTraining(text: string): TrainingRecipe {
  const [first = "", ...rest] = text.split(";");
  const penalty = rest.find((part) => part.trim().startsWith("L1 penalty"));
  const schedule = rest.find((part) => /^\s*\w+LR\b/.test(part));
  const known = [penalty, schedule];
  const unknown = rest.find((part) => !known.includes(part));
  if (unknown !== undefined) throw new Unsupported(`a training with ${unknown.trim()}`);
  return {
    optimizer: parseRecipe(first),
    scheduler: schedule === undefined ? undefined : parseRecipe(schedule),
    l1: penalty === undefined ? 0 : Number(/penalty\s+([-+.0-9e]+)/.exec(penalty)?.[1] ?? Number.NaN),
  };
}

/** A network for pictures of digits. */
type Classifier = Module & { forward(x: Tensor): Tensor };

const activations: Readonly<Record<string, () => nn.Layer>> = {
  ReLU: () => new nn.ReLU(),
  Tanh: () => new nn.Tanh(),
  Sigmoid: () => new nn.Sigmoid(),
  GELU: () => new nn.GELU(),
  SiLU: () => new nn.SiLU(),
  ELU: () => new nn.ELU(),
  Softplus: () => new nn.Softplus(),
};

/** Linear, activation, perhaps dropout, linear. */
export class Mlp extends Module {
  fc1: nn.Linear;
  activation: nn.Layer;
  drop: nn.Dropout | undefined;
  fc2: nn.Linear;

  constructor(sizes: readonly [inputs: number, hidden: number, classes: number], activation: string, dropout: number) {
    super();
    const [inputs, hidden, classes] = sizes;
    const make = activations[activation];
    if (make === undefined) throw new Unsupported(`activation ${activation}`);
    this.fc1 = new nn.Linear(inputs, hidden);
    this.activation = make();
    this.drop = dropout > 0 ? new nn.Dropout(dropout) : undefined;
    this.fc2 = new nn.Linear(hidden, classes);
  }

  forward(x: Tensor): Tensor {
    const hidden = this.activation.forward(this.fc1.forward(x.flatten(1)));
    return this.fc2.forward(this.drop?.forward(hidden) ?? hidden);
  }
}

/** The PyTorch examples' MNIST network; gives log probabilities. Masks may be given in place of drawn dropout. */
export class Cnn extends Module {
  conv1: nn.Conv2d;
  conv2: nn.Conv2d;
  fc1: nn.Linear;
  fc2: nn.Linear;
  readonly p1: number;
  readonly p2: number;

  constructor(options: { c1?: number; c2?: number; hid?: number; side?: number; p1?: number; p2?: number } = {}) {
    super();
    const { c1 = 32, c2 = 64, hid = 128, side = 28, p1 = 0.25, p2 = 0.5 } = options;
    const s = Math.floor((side - 4) / 2);
    this.conv1 = new nn.Conv2d(1, c1, 3);
    this.conv2 = new nn.Conv2d(c1, c2, 3);
    this.fc1 = new nn.Linear(c2 * s * s, hid);
    this.fc2 = new nn.Linear(hid, 10);
    this.p1 = p1;
    this.p2 = p2;
  }

  forward(x: Tensor, m1?: Tensor, m2?: Tensor): Tensor {
    const drop = (h: Tensor, p: number, mask: Tensor | undefined): Tensor =>
      mask === undefined ? F.dropout(h, p, this.training) : h.mul(mask).div(1 - p);
    let h = this.conv1.forward(x).relu();
    h = F.maxPool2d(this.conv2.forward(h).relu(), 2);
    h = drop(h, this.p1, m1).flatten(1);
    h = drop(this.fc1.forward(h).relu(), this.p2, m2);
    return F.logSoftmax(this.fc2.forward(h), 1);
  }
}

/** What a program is made of. */
export type ProgramParts = {
  readonly seed: number;
  readonly epochs: number;
  readonly data: () => Record<string, DataLoader>;
  readonly model: () => Classifier;
  /** Whether the model gives log probabilities. */
  readonly isLogarithmic: boolean;
  readonly training: TrainingRecipe;
};

/** The definition of a program: `loss` of every training step, `loss` and `correct` of evaluations. */
export function definitionOf(parts: ProgramParts): TrainingDefinition {
  const { seed, epochs, data, training } = parts;
  const criterion = parts.isLogarithmic ? F.nllLoss : F.crossEntropy;
  return defineTraining({
    seed,
    epochs,
    data,
    metrics: { loss: "mean", correct: "sum" },
    setup() {
      const model = parts.model();
      const optimizer = makeOptimizer(training.optimizer.name, model.parameters(), training.optimizer.kwargs);
      const { scheduler } = training;
      if (scheduler === undefined) return { model, optimizer };
      return { model, optimizer, scheduler: makeScheduler(scheduler.name, optimizer, scheduler.kwargs) };
    },
    trainStep({ model, optimizer }, [images, labels]) {
      const fit = criterion(model.forward(images), labels);
      const sizes = model.parameters().map((parameter) => parameter.abs().sum());
      const loss = training.l1 === 0 ? fit : fit.add(sizes.reduce((sum, each) => sum.add(each)).mul(training.l1));
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return { loss };
    },
    evalStep({ model }, [images, labels]) {
      const output = model.forward(images);
      return { loss: criterion(output, labels), correct: output.argmax(1).eq(labels).sum() };
    },
  }) as TrainingDefinition; // what setup returns does not matter to whom it is given
}
