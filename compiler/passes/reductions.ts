/**
 * Rules about reductions and products: movement below them becomes a choice of axes, axes of extent 1 are not reduced
 * over, and repeated elements are not added one by one. The order in which different floats are added never changes.
 */
import type { Node } from "../../ir/graph.ts";
import { at, isInteger, tensorType, type Shape } from "../../ir/type.ts";
import { constantOf, isExactCount } from "./constant.ts";
import { any, as, attrsOf, op } from "./pattern.ts";
import { rule, type Rule } from "./rewrite.ts";
import { differByUnitAxes, isAscending, nonUnitAxes } from "./shapes.ts";

const x = any("x");
const y = any("y");

const reducing = ["sum", "prod", "maxReduce", "minReduce"] as const;

/** Axes of a reduction, in the order it goes through them. */
function reducedAxes(node: Node): readonly number[] {
  const name = reducing.find((candidate) => candidate === node.op);
  return name === undefined ? [] : attrsOf(node, name).axes;
}

/** The axes that are left, ascending. */
function keptAxes(shape: Shape, axes: readonly number[]): number[] {
  return shape.flatMap((_, axis) => (axes.includes(axis) ? [] : [axis]));
}

const reductions: readonly Rule[] = [
  rule({
    name: "reduce-units",
    equation: "reduce over axes of extent 1 = reshape",
    pattern: op(reducing, x),
    when: (m, root) => reducedAxes(root).length === 0 || reducedAxes(root).some((axis) => m.x.type.shape[axis] === 1),
    replace: (m, g, root) => {
      const axes = reducedAxes(root).filter((axis) => m.x.type.shape[axis] !== 1);
      const reduced = axes.length === 0 ? m.x : g.append(root.op, [m.x], { axes });
      return g.reshape(reduced, { shape: root.type.shape });
    },
    // A sum starts from 0, and 0 + (-0) is 0.
    looseZero: true,
    samples: [
      { inputs: [tensorType("f32", [4, 1])], build: (g, a) => g.sum(a, { axes: [1] }) },
      { inputs: [tensorType("f32", [2, 1, 3])], build: (g, a) => g.maxReduce(a, { axes: [1, 2] }) },
      { inputs: [tensorType("i64", [2])], build: (g, a) => g.prod(a, { axes: [] }) },
    ],
  }),
  rule({
    name: "reduce-reshape",
    equation: "reduce(reshape(x)) = reshape(reduce(x)) where only axes of extent 1 come and go",
    pattern: op(reducing, as("inner", op("reshape", x))),
    when: (m) => differByUnitAxes(m.x.type.shape, m.inner.type.shape),
    replace: (m, g, root) => {
      const [from, to] = [nonUnitAxes(m.inner.type.shape), nonUnitAxes(m.x.type.shape)];
      const axes = reducedAxes(root)
        .filter((axis) => m.inner.type.shape[axis] !== 1)
        .map((axis) => at(to, from.indexOf(axis)));
      return g.reshape(g.append(root.op, [m.x], { axes }), { shape: root.type.shape });
    },
    samples: [
      {
        inputs: [tensorType("f32", [2, 1, 3])],
        build: (g, a) => g.sum(g.reshape(a, { shape: [1, 2, 3] }), { axes: [1] }),
      },
    ],
  }),
  rule({
    name: "reduce-permute",
    equation: "reduce(permute(x), axes) = reduce(x, the axes they were)",
    pattern: op(reducing, as("inner", op("permute", x))),
    // The list of axes keeps its order, and with it the order of the sum.
    when: (m, root) => {
      const { order } = attrsOf(m.inner, "permute");
      return isAscending(keptAxes(order, reducedAxes(root)).map((axis) => at(order, axis)));
    },
    replace: (m, g, root) => {
      const { order } = attrsOf(m.inner, "permute");
      return g.append(root.op, [m.x], { axes: reducedAxes(root).map((axis) => at(order, axis)) });
    },
    samples: [
      {
        inputs: [tensorType("f32", [2, 3, 4])],
        build: (g, a) => g.sum(g.permute(a, { order: [1, 0, 2] }), { axes: [0, 2] }),
      },
    ],
  }),
  rule({
    name: "sum-broadcast",
    equation: "sum over n copies of x = n x",
    // Adding up rounds n times, the product once: it is the more exact.
    pattern: op("sum", as("wide", op("broadcast", x))),
    replace: (m, g, root) => {
      const axes = reducedAxes(root);
      const { shape } = m.wide.type;
      const isCopied = (axis: number): boolean => m.x.type.shape[axis] === 1 && shape[axis] !== 1;
      const count = axes.filter(isCopied).reduce((product, axis) => product * at(shape, axis), 1);
      if (!axes.some(isCopied) || !isExactCount(root.type.dtype, count)) return undefined;
      if (count === 0) return constantOf(g, root.type, 0);
      const single = shape.map((extent, axis) => (axes.includes(axis) && isCopied(axis) ? 1 : extent));
      const total = g.sum(g.broadcast(m.x, { shape: single }), { axes });
      return g.mul(total, constantOf(g, root.type, count));
    },
    tolerance: 2 ** -22,
    samples: [
      {
        inputs: [tensorType("f32", [3, 1])],
        build: (g, a) => g.sum(g.broadcast(a, { shape: [3, 5] }), { axes: [1] }),
      },
      {
        inputs: [tensorType("i64", [1, 2, 1])],
        build: (g, a) => g.sum(g.broadcast(a, { shape: [3, 2, 4] }), { axes: [0, 1] }),
      },
    ],
  }),
  rule({
    name: "extremum-broadcast",
    equation: "max over copies of x = x, min too",
    pattern: op(["maxReduce", "minReduce"], as("wide", op("broadcast", x))),
    replace: (m, g, root) => {
      const axes = reducedAxes(root);
      const { shape } = m.wide.type;
      const single = shape.map((extent, axis) => (axes.includes(axis) && m.x.type.shape[axis] === 1 ? 1 : extent));
      if (single.every((extent, axis) => extent === shape[axis])) return undefined;
      return g.append(root.op, [g.broadcast(m.x, { shape: single })], { axes });
    },
    samples: [
      {
        inputs: [tensorType("f32", [3, 1])],
        build: (g, a) => g.maxReduce(g.broadcast(a, { shape: [3, 5] }), { axes: [1] }),
      },
    ],
  }),
  rule({
    name: "extremum-of-extremum",
    equation: "max(max(x, axes), axes) = max(x, all those axes), min too",
    pattern: op(["maxReduce", "minReduce"], as("inner", op(["maxReduce", "minReduce"], x))),
    when: (m, root) => m.inner.op === root.op,
    replace: (m, g, root) => {
      const inner = reducedAxes(m.inner);
      const kept = keptAxes(m.x.type.shape, inner);
      return g.append(root.op, [m.x], { axes: [...inner, ...reducedAxes(root).map((axis) => at(kept, axis))] });
    },
    // Which of 0 and -0 is larger is left open.
    looseZero: true,
    samples: [
      {
        inputs: [tensorType("f32", [2, 3, 4])],
        build: (g, a) => g.minReduce(g.minReduce(a, { axes: [1] }), { axes: [1] }),
      },
    ],
  }),
  rule({
    name: "sum-of-sum",
    equation: "sum(sum(x, axes), axes) = sum(x, all those axes) for integers",
    pattern: op("sum", as("inner", op("sum", x))),
    when: (m) => isInteger(m.x.type.dtype),
    replace: (m, g, root) => {
      const inner = reducedAxes(m.inner);
      const kept = keptAxes(m.x.type.shape, inner);
      return g.sum(m.x, { axes: [...inner, ...reducedAxes(root).map((axis) => at(kept, axis))] });
    },
    samples: [
      {
        inputs: [tensorType("i64", [2, 3, 4])],
        build: (g, a) => g.sum(g.sum(a, { axes: [0] }), { axes: [1] }),
      },
    ],
  }),
  rule({
    name: "argextremum-unit",
    equation: "argmax along an axis of extent 1 = 0, argmin too",
    pattern: op(["argmax", "argmin"], x),
    when: (m, root) => {
      const { axis } = root.op === "argmin" ? attrsOf(root, "argmin") : attrsOf(root, "argmax");
      return m.x.type.shape[axis] === 1;
    },
    replace: (_, g, root) => constantOf(g, root.type, 0),
    samples: [{ inputs: [tensorType("f32", [3, 1])], build: (g, a) => g.argmax(a, { axis: 1 }) }],
  }),
];

/** Axes that are neither batch nor contracted axes, in the permuted operand's order, as axes of what was permuted. */
function freeAxes(order: readonly number[], taken: readonly number[]): number[] {
  return order.filter((_, axis) => !taken.includes(axis));
}

const products: readonly Rule[] = [
  rule({
    name: "dot-permute-left",
    equation: "dot(permute(x), y) = dot(x, y) along other axes",
    pattern: op("dot", as("inner", op("permute", x)), y),
    // The result has the free axes in order, so their order must not have been changed.
    when: (m, root) => {
      const { lhsBatch, lhsContract } = attrsOf(root, "dot");
      return isAscending(freeAxes(attrsOf(m.inner, "permute").order, [...lhsBatch, ...lhsContract]));
    },
    replace: (m, g, root) => {
      const { order } = attrsOf(m.inner, "permute");
      const attrs = attrsOf(root, "dot");
      const moved = (axes: readonly number[]): number[] => axes.map((axis) => at(order, axis));
      const [lhsBatch, lhsContract] = [moved(attrs.lhsBatch), moved(attrs.lhsContract)];
      return g.dot(m.x, m.y, { ...attrs, lhsBatch, lhsContract });
    },
    samples: [
      {
        inputs: [tensorType("f32", [3, 2, 4]), tensorType("f32", [5, 2, 4])],
        build: (g, a, b) =>
          g.dot(g.permute(a, { order: [1, 2, 0] }), b, {
            lhsBatch: [0],
            rhsBatch: [1],
            lhsContract: [1],
            rhsContract: [2],
          }),
      },
    ],
  }),
  rule({
    name: "dot-permute-right",
    equation: "dot(x, permute(y)) = dot(x, y) along other axes",
    pattern: op("dot", x, as("inner", op("permute", y))),
    when: (m, root) => {
      const { rhsBatch, rhsContract } = attrsOf(root, "dot");
      return isAscending(freeAxes(attrsOf(m.inner, "permute").order, [...rhsBatch, ...rhsContract]));
    },
    replace: (m, g, root) => {
      const { order } = attrsOf(m.inner, "permute");
      const attrs = attrsOf(root, "dot");
      const moved = (axes: readonly number[]): number[] => axes.map((axis) => at(order, axis));
      const [rhsBatch, rhsContract] = [moved(attrs.rhsBatch), moved(attrs.rhsContract)];
      return g.dot(m.x, m.y, { ...attrs, rhsBatch, rhsContract });
    },
    samples: [
      {
        inputs: [tensorType("f32", [5, 4]), tensorType("f32", [3, 4])],
        build: (g, a, b) =>
          g.dot(a, g.permute(b, { order: [1, 0] }), {
            lhsBatch: [],
            rhsBatch: [],
            lhsContract: [1],
            rhsContract: [0],
          }),
      },
    ],
  }),
  rule({
    name: "permute-dot",
    equation: "permute(dot(x, y)) = dot(y, x) where it exchanges the free axes of the two",
    pattern: op("permute", as("product", op("dot", x, y))),
    replace: (m, g, root) => {
      const { lhsBatch, rhsBatch, lhsContract, rhsContract } = attrsOf(m.product, "dot");
      const batch = lhsBatch.length;
      const left = m.x.type.shape.length - batch - lhsContract.length;
      const { order } = attrsOf(root, "permute");
      const right = order.length - batch - left;
      const exchanged = order.map((_, i) => (i < batch ? i : i < batch + right ? i + left : i - right));
      if (left === 0 || right === 0 || !order.every((axis, i) => axis === exchanged[i])) return undefined;
      return g.dot(m.y, m.x, {
        lhsBatch: rhsBatch,
        rhsBatch: lhsBatch,
        lhsContract: rhsContract,
        rhsContract: lhsContract,
      });
    },
    samples: [
      {
        inputs: [tensorType("f32", [2, 3, 4]), tensorType("f32", [2, 4, 5])],
        build: (g, a, b) => {
          const attrs = { lhsBatch: [0], rhsBatch: [0], lhsContract: [2], rhsContract: [1] };
          return g.permute(g.dot(a, b, attrs), { order: [0, 2, 1] });
        },
      },
    ],
  }),
];

/** Rules about reductions and products. */
export const reductionRules: readonly Rule[] = [...reductions, ...products];
