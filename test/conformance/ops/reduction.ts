/** Reductions, running totals and products of matrices in our words. */
import { einsum, tensordot } from "../../../compiler/tensor/products.ts";
import type { Tensor } from "../../../compiler/trace/tensor.ts";
import type { Call } from "../call.ts";
import { isList } from "../call.ts";
import { Unsupported } from "../report.ts";
import { operator, type Operator, type OperatorTable } from "./operator.ts";

type Axes = number | number[] | undefined;

function keep(call: Call): { keepdim: boolean } {
  return { keepdim: call.flag("keepdim") };
}

/** The input, converted first if a dtype is given. */
function retyped(call: Call): Tensor {
  const dtype = call.dtype("dtype");
  return dtype === undefined ? call.tensor("input") : call.tensor("input").to(dtype);
}

function reduction(run: (x: Tensor, dim: Axes, options: { keepdim: boolean }) => Tensor): Operator {
  return operator("input, dim, keepdim, dtype", (call) => {
    return run(retyped(call), call.numbersOr("dim"), keep(call));
  });
}

/** `correction` or `unbiased`: what is subtracted from the count. */
function correction(call: Call): { keepdim: boolean; correction: number } {
  const unbiased = call.has("unbiased") ? Number(call.flag("unbiased")) : 1;
  return { ...keep(call), correction: call.numberOr("correction", unbiased) };
}

const varianceSignature = "input, dim, unbiased, keepdim, correction";

/** An axis, if one was given. */
function variance(
  run: (x: Tensor, dim: Axes, options: { keepdim: boolean; correction: number }) => Tensor | readonly Tensor[],
): Operator {
  return operator(varianceSignature, (call) => run(call.tensor("input"), call.numbersOr("dim"), correction(call)));
}

/** `max` and `min`: of all, of two tensors, or along an axis with indices. */
function extremum(name: "max" | "min"): Operator {
  return operator("input, dim, keepdim", (call) => {
    const x = call.tensor("input");
    if (!call.has("dim")) return x[name]();
    const other = call.operand("dim");
    if (typeof other === "object") return name === "max" ? x.maximum(other) : x.minimum(other);
    const { values, indices } = x[name](Number(other), keep(call));
    return [values, indices];
  });
}

function norm(call: Call, key: string): Tensor {
  const p = call.has(key) ? call.arg(key) : 2;
  if (typeof p !== "number" && p !== "fro") throw new Unsupported(`a norm of ${JSON.stringify(p)}`);
  const dtype = call.dtype("dtype");
  const x = call.tensor("input");
  return (dtype === undefined ? x : x.to(dtype)).norm(p, call.numbersOr("dim"), keep(call));
}

function scaled(call: Call): { beta: number; alpha: number } {
  return { beta: call.numberOr("beta", 1), alpha: call.numberOr("alpha", 1) };
}

const reductions: OperatorTable = {
  all: reduction((x, dim, options) => x.all(dim, options)),
  any: reduction((x, dim, options) => x.any(dim, options)),
  amax: reduction((x, dim, options) => x.amax(dim, options)),
  amin: reduction((x, dim, options) => x.amin(dim, options)),
  argmax: operator("input, dim, keepdim", (call) =>
    call.tensor("input").argmax(call.numberOr("dim", undefined), keep(call)),
  ),
  argmin: operator("input, dim, keepdim", (call) =>
    call.tensor("input").argmin(call.numberOr("dim", undefined), keep(call)),
  ),
  count_nonzero: operator("input, dim", (call) => call.tensor("input").countNonzero(call.numbersOr("dim"))),
  logsumexp: reduction((x, dim, options) => x.logsumexp(dim, options)),
  max: extremum("max"),
  mean: reduction((x, dim, options) => x.mean(dim, options)),
  min: extremum("min"),
  nanmean: reduction((x, dim, options) => x.nanmean(dim, options)),
  nansum: reduction((x, dim, options) => x.nansum(dim, options)),
  norm: operator("input, p, dim, keepdim, dtype", (call) => norm(call, "p")),
  "linalg.vector_norm": operator("input, ord, dim, keepdim, dtype", (call) => norm(call, "ord")),
  prod: reduction((x, dim, options) => x.prod(dim, options)),
  std: variance((x, dim, options) => x.std(dim, options)),
  std_mean: variance((x, dim, options) => x.stdMean(dim, options)),
  sum: reduction((x, dim, options) => x.sum(dim, options)),
  var: variance((x, dim, options) => x.var(dim, options)),
  var_mean: variance((x, dim, options) => x.varMean(dim, options)),
  cumsum: operator("input, dim, dtype", (call) => retyped(call).cumsum(call.number("dim"))),
  cumprod: operator("input, dim, dtype", (call) => retyped(call).cumprod(call.number("dim"))),
};

const products: OperatorTable = {
  addmm: operator("input, mat1, mat2, beta, alpha", (call) =>
    call.tensor("input").addmm(call.tensor("mat1"), call.tensor("mat2"), scaled(call)),
  ),
  addmv: operator("input, mat, vec, beta, alpha", (call) =>
    call.tensor("input").addmv(call.tensor("mat"), call.tensor("vec"), scaled(call)),
  ),
  baddbmm: operator("input, batch1, batch2, beta, alpha", (call) =>
    call.tensor("input").baddbmm(call.tensor("batch1"), call.tensor("batch2"), scaled(call)),
  ),
  bmm: operator("input, mat2", (call) => call.tensor("input").bmm(call.tensor("mat2"))),
  dot: operator("input, tensor", (call) => call.tensor("input").dot(call.tensor("tensor"))),
  einsum: operator("equation, *operands", (call) => einsum(call.text("equation", ""), call.tensors("operands"))),
  inner: operator("input, other", (call) => call.tensor("input").inner(call.tensor("other"))),
  matmul: operator("input, other", (call) => call.tensor("input").matmul(call.tensor("other"))),
  mm: operator("input, mat2", (call) => call.tensor("input").mm(call.tensor("mat2"))),
  mv: operator("input, vec", (call) => call.tensor("input").mv(call.tensor("vec"))),
  outer: operator("input, vec2", (call) => call.tensor("input").outer(call.tensor("vec2"))),
  tensordot: operator("a, b, dims", (call) => {
    const dims = call.arg("dims");
    if (!isList(dims)) return tensordot(call.tensor("a"), call.tensor("b"), call.numberOr("dims", 2));
    const [x, y] = dims.map((list) => (isList(list) ? list : [list]).map(Number));
    return tensordot(call.tensor("a"), call.tensor("b"), [x ?? [], y ?? []]);
  }),
};

/** Reductions and products. */
export const reductionOperators: OperatorTable = { ...reductions, ...products };
