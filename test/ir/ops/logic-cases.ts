/** Cases of comparison, logic, choice and conversion. */
import { b, f, i, mismatched, type Cases, type CasesOf } from "./case.ts";
import type { NoAttrs } from "../../../ir/op.ts";

const { NaN: nan } = Number;

/** Bool results for the pairs (1, 2), (2, 2), (3, 2), (NaN, 2). */
function comparison(expected: readonly number[]): Cases<NoAttrs> {
  return {
    valid: [
      {
        types: [f(4), f(4)],
        attrs: {},
        data: [
          [1, 2, 3, nan],
          [2, 2, 2, 2],
        ],
        expected,
      },
      { types: [i(), i()], attrs: {} },
      { types: [b(0), b(0)], attrs: {} },
    ],
    invalid: mismatched,
  };
}

export const logicCases: CasesOf<
  "not" | "and" | "or" | "xor" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "select" | "cast" | "stopGradient"
> = {
  not: {
    valid: [{ types: [b(2)], attrs: {}, data: [[0, 1]], expected: [1, 0] }],
    invalid: [{ types: [i(1)], attrs: {} }],
  },
  and: {
    valid: [
      {
        types: [b(4), b(4)],
        attrs: {},
        data: [
          [0, 0, 1, 1],
          [0, 1, 0, 1],
        ],
        expected: [0, 0, 0, 1],
      },
      {
        types: [i(2), i(2)],
        attrs: {},
        data: [
          [6, -1],
          [3, 12],
        ],
        expected: [2, 12],
      },
    ],
    invalid: [{ types: [f(1), f(1)], attrs: {} }],
  },
  or: {
    valid: [
      {
        types: [b(4), b(4)],
        attrs: {},
        data: [
          [0, 0, 1, 1],
          [0, 1, 0, 1],
        ],
        expected: [0, 1, 1, 1],
      },
      { types: [i(1), i(1)], attrs: {}, data: [[6], [3]], expected: [7] },
    ],
    invalid: [{ types: [f(1), f(1)], attrs: {} }],
  },
  xor: {
    valid: [
      {
        types: [b(4), b(4)],
        attrs: {},
        data: [
          [0, 0, 1, 1],
          [0, 1, 0, 1],
        ],
        expected: [0, 1, 1, 0],
      },
      {
        types: [i(2), i(2)],
        attrs: {},
        data: [
          [6, 5],
          [3, -1],
        ],
        expected: [5, -6],
      },
    ],
    invalid: [{ types: [f(1), f(1)], attrs: {} }],
  },
  eq: comparison([0, 1, 0, 0]),
  ne: comparison([1, 0, 1, 1]),
  lt: comparison([1, 0, 0, 0]),
  le: comparison([1, 1, 0, 0]),
  gt: comparison([0, 0, 1, 0]),
  ge: comparison([0, 1, 1, 0]),
  select: {
    valid: [
      { types: [b(2, 3), f(2, 3), f(2, 3)], attrs: {} },
      {
        types: [b(2), i(2), i(2)],
        attrs: {},
        data: [
          [1, 0],
          [1, 2],
          [3, 4],
        ],
        expected: [1, 4],
      },
      { types: [b(), f(), f()], attrs: {} },
    ],
    invalid: [
      { types: [f(2), f(2), f(2)], attrs: {} },
      { types: [b(1), f(2), f(2)], attrs: {} },
      { types: [b(2), f(2), i(2)], attrs: {} },
    ],
  },
  cast: {
    valid: [
      { types: [f(3)], attrs: { dtype: "f64" } },
      { types: [f(4)], attrs: { dtype: "i32" }, data: [[1.9, -1.9, nan, 2 ** 32 + 5]], expected: [1, -1, 0, 5] },
      { types: [f(3)], attrs: { dtype: "bool" }, data: [[0, nan, -0.5]], expected: [0, 1, 1] },
      { types: [i(2)], attrs: { dtype: "f32" } },
      { types: [i(2)], attrs: { dtype: "u8" }, data: [[-1, 300]], expected: [255, 44] },
    ],
    invalid: [],
  },
  stopGradient: { valid: [{ types: [f(2)], attrs: {}, data: [[1, 2]], expected: [1, 2] }], invalid: [] },
};
