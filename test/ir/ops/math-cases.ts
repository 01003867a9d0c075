/** Cases of the elementary functions. */
import { b, f, i, mismatched, type Cases, type CasesOf } from "./case.ts";
import type { NoAttrs } from "../../../ir/op.ts";

const { POSITIVE_INFINITY: inf } = Number;

type Unary = "sin" | "cos" | "atan" | "sinh" | "cosh" | "tanh" | "asinh" | "erf" | "erfc" | "exp" | "expm1";

/** Cases of a function of one float; `expected` at the points 0 and 1. */
function unary(expected: readonly [number, number], range: readonly [number, number] = [-2, 2]): Cases<NoAttrs> {
  return {
    valid: [
      { types: [f(2)], attrs: {}, data: [[0, 1]], expected },
      { types: [f(3, 2)], attrs: {}, range },
      { types: [f()], attrs: {}, range },
      { types: [f(2, 0)], attrs: {} },
    ],
    invalid: [{ types: [i(2)], attrs: {} }],
  };
}

export const mathCases: CasesOf<
  Unary | "sqrt" | "log" | "log1p" | "tan" | "asin" | "acos" | "atan2" | "acosh" | "atanh"
> = {
  sqrt: {
    valid: [
      { types: [f(5)], attrs: {}, range: [0.2, 3] },
      { types: [f(2)], attrs: {}, data: [[0, 4]], expected: [0, 2], gradients: [[inf, 0.25]] },
    ],
    invalid: [{ types: [i(1)], attrs: {} }],
  },
  exp: unary([1, Math.E]),
  expm1: unary([0, Math.E - 1]),
  log: {
    valid: [
      { types: [f(5)], attrs: {}, range: [0.2, 3] },
      { types: [f(2)], attrs: {}, data: [[1, Math.E]], expected: [0, 1] },
    ],
    invalid: [{ types: [i(1)], attrs: {} }],
  },
  log1p: {
    valid: [
      { types: [f(5)], attrs: {}, range: [-0.8, 3] },
      { types: [f(1)], attrs: {}, data: [[1e-20]], expected: [1e-20] },
    ],
    invalid: [{ types: [b()], attrs: {} }],
  },
  sin: unary([0, 0.8414709848078965]),
  cos: unary([1, 0.5403023058681398]),
  tan: {
    valid: [
      { types: [f(4)], attrs: {}, range: [-1.2, 1.2] },
      { types: [f()], attrs: {}, data: [[0.5]], expected: [0.5463024898437905] },
    ],
    invalid: [{ types: [i(1)], attrs: {} }],
  },
  asin: {
    valid: [
      { types: [f(4)], attrs: {}, range: [-0.9, 0.9] },
      { types: [f(1)], attrs: {}, data: [[1]], expected: [Math.PI / 2], gradients: [[inf]] },
    ],
    invalid: [{ types: [i(1)], attrs: {} }],
  },
  acos: {
    valid: [
      { types: [f(4)], attrs: {}, range: [-0.9, 0.9] },
      { types: [f(1)], attrs: {}, data: [[0]], expected: [Math.PI / 2] },
    ],
    invalid: [{ types: [i(1)], attrs: {} }],
  },
  atan: unary([0, Math.PI / 4]),
  atan2: {
    valid: [
      { types: [f(6), f(6)], attrs: {} },
      {
        types: [f(2), f(2)],
        attrs: {},
        data: [
          [0, 1],
          [-1, 0],
        ],
        expected: [Math.PI, Math.PI / 2],
        gradients: [
          [-1, 0],
          [0, -1],
        ],
      },
    ],
    invalid: [...mismatched, { types: [i(1), i(1)], attrs: {} }],
  },
  sinh: unary([0, 1.1752011936438014]),
  cosh: unary([1, 1.5430806348152437]),
  tanh: unary([0, 0.7615941559557649]),
  asinh: unary([0, 0.881373587019543]),
  acosh: {
    valid: [
      { types: [f(4)], attrs: {}, range: [1.2, 3] },
      { types: [f(1)], attrs: {}, data: [[1]], expected: [0], gradients: [[inf]] },
    ],
    invalid: [{ types: [i(1)], attrs: {} }],
  },
  atanh: {
    valid: [
      { types: [f(4)], attrs: {}, range: [-0.8, 0.8] },
      { types: [f(1)], attrs: {}, data: [[0.5]], expected: [0.5493061443340548] },
    ],
    invalid: [{ types: [i(1)], attrs: {} }],
  },
  erf: unary([0, 0.8427007929497149], [-3, 3]),
  erfc: unary([1, 0.15729920705028513], [-3, 4]),
};
