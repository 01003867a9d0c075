/** Cases of arithmetic. */
import { b, f, i, mismatched, type Cases, type CasesOf, type OpCase } from "./case.ts";
import type { NoAttrs } from "../../../ir/op.ts";

const { NaN: nan } = Number;

/** A case with values at a kink: the operands, the result and the gradients for a cotangent of ones. */
function kink(
  data: readonly (readonly number[])[],
  expected: readonly number[],
  gradients: readonly (readonly number[] | null)[],
): OpCase<NoAttrs> {
  return { types: data.map(({ length }) => f(length)), attrs: {}, data, expected, gradients };
}

/** Cases of a rounding of the numbers -2.5, -0.5, 0.5, 1.5 and 2.7. */
function rounding(expected: readonly number[]): Cases<NoAttrs> {
  const data = [[-2.5, -0.5, 0.5, 1.5, 2.7]];
  return {
    valid: [
      { types: [f(5)], attrs: {}, data, expected, gradients: [[0, 0, 0, 0, 0]] },
      { types: [f(1, 1)], attrs: {} },
      { types: [f(0)], attrs: {} },
    ],
    invalid: [{ types: [i(2)], attrs: {} }],
  };
}

export const arithmeticCases: CasesOf<
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "mod"
  | "pow"
  | "max"
  | "min"
  | "neg"
  | "abs"
  | "sign"
  | "floor"
  | "ceil"
  | "trunc"
  | "round"
> = {
  add: {
    valid: [
      { types: [f(2, 3), f(2, 3)], attrs: {} },
      {
        types: [
          { dtype: "i8", shape: [2] },
          { dtype: "i8", shape: [2] },
        ],
        attrs: {},
        data: [
          [127, 3],
          [1, 4],
        ],
        expected: [-128, 7],
      },
      { types: [f(), f()], attrs: {}, data: [[1], [2]], expected: [3] },
      { types: [f(0), f(0)], attrs: {}, expected: [] },
    ],
    invalid: [...mismatched, { types: [b(1), b(1)], attrs: {} }],
  },
  sub: {
    valid: [
      { types: [f(2, 3), f(2, 3)], attrs: {} },
      {
        types: [
          { dtype: "u8", shape: [1] },
          { dtype: "u8", shape: [1] },
        ],
        attrs: {},
        data: [[1], [2]],
        expected: [255],
      },
    ],
    invalid: mismatched,
  },
  mul: {
    valid: [
      { types: [f(2, 3), f(2, 3)], attrs: {} },
      {
        types: [i(2), i(2)],
        attrs: {},
        data: [
          [3, -4],
          [5, 6],
        ],
        expected: [15, -24],
      },
    ],
    invalid: mismatched,
  },
  div: {
    valid: [
      { types: [f(4), f(4)], attrs: {}, range: [0.5, 2] },
      {
        types: [i(3), i(3)],
        attrs: {},
        data: [
          [7, -7, 1],
          [2, 2, 0],
        ],
        expected: [3, -3, 0],
      },
    ],
    invalid: mismatched,
  },
  mod: {
    valid: [
      { types: [f(2, 3), f(2, 3)], attrs: {}, range: [0.5, 2] },
      {
        types: [f(3), f(3)],
        attrs: {},
        data: [
          [5.5, -5.5, 1],
          [2, 2, 3],
        ],
        expected: [1.5, -1.5, 1],
        gradients: [
          [1, 1, 1],
          [-2, 2, 0],
        ],
      },
      {
        types: [i(3), i(3)],
        attrs: {},
        data: [
          [7, -7, 1],
          [3, 3, 0],
        ],
        expected: [1, -1, 0],
      },
    ],
    invalid: mismatched,
  },
  pow: {
    valid: [
      { types: [f(5), f(5)], attrs: {}, range: [0.5, 2] },
      {
        types: [i(2), i(2)],
        attrs: {},
        data: [
          [2, 3],
          [10, 2],
        ],
        expected: [1024, 9],
      },
      {
        types: [f(4), f(4)],
        attrs: {},
        data: [
          [0, 0, -2, 3],
          [0, 2, 2, 0],
        ],
        expected: [1, 0, 4, 1],
        gradients: [
          [0, 0, -4, 0],
          [0, 0, nan, Math.log(3)],
        ],
      },
    ],
    invalid: mismatched,
  },
  max: {
    valid: [
      { types: [f(6), f(6)], attrs: {} },
      kink(
        [
          [1, 2, nan],
          [1, 3, 0],
        ],
        [1, 3, nan],
        [
          [0.5, 0, 1],
          [0.5, 1, 1],
        ],
      ),
      {
        types: [i(2), i(2)],
        attrs: {},
        data: [
          [1, 5],
          [2, -5],
        ],
        expected: [2, 5],
      },
    ],
    invalid: mismatched,
  },
  min: {
    valid: [
      { types: [f(6), f(6)], attrs: {} },
      kink(
        [
          [1, 2, 0],
          [1, 3, nan],
        ],
        [1, 2, nan],
        [
          [0.5, 1, 1],
          [0.5, 0, 1],
        ],
      ),
    ],
    invalid: mismatched,
  },
  neg: {
    valid: [
      { types: [f(2, 2)], attrs: {} },
      { types: [{ dtype: "i8", shape: [1] }], attrs: {}, data: [[-128]], expected: [-128] },
    ],
    invalid: [{ types: [b(1)], attrs: {} }],
  },
  abs: {
    valid: [{ types: [f(5)], attrs: {} }, kink([[0, -3]], [0, 3], [[0, -1]]), { types: [i(2)], attrs: {} }],
    invalid: [{ types: [b(1)], attrs: {} }],
  },
  sign: {
    valid: [{ types: [f(4)], attrs: {} }, kink([[0, -3, 2]], [0, -1, 1], [[0, 0, 0]]), { types: [i(0)], attrs: {} }],
    invalid: [{ types: [b(1)], attrs: {} }],
  },
  floor: rounding([-3, -1, 0, 1, 2]),
  ceil: rounding([-2, -0, 1, 2, 3]),
  trunc: rounding([-2, -0, 0, 1, 2]),
  round: rounding([-2, -0, 0, 2, 3]),
};
