/**
 * What all optimizers share: groups of parameters with their hyperparameters, the step count, and slots (states per
 * parameter). `step()` is traced like everything else: it reads `.grad`, writes slots and parameters. Learning rates and
 * what follows from the step count are host scalars, so that a scheduler or a flag changes them without a new compile.
 */
import type { HostExpr } from "../../ir/artifact/host-expr.ts";
import { fail, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { Shape } from "../../ir/type.ts";
import { wrap } from "../tensor/create.ts";
import { checkOptions, givenOptions } from "../trace/options.ts";
import { stateBehind, Parameter } from "../trace/parameter.ts";
import { State } from "../trace/program-trace.ts";
import { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";

/** Parameters that share hyperparameters which differ from the optimizer's defaults. */
export type ParamGroup<O> = { readonly params: Iterable<Parameter> } & Partial<O>;

/** Parameters, or groups of them. */
export type Params<O> = Iterable<Parameter> | Iterable<ParamGroup<O>>;

/** Options that every optimizer has. */
export type CommonOptions = {
  /** Learning rate. */
  readonly lr: number;
  readonly weightDecay: number;
  /** Whether to climb instead of descend. */
  readonly maximize: boolean;
};

/** One group with all its hyperparameters. */
export type Group<O> = { readonly params: readonly Parameter[]; readonly options: O };

/** What an update rule is given for one parameter. */
export type Update<O> = {
  readonly param: Parameter;
  /** Its gradient, negated when climbing. */
  readonly grad: Tensor;
  readonly options: O;
  /** The group's learning rate. */
  readonly lr: HostExpr;
  /** Number of this step, from 1. */
  readonly step: HostExpr;
  /** A hyperparameter of the group that may change at run time. */
  readonly hyper: (name: string, value: number) => HostExpr;
  /** A state that belongs to the parameter and starts with `value` in every element. */
  readonly slot: (name: string, value?: number, shape?: Shape) => Tensor;
};

/** Names an optimizer once `setup` has returned. */
export const setName: unique symbol = Symbol("kiln.setName");

/** Checks an optimizer when all steps are traced. */
export const checkUse: unique symbol = Symbol("kiln.checkUse");

/** Marks optimizers of every copy of the library. */
export const optimizerBrand: unique symbol = Symbol.for("kiln.optimizer");

/** The base class of optimizers. */
export abstract class Optimizer<O extends CommonOptions = CommonOptions> {
  readonly groups: readonly Group<O>[];
  #name: string | undefined = undefined;
  readonly #slots = new Map<string, Tensor>();
  /** Where the user made it. */
  readonly #source: SourceLocation | undefined;
  #isStepped = false;
  /** Parameters that some step had a gradient for. */
  readonly #trained = new Set<Parameter>();

  constructor(params: Params<O>, defaults: O, options: Partial<O>) {
    const trace = currentTrace("an optimizer");
    if (trace.kind !== "setup") throw fail(messages.stateOutsideSetup("optimizer"), trace.here());
    this.#source = trace.here();
    const known = Object.keys(defaults);
    const given = givenOptions(checkOptions(this.constructor.name, options, known));
    this.groups = groupsOf(params, { ...defaults, ...given }, this.constructor.name);
  }

  /** Marks optimizers of every copy of the library. */
  get [optimizerBrand](): true {
    return true;
  }

  /** The path under which `setup` returned it; `undefined` before. */
  get name(): string | undefined {
    return this.#name;
  }

  /** The first name stays. */
  [setName](name: string): void {
    this.#name ??= name;
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const { params } of this.groups) for (const param of params) param.grad = undefined;
  }

  /**
   * Checks, once all steps are traced, that training changes every parameter that takes gradients.
   *
   * @throws UserError K1605 for a parameter that never had one, K1606 if no step was taken.
   */
  [checkUse](): void {
    if (!this.#isStepped) throw fail(messages.optimizerUnused(this.#name ?? "optimizer"), this.#source);
    for (const param of this.groups.flatMap(({ params }) => params)) {
      const state = stateBehind(param);
      if (state?.requiresGrad === true && !this.#trained.has(param))
        throw fail(messages.parameterUnused(state.name ?? "a parameter", this.#name ?? "optimizer"), state.source);
    }
  }

  /** Updates every parameter that has a gradient. */
  step(): void {
    const trace = currentTrace("step");
    const name = this.#name;
    if (trace.kind === "setup") throw fail(messages.stepInSetup(), trace.here());
    if (name === undefined) throw fail(messages.unownedState("optimizer"), trace.here());
    const counter = `${name}.step`;
    this.#isStepped = true;
    trace.at(trace.here(), () =>
      trace.withGrad(false, () => {
        const step: HostExpr = ["add", ["counter", counter], trace.increment(counter) + 1];
        this.groups.forEach((group, index) => {
          for (const param of group.params) this.#update(name, index, group.options, param, step);
        });
      }),
    );
  }

  /** The update rule. */
  protected abstract update(update: Update<O>): void;

  #update(name: string, index: number, options: O, param: Parameter, step: HostExpr): void {
    const { grad } = param;
    if (grad === undefined) return;
    this.#trained.add(param);
    const { program } = currentTrace();
    const hyper = (option: string, value: number): HostExpr => {
      const key = `${name}.${index}.${option}`;
      program.hyper.set(key, value);
      return ["hyper", key];
    };
    this.update({
      param,
      grad: options.maximize ? grad.neg() : grad,
      options,
      lr: hyper("lr", options.lr),
      step,
      hyper,
      slot: (slot, value = 0, shape = param.shape) => this.#slot(`${name}.${slot}`, param, value, shape),
    });
  }

  #slot(prefix: string, param: Parameter, value: number, shape: Shape): Tensor {
    const trace = currentTrace("step");
    const owner = stateBehind(param)?.name;
    if (owner === undefined) throw fail(messages.unownedState("parameter"), trace.here());
    const name = `${prefix}.${owner}`;
    const known = this.#slots.get(name);
    if (known !== undefined) return known;
    const state = trace.program.addState(
      new State({
        role: "slot",
        type: { dtype: param.dtype, shape },
        source: trace.here(),
        requiresGrad: false,
        adopted: true,
      }),
    );
    trace.program.nameState(state, name);
    trace.program.addStep({
      state,
      draws: false,
      from: undefined,
      step: (nameOf) => ({ kind: "constant", state: nameOf(state), value }),
    });
    const slot = new Tensor({ kind: "state", state });
    this.#slots.set(name, slot);
    return slot;
  }
}

function groupsOf<O extends CommonOptions>(params: Params<O>, defaults: O, owner: string): Group<O>[] {
  const plain: Parameter[] = [];
  const groups: Group<O>[] = [];
  if (typeof params !== "object" || params === null || !(Symbol.iterator in params))
    throw fail(messages.notAParameter(owner, nameOfValue(params)), currentTrace().here());
  for (const each of params) {
    if (each instanceof Parameter) plain.push(each);
    else if (typeof each === "object" && each !== null && "params" in each) {
      const { params: own, ...options } = each;
      checkOptions(owner, options, Object.keys(defaults));
      groups.push({ params: [...own], options: { ...defaults, ...givenOptions(options) } });
    } else throw fail(messages.notAParameter(owner, nameOfValue(each)), currentTrace().here());
  }
  if (plain.length > 0) groups.unshift({ params: plain, options: defaults });
  const all = groups.flatMap((group) => group.params);
  if (all.length === 0) throw fail(messages.noParameters(owner), currentTrace().here());
  if (!all.every((param) => param instanceof Parameter))
    throw fail(messages.notAParameter(owner, "something else in a group"), currentTrace().here());
  if (new Set(all).size !== all.length) throw fail(messages.parameterTwice(owner), currentTrace().here());
  for (const { options } of groups) {
    for (const option of ["lr", "weightDecay"] as const) {
      if (!(options[option] >= 0))
        throw fail(
          messages.badLayerOption(owner, option, "a number of at least 0", String(options[option])),
          currentTrace().here(),
        );
    }
  }
  return groups;
}

function nameOfValue(value: unknown): string {
  return typeof value === "object" && value !== null ? `a ${value.constructor.name}` : String(value);
}

/** A number that the host computes in float64 before each step. */
export function hostScalar(expr: HostExpr): Tensor {
  return wrap(currentTrace("step").hostScalar(expr));
}

/** The gradient with weight decay added to it (L2 penalty). */
export function decayed({ param, grad, options }: Update<CommonOptions>): Tensor {
  return options.weightDecay === 0 ? grad : grad.add(param, { alpha: options.weightDecay });
}

/** param = param - lr · direction */
export function descend(param: Parameter, direction: Tensor, lr: HostExpr): void {
  param.add_(direction.mul(hostScalar(["neg", lr])));
}

/** average + (value - average) · weight, in the form `lerp` takes for that weight. */
export function movedTowards(average: Tensor, value: Tensor, weight: HostExpr, isSmall: boolean): Tensor {
  const span = value.sub(average);
  return isSmall ? average.add(span.mul(hostScalar(weight))) : value.sub(span.mul(hostScalar(["sub", 1, weight])));
}
