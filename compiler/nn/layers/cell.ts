/**
 * Cells: one step of a recurrent layer, and the parameters it takes. Names and order of parameters are PyTorch's:
 * `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh` (and `weight_hr`), all uniform in ±1/√hidden.
 */
import { at, type Shape } from "../../../ir/type.ts";
import { uniform, zeros } from "../../tensor/create.ts";
import { composed } from "../../tensor/elementwise.ts";
import { linear } from "../../tensor/linear.ts";
import { checkOptions } from "../../trace/options.ts";
import { Parameter } from "../../trace/parameter.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { Module } from "../module.ts";
import { requireSize } from "./linear.ts";

/** The parameters of one layer and direction. */
export type Weights = {
  readonly ih: Parameter;
  readonly hh: Parameter;
  readonly biasIh: Parameter | undefined;
  readonly biasHh: Parameter | undefined;
  readonly hr: Parameter | undefined;
};

/** One step of a cell: from the input's share of the gates and the state, both [batch, …], to the new state. */
export type Step = (gates: Tensor, states: readonly Tensor[], weights: Weights) => readonly Tensor[];

/** Draws the parameters of one layer and direction, and puts them under `weight_ih<suffix>` and so on. */
export function makeWeights(
  owner: Module,
  suffix: string,
  sizes: { gates: number; input: number; hidden: number; projected: number; bias: boolean },
): Weights {
  const { gates, input, hidden, projected, bias } = sizes;
  const bound = 1 / Math.sqrt(hidden);
  const make = (name: string, shape: Shape): Parameter => {
    const value = new Parameter(uniform(shape, -bound, bound));
    Object.defineProperty(owner, `${name}${suffix}`, { value, enumerable: true, configurable: true, writable: true });
    return value;
  };
  const ih = make("weight_ih", [gates * hidden, input]);
  const hh = make("weight_hh", [gates * hidden, projected === 0 ? hidden : projected]);
  const biasIh = bias ? make("bias_ih", [gates * hidden]) : undefined;
  const biasHh = bias ? make("bias_hh", [gates * hidden]) : undefined;
  const hr = projected === 0 ? undefined : make("weight_hr", [projected, hidden]);
  return { ih, hh, biasIh, biasHh, hr };
}

/** h' = σ(W x + b + U h + c), σ tanh or relu */
export function plainStep(activation: "tanh" | "relu"): Step {
  return (gates, [h], weights) => {
    const sum = gates.add(linear(required(h), weights.hh, weights.biasHh));
    return [activation === "tanh" ? sum.tanh() : sum.relu()];
  };
}

/** Hochreiter and Schmidhuber (1997) with forget gates; the gates are input, forget, cell, output. */
export const lstmStep: Step = (gates, [h, c], weights) => {
  const [input, forget, cell, output] = gates.add(linear(required(h), weights.hh, weights.biasHh)).chunk(4, 1);
  const next = required(forget)
    .sigmoid()
    .mul(required(c))
    .add(required(input).sigmoid().mul(required(cell).tanh()));
  const hidden = required(output).sigmoid().mul(next.tanh());
  return [weights.hr === undefined ? hidden : linear(hidden, weights.hr), next];
};

/** Cho et al. (2014), with the reset gate behind the product; the gates are reset, update, new. */
export const gruStep: Step = (gates, [h], weights) => {
  const [reset, update, fresh] = gates.chunk(3, 1);
  const [resetH, updateH, freshH] = linear(required(h), weights.hh, weights.biasHh).chunk(3, 1);
  const r = required(reset).add(required(resetH)).sigmoid();
  const z = required(update).add(required(updateH)).sigmoid();
  const n = required(fresh)
    .add(r.mul(required(freshH)))
    .tanh();
  // n + z (h - n)
  return [required(h).sub(n).mul(z).add(n)];
};

/** A part of a state that must be there. */
export function required(x: Tensor | undefined): Tensor {
  if (x === undefined) throw new RangeError("a part of a recurrent state is missing");
  return x;
}

/** What cells share: one step, with parameters `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`. */
class Cell extends Module {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly #weights: Weights;
  readonly #step: Step;

  constructor(
    owner: string,
    cell: { readonly gates: number; readonly step: Step },
    inputSize: number,
    hiddenSize: number,
    bias: boolean,
  ) {
    super();
    this.inputSize = requireSize(owner, "inputSize", inputSize);
    this.hiddenSize = requireSize(owner, "hiddenSize", hiddenSize);
    this.#step = cell.step;
    this.#weights = makeWeights(this, "", {
      gates: cell.gates,
      input: inputSize,
      hidden: hiddenSize,
      projected: 0,
      bias,
    });
  }

  /** One step from `states` (zeros if not given), for [batch, features] or one vector. */
  protected run(owner: string, x: Tensor, states: readonly Tensor[] | undefined, count: number): readonly Tensor[] {
    return composed(owner, () => {
      const single = x.ndim === 1;
      const input = single ? x.unsqueeze(0) : x;
      const zero = zeros([at(input.shape, 0), this.hiddenSize], { dtype: x.dtype });
      const given = states?.map((each) => (single ? each.unsqueeze(0) : each));
      const gates = linear(input, this.#weights.ih, this.#weights.biasIh);
      const next = this.#step(gates, given ?? Array.from({ length: count }, () => zero), this.#weights);
      return single ? next.map((each) => each.squeeze(0)) : next;
    });
  }
}

type CellOptions = { readonly bias?: boolean };

/** One step of an LSTM. */
export class LSTMCell extends Cell {
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    const { bias = true } = checkOptions("LSTMCell", options, ["bias"]);
    super("LSTMCell", { gates: 4, step: lstmStep }, inputSize, hiddenSize, bias);
  }

  /** The next (h, c): [batch, hidden] each. */
  forward(x: Tensor, state?: readonly [h: Tensor, c: Tensor]): readonly [h: Tensor, c: Tensor] {
    const [h, c] = this.run("LSTMCell", x, state, 2);
    return [required(h), required(c)];
  }
}

/** One step of gated recurrent units. */
export class GRUCell extends Cell {
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    const { bias = true } = checkOptions("GRUCell", options, ["bias"]);
    super("GRUCell", { gates: 3, step: gruStep }, inputSize, hiddenSize, bias);
  }

  /** The next h: [batch, hidden]. */
  forward(x: Tensor, h?: Tensor): Tensor {
    return required(this.run("GRUCell", x, h === undefined ? undefined : [h], 1)[0]);
  }
}

/** One step of Elman's recurrent layer. */
export class RNNCell extends Cell {
  constructor(
    inputSize: number,
    hiddenSize: number,
    options: CellOptions & { readonly nonlinearity?: "tanh" | "relu" } = {},
  ) {
    const { bias = true, nonlinearity = "tanh" } = checkOptions("RNNCell", options, ["bias", "nonlinearity"]);
    super("RNNCell", { gates: 1, step: plainStep(nonlinearity) }, inputSize, hiddenSize, bias);
  }

  /** The next h: [batch, hidden]. */
  forward(x: Tensor, h?: Tensor): Tensor {
    return required(this.run("RNNCell", x, h === undefined ? undefined : [h], 1)[0]);
  }
}
