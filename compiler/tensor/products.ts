/** Sums of products by name: einsum and tensordot, and the fused forms that PyTorch has for matrices. All become `dot`. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import { normaliseAxis } from "./axes.ts";
import { composed } from "./elementwise.ts";
import { resultType } from "./promote.ts";

/** Weights of the addend (`beta`) and of the product (`alpha`). */
export type ScaledSumOptions = { readonly beta?: number; readonly alpha?: number };

/** Products with an addend, and inner products. */
export interface ProductMethods {
  /** beta · x + alpha · a · b, of matrices */
  addmm(this: Tensor, a: Tensor, b: Tensor, options?: ScaledSumOptions): Tensor;
  /** beta · x + alpha · a · b, of a matrix a and a vector b */
  addmv(this: Tensor, a: Tensor, b: Tensor, options?: ScaledSumOptions): Tensor;
  /** beta · x + alpha · a · b, of stacks of matrices */
  baddbmm(this: Tensor, a: Tensor, b: Tensor, options?: ScaledSumOptions): Tensor;
  /** Sums of products over the last axes of both. */
  inner(this: Tensor, other: Tensor): Tensor;
}

function scaledSum(x: Tensor, product: Tensor, { beta = 1, alpha = 1 }: ScaledSumOptions): Tensor {
  const scaled = alpha === 1 ? product : product.mul(alpha);
  // With beta = 0 the addend does not count, be it NaN.
  if (beta === 0) return scaled;
  return (beta === 1 ? x : x.mul(beta)).add(scaled);
}

/** The implementations of `ProductMethods`. */
export const productMethods: ProductMethods = {
  addmm(a, b, options = {}) {
    return composed("addmm", () => scaledSum(this, a.mm(b), options));
  },
  addmv(a, b, options = {}) {
    return composed("addmv", () => scaledSum(this, a.mv(b), options));
  },
  baddbmm(a, b, options = {}) {
    return composed("baddbmm", () => scaledSum(this, a.bmm(b), options));
  },
  inner(other) {
    if (this.ndim === 0 || other.ndim === 0) return this.mul(other);
    return composed("inner", () => tensordot(this, other, [[-1], [-1]]));
  },
};

/** Axes to contract: the last `n` of the first operand with the first `n` of the second, or a list for each. */
export type TensordotAxes = number | readonly [readonly number[], readonly number[]];

/** Sum of products over pairs of axes; the result has the other axes of x, then those of y. */
export function tensordot(x: Tensor, y: Tensor, dims: TensordotAxes = 2): Tensor {
  return composed("tensordot", () => {
    const trace = currentTrace("tensordot");
    const lists =
      typeof dims === "number"
        ? ([Array.from({ length: dims }, (_, i) => i - dims), Array.from({ length: dims }, (_, i) => i)] as const)
        : dims;
    const lhsContract = lists[0].map((axis) => normaliseAxis("tensordot", axis, x.type));
    const rhsContract = lists[1].map((axis) => normaliseAxis("tensordot", axis, y.type));
    const dtype = resultType([x, y]);
    const lhs = nodeOf(summedTo(x.to(dtype), lhsContract, y, rhsContract));
    const rhs = nodeOf(summedTo(y.to(dtype), rhsContract, x, lhsContract));
    return x[make](trace.g.dot(lhs, rhs, { lhsBatch: [], rhsBatch: [], lhsContract, rhsContract }));
  });
}

/** x with a contracted axis summed to extent 1 where the other operand's is 1: the sum of products is the same. */
function summedTo(x: Tensor, axes: readonly number[], other: Tensor, otherAxes: readonly number[]): Tensor {
  const longer = axes.filter((axis, i) => other.shape[otherAxes[i] ?? -1] === 1 && x.shape[axis] !== 1);
  return longer.length === 0 ? x : x.sum(longer, { keepdim: true });
}

/** A tensor with a label for each of its axes. */
type Labelled = { readonly value: Tensor; readonly labels: readonly string[] };

/**
 * Sum of products written with labels (Einstein's convention, as `torch.einsum`): `"ij,jk->ik"`. Without an arrow the
 * result has the labels that occur once, in alphabetical order. `...` stands for axes that broadcast.
 */
export function einsum(equation: string, ...operands: readonly (Tensor | readonly Tensor[])[]): Tensor {
  return composed("einsum", () => {
    const tensors = operands.flat() as readonly Tensor[]; // at most one level of lists
    const { inputs, output } = parseEquation(equation, tensors);
    const dtype = resultType(tensors);
    let terms = inputs.map((labels, i) => withoutRepeats({ value: at(tensors, i).to(dtype), labels }));
    terms = broadcastLabels(equation, terms);
    let [result, ...rest] = terms;
    if (result === undefined) throw fail(messages.badEquation(equation, "at least one operand"), currentTrace().here());
    while (rest.length > 0) {
      const [next, ...others] = rest;
      if (next === undefined) break;
      const needed = new Set([...output, ...others.flatMap(({ labels }) => labels)]);
      result = product(result, next, needed);
      rest = others;
    }
    const summed = sumOut(result, new Set(output));
    return summed.value.permute(output.map((label) => summed.labels.indexOf(label)));
  });
}

/** The labels of each operand and of the result; axes under an ellipsis are labelled by their distance from its end. */
function parseEquation(
  equation: string,
  tensors: readonly Tensor[],
): { readonly inputs: readonly (readonly string[])[]; readonly output: readonly string[] } {
  const bad = (expected: string): Error =>
    fail(messages.badEquation(equation, expected), currentTrace("einsum").here());
  const [left = "", right, ...more] = equation.replaceAll(" ", "").split("->");
  const texts = left.split(",");
  if (more.length > 0 || !/^[A-Za-z.,]*$/.test(left) || !/^[A-Za-z.]*$/.test(right ?? ""))
    throw bad("letters, commas, ... and one ->");
  if (texts.length !== tensors.length) throw bad(`labels for ${tensors.length} operands`);
  let widest = 0;
  const inputs = texts.map((text, i) => {
    const rank = at(tensors, i).ndim;
    const letters = text.replace("...", "").length;
    const hidden = rank - letters;
    if (text.includes("...") ? hidden < 0 : hidden !== 0) throw bad(`${rank} labels for ${at(tensors, i).toString()}`);
    widest = Math.max(widest, hidden);
    return expand(text, hidden);
  });
  if (right !== undefined) {
    const output = expand(right, widest);
    if (
      new Set(output).size !== output.length ||
      !output.every((label) => inputs.some((labels) => labels.includes(label)))
    )
      throw bad("each label of the result once, and in an operand");
    return { inputs, output };
  }
  const all = inputs.flat();
  const dots = Array.from({ length: widest }, (_, i) => `.${widest - 1 - i}`);
  const once = [...new Set(all)].filter(
    (label) => !label.startsWith(".") && all.filter((each) => each === label).length === 1,
  );
  return { inputs, output: [...dots, ...once.toSorted()] };
}

/** Labels of a text whose ellipsis stands for `hidden` axes. */
function expand(text: string, hidden: number): string[] {
  const [before = "", after = ""] = text.split("...");
  const dots = text.includes("...") ? Array.from({ length: hidden }, (_, i) => `.${hidden - 1 - i}`) : [];
  return [...before.split(""), ...dots, ...after.split("")];
}

/** A label that occurs twice in an operand means its diagonal. */
function withoutRepeats({ value, labels }: Labelled): Labelled {
  const first = labels.findIndex((label, i) => labels.indexOf(label) !== i);
  if (first < 0) return { value, labels };
  const label = at(labels, first);
  const other = labels.indexOf(label);
  const rest = labels.filter((_, i) => i !== first && i !== other);
  return withoutRepeats({ value: value.diagonal(0, other, first), labels: [...rest, label] });
}

/** Axes of extent 1 that stand for a larger extent elsewhere are repeated. */
function broadcastLabels(equation: string, terms: readonly Labelled[]): Labelled[] {
  const extents = new Map<string, number>();
  for (const { value, labels } of terms)
    labels.forEach((label, i) => {
      const extent = at(value.shape, i);
      const known = extents.get(label) ?? 1;
      if (known !== 1 && extent !== 1 && known !== extent)
        throw fail(
          messages.badEquation(equation, `one extent for ${label}, not ${known} and ${extent}`),
          currentTrace().here(),
        );
      extents.set(label, known === 1 ? extent : known);
    });
  return terms.map(({ value, labels }) => ({
    value: value.broadcastTo(labels.map((label) => extents.get(label) ?? 1)),
    labels,
  }));
}

/** Without the axes whose labels nobody needs any more. */
function sumOut({ value, labels }: Labelled, needed: ReadonlySet<string>): Labelled {
  const axes = labels.flatMap((label, i) => (needed.has(label) ? [] : [i]));
  if (axes.length === 0) return { value, labels };
  return { value: value.sum(axes), labels: labels.filter((label) => needed.has(label)) };
}

function product(x: Labelled, y: Labelled, needed: ReadonlySet<string>): Labelled {
  const lhs = sumOut(x, new Set([...needed, ...y.labels]));
  const rhs = sumOut(y, new Set([...needed, ...x.labels]));
  const shared = lhs.labels.filter((label) => rhs.labels.includes(label));
  const batch = shared.filter((label) => needed.has(label));
  const contract = shared.filter((label) => !needed.has(label));
  const { g } = currentTrace("einsum");
  const value = lhs.value[make](
    g.dot(nodeOf(lhs.value), nodeOf(rhs.value), {
      lhsBatch: batch.map((label) => lhs.labels.indexOf(label)),
      rhsBatch: batch.map((label) => rhs.labels.indexOf(label)),
      lhsContract: contract.map((label) => lhs.labels.indexOf(label)),
      rhsContract: contract.map((label) => rhs.labels.indexOf(label)),
    }),
  );
  const free = (labels: readonly string[]): string[] => labels.filter((label) => !shared.includes(label));
  return { value, labels: [...batch, ...free(lhs.labels), ...free(rhs.labels)] };
}
