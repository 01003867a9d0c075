/**
 * Rules that do work before a broadcast instead of after it, so that elementwise ops on what is the same everywhere see
 * scalars or rows, and a broadcast stands as far outside as it can. The same operations are done on the same numbers,
 * fewer times; so all of them hold for every value.
 */
import type { GraphBuilder, Node } from "../../ir/graph.ts";
import type { Value } from "../../ir/op.ts";
import { at, elementCount, sameShape, tensorType, type Shape } from "../../ir/type.ts";
import { constantOf } from "./constant.ts";
import { elementwiseOps } from "./fold.ts";
import { any, as, attrsOf, constantValue, op, opNamed } from "./pattern.ts";
import { rule, type Rule } from "./rewrite.ts";
import { differByUnitAxes, isUnit, nonUnitAxes, unitShape } from "./shapes.ts";

const x = any("x");
const row = tensorType("f32", [1, 3]);

/** What an operand is before it is broadcast; a constant can be of any shape. */
function shapeBeforeBroadcast(operand: Node): Shape {
  if (operand.op === "broadcast") return at(operand.inputs, 0).type.shape;
  return operand.op === "full" ? unitShape(operand.type.shape.length) : operand.type.shape;
}

/** The operand with `shape`, to which it would have to be broadcast anyway. */
function narrowed(g: GraphBuilder, operand: Node, shape: Shape): Value {
  const value = constantValue(operand);
  if (value !== undefined) return constantOf(g, { dtype: operand.type.dtype, shape }, value);
  const inner = operand.op === "broadcast" ? at(operand.inputs, 0) : operand;
  return sameShape(inner.type.shape, shape) ? inner : g.broadcast(inner, { shape });
}

/** Whether an operand of one element can be had as a scalar. */
function isScalarAtHeart(operand: Node): boolean {
  return operand.op === "full" || (operand.op === "reshape" && operand.inputs[0]?.type.shape.length === 0);
}

/** What such an operand was before it got axes of extent 1. */
function scalarOf(g: GraphBuilder, operand: Node): Value {
  const value = constantValue(operand);
  if (value !== undefined) return constantOf(g, { dtype: operand.type.dtype, shape: [] }, value);
  return at(operand.inputs, 0);
}

/** Rules that do work before a broadcast. */
export const narrowRules: readonly Rule[] = [
  rule({
    name: "map-of-broadcasts",
    equation: "f(broadcast(x), broadcast(y), c) = broadcast(f(x, y, c))",
    pattern: opNamed("map", elementwiseOps),
    replace: (_, g, root) => {
      const shapes = root.inputs.map(shapeBeforeBroadcast);
      const shape = root.type.shape.map((extent, axis) => (shapes.every((s) => at(s, axis) === 1) ? 1 : extent));
      if (sameShape(shape, root.type.shape) || elementCount(root.type.shape) === 0) return undefined;
      // All of one number: folding does better.
      if (root.inputs.every((operand) => operand.op === "full")) return undefined;
      const inner = g.append(
        root.op,
        root.inputs.map((operand) => narrowed(g, operand, shape)),
        root.attrs,
      );
      return g.broadcast(inner, { shape: root.type.shape });
    },
    samples: [
      {
        inputs: [row, tensorType("f32", [1, 1])],
        build: (g, a, b) => g.mul(g.broadcast(a, { shape: [4, 3] }), g.broadcast(b, { shape: [4, 3] })),
      },
      {
        inputs: [row],
        build: (g, a) => g.lt(g.broadcast(a, { shape: [4, 3] }), g.full({ dtype: "f32", shape: [4, 3], value: 0 })),
      },
      { inputs: [row], build: (g, a) => g.cast(g.broadcast(a, { shape: [4, 3] }), { dtype: "bool" }) },
    ],
  }),
  rule({
    name: "map-of-scalars",
    equation: "f(reshape(x), reshape(y), c) = reshape(f(x, y, c)) for scalars x and y",
    pattern: opNamed("map", elementwiseOps),
    when: (_, root) =>
      isUnit(root.type.shape) &&
      root.inputs.some((operand) => operand.op === "reshape") &&
      root.inputs.every(isScalarAtHeart),
    replace: (_, g, root) => {
      const scalars = root.inputs.map((operand) => scalarOf(g, operand));
      return g.reshape(g.append(root.op, scalars, root.attrs), { shape: root.type.shape });
    },
    samples: [
      {
        inputs: [tensorType("f32", []), tensorType("f32", [])],
        build: (g, a, b) => g.add(g.reshape(a, { shape: [1, 1] }), g.reshape(b, { shape: [1, 1] })),
      },
      {
        inputs: [tensorType("f32", [])],
        build: (g, a) => g.sub(g.reshape(a, { shape: [1] }), g.full({ dtype: "f32", shape: [1], value: 1 })),
      },
    ],
  }),
  rule({
    name: "permute-broadcast",
    equation: "permute(broadcast(x)) = broadcast(permute(x))",
    pattern: op("permute", op("broadcast", x)),
    replace: (m, g, root) =>
      g.broadcast(g.permute(m.x, { order: attrsOf(root, "permute").order }), { shape: root.type.shape }),
    samples: [
      {
        inputs: [tensorType("f32", [2, 1, 3])],
        build: (g, a) => g.permute(g.broadcast(a, { shape: [2, 4, 3] }), { order: [2, 0, 1] }),
      },
    ],
  }),
  rule({
    name: "reshape-broadcast",
    equation: "reshape(broadcast(x)) = broadcast(reshape(x)) where x is a scalar or only unit axes come and go",
    pattern: op("reshape", as("wide", op("broadcast", x))),
    when: (m, root) =>
      elementCount(root.type.shape) > 0 &&
      (isUnit(m.x.type.shape) || differByUnitAxes(m.wide.type.shape, root.type.shape)),
    replace: (m, g, root) => {
      const { shape } = root.type;
      const sources = nonUnitAxes(m.wide.type.shape);
      const inner = isUnit(m.x.type.shape)
        ? unitShape(shape.length)
        : shape.map((extent) => (extent === 1 ? 1 : at(m.x.type.shape, sources.shift() ?? 0)));
      return g.broadcast(g.reshape(m.x, { shape: inner }), { shape });
    },
    samples: [
      {
        inputs: [tensorType("f32", [1, 1])],
        build: (g, a) => g.reshape(g.broadcast(a, { shape: [2, 6] }), { shape: [3, 4] }),
      },
      {
        inputs: [tensorType("f32", [1, 1, 3])],
        build: (g, a) => g.reshape(g.broadcast(a, { shape: [2, 1, 3] }), { shape: [1, 2, 3, 1] }),
      },
    ],
  }),
  rule({
    name: "slice-broadcast",
    equation: "slice(broadcast(x)) = broadcast(slice(x))",
    pattern: op("slice", as("wide", op("broadcast", x))),
    replace: (m, g, root) => {
      const { start, stop, step } = attrsOf(root, "slice");
      const repeated = m.x.type.shape.map((extent, axis) => extent !== at(m.wide.type.shape, axis));
      const inner = g.slice(m.x, {
        start: start.map((first, axis) => (repeated[axis] === true ? 0 : first)),
        stop: stop.map((last, axis) => (repeated[axis] === true ? 1 : last)),
        step: step.map((by, axis) => (repeated[axis] === true ? 1 : by)),
      });
      return g.broadcast(inner, { shape: root.type.shape });
    },
    samples: [
      {
        inputs: [tensorType("f32", [1, 5])],
        build: (g, a) => g.slice(g.broadcast(a, { shape: [4, 5] }), { start: [1, 1], stop: [4, 5], step: [2, 2] }),
      },
    ],
  }),
  rule({
    name: "flip-broadcast",
    equation: "flip(broadcast(x), axes) = broadcast(flip(x, the axes it was not repeated along))",
    pattern: op("flip", as("wide", op("broadcast", x))),
    replace: (m, g, root) => {
      const axes = attrsOf(root, "flip").axes.filter((axis) => m.x.type.shape[axis] !== 1);
      return g.broadcast(g.flip(m.x, { axes }), { shape: root.type.shape });
    },
    samples: [
      {
        inputs: [tensorType("f32", [1, 5])],
        build: (g, a) => g.flip(g.broadcast(a, { shape: [4, 5] }), { axes: [0, 1] }),
      },
    ],
  }),
];
