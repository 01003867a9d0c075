/** What a port of a model of the reference data is: its networks, and one training step. */
import type { Module } from "../../../../compiler/nn/module.ts";
import type { Optimizer } from "../../../../compiler/optim/optimizer.ts";
import type { Tensor } from "../../../../compiler/trace/tensor.ts";

/** Constructor arguments of a model, in PyTorch's order; by network where there are several. */
export type ModelArgs = readonly unknown[] | Readonly<Record<string, readonly unknown[]>>;

/** What a step works with. */
export type StepContext = {
  readonly nets: Readonly<Record<string, Module>>;
  readonly opts: Readonly<Record<string, Optimizer>>;
  /** The batch's tensors, by name. */
  readonly b: (name: string) => Tensor;
  /** Number of the step, from 0: f32[]. */
  readonly s: Tensor;
  /** Notes the gradients of a network's parameters as those of this step. */
  readonly keep: (net: Module, prefix?: string) => void;
  /** Zeroes the gradients, differentiates, keeps, clips where the text says so, and steps. */
  readonly backwardStep: (loss: Tensor) => void;
  /** Largest norm of the gradients, as the text about the optimizer says. */
  readonly clip: number;
  /** The learning rate of this step. */
  readonly rate: (optimizer: string) => Tensor;
};

/** A network as ports call it: what `forward` takes and gives is the port's own business. */
export type Net<F extends (...args: never) => unknown> = Module & { readonly forward: F };

/** Makes the networks. Only in `setup`. */
export type MakeNets = (args: ModelArgs) => Record<string, Module>;

/** One step; gives the loss columns in the order of the reference. */
export type Step = (context: StepContext) => readonly Tensor[];

/** Arguments as numbers. */
export function numbersOf(args: ModelArgs): number[] {
  return (Array.isArray(args) ? (args as readonly unknown[]) : []).map(Number);
}

/** The only network of a model, as what its port says it is. */
export function only<T extends Module>(
  context: StepContext,
  type: abstract new (...args: never) => T,
  name: string = "net",
): T {
  const net = context.nets[name];
  if (net instanceof type) return net;
  throw new TypeError(`no network ${name} of the expected kind`);
}
