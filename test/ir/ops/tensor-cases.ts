/** Cases of reductions, selection and order. */
import { b, f, i, type CasesOf } from "./case.ts";

const { NaN: nan } = Number;

export const reduceCases: CasesOf<"sum" | "prod" | "maxReduce" | "minReduce" | "argmax" | "argmin"> = {
  sum: {
    valid: [
      { types: [i(2, 3)], attrs: { axes: [1] }, data: [[1, 2, 3, 4, 5, 6]], expected: [6, 15] },
      { types: [f(2, 3, 2)], attrs: { axes: [2, 0] } },
      { types: [f(2)], attrs: { axes: [] } },
      { types: [f(2, 0)], attrs: { axes: [1] }, expected: [0, 0] },
      { types: [f()], attrs: { axes: [] } },
    ],
    invalid: [
      { types: [b(2)], attrs: { axes: [0] } },
      { types: [f(2)], attrs: { axes: [1] } },
      { types: [f(2)], attrs: { axes: [0, 0] } },
    ],
  },
  prod: {
    valid: [
      { types: [f(2, 3)], attrs: { axes: [1] } },
      { types: [f(2, 2, 3)], attrs: { axes: [2, 0] } },
      { types: [f(4)], attrs: { axes: [0] }, data: [[2, 0, 3, 4]], expected: [0], gradients: [[0, 24, 0, 0]] },
      { types: [f(3)], attrs: { axes: [0] }, data: [[0, 2, 0]] },
      { types: [f(1, 2)], attrs: { axes: [0] } },
      { types: [f(0, 2)], attrs: { axes: [0] }, expected: [1, 1] },
      { types: [i(2)], attrs: { axes: [0] }, data: [[3, 4]], expected: [12] },
      { types: [f()], attrs: { axes: [] } },
    ],
    invalid: [{ types: [b(2)], attrs: { axes: [0] } }],
  },
  maxReduce: {
    valid: [
      { types: [f(3, 4)], attrs: { axes: [1] } },
      { types: [f(2, 3, 2)], attrs: { axes: [0, 2] } },
      { types: [f(4)], attrs: { axes: [0] }, data: [[1, 3, 3, 2]], expected: [3], gradients: [[0, 0.5, 0.5, 0]] },
      { types: [f(2, 2)], attrs: { axes: [1] }, data: [[1, nan, nan, 2]], expected: [nan, nan] },
      { types: [f(0, 2)], attrs: { axes: [1] }, expected: [] },
    ],
    invalid: [{ types: [f(2, 0)], attrs: { axes: [1] } }],
  },
  minReduce: {
    valid: [
      { types: [f(3, 4)], attrs: { axes: [1] } },
      { types: [f(4)], attrs: { axes: [0] }, data: [[1, 3, 1, 2]], expected: [1], gradients: [[0.5, 0, 0.5, 0]] },
      { types: [i(3)], attrs: { axes: [0] }, data: [[4, -1, 2]], expected: [-1] },
    ],
    invalid: [{ types: [f(0)], attrs: { axes: [0] } }],
  },
  argmax: {
    valid: [
      { types: [f(2, 3)], attrs: { axis: 1 }, data: [[1, 5, 5, nan, 2, nan]], expected: [1, 0] },
      { types: [i(2, 2)], attrs: { axis: 0 }, data: [[1, 4, 2, 3]], expected: [1, 0] },
      { types: [f(0, 2)], attrs: { axis: 1 }, expected: [] },
    ],
    invalid: [
      { types: [f(2, 0)], attrs: { axis: 1 } },
      { types: [f()], attrs: { axis: 0 } },
    ],
  },
  argmin: {
    valid: [{ types: [f(2, 3)], attrs: { axis: 1 }, data: [[5, 1, 1, 0, nan, nan]], expected: [1, 1] }],
    invalid: [{ types: [f(2)], attrs: { axis: -1 } }],
  },
};

export const selectionCases: CasesOf<"gather" | "scatterAdd" | "takeAlong" | "scatterAddAlong"> = {
  gather: {
    valid: [
      {
        types: [i(3, 2), i(2)],
        attrs: { axis: 0 },
        data: [
          [1, 2, 3, 4, 5, 6],
          [2, 0],
        ],
        expected: [5, 6, 1, 2],
      },
      { types: [f(2, 3, 2), i(2, 2)], attrs: { axis: 1 }, data: [undefined, [0, 2, 2, 1]] },
      { types: [f(4), i()], attrs: { axis: 0 }, data: [undefined, [3]] },
      { types: [f(4, 2), i(0)], attrs: { axis: 0 }, expected: [] },
      { types: [f(3, 1), { dtype: "i32", shape: [3] }], attrs: { axis: 0 }, data: [undefined, [1, 1, 1]] },
    ],
    invalid: [
      { types: [f(3), f(2)], attrs: { axis: 0 } },
      { types: [f(3), i(2)], attrs: { axis: 1 } },
    ],
  },
  scatterAdd: {
    valid: [
      {
        types: [i(3), i(3), i(3)],
        attrs: { axis: 0 },
        data: [
          [1, 1, 1],
          [2, 0, 2],
          [10, 20, 30],
        ],
        expected: [21, 1, 41],
      },
      { types: [f(2, 3, 2), i(2, 2), f(2, 2, 2, 2)], attrs: { axis: 1 }, data: [undefined, [0, 2, 2, 1]] },
      { types: [f(2), i(), f()], attrs: { axis: 0 }, data: [undefined, [1]] },
      { types: [f(2), i(0), f(0)], attrs: { axis: 0 }, data: [[1, 2]], expected: [1, 2] },
    ],
    invalid: [
      { types: [f(3), i(2), f(3)], attrs: { axis: 0 } },
      { types: [f(3), i(2), i(2)], attrs: { axis: 0 } },
      { types: [b(3), i(2), b(2)], attrs: { axis: 0 } },
    ],
  },
  takeAlong: {
    valid: [
      {
        types: [i(2, 3), i(2, 2)],
        attrs: { axis: 1 },
        data: [
          [1, 2, 3, 4, 5, 6],
          [2, 0, 1, 1],
        ],
        expected: [3, 1, 5, 5],
      },
      { types: [f(3, 2), i(4, 1)], attrs: { axis: 0 }, data: [undefined, [2, 2, 0, 1]] },
      { types: [f(2, 2), i(2, 0)], attrs: { axis: 1 }, expected: [] },
    ],
    invalid: [
      { types: [f(2, 3), i(3, 3)], attrs: { axis: 1 } },
      { types: [f(2, 3), i(2)], attrs: { axis: 1 } },
      { types: [f(2), f(2)], attrs: { axis: 0 } },
    ],
  },
  scatterAddAlong: {
    valid: [
      {
        types: [i(2, 2), i(2, 2), i(2, 2)],
        attrs: { axis: 1 },
        data: [
          [0, 0, 0, 0],
          [1, 1, 0, 1],
          [1, 2, 3, 4],
        ],
        expected: [0, 3, 3, 4],
      },
      { types: [f(3, 2), i(4, 1), f(4, 1)], attrs: { axis: 0 }, data: [undefined, [2, 2, 0, 1]] },
    ],
    invalid: [
      { types: [f(2, 2), i(2, 2), f(2, 1)], attrs: { axis: 1 } },
      { types: [f(2, 2), i(3, 2), f(3, 2)], attrs: { axis: 1 } },
    ],
  },
};

export const orderCases: CasesOf<"argsort" | "cumsum" | "cumprod"> = {
  argsort: {
    valid: [
      {
        types: [f(6)],
        attrs: { axis: 0, descending: false },
        data: [[3, nan, 1, 3, -1, nan]],
        expected: [4, 2, 0, 3, 1, 5],
      },
      {
        types: [f(6)],
        attrs: { axis: 0, descending: true },
        data: [[3, nan, 1, 3, -1, nan]],
        expected: [1, 5, 0, 3, 2, 4],
      },
      { types: [i(2, 2)], attrs: { axis: 0, descending: false }, data: [[5, 1, 4, 2]], expected: [1, 0, 0, 1] },
      { types: [f(0)], attrs: { axis: 0, descending: false }, expected: [] },
    ],
    invalid: [{ types: [f()], attrs: { axis: 0, descending: false } }],
  },
  cumsum: {
    valid: [
      {
        types: [i(2, 3)],
        attrs: { axis: 1, reverse: false },
        data: [[1, 2, 3, 4, 5, 6]],
        expected: [1, 3, 6, 4, 9, 15],
      },
      { types: [i(3)], attrs: { axis: 0, reverse: true }, data: [[1, 2, 3]], expected: [6, 5, 3] },
      { types: [f(3, 2, 2)], attrs: { axis: 0, reverse: false } },
      { types: [f(2, 0)], attrs: { axis: 1, reverse: false }, expected: [] },
    ],
    invalid: [
      { types: [f(2)], attrs: { axis: 1, reverse: false } },
      { types: [b(2)], attrs: { axis: 0, reverse: false } },
    ],
  },
  cumprod: {
    valid: [
      { types: [i(4)], attrs: { axis: 0, reverse: false }, data: [[1, 2, 3, 4]], expected: [1, 2, 6, 24] },
      { types: [i(3)], attrs: { axis: 0, reverse: true }, data: [[2, 3, 4]], expected: [24, 12, 4] },
      { types: [f(2, 3)], attrs: { axis: 1, reverse: true } },
      { types: [f(3, 2)], attrs: { axis: 0, reverse: false } },
      { types: [f(4)], attrs: { axis: 0, reverse: false }, data: [[2, 0, 3, 0]] },
      { types: [f(1)], attrs: { axis: 0, reverse: false } },
      { types: [f(0, 2)], attrs: { axis: 0, reverse: false }, expected: [] },
    ],
    invalid: [{ types: [f(2)], attrs: { axis: -1, reverse: false } }],
  },
};
