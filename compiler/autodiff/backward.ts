/**
 * Gradients as users ask for them: `loss.backward()`, which adds to `.grad` of every leaf, and `grad(outputs, inputs)`.
 * Both extend the graph being traced; `createGraph` decides whether what they build can be differentiated again.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { Node } from "../../ir/graph.ts";
import { isFloat, sameType } from "../../ir/type.ts";
import { make, nodeOf, origin } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace, type LeafOwner, type Trace } from "../trace/trace.ts";
import { gradients, type Seed } from "./gradient.ts";

/** Options of `grad`. */
export type GradOptions = {
  /** Cotangent of each output that is not a scalar; `undefined` entries stand for 1. */
  readonly gradOutputs?: readonly (Tensor | undefined)[] | Tensor;
  /** Whether the gradients can be differentiated again. */
  readonly createGraph?: boolean;
  /** Whether an input that no output depends on is allowed; its gradient is `undefined`. */
  readonly allowUnused?: boolean;
};

/** Whose gradient a tensor's `.grad` is. */
function ownerOf(x: Tensor): LeafOwner {
  const from = x[origin];
  return from.kind === "state" ? from.state : from.node;
}

/** The cotangent an output starts with: the one given, or 1 for a scalar. */
function seedOf(trace: Trace, op: string, output: Tensor, cotangent: Tensor | undefined): Seed {
  const node = nodeOf(output, op);
  if (!trace.requires(node)) throw fail(messages.nothingToDifferentiate(op, node.type), trace.here());
  if (cotangent === undefined) {
    if (output.numel() !== 1) throw fail(messages.gradientOfNonScalar(op, node.type), trace.here());
    return { output: node, cotangent: trace.g.full({ value: 1, dtype: node.type.dtype, shape: node.type.shape }) };
  }
  const given = nodeOf(cotangent, op);
  if (!sameType(given.type, node.type)) throw fail(messages.cotangentType(op, node.type, given.type), trace.here());
  return { output: node, cotangent: given };
}

/** Adds the gradient of `loss` to `.grad` of the leaves it depends on, or of `inputs` only. */
export function backward(
  loss: Tensor,
  gradient: Tensor | undefined,
  options: { readonly createGraph?: boolean; readonly inputs?: readonly Tensor[] },
): void {
  const trace = currentTrace("backward");
  trace.withGrad(options.createGraph ?? false, () => {
    const seed = seedOf(trace, "backward", loss, gradient);
    const owners = options.inputs?.map(ownerOf);
    const leaves = [...trace.leaves].filter(([, owner]) => owners === undefined || owners.includes(owner));
    const parts = gradients(
      trace,
      [seed],
      leaves.map(([leaf]) => leaf),
    );
    leaves.forEach(([leaf, owner], i) => {
      const part = parts[i];
      if (part === undefined) return;
      const sum = trace.grads.get(owner);
      trace.grads.set(owner, sum === undefined ? part : trace.at(leaf.source, () => trace.g.add(sum, part)));
    });
  });
}

/** The gradient that has been added up for a leaf in this step. */
export function gradOf(x: Tensor): Node | undefined {
  return currentTrace("grad").grads.get(ownerOf(x));
}

/** Forgets the gradient of a leaf, or sets it. */
export function clearGrad(x: Tensor, gradient: Tensor | undefined): void {
  const trace = currentTrace("grad");
  if (gradient === undefined) {
    trace.grads.delete(ownerOf(x));
    return;
  }
  const node = nodeOf(gradient, "grad");
  if (!sameType(node.type, x.type)) throw fail(messages.cotangentType("grad", x.type, node.type), trace.here());
  trace.grads.set(ownerOf(x), node);
}

/**
 * Gradients of the sum of `outputs` (each weighted by its cotangent) with respect to `inputs`, which may be any tensors
 * of this step or states. `.grad` stays as it is.
 */
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions & { readonly allowUnused: true },
): (Tensor | undefined)[];
export function grad(outputs: Tensor | readonly Tensor[], inputs: Tensor, options?: GradOptions): [Tensor];
export function grad(outputs: Tensor | readonly Tensor[], inputs: readonly Tensor[], options?: GradOptions): Tensor[];
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: GradOptions = {},
): (Tensor | undefined)[] {
  const trace = currentTrace("grad");
  const targets = [inputs].flat();
  const heads = [outputs].flat();
  const cotangents = [options.gradOutputs].flat();
  return trace.withGrad(options.createGraph ?? false, () => {
    const seeds = heads.map((output, i) => seedOf(trace, "grad", output, cotangents[i]));
    const nodes = targets.map((input) => nodeOf(input, "grad"));
    for (const node of nodes) {
      if (!isFloat(node.type.dtype) || !trace.requires(node))
        throw fail(messages.inputTakesNoGradient(node.type), trace.here());
    }
    const parts = gradients(trace, seeds, nodes);
    return targets.map((input, i) => {
      const part = parts[i];
      if (part === undefined && options.allowUnused !== true) throw fail(messages.unusedInput(i), trace.here());
      return part === undefined ? undefined : input[make](part);
    });
  });
}

/** Runs `body` without recording gradients, as under `torch.no_grad()`. */
export function noGrad<T>(body: () => T): T {
  return currentTrace("noGrad").withGrad(false, body);
}

/** Runs `body` with gradients recorded, inside a `noGrad`. */
export function enableGrad<T>(body: () => T): T {
  return currentTrace("enableGrad").withGrad(true, body);
}
