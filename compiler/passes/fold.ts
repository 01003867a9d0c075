/**
 * Constant folding: an op whose operands are all constants becomes a constant, with the value that the op's own
 * reference evaluation gives, rounded to the dtype. Only ops that give the same number in every element are folded, so
 * that constants stay `full`s of any shape and cost nothing.
 */
import { opDef, opNames, type Node, type OpName } from "../../ir/graph.ts";
import { at, elementCount, isFloat, isInteger, type TensorType } from "../../ir/type.ts";
import { constantOf, isExactCount, roundTo } from "./constant.ts";
import { any, anyConstant, attrsOf, constantValue, op, opNamed } from "./pattern.ts";
import { rule, type Rule } from "./rewrite.ts";

/** Ops that work element by element. */
export const elementwiseOps: readonly OpName[] = opNames.filter((name) =>
  ["map", "cast"].includes(opDef(name).lowering.class),
);

/** Ops that give the elements of their only operand in other places, and no others. */
const rearrangingOps: readonly OpName[] = ["reshape", "permute", "broadcast", "slice", "flip"];

/** Value of an elementwise node over constants, computed on scalars; `undefined` if it is not to be folded. */
function evaluateScalar(node: Node): number | undefined {
  const { evaluate } = opDef(node.op);
  const values = node.inputs.map(constantValue);
  if (evaluate === null || !values.every((value) => value !== undefined)) return undefined;
  // PyTorch refuses to divide integers by zero; what a kernel would do is not for us to say.
  if ((node.op === "div" || node.op === "mod") && !isFloat(node.type.dtype) && values[1] === 0) return undefined;
  const scalarType = (type: TensorType): TensorType => ({ dtype: type.dtype, shape: [] });
  const [value] = evaluate(
    values.map((element) => Float64Array.of(element)),
    { types: node.inputs.map((operand) => scalarType(operand.type)), attrs: node.attrs, type: scalarType(node.type) },
  );
  return value === undefined ? undefined : roundTo(node.type.dtype, value);
}

/** Rules that fold constants. */
export const foldRules: readonly Rule[] = [
  rule({
    name: "fold-elementwise",
    equation: "f(c, d, …) = the number it is",
    pattern: opNamed("root", elementwiseOps),
    replace: (_, g, root) => {
      const value = evaluateScalar(root);
      return value === undefined ? undefined : constantOf(g, root.type, value);
    },
    samples: [
      {
        inputs: [],
        build: (g) => {
          const third = g.full({ dtype: "f32", shape: [2, 3], value: Math.fround(1 / 3) });
          return g.exp(g.mul(third, g.full({ dtype: "f32", shape: [2, 3], value: 7 })));
        },
      },
      {
        inputs: [],
        build: (g) =>
          g.div(g.full({ dtype: "i64", shape: [2], value: -7 }), g.full({ dtype: "i64", shape: [2], value: 2 })),
      },
      { inputs: [], build: (g) => g.cast(g.full({ dtype: "f32", shape: [2], value: -1.5 }), { dtype: "i64" }) },
    ],
  }),
  rule({
    name: "fold-rearranged",
    equation: "rearrange(full(c)) = full(c)",
    pattern: opNamed("root", rearrangingOps),
    replace: (_, g, root) => {
      const value = root.inputs[0] && constantValue(root.inputs[0]);
      return value === undefined ? undefined : constantOf(g, root.type, value);
    },
    samples: [
      { inputs: [], build: (g) => g.reshape(g.full({ dtype: "i64", shape: [2, 3], value: 4 }), { shape: [6] }) },
      { inputs: [], build: (g) => g.permute(g.full({ dtype: "f32", shape: [2, 3], value: -0 }), { order: [1, 0] }) },
      { inputs: [], build: (g) => g.broadcast(g.full({ dtype: "bool", shape: [1, 1], value: 1 }), { shape: [2, 2] }) },
    ],
  }),
  rule({
    name: "fold-pad",
    equation: "pad(full(c), c) = full(c)",
    pattern: op("pad", anyConstant("c")),
    when: (m, root) => Object.is(constantValue(m.c), attrsOf(root, "pad").value),
    replace: (_, g, root) => constantOf(g, root.type, attrsOf(root, "pad").value),
    samples: [
      {
        inputs: [],
        build: (g) =>
          g.pad(g.full({ dtype: "f32", shape: [2], value: 3 }), { low: [1], high: [2], interior: [1], value: 3 }),
      },
    ],
  }),
  rule({
    name: "fold-concat",
    equation: "concat(full(c), full(c), …) = full(c)",
    pattern: opNamed("root", "concat"),
    replace: (_, g, root) => {
      const [value, ...others] = root.inputs.map(constantValue);
      if (value === undefined || !others.every((other) => Object.is(other, value))) return undefined;
      return constantOf(g, root.type, value);
    },
    samples: [
      {
        inputs: [],
        build: (g) =>
          g.concat(g.full({ dtype: "i64", shape: [2], value: 3 }), g.full({ dtype: "i64", shape: [1], value: 3 }), {
            axis: 0,
          }),
      },
    ],
  }),
  rule({
    name: "fold-sum",
    equation: "sum(full(c)) = n c",
    pattern: op("sum", anyConstant("c")),
    // Adding up rounds n times, the product once: for floats other than whole numbers it is the more exact.
    when: (m, root) => isExactCount(root.type.dtype, elementCount(m.c.type.shape)),
    replace: (m, g, root) => {
      const { axes } = attrsOf(root, "sum");
      const count = axes.reduce((product, axis) => product * at(m.c.type.shape, axis), 1);
      const total = count === 0 ? 0 : (constantValue(m.c) ?? NaN) * count;
      const value =
        isInteger(root.type.dtype) && !Number.isSafeInteger(total) ? undefined : roundTo(root.type.dtype, total);
      return value === undefined ? undefined : constantOf(g, root.type, value);
    },
    tolerance: 2 ** -22,
    samples: [
      { inputs: [], build: (g) => g.sum(g.full({ dtype: "f32", shape: [2, 5], value: 0.25 }), { axes: [1] }) },
      { inputs: [], build: (g) => g.sum(g.full({ dtype: "i64", shape: [3, 0], value: 2 }), { axes: [1] }) },
    ],
  }),
  rule({
    name: "fold-extremum",
    equation: "max(full(c)) = min(full(c)) = c",
    pattern: op(["maxReduce", "minReduce"], anyConstant("c")),
    replace: (m, g, root) => constantOf(g, root.type, constantValue(m.c) ?? NaN),
    samples: [
      { inputs: [], build: (g) => g.maxReduce(g.full({ dtype: "f32", shape: [2, 5], value: NaN }), { axes: [1] }) },
    ],
  }),
  rule({
    name: "fold-literal",
    equation: "literal(c, c, …) = full(c)",
    pattern: opNamed("root", "literal"),
    replace: (_, g, root) => {
      const [first, ...others] = attrsOf(root, "literal").values;
      if (first === undefined || !others.every((other) => Object.is(other, first))) return undefined;
      return constantOf(g, root.type, first);
    },
    samples: [{ inputs: [], build: (g) => g.literal({ dtype: "i64", shape: [3], values: [5, 5, 5] }) }],
  }),
  rule({
    name: "iota-unit",
    equation: "iota along an axis of extent 1 = 0",
    pattern: opNamed("root", "iota"),
    when: (_, root) => root.type.shape[attrsOf(root, "iota").axis] === 1,
    replace: (_, g, root) => constantOf(g, root.type, 0),
    samples: [{ inputs: [], build: (g) => g.iota({ axis: 1, dtype: "i64", shape: [3, 1] }) }],
  }),
  rule({
    name: "iota-broadcast",
    equation: "broadcast(iota) = iota",
    pattern: op(
      "broadcast",
      any("inner", (node) => node.op === "iota"),
    ),
    when: (m) => m.inner.type.shape[attrsOf(m.inner, "iota").axis] !== 1,
    replace: (m, g, root) => g.iota({ ...attrsOf(m.inner, "iota"), shape: root.type.shape }),
    samples: [
      {
        inputs: [],
        build: (g) => g.broadcast(g.iota({ axis: 1, dtype: "i64", shape: [1, 3] }), { shape: [2, 3] }),
      },
    ],
  }),
  rule({
    name: "iota-permute",
    equation: "permute(iota) = iota along another axis",
    pattern: op(
      "permute",
      any("inner", (node) => node.op === "iota"),
    ),
    replace: (m, g, root) => {
      const { axis, dtype } = attrsOf(m.inner, "iota");
      return g.iota({ axis: attrsOf(root, "permute").order.indexOf(axis), dtype, shape: root.type.shape });
    },
    samples: [
      {
        inputs: [],
        build: (g) => g.permute(g.iota({ axis: 0, dtype: "i64", shape: [2, 3] }), { order: [1, 0] }),
      },
    ],
  }),
  rule({
    name: "iota-cast",
    equation: "cast(iota) = iota of another dtype, which holds all its numbers",
    pattern: op(
      "cast",
      any("inner", (node) => node.op === "iota"),
    ),
    when: (m, root) => {
      const extent = at(m.inner.type.shape, attrsOf(m.inner, "iota").axis);
      return isExactCount(m.inner.type.dtype, extent) && isExactCount(root.type.dtype, extent);
    },
    replace: (m, g, root) => g.iota({ ...attrsOf(m.inner, "iota"), dtype: root.type.dtype }),
    samples: [{ inputs: [], build: (g) => g.cast(g.iota({ axis: 0, dtype: "i64", shape: [5] }), { dtype: "f32" }) }],
  }),
];
