/** Cases of the leaves and the draws. */
import { f, i, type CasesOf } from "./case.ts";

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

const noShape = { dtype: "f32", shape: [-1] } as const;

export const leafCases: CasesOf<
  | "input"
  | "read"
  | "feed"
  | "hostScalar"
  | "generator"
  | "full"
  | "iota"
  | "literal"
  | "drawUniform"
  | "drawNormal"
  | "drawBernoulli"
> = {
  input: {
    valid: [{ types: [], attrs: { name: "x", dtype: "u8", shape: [2, 3] } }],
    invalid: [{ types: [], attrs: { name: "x", ...noShape } }],
  },
  read: {
    valid: [{ types: [], attrs: { state: "fc.weight", dtype: "f32", shape: [] } }],
    invalid: [{ types: [], attrs: { state: "s", ...noShape } }],
  },
  feed: {
    valid: [{ types: [], attrs: { field: "images", dtype: "u8", shape: [4, 0] } }],
    invalid: [{ types: [], attrs: { field: "x", ...noShape } }],
  },
  hostScalar: {
    valid: [
      { types: [], attrs: { expr: 0.5 } },
      { types: [], attrs: { expr: ["mul", ["hyper", "lr"], ["sqrt", ["counter", "steps"]]] } },
    ],
    invalid: [],
  },
  generator: { valid: [{ types: [], attrs: {} }], invalid: [] },
  full: {
    valid: [
      { types: [], attrs: { value: 2.5, dtype: "f32", shape: [2] }, expected: [2.5, 2.5] },
      { types: [], attrs: { value: 257, dtype: "u8", shape: [] }, expected: [1] },
      { types: [], attrs: { value: nan, dtype: "bool", shape: [1, 1] }, expected: [1] },
      { types: [], attrs: { value: inf, dtype: "f64", shape: [0] }, expected: [] },
    ],
    invalid: [{ types: [], attrs: { value: 1, ...noShape } }],
  },
  iota: {
    valid: [
      { types: [], attrs: { axis: 0, dtype: "i64", shape: [3] }, expected: [0, 1, 2] },
      { types: [], attrs: { axis: 1, dtype: "f32", shape: [2, 2, 2] }, expected: [0, 0, 1, 1, 0, 0, 1, 1] },
      { types: [], attrs: { axis: 0, dtype: "i32", shape: [0, 2] }, expected: [] },
    ],
    invalid: [
      { types: [], attrs: { axis: 0, dtype: "i64", shape: [] } },
      { types: [], attrs: { axis: 2, dtype: "i64", shape: [2, 2] } },
    ],
  },
  literal: {
    valid: [
      { types: [], attrs: { dtype: "f32", shape: [2, 2], values: [1, -0.5, 3, 3] }, expected: [1, -0.5, 3, 3] },
      { types: [], attrs: { dtype: "i8", shape: [3], values: [200, 1, 2.9] }, expected: [-56, 1, 2] },
      { types: [], attrs: { dtype: "f32", shape: [], values: [7] }, expected: [7] },
      { types: [], attrs: { dtype: "f32", shape: [2, 0], values: [] }, expected: [] },
      {
        types: [],
        attrs: { dtype: "f32", shape: [1, 7], values: [1, 1, 2, 1, 1, 1, 5] },
        expected: [1, 1, 2, 1, 1, 1, 5],
      },
    ],
    invalid: [
      { types: [], attrs: { dtype: "f32", shape: [2], values: [1] } },
      { types: [], attrs: { dtype: "f32", shape: [1025], values: Array.from({ length: 1025 }, () => 1) } },
    ],
  },
  drawUniform: {
    valid: [{ types: [i()], attrs: { low: -1, high: 1, shape: [2, 3] } }],
    invalid: [{ types: [i()], attrs: { low: 0, high: 1, shape: [0.5] } }],
  },
  drawNormal: {
    valid: [{ types: [i()], attrs: { mean: 0, std: 1, shape: [] } }],
    invalid: [{ types: [i()], attrs: { mean: 0, std: -1, shape: [] } }],
  },
  drawBernoulli: {
    valid: [{ types: [f(3)], attrs: { p: 0.5, shape: [0, 3] } }],
    invalid: [
      { types: [i()], attrs: { p: 1.5, shape: [] } },
      { types: [i()], attrs: { p: nan, shape: [] } },
    ],
  },
};
