/** Tensors from numbers, and random ones. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { DType, Shape } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import { initialiseWith } from "../trace/initial-value.ts";
import { isTensor, Tensor } from "../trace/tensor.ts";
import { currentTrace, type SetupDraw } from "../trace/trace.ts";
import { normaliseAxis } from "./axes.ts";
import { select } from "./comparison.ts";
import { commonShape, defaultFloat, isHandle, resultType, type Operand } from "./promote.ts";
import type { Node } from "../../ir/graph.ts";

/** Numbers in nested arrays of equal lengths, or a typed array. */
export type NestedNumbers = number | boolean | readonly NestedNumbers[] | ArrayLike<number>;

/** Element type of a tensor to be made. */
export type CreateOptions = { readonly dtype?: DType };

/** Most elements of a constant that is written into kernels; a larger one needs memory, and must be a buffer. */
const literalLimit = 1024;

/** A tensor of the current trace that stands for `node`. */
export function wrap(node: Node): Tensor {
  return new Tensor({ kind: "node", trace: currentTrace(), node });
}

function filled(op: string, shape: Shape, value: number, dtype: DType): Tensor {
  return wrap(currentTrace(op).g.full({ value, dtype, shape }));
}

/** Zeros. */
export function zeros(shape: Shape, { dtype = defaultFloat }: CreateOptions = {}): Tensor {
  return filled("zeros", shape, 0, dtype);
}

/** Ones. */
export function ones(shape: Shape, { dtype = defaultFloat }: CreateOptions = {}): Tensor {
  return filled("ones", shape, 1, dtype);
}

/** `value` in every element: f32, or i64 for a whole number, as in PyTorch. */
export function full(shape: Shape, value: number | boolean, { dtype }: CreateOptions = {}): Tensor {
  const own = typeof value === "boolean" ? "bool" : Number.isInteger(value) ? "i64" : defaultFloat;
  return filled("full", shape, Number(value), dtype ?? own);
}

/** `start`, `start + step`, … below `end`: i64 if all three are whole numbers, else f32. */
export function arange(start: number, end?: number, step: number = 1, { dtype }: CreateOptions = {}): Tensor {
  const [first, last] = end === undefined ? [0, start] : [start, end];
  const length = Math.max(Math.ceil((last - first) / step), 0);
  if (!Number.isSafeInteger(length)) throw fail(messages.badRange(first, last, step), currentTrace("arange").here());
  const whole = [first, last, step].every(Number.isInteger);
  const trace = currentTrace("arange");
  return trace.at(trace.here(), () => {
    const index = wrap(trace.g.iota({ axis: 0, dtype: whole ? "i64" : defaultFloat, shape: [length] }));
    const scaled = step === 1 ? index : index.mul(step);
    return (first === 0 ? scaled : scaled.add(first)).to(dtype ?? (whole ? "i64" : defaultFloat));
  });
}

/** `steps` numbers at equal distances from `start` to `end`, both included. */
export function linspace(
  start: number,
  end: number,
  steps: number,
  { dtype = defaultFloat }: CreateOptions = {},
): Tensor {
  const trace = currentTrace("linspace");
  return trace.at(trace.here(), () => {
    const index = wrap(trace.g.iota({ axis: 0, dtype, shape: [steps] }));
    const step = steps > 1 ? (end - start) / (steps - 1) : 0;
    // From the nearer end, as PyTorch does, so that both ends are exact.
    const low = index.mul(step).add(start);
    const high = index
      .rsub(steps - 1)
      .mul(-step)
      .add(end);
    return low.where(index.lt(steps === 1 ? 1 : Math.floor(steps / 2)), high);
  });
}

/** The identity matrix, perhaps not square. */
export function eye(rows: number, columns: number = rows, { dtype = defaultFloat }: CreateOptions = {}): Tensor {
  const trace = currentTrace("eye");
  return trace.at(trace.here(), () => {
    const shape = [rows, columns];
    const [i, j] = [trace.g.iota({ axis: 0, dtype: "i64", shape }), trace.g.iota({ axis: 1, dtype: "i64", shape })];
    return wrap(trace.g.eq(i, j)).to(dtype);
  });
}

/** A constant tensor: f32, i64 if all numbers are whole, bool if all are booleans, unless `dtype` says otherwise. */
export function tensor(data: NestedNumbers, { dtype }: CreateOptions = {}): Tensor {
  const values: number[] = [];
  const shape: number[] = [];
  const kinds = new Set<DType>();
  const walk = (part: NestedNumbers, depth: number): void => {
    if (typeof part === "number" || typeof part === "boolean") {
      if (depth !== shape.length) throw ragged();
      kinds.add(typeof part === "boolean" ? "bool" : Number.isInteger(part) ? "i64" : defaultFloat);
      values.push(Number(part));
      return;
    }
    const extent = shape[depth];
    if (isTensor(part) || typeof part !== "object" || (extent !== undefined && extent !== part.length)) throw ragged();
    if (extent === undefined) {
      if (values.length > 0) throw ragged();
      shape.push(part.length);
    }
    for (let i = 0; i < part.length; i++) walk(part[i] ?? Number.NaN, depth + 1);
  };
  const ragged = () => fail(messages.raggedTensor(), currentTrace("tensor").here());
  walk(data, 0);
  const isBytes = data instanceof Float32Array || data instanceof Float64Array;
  const own = kinds.has(defaultFloat) || isBytes || kinds.size === 0 ? defaultFloat : kinds.has("i64") ? "i64" : "bool";
  const trace = currentTrace("tensor");
  const [first = 0] = values;
  const type = dtype ?? own;
  if (values.every((value) => Object.is(value, first))) return filled("tensor", shape, first, type);
  if (values.length > literalLimit && trace.kind === "setup") {
    const state = trace.setupState({ dtype: type, shape });
    initialiseWith(trace, state, Float64Array.from(values));
    return new Tensor({ kind: "state", state });
  }
  return wrap(trace.g.literal({ dtype: type, shape, values }));
}

/** Numbers drawn uniformly from [0, 1): f32. */
export function rand(shape: Shape): Tensor {
  return uniform(shape, 0, 1);
}

/** Numbers drawn uniformly from [low, high): f32. */
export function uniform(shape: Shape, low: number, high: number): Tensor {
  return drawn({ kind: "uniform", shape, low, high });
}

/** Numbers drawn from the standard normal distribution: f32. */
export function randn(shape: Shape): Tensor {
  return normal(shape, 0, 1);
}

/** Numbers drawn from a normal distribution: f32. */
export function normal(shape: Shape, mean: number, std: number): Tensor {
  return drawn({ kind: "normal", shape, mean, std });
}

/** `rand` of the shape of `x`. */
export function randLike(x: Tensor): Tensor {
  return rand(x.shape);
}

/** `randn` of the shape of `x`. */
export function randnLike(x: Tensor): Tensor {
  return randn(x.shape);
}

/** True with probability `p`, one draw for each element: bool. Only in a step. */
export function bernoulli(shape: Shape, p: number): Tensor {
  const trace = currentTrace("bernoulli");
  if (trace.kind === "setup") throw fail(messages.drawOnlyInStep("bernoulli"), trace.here());
  return wrap(trace.draw((token) => trace.g.drawBernoulli(token, { p, shape })));
}

function drawn(draw: SetupDraw): Tensor {
  const trace = currentTrace(draw.kind);
  const { shape } = draw;
  if (trace.kind === "setup") return new Tensor({ kind: "state", state: trace.drawState(draw) });
  if (draw.kind === "uniform")
    return wrap(trace.draw((token) => trace.g.drawUniform(token, { low: draw.low, high: draw.high, shape })));
  return wrap(trace.draw((token) => trace.g.drawNormal(token, { mean: draw.mean, std: draw.std, shape })));
}

/** `then` where `condition` holds, else `otherwise`, all broadcast. */
export function where(condition: Tensor, then: Operand, otherwise: Operand): Tensor {
  return select(condition, then, otherwise);
}

/** Tensors one after the other along an existing axis. */
export function cat(tensors: readonly Tensor[], dim: number = 0): Tensor {
  const trace = currentTrace("cat");
  return trace.at(trace.here(), () => {
    const [first] = tensors;
    if (first === undefined || !tensors.every(isHandle))
      throw fail(messages.notATensor("cat", "an empty list"), trace.here());
    const axis = normaliseAxis("cat", dim, first.type);
    const dtype = resultType(tensors);
    return first[make](trace.g.concat(...tensors.map((part) => nodeOf(part.to(dtype), "cat")), { axis }));
  });
}

/** Tensors of one shape side by side along a new axis. */
export function stack(tensors: readonly Tensor[], dim: number = 0): Tensor {
  return cat(
    tensors.map((part) => part.unsqueeze(dim)),
    dim,
  );
}

/** Tensors broadcast to one shape. */
export function broadcastTensors(...tensors: readonly Tensor[]): Tensor[] {
  const shape = commonShape("broadcastTensors", tensors);
  return tensors.map((part) => part.broadcastTo(shape));
}
