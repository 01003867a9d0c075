/**
 * `Tensor`: what the user's model computes with while it is traced. Shape and dtype are known, values are not; anything
 * that needs a value is a `UserError` that says where and what to use instead. The class holds identity and gradients
 * only; its operations are the method tables of `compiler/tensor/`, one file a family, which know the class as a type.
 */
import { inspect } from "node:util";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { Node } from "../../ir/graph.ts";
import { at, elementCount, formatType, type DType, type Shape, type TensorType } from "../../ir/type.ts";
import { backward, clearGrad, gradOf } from "../autodiff/backward.ts";
import { arithmeticMethods, type ArithmeticMethods } from "../tensor/arithmetic.ts";
import { comparisonMethods, type ComparisonMethods } from "../tensor/comparison.ts";
import { castMethods, type CastMethods } from "../tensor/cast.ts";
import { elementwiseMethods, type ElementwiseMethods } from "../tensor/elementwise.ts";
import { indexingMethods, type IndexingMethods } from "../tensor/indexing.ts";
import { inPlaceMethods, type InPlaceMethods } from "../tensor/in-place.ts";
import { linearMethods, type LinearMethods } from "../tensor/linear.ts";
import { movementMethods, type MovementMethods } from "../tensor/movement.ts";
import { neuralMethods, type NeuralMethods } from "../tensor/neural.ts";
import { normaliseAxis } from "../tensor/axes.ts";
import { normMethods, type NormMethods } from "../tensor/norm.ts";
import { pickMethods, type PickMethods } from "../tensor/pick.ts";
import { productMethods, type ProductMethods } from "../tensor/products.ts";
import { rearrangeMethods, type RearrangeMethods } from "../tensor/rearrange.ts";
import { reductionMethods, type ReductionMethods } from "../tensor/reduction.ts";
import { specialMethods, type SpecialMethods } from "../tensor/special.ts";
import { brand, make, origin } from "./handle.ts";
import { activeTrace, currentTrace, type Origin } from "./trace.ts";

/** The operations of a tensor, by family. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the static block below installs exactly these
export interface Tensor
  extends
    ArithmeticMethods,
    ComparisonMethods,
    CastMethods,
    ElementwiseMethods,
    IndexingMethods,
    InPlaceMethods,
    LinearMethods,
    MovementMethods,
    NeuralMethods,
    NormMethods,
    PickMethods,
    ProductMethods,
    RearrangeMethods,
    ReductionMethods,
    SpecialMethods {}

/** A symbolic tensor: a value of the step being traced, or a state of the program. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- see above
export class Tensor {
  static {
    Object.assign(
      this.prototype,
      arithmeticMethods,
      comparisonMethods,
      castMethods,
      elementwiseMethods,
      indexingMethods,
      inPlaceMethods,
      linearMethods,
      movementMethods,
      neuralMethods,
      normMethods,
      pickMethods,
      productMethods,
      rearrangeMethods,
      reductionMethods,
      specialMethods,
    );
  }

  /** Makes the class nominal: nothing else is assignable to it. */
  readonly #origin: Origin;

  /** Not for users: tensors come from the arguments of a step, from `tensor`, `zeros` and the like, and from operations. */
  constructor(from: Origin) {
    this.#origin = from;
  }

  /** What this tensor stands for. */
  get [origin](): Origin {
    return this.#origin;
  }

  /** Marks tensors of every copy of the library. */
  get [brand](): true {
    return true;
  }

  /** A tensor of the current trace. */
  [make](node: Node): Tensor {
    return new Tensor({ kind: "node", trace: currentTrace(), node });
  }

  /** Element type and shape. */
  get type(): TensorType {
    return this.#origin.kind === "state" ? this.#origin.state.type : this.#origin.node.type;
  }

  /** Extents of the axes. */
  get shape(): Shape {
    return this.type.shape;
  }

  /** Element type. */
  get dtype(): DType {
    return this.type.dtype;
  }

  /** Number of axes. */
  get ndim(): number {
    return this.shape.length;
  }

  /** All extents, or the one of axis `dim` (negative from the end). */
  size(): Shape;
  size(dim: number): number;
  size(dim?: number): Shape | number {
    return dim === undefined ? this.shape : at(this.shape, normaliseAxis("size", dim, this.type));
  }

  /** Number of axes. */
  dim(): number {
    return this.ndim;
  }

  /** Number of elements. */
  numel(): number {
    return elementCount(this.shape);
  }

  /** Whether gradients flow into this tensor. */
  get requiresGrad(): boolean {
    if (this.#origin.kind === "state") return this.#origin.state.requiresGrad;
    return this.#origin.trace.requires(this.#origin.node);
  }

  /** Makes gradients flow into this tensor, which must be a leaf (a batch, a constant, a state), or stops them. */
  requiresGrad_(flag: boolean = true): this {
    if (this.#origin.kind === "state") {
      this.#origin.state.requiresGrad = flag;
      return this;
    }
    const { trace, node } = this.#origin;
    if (flag === trace.requires(node)) return this;
    if (!flag) throw fail(messages.notALeaf(), trace.here());
    trace.makeLeaf(node, node);
    return this;
  }

  /** The same values, through which no gradient flows. */
  detach(): Tensor {
    const trace = currentTrace("detach");
    return this[make](trace.detached(trace.resolve(this.#origin)));
  }

  /**
   * Adds the gradient of this scalar to `.grad` of every leaf that it depends on. `gradient`: the cotangent of a tensor
   * that is not a scalar. `createGraph`: whether the gradients can be differentiated again.
   */
  backward(
    gradient?: Tensor,
    options: { readonly createGraph?: boolean; readonly inputs?: readonly Tensor[] } = {},
  ): void {
    backward(this, gradient, options);
  }

  /** The gradient that the `backward()` calls of this step have added up; `undefined` before the first. */
  get grad(): Tensor | undefined {
    const node = gradOf(this);
    return node === undefined ? undefined : this[make](node);
  }

  set grad(gradient: Tensor | undefined) {
    clearGrad(this, gradient);
  }

  /** `Tensor f32[64,10]`. */
  toString(): string {
    return `Tensor ${formatType(this.type)}`;
  }

  /** How Node prints it. */
  [inspect.custom](): string {
    return this.toString();
  }

  /** A value is not there while tracing: always a `UserError`. */
  item(): never {
    return this.#refuse("item()");
  }

  /** A value is not there while tracing: always a `UserError`. */
  tolist(): never {
    return this.#refuse("tolist()");
  }

  /** A value is not there while tracing: always a `UserError`. */
  toJSON(): never {
    return this.#refuse("conversion to JSON");
  }

  /** A value is not there while tracing: always a `UserError`. */
  valueOf(): never {
    return this.#refuse("conversion to a number");
  }

  /** A value is not there while tracing: always a `UserError`. */
  [Symbol.toPrimitive](hint: string): never {
    return this.#refuse(
      hint === "string" ? "conversion to text" : "arithmetic or comparison with JavaScript operators",
    );
  }

  /** The number of parts is known but they are not separate tensors: `unbind` gives them. Always a `UserError`. */
  [Symbol.iterator](): never {
    throw fail(messages.tensorIterated(this.type), activeTrace()?.here());
  }

  #refuse(what: string): never {
    throw fail(messages.valueRead(what, this.type), activeTrace()?.here());
  }
}

/** Whether `x` is a tensor; one of another copy of the library is a `UserError`. */
export function isTensor(x: unknown): x is Tensor {
  if (x instanceof Tensor) return true;
  if (typeof x === "object" && x !== null && brand in x)
    throw fail(messages.twoCopies("a tensor"), activeTrace()?.here());
  return false;
}
