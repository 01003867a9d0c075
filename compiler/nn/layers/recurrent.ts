/**
 * Recurrent layers, unrolled over the steps of a sequence. Names and order of parameters are PyTorch's: layer by layer and
 * direction by direction `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh` (and `weight_hr`), all uniform in ±1/√hidden.
 */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at } from "../../../ir/type.ts";
import { cat, stack, zeros } from "../../tensor/create.ts";
import { composed } from "../../tensor/elementwise.ts";
import { linear } from "../../tensor/linear.ts";
import { checkOptions } from "../../trace/options.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import { dropout } from "../functional/normalise.ts";
import { Module } from "../module.ts";
import { gruStep, lstmStep, makeWeights, plainStep, required, type Step, type Weights } from "./cell.ts";
import { requireSize } from "./linear.ts";

/** Options of recurrent layers. */
export type RecurrentOptions = {
  readonly numLayers?: number;
  readonly bias?: boolean;
  /** Whether inputs and outputs are [batch, time, features] instead of [time, batch, features]. */
  readonly batchFirst?: boolean;
  /** Probability of dropout between layers. */
  readonly dropout?: number;
  readonly bidirectional?: boolean;
};

const optionNames: readonly (keyof RecurrentOptions)[] = [
  "numLayers",
  "bias",
  "batchFirst",
  "dropout",
  "bidirectional",
];

/** Options of a call of a recurrent layer. */
export type RecurrentCallOptions = {
  /**
   * Length of each sequence: integers [batch]. Steps beyond it leave the state as it is and give outputs of 0; the
   * backward direction begins at the last step of each (what PyTorch does with packed sequences).
   */
  readonly lengths?: Tensor | undefined;
};

/** What recurrent layers share. */
class Recurrent extends Module {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly batchFirst: boolean;
  readonly bidirectional: boolean;
  readonly dropout: number;
  readonly projSize: number;
  readonly #step: Step;
  readonly #stateCount: number;
  /** By layer, then direction. */
  readonly #weights: readonly (readonly Weights[])[];

  constructor(
    owner: string,
    cell: { readonly gates: number; readonly states: number; readonly step: Step },
    sizes: { readonly inputSize: number; readonly hiddenSize: number; readonly projSize?: number },
    options: RecurrentOptions,
  ) {
    super();
    const { numLayers = 1, bias = true, batchFirst = false, dropout = 0, bidirectional = false } = options;
    this.inputSize = requireSize(owner, "inputSize", sizes.inputSize);
    this.hiddenSize = requireSize(owner, "hiddenSize", sizes.hiddenSize);
    this.numLayers = requireSize(owner, "numLayers", numLayers);
    this.projSize = requireSize(owner, "projSize", sizes.projSize ?? 0, 0);
    this.batchFirst = batchFirst;
    this.bidirectional = bidirectional;
    this.dropout = dropout;
    this.#step = cell.step;
    this.#stateCount = cell.states;
    const width = (this.projSize === 0 ? this.hiddenSize : this.projSize) * (bidirectional ? 2 : 1);
    this.#weights = Array.from({ length: numLayers }, (_, layer) =>
      (bidirectional ? ["", "_reverse"] : [""]).map((direction) =>
        makeWeights(this, `_l${layer}${direction}`, {
          gates: cell.gates,
          input: layer === 0 ? this.inputSize : width,
          hidden: this.hiddenSize,
          projected: this.projSize,
          bias,
        }),
      ),
    );
  }

  /** Runs all layers. Gives the outputs of the last one, and the last states: [layers · directions, batch, …] each. */
  protected run(
    owner: string,
    input: Tensor,
    initial: readonly Tensor[] | undefined,
    { lengths }: RecurrentCallOptions = {},
  ): readonly [Tensor, ...Tensor[]] {
    return composed(owner, () => {
      if (input.ndim !== 2 && input.ndim !== 3)
        throw fail(
          messages.layerInput(owner, "[time, batch, features] or [time, features]", input.type),
          currentTrace(owner).here(),
        );
      if (input.shape.at(-1) !== this.inputSize)
        throw fail(
          messages.layerInput(owner, `${this.inputSize} features on the last axis`, input.type),
          currentTrace(owner).here(),
        );
      const single = input.ndim === 2;
      const batched = single ? input.unsqueeze(1) : this.batchFirst ? input.transpose(0, 1) : input;
      const states = this.#initialStates(batched, single ? initial?.map((each) => each.unsqueeze(1)) : initial);
      const [output, ...last] = this.#layers(batched, states, lengths);
      if (single) return [output.squeeze(1), ...last.map((each) => each.squeeze(1))];
      return [this.batchFirst ? output.transpose(0, 1) : output, ...last];
    });
  }

  #initialStates(x: Tensor, given: readonly Tensor[] | undefined): readonly Tensor[] {
    if (given !== undefined) return given;
    const count = this.numLayers * (this.bidirectional ? 2 : 1);
    const widths = [this.projSize === 0 ? this.hiddenSize : this.projSize, this.hiddenSize].slice(0, this.#stateCount);
    return widths.map((width) => zeros([count, at(x.shape, 1), width], { dtype: x.dtype }));
  }

  #layers(x: Tensor, states: readonly Tensor[], lengths: Tensor | undefined): readonly [Tensor, ...Tensor[]] {
    let value = x;
    const last: Tensor[][] = [];
    this.#weights.forEach((directions, layer) => {
      const sides = directions.map((weights, direction) => {
        const index = layer * directions.length + direction;
        const initial = states.map((each) => each.select(0, index));
        const side = this.#sequence(value, initial, weights, { backwards: direction === 1, lengths });
        last.push([...side.last]);
        return side.output;
      });
      const joined = sides.length === 1 ? at(sides, 0) : cat(sides, 2);
      value = layer + 1 < this.numLayers ? dropout(joined, this.dropout, this.training) : joined;
    });
    return [value, ...states.map((_, i) => stack(last.map((each) => at(each, i))))];
  }

  /** One layer in one direction over [time, batch, features]. */
  #sequence(
    x: Tensor,
    initial: readonly Tensor[],
    weights: Weights,
    { backwards, lengths }: { readonly backwards: boolean; readonly lengths: Tensor | undefined },
  ): { readonly output: Tensor; readonly last: readonly Tensor[] } {
    const gates = [...linear(x, weights.ih, weights.biasIh).unbind(0).entries()];
    let states = initial;
    const outputs: Tensor[] = [];
    for (const [time, share] of backwards ? gates.toReversed() : gates) {
      const next = this.#step(share, states, weights);
      const counts = lengths?.gt(time).unsqueeze(1);
      const before = states;
      states = counts === undefined ? next : next.map((each, i) => each.where(counts, at(before, i)));
      outputs.push(counts === undefined ? at(next, 0) : at(next, 0).where(counts, 0));
    }
    return { output: stack(backwards ? outputs.toReversed() : outputs), last: states };
  }
}

/** Long short-term memory. Called with x and, to start from, (h, c): [layers · directions, batch, hidden] each. */
export class LSTM extends Recurrent {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions & { readonly projSize?: number } = {}) {
    const { projSize = 0 } = checkOptions("LSTM", options, [...optionNames, "projSize"]);
    super("LSTM", { gates: 4, states: 2, step: lstmStep }, { inputSize, hiddenSize, projSize }, options);
  }

  /** Outputs of all steps, and the last states. */
  forward(
    x: Tensor,
    initial?: readonly [h: Tensor, c: Tensor],
    options?: RecurrentCallOptions,
  ): readonly [output: Tensor, state: readonly [h: Tensor, c: Tensor]] {
    const [output, h, c] = this.run("LSTM", x, initial, options);
    return [output, [required(h), required(c)]];
  }
}

/** Gated recurrent units. Called with x and, to start from, h: [layers · directions, batch, hidden]. */
export class GRU extends Recurrent {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(
      "GRU",
      { gates: 3, states: 1, step: gruStep },
      { inputSize, hiddenSize },
      checkOptions("GRU", options, optionNames),
    );
  }

  /** Outputs of all steps, and the last state. */
  forward(x: Tensor, initial?: Tensor, options?: RecurrentCallOptions): readonly [output: Tensor, h: Tensor] {
    const [output, h] = this.run("GRU", x, initial === undefined ? undefined : [initial], options);
    return [output, required(h)];
  }
}

/** Elman's recurrent layer. Called with x and, to start from, h: [layers · directions, batch, hidden]. */
export class RNN extends Recurrent {
  constructor(
    inputSize: number,
    hiddenSize: number,
    options: RecurrentOptions & { readonly nonlinearity?: "tanh" | "relu" } = {},
  ) {
    const { nonlinearity = "tanh" } = checkOptions("RNN", options, [...optionNames, "nonlinearity"]);
    super("RNN", { gates: 1, states: 1, step: plainStep(nonlinearity) }, { inputSize, hiddenSize }, options);
  }

  /** Outputs of all steps, and the last state. */
  forward(x: Tensor, initial?: Tensor, options?: RecurrentCallOptions): readonly [output: Tensor, h: Tensor] {
    const [output, h] = this.run("RNN", x, initial === undefined ? undefined : [initial], options);
    return [output, required(h)];
  }
}
