/**
 * Rules that make chains of movement short: two of a kind become one, those that change nothing go, and movement that
 * another undoes is left out. Elements are only ever moved, so all of them hold for every value.
 */
import { at, sameShape, tensorType } from "../../ir/type.ts";
import { any, as, attrsOf, op, opNamed } from "./pattern.ts";
import { rule, type Rule } from "./rewrite.ts";
import { allAre, isAscending, isIdentityOrder, nonUnitAxes, nonUnitExtents } from "./shapes.ts";

const x = any("x");
const square = tensorType("f32", [4, 6]);
const cube = tensorType("f32", [2, 3, 4]);

const identities: readonly Rule[] = [
  rule({
    name: "reshape-same",
    equation: "reshape(x, shape of x) = x, broadcast too",
    pattern: op(["reshape", "broadcast"], x),
    when: (m, root) => sameShape(m.x.type.shape, root.type.shape),
    replace: (m) => m.x,
    samples: [
      { inputs: [square], build: (g, a) => g.reshape(a, { shape: [4, 6] }) },
      { inputs: [square], build: (g, a) => g.broadcast(a, { shape: [4, 6] }) },
    ],
  }),
  rule({
    name: "permute-same",
    equation: "permute(x, 0 1 2 …) = x",
    pattern: op("permute", x),
    when: (_, root) => isIdentityOrder(attrsOf(root, "permute").order),
    replace: (m) => m.x,
    samples: [{ inputs: [square], build: (g, a) => g.permute(a, { order: [0, 1] }) }],
  }),
  rule({
    name: "slice-all",
    equation: "slice(x, everything) = x",
    pattern: op("slice", x),
    // Nothing is left out and nothing can be in another order.
    when: (m, root) => sameShape(m.x.type.shape, root.type.shape),
    replace: (m) => m.x,
    samples: [
      {
        inputs: [square],
        build: (g, a) => g.slice(a, { start: [0, 0], stop: [4, 6], step: [1, 1] }),
      },
    ],
  }),
  rule({
    name: "pad-nothing",
    equation: "pad(x, 0, 0) = x",
    pattern: op("pad", x),
    when: (m, root) => sameShape(m.x.type.shape, root.type.shape),
    replace: (m) => m.x,
    samples: [
      {
        inputs: [square],
        build: (g, a) => g.pad(a, { low: [0, 0], high: [0, 0], interior: [0, 0], value: 7 }),
      },
    ],
  }),
  rule({
    name: "flip-nothing",
    equation: "flip(x, axes of extent 1) = x",
    pattern: op("flip", x),
    when: (m, root) => attrsOf(root, "flip").axes.every((axis) => at(m.x.type.shape, axis) <= 1),
    replace: (m) => m.x,
    samples: [{ inputs: [tensorType("f32", [3, 1])], build: (g, a) => g.flip(a, { axes: [1] }) }],
  }),
  rule({
    name: "concat-one",
    equation: "concat(x) = x",
    pattern: op("concat", x),
    replace: (m) => m.x,
    samples: [{ inputs: [square], build: (g, a) => g.concat(a, { axis: 0 }) }],
  }),
  rule({
    name: "stop-gradient",
    equation: "stopGradient(x) = x",
    // It has done its work when the passes run: derivatives are taken during the trace.
    pattern: op("stopGradient", x),
    replace: (m) => m.x,
    samples: [{ inputs: [square], build: (g, a) => g.stopGradient(a) }],
  }),
];

const compositions: readonly Rule[] = [
  rule({
    name: "reshape-reshape",
    equation: "reshape(reshape(x, s), t) = reshape(x, t)",
    pattern: op("reshape", op("reshape", x)),
    replace: (m, g, root) => g.reshape(m.x, { shape: root.type.shape }),
    samples: [
      {
        inputs: [square],
        build: (g, a) => g.reshape(g.reshape(a, { shape: [24] }), { shape: [3, 8] }),
      },
    ],
  }),
  rule({
    name: "permute-permute",
    equation: "permute(permute(x, p), q) = permute(x, p of q)",
    pattern: op("permute", as("inner", op("permute", x))),
    replace: (m, g, root) => {
      const { order } = attrsOf(m.inner, "permute");
      return g.permute(m.x, { order: attrsOf(root, "permute").order.map((axis) => at(order, axis)) });
    },
    samples: [
      {
        inputs: [cube],
        build: (g, a) => g.permute(g.permute(a, { order: [2, 0, 1] }), { order: [0, 2, 1] }),
      },
    ],
  }),
  rule({
    name: "permute-units",
    equation: "permute(x) = reshape(x) where only axes of extent 1 move",
    pattern: op("permute", x),
    when: (m, root) => {
      const { order } = attrsOf(root, "permute");
      const moved = order.filter((axis) => m.x.type.shape[axis] !== 1);
      return !isIdentityOrder(order) && isAscending(moved);
    },
    replace: (m, g, root) => g.reshape(m.x, { shape: root.type.shape }),
    samples: [
      {
        inputs: [tensorType("f32", [3, 1, 4])],
        build: (g, a) => g.permute(a, { order: [1, 0, 2] }),
      },
    ],
  }),
  rule({
    name: "broadcast-broadcast",
    equation: "broadcast(broadcast(x, s), t) = broadcast(x, t)",
    pattern: op("broadcast", op("broadcast", x)),
    replace: (m, g, root) => g.broadcast(m.x, { shape: root.type.shape }),
    samples: [
      {
        inputs: [tensorType("f32", [1, 1, 2])],
        build: (g, a) => g.broadcast(g.broadcast(a, { shape: [1, 3, 2] }), { shape: [2, 3, 2] }),
      },
    ],
  }),
  rule({
    name: "flip-flip",
    equation: "flip(flip(x, a), b) = flip(x, axes in one of a and b)",
    pattern: op("flip", as("inner", op("flip", x))),
    replace: (m, g, root) => {
      const inner = attrsOf(m.inner, "flip").axes;
      const outer = attrsOf(root, "flip").axes;
      const axes = m.x.type.shape.flatMap((_, axis) => (inner.includes(axis) === outer.includes(axis) ? [] : [axis]));
      return g.flip(m.x, { axes });
    },
    samples: [{ inputs: [cube], build: (g, a) => g.flip(g.flip(a, { axes: [0, 1] }), { axes: [1, 2] }) }],
  }),
  rule({
    name: "slice-slice",
    equation: "slice(slice(x)) = slice(x)",
    pattern: op("slice", as("inner", op("slice", x))),
    replace: (m, g, root) => {
      const inner = attrsOf(m.inner, "slice");
      const outer = attrsOf(root, "slice");
      const start = outer.start.map((first, axis) => at(inner.start, axis) + first * at(inner.step, axis));
      const step = outer.step.map((by, axis) => by * at(inner.step, axis));
      const stop = root.type.shape.map((extent, axis) =>
        extent === 0 ? at(inner.start, axis) : at(start, axis) + (extent - 1) * at(step, axis) + 1,
      );
      return g.slice(m.x, { start: start.map((first, axis) => Math.min(first, at(stop, axis))), stop, step });
    },
    samples: [
      {
        inputs: [tensorType("f32", [11, 5])],
        build: (g, a) =>
          g.slice(g.slice(a, { start: [1, 0], stop: [11, 4], step: [2, 1] }), {
            start: [1, 2],
            stop: [5, 4],
            step: [3, 1],
          }),
      },
      {
        inputs: [tensorType("f32", [5])],
        build: (g, a) =>
          g.slice(g.slice(a, { start: [1], stop: [5], step: [2] }), { start: [2], stop: [2], step: [1] }),
      },
    ],
  }),
  rule({
    name: "pad-pad",
    equation: "pad(pad(x, c), c) = pad(x, c)",
    pattern: op("pad", as("inner", op("pad", x))),
    when: (m, root) => {
      const outer = attrsOf(root, "pad");
      return allAre(outer.interior, 0) && Object.is(outer.value, attrsOf(m.inner, "pad").value);
    },
    replace: (m, g, root) => {
      const inner = attrsOf(m.inner, "pad");
      const outer = attrsOf(root, "pad");
      return g.pad(m.x, {
        low: inner.low.map((count, axis) => count + at(outer.low, axis)),
        high: inner.high.map((count, axis) => count + at(outer.high, axis)),
        interior: inner.interior,
        value: inner.value,
      });
    },
    samples: [
      {
        inputs: [tensorType("f32", [3])],
        build: (g, a) =>
          g.pad(g.pad(a, { low: [1], high: [0], interior: [1], value: 2 }), {
            low: [2],
            high: [3],
            interior: [0],
            value: 2,
          }),
      },
    ],
  }),
];

const inverses: readonly Rule[] = [
  rule({
    name: "slice-pad",
    equation: "slice(pad(x), a part of x) = slice(x)",
    pattern: op("slice", as("padded", op("pad", x))),
    when: (m, root) => {
      const { low, interior } = attrsOf(m.padded, "pad");
      const { start, stop } = attrsOf(root, "slice");
      const inside = (extent: number, axis: number): boolean =>
        at(start, axis) >= at(low, axis) && at(stop, axis) <= at(low, axis) + extent;
      return allAre(interior, 0) && m.x.type.shape.every(inside);
    },
    replace: (m, g, root) => {
      const { low } = attrsOf(m.padded, "pad");
      const { start, stop, step } = attrsOf(root, "slice");
      return g.slice(m.x, {
        start: start.map((first, axis) => first - at(low, axis)),
        stop: stop.map((last, axis) => last - at(low, axis)),
        step,
      });
    },
    samples: [
      {
        inputs: [tensorType("f32", [4])],
        build: (g, a) =>
          g.slice(g.pad(a, { low: [2], high: [1], interior: [0], value: 0 }), {
            start: [2],
            stop: [5],
            step: [2],
          }),
      },
    ],
  }),
  rule({
    name: "slice-concat",
    equation: "slice(concat(x, y, …), a part of y) = slice(y)",
    pattern: op("slice", opNamed("parts", "concat")),
    replace: (m, g, root) => {
      const { axis } = attrsOf(m.parts, "concat");
      const { start, stop, step } = attrsOf(root, "slice");
      let begin = 0;
      for (const part of m.parts.inputs) {
        const end = begin + at(part.type.shape, axis);
        if (at(start, axis) >= begin && at(stop, axis) <= end) {
          const offset = begin;
          const shift = (value: number, i: number): number => (i === axis ? value - offset : value);
          return g.slice(part, { start: start.map(shift), stop: stop.map(shift), step });
        }
        begin = end;
      }
      return undefined;
    },
    samples: [
      {
        inputs: [tensorType("f32", [2, 2]), tensorType("f32", [2, 3])],
        build: (g, a, b) => g.slice(g.concat(a, b, { axis: 1 }), { start: [0, 3], stop: [2, 5], step: [1, 1] }),
      },
    ],
  }),
  rule({
    name: "reshape-permute-units",
    equation: "reshape(permute(x)) = permute(reshape(x)) where the reshape drops all axes of extent 1",
    pattern: op("reshape", as("moved", op("permute", x))),
    when: (m, root) => sameShape(nonUnitExtents(m.moved.type.shape), root.type.shape),
    replace: (m, g) => {
      const { shape } = m.x.type;
      const kept = nonUnitAxes(shape);
      const dropped = g.reshape(m.x, { shape: kept.map((axis) => at(shape, axis)) });
      const order = attrsOf(m.moved, "permute").order.filter((axis) => shape[axis] !== 1);
      return g.permute(dropped, { order: order.map((axis) => kept.indexOf(axis)) });
    },
    samples: [
      {
        inputs: [tensorType("f32", [3, 1, 4])],
        build: (g, a) => g.reshape(g.permute(a, { order: [2, 1, 0] }), { shape: [4, 3] }),
      },
    ],
  }),
];

/** Rules that make chains of movement short. */
export const composeRules: readonly Rule[] = [...identities, ...compositions, ...inverses];
