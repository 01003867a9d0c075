/**
 * Writing state. Only parameters, buffers and optimizer slots can be written; a write takes effect for all that follows
 * in the step, and at the step's end for the next one. In `setup` a write is an initialisation step.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { InitStep } from "../../ir/random/init.ts";
import { nodeOf, origin } from "../trace/handle.ts";
import { initialise } from "../trace/initial-value.ts";
import type { State } from "../trace/program-trace.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import { isHandle, type Operand } from "./promote.ts";

/** The state that a tensor is; anything else cannot be written. */
export function stateOf(op: string, x: Tensor): State {
  const from = x[origin];
  if (from.kind === "state") return from.state;
  throw fail(messages.notState(op), currentTrace(op).here());
}

/** Makes `value`, cast and broadcast to the state's type, the new value of `x`. */
function writeState(op: string, x: Tensor, value: Operand): void {
  const state = stateOf(op, x);
  const trace = currentTrace(op);
  trace.at(trace.here(), () => {
    const { dtype, shape } = state.type;
    const node = isHandle(value)
      ? nodeOf(value.to(dtype).broadcastTo(shape))
      : trace.g.full({ value: Number(value), dtype, shape });
    if (trace.kind === "setup") initialise(trace, state, node);
    else trace.write(state, node);
  });
}

/** In-place methods: they write a state and return it. */
export interface InPlaceMethods {
  /** x = source, broadcast and converted to x's type */
  copy_(this: Tensor, source: Tensor): Tensor;
  /** x = value in every element */
  fill_(this: Tensor, value: number): Tensor;
  /** x = 0 */
  zero_(this: Tensor): Tensor;
  /** x = x + alpha · other */
  add_(this: Tensor, other: Operand, options?: { readonly alpha?: number }): Tensor;
  /** x = x - alpha · other */
  sub_(this: Tensor, other: Operand, options?: { readonly alpha?: number }): Tensor;
  /** x = x · other */
  mul_(this: Tensor, other: Operand): Tensor;
  /** x = x / other */
  div_(this: Tensor, other: Operand): Tensor;
  /** x = x + weight · (end - x) */
  lerp_(this: Tensor, end: Tensor, weight: Operand): Tensor;
  /** x = x + value · a · b */
  addcmul_(this: Tensor, a: Tensor, b: Tensor, options?: { readonly value?: Operand }): Tensor;
  /** x = x + value · a / b */
  addcdiv_(this: Tensor, a: Tensor, b: Tensor, options?: { readonly value?: Operand }): Tensor;
  /** x = x limited to [min, max] */
  clamp_(this: Tensor, options: { readonly min?: number; readonly max?: number }): Tensor;
}

/** Writes `next()` into x, after checking that x can be written. */
function update(x: Tensor, op: string, next: () => Operand): Tensor {
  stateOf(op, x);
  writeState(op, x, next());
  return x;
}

/** The implementations of `InPlaceMethods`. */
export const inPlaceMethods: InPlaceMethods = {
  copy_(source) {
    return update(this, "copy_", () => source);
  },
  fill_(value) {
    return update(this, "fill_", () => value);
  },
  zero_() {
    return update(this, "zero_", () => 0);
  },
  add_(other, options = {}) {
    return update(this, "add_", () => this.add(other, options));
  },
  sub_(other, options = {}) {
    return update(this, "sub_", () => this.sub(other, options));
  },
  mul_(other) {
    const trace = currentTrace("mul_");
    if (trace.kind === "setup" && typeof other === "number") {
      const state = stateOf("mul_", this);
      const step = (nameOf: (state: State) => string): InitStep => ({
        kind: "scale",
        state: nameOf(state),
        factor: other,
      });
      trace.program.addStep({ state, draws: false, from: undefined, step });
      return this;
    }
    return update(this, "mul_", () => this.mul(other));
  },
  div_(other) {
    return update(this, "div_", () => this.div(other));
  },
  lerp_(end, weight) {
    return update(this, "lerp_", () => this.lerp(end, weight));
  },
  addcmul_(a, b, options = {}) {
    return update(this, "addcmul_", () => this.addcmul(a, b, options));
  },
  addcdiv_(a, b, options = {}) {
    return update(this, "addcdiv_", () => this.addcdiv(a, b, options));
  },
  clamp_(options) {
    return update(this, "clamp_", () => this.clamp(options));
  },
};
