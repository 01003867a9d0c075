/**
 * Tensors that live between calls. A `Parameter` takes gradients and is trained; a `Buffer` (running statistics, a table)
 * is written by the step itself. Both are made in `setup`, from a tensor that says how they start.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { isFloat } from "../../ir/type.ts";
import { origin } from "./handle.ts";
import { initialise } from "./initial-value.ts";
import { State } from "./program-trace.ts";
import { isTensor, Tensor } from "./tensor.ts";
import { currentTrace, type Origin } from "./trace.ts";

/** A state with the value of `data`: a tensor drawn for it becomes the state itself. */
function newState(what: string, data: Tensor, options: { role: State["role"]; requiresGrad: boolean }): Origin {
  const trace = currentTrace(what);
  if (trace.kind !== "setup") throw fail(messages.stateOutsideSetup(what), trace.here());
  if (!isTensor(data)) throw fail(messages.notATensor(what, typeof data), trace.here());
  if (options.requiresGrad && !isFloat(data.dtype)) throw fail(messages.needsFloats(what, data.type), trace.here());
  const from = data[origin];
  if (from.kind === "state" && !from.state.adopted) {
    const { state } = from;
    state.adopted = true;
    state.role = options.role;
    state.requiresGrad = options.requiresGrad;
    return from;
  }
  const state = trace.program.addState(new State({ ...options, type: data.type, source: trace.here(), adopted: true }));
  initialise(trace, state, trace.resolve(from));
  return { kind: "state", state };
}

/** A tensor that training changes. `requiresGrad`: whether gradients flow into it (true by default). */
export class Parameter extends Tensor {
  /** Makes it nominal. */
  readonly #parameter = true;

  constructor(data: Tensor, { requiresGrad = true }: { readonly requiresGrad?: boolean } = {}) {
    super(newState("Parameter", data, { role: "parameter", requiresGrad }));
    void this.#parameter;
  }
}

/** A tensor that lives between calls and takes no gradient. `persistent`: whether it belongs to the state dict. */
export class Buffer extends Tensor {
  readonly persistent: boolean;

  constructor(data: Tensor, { persistent = true }: { readonly persistent?: boolean } = {}) {
    super(newState("Buffer", data, { role: "buffer", requiresGrad: false }));
    this.persistent = persistent;
  }
}

/** The state behind a parameter, a buffer or an optimizer's slot; `undefined` for other tensors. */
export function stateBehind(x: Tensor): State | undefined {
  const from = x[origin];
  return from.kind === "state" ? from.state : undefined;
}
