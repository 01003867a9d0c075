/** Products of tensors: sums over contracted axes, side by side along batch axes. */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import type { GraphBuilder } from "../graph.ts";
import type { OpDef, Value } from "../op.ts";
import { at, type TensorType } from "../type.ts";
import { define, otherAxes, permuted, requireAxes, requireDomain, wrap } from "./factory.ts";
import { axesOffsets } from "./strided.ts";

type DotAttrs = {
  readonly lhsBatch: readonly number[];
  readonly rhsBatch: readonly number[];
  readonly lhsContract: readonly number[];
  readonly rhsContract: readonly number[];
};

export const dot: OpDef<"dot", 2, DotAttrs> = define({
  name: "dot",
  arity: 2,
  doc: "sum of products over pairs of contracted axes: [batch axes, other axes of x, other axes of y]",
  type: ([x, y], attrs) => dotType(x, y, attrs),
  vjp: ({ g, inputs: [x, y], attrs, cotangent }) => {
    const batch = attrs.lhsBatch.length;
    const lhs: Side = { value: x, batch: attrs.lhsBatch, contract: attrs.lhsContract };
    const rhs: Side = { value: y, batch: attrs.rhsBatch, contract: attrs.rhsContract };
    const lhsFree = freeAxes(lhs).map((_, i) => batch + i);
    const rhsFree = freeAxes(rhs).map((_, i) => batch + lhsFree.length + i);
    return [
      sideGradient(g, { side: lhs, other: rhs, cotangent, otherFree: rhsFree }),
      sideGradient(g, { side: rhs, other: lhs, cotangent, otherFree: lhsFree }),
    ];
  },
  evaluate: ([x, y], { types: [lhs, rhs], attrs, type }) => {
    const { lhsBatch, rhsBatch, lhsContract, rhsContract } = attrs;
    const xBatch = axesOffsets(lhs.shape, lhsBatch);
    const yBatch = axesOffsets(rhs.shape, rhsBatch);
    const xFree = axesOffsets(lhs.shape, otherAxes(lhs.shape.length, [...lhsBatch, ...lhsContract]));
    const yFree = axesOffsets(rhs.shape, otherAxes(rhs.shape.length, [...rhsBatch, ...rhsContract]));
    const xInner = axesOffsets(lhs.shape, lhsContract);
    const yInner = axesOffsets(rhs.shape, rhsContract);
    const result = new Float64Array(xBatch.length * xFree.length * yFree.length);
    let target = 0;
    for (let b = 0; b < xBatch.length; b++)
      for (const i of xFree)
        for (const j of yFree) {
          const [xFirst, yFirst] = [(xBatch[b] ?? 0) + i, (yBatch[b] ?? 0) + j];
          let total = 0;
          for (let k = 0; k < xInner.length; k++)
            total += (x[xFirst + (xInner[k] ?? 0)] ?? 0) * (y[yFirst + (yInner[k] ?? 0)] ?? 0);
          result[target++] = wrap(type.dtype, total);
        }
    return result;
  },
  lowering: { class: "dot" },
});

function dotType(x: TensorType, y: TensorType, attrs: DotAttrs): TensorType {
  const { lhsBatch, rhsBatch, lhsContract, rhsContract } = attrs;
  requireDomain("dot", [x, y], "number");
  requireAxes("dot", "lhsBatch, lhsContract", [...lhsBatch, ...lhsContract], x.shape.length);
  requireAxes("dot", "rhsBatch, rhsContract", [...rhsBatch, ...rhsContract], y.shape.length);
  const agree = (xAxes: readonly number[], yAxes: readonly number[]): boolean =>
    xAxes.length === yAxes.length && xAxes.every((axis, i) => x.shape[axis] === y.shape[at(yAxes, i)]);
  if (x.dtype !== y.dtype || !agree(lhsBatch, rhsBatch) || !agree(lhsContract, rhsContract))
    throw fail(
      messages.opTypeMismatch(
        "dot",
        [x, y],
        `one dtype and equal extents along axes [${[...lhsBatch, ...lhsContract].join(", ")}] of the first and ` +
          `[${[...rhsBatch, ...rhsContract].join(", ")}] of the second`,
      ),
    );
  const xFree = otherAxes(x.shape.length, [...lhsBatch, ...lhsContract]);
  const yFree = otherAxes(y.shape.length, [...rhsBatch, ...rhsContract]);
  return {
    dtype: x.dtype,
    shape: [...[...lhsBatch, ...xFree].map((axis) => at(x.shape, axis)), ...yFree.map((axis) => at(y.shape, axis))],
  };
}

type Side = { readonly value: Value; readonly batch: readonly number[]; readonly contract: readonly number[] };

function freeAxes({ value, batch, contract }: Side): number[] {
  return otherAxes(value.type.shape.length, [...batch, ...contract]);
}

/**
 * Cotangent of one operand: the cotangent of the product, contracted with the other operand over the other's free axes,
 * has axes [batch, own free, contracted in the other's order]; they are put back in the operand's order.
 */
function sideGradient(
  g: GraphBuilder,
  {
    side,
    other,
    cotangent,
    otherFree,
  }: { readonly side: Side; readonly other: Side; readonly cotangent: Value; readonly otherFree: readonly number[] },
): Value {
  const product = g.dot(cotangent, other.value, {
    lhsBatch: side.batch.map((_, i) => i),
    rhsBatch: other.batch,
    lhsContract: otherFree,
    rhsContract: freeAxes(other),
  });
  const contracted = other.contract
    .toSorted((a, b) => a - b)
    .map((axis) => at(side.contract, other.contract.indexOf(axis)));
  const standing = [...side.batch, ...freeAxes(side), ...contracted];
  return permuted(
    g,
    product,
    standing.map((_, axis) => standing.indexOf(axis)),
  );
}
