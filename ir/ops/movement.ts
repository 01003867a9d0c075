/** Movement: the same elements elsewhere. No op of this family moves data by itself; it becomes an index in its readers. */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import type { OpDef } from "../op.ts";
import { at, rowMajorStrides } from "../type.ts";

export const permute: OpDef<"permute", 1, { readonly order: readonly number[] }> = {
  name: "permute",
  arity: 1,
  doc: "axes of x in the given order: result axis i is operand axis order[i]",
  type: ([x], { order }) => {
    if (order.toSorted((a, b) => a - b).some((axis, i) => axis !== i) || order.length !== x.shape.length)
      throw fail(messages.badAttribute("permute", "order", `each axis of rank ${x.shape.length} once`, `[${order}]`));
    return { dtype: x.dtype, shape: order.map((axis) => at(x.shape, axis)) };
  },
  vjp: ({ g, attrs: { order }, cotangent }) => [
    g.permute(cotangent, { order: order.map((_, axis) => order.indexOf(axis)) }),
  ],
  evaluate: ([x], { types: [type], attrs: { order }, type: { shape } }) => {
    const strides = rowMajorStrides(type.shape);
    const result = new Float64Array(x.length);
    const index = shape.map(() => 0);
    for (let i = 0; i < result.length; i++) {
      result[i] = at(
        x,
        index.reduce((offset, j, axis) => offset + j * at(strides, at(order, axis)), 0),
      );
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        index[axis] = at(index, axis) + 1;
        if (at(index, axis) < at(shape, axis)) break;
        index[axis] = 0;
      }
    }
    return result;
  },
  lowering: {
    class: "movement",
    origin: (index, { order }) => ({
      kind: "operand",
      operand: 0,
      index: order.map((_, axis) => at(index, order.indexOf(axis))),
    }),
  },
  commutative: false,
};
