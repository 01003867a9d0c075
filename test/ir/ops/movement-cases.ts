/** Cases of movement. */
import { b, f, i, type CasesOf } from "./case.ts";

export const movementCases: CasesOf<"reshape" | "permute" | "broadcast" | "slice" | "pad" | "concat" | "flip"> = {
  reshape: {
    valid: [
      { types: [f(2, 6)], attrs: { shape: [3, 4] } },
      { types: [f(4, 6)], attrs: { shape: [2, 2, 1, 6] } },
      { types: [f(2, 1, 3, 4)], attrs: { shape: [6, 4, 1] } },
      { types: [f(5, 2, 3)], attrs: { shape: [5, 3, 2] } },
      { types: [f()], attrs: { shape: [1, 1] } },
      { types: [f(1, 1)], attrs: { shape: [] } },
      { types: [f(2, 0)], attrs: { shape: [0, 7, 1] } },
      { types: [i(6)], attrs: { shape: [2, 3] }, data: [[1, 2, 3, 4, 5, 6]], expected: [1, 2, 3, 4, 5, 6] },
    ],
    invalid: [
      { types: [f(2, 3)], attrs: { shape: [5] } },
      { types: [f(2, 3)], attrs: { shape: [-2, -3] } },
    ],
  },
  permute: {
    valid: [
      { types: [i(2, 3)], attrs: { order: [1, 0] }, data: [[1, 2, 3, 4, 5, 6]], expected: [1, 4, 2, 5, 3, 6] },
      { types: [f(2, 3, 4)], attrs: { order: [2, 0, 1] } },
      { types: [f()], attrs: { order: [] } },
      { types: [f(1, 0, 2)], attrs: { order: [1, 2, 0] } },
    ],
    invalid: [
      { types: [f(2, 3)], attrs: { order: [0] } },
      { types: [f(2, 3)], attrs: { order: [0, 0] } },
      { types: [f(2, 3)], attrs: { order: [0, 2] } },
    ],
  },
  broadcast: {
    valid: [
      { types: [f(2, 1)], attrs: { shape: [2, 3] } },
      { types: [i(1, 2)], attrs: { shape: [2, 2] }, data: [[1, 2]], expected: [1, 2, 1, 2] },
      { types: [f(1, 1, 2)], attrs: { shape: [3, 1, 2] } },
      { types: [f()], attrs: { shape: [] } },
      { types: [f(1)], attrs: { shape: [0] } },
    ],
    invalid: [
      { types: [f(2)], attrs: { shape: [4] } },
      { types: [f(1)], attrs: { shape: [2, 1] } },
    ],
  },
  slice: {
    valid: [
      { types: [i(5)], attrs: { start: [1], stop: [5], step: [2] }, data: [[1, 2, 3, 4, 5]], expected: [2, 4] },
      { types: [f(4, 7)], attrs: { start: [1, 0], stop: [3, 6], step: [1, 3] } },
      { types: [f(3, 2)], attrs: { start: [2, 0], stop: [2, 2], step: [1, 1] }, expected: [] },
      { types: [f()], attrs: { start: [], stop: [], step: [] } },
    ],
    invalid: [
      { types: [f(3)], attrs: { start: [2], stop: [1], step: [1] } },
      { types: [f(3)], attrs: { start: [0], stop: [4], step: [1] } },
      { types: [f(3)], attrs: { start: [0], stop: [3], step: [0] } },
      { types: [f(3)], attrs: { start: [], stop: [3], step: [1] } },
    ],
  },
  pad: {
    valid: [
      {
        types: [i(2)],
        attrs: { low: [1], high: [2], interior: [1], value: 9 },
        data: [[1, 2]],
        expected: [9, 1, 9, 2, 9, 9],
      },
      { types: [f(2, 3)], attrs: { low: [0, 2], high: [1, 0], interior: [2, 0], value: -1.5 } },
      { types: [f(1, 2)], attrs: { low: [0, 0], high: [0, 0], interior: [0, 0], value: 0 } },
      { types: [f(0, 2)], attrs: { low: [1, 0], high: [1, 0], interior: [3, 0], value: 4 }, expected: [4, 4, 4, 4] },
      { types: [b(1)], attrs: { low: [1], high: [0], interior: [0], value: 1 }, data: [[0]], expected: [1, 0] },
      { types: [f()], attrs: { low: [], high: [], interior: [], value: 0 } },
    ],
    invalid: [
      { types: [f(2)], attrs: { low: [-1], high: [0], interior: [0], value: 0 } },
      { types: [f(2)], attrs: { low: [0, 0], high: [0], interior: [0], value: 0 } },
    ],
  },
  concat: {
    valid: [
      {
        types: [i(1, 2), i(2, 2)],
        attrs: { axis: 0 },
        data: [
          [1, 2],
          [3, 4, 5, 6],
        ],
        expected: [1, 2, 3, 4, 5, 6],
      },
      { types: [f(2, 1), f(2, 3), f(2, 0), f(2, 2)], attrs: { axis: 1 } },
      { types: [f(2, 3)], attrs: { axis: 0 } },
      { types: [f(0), f(0)], attrs: { axis: 0 } },
    ],
    invalid: [
      { types: [], attrs: { axis: 0 } },
      { types: [f(), f()], attrs: { axis: 0 } },
      { types: [f(2, 2), f(2, 3)], attrs: { axis: 0 } },
      { types: [f(2), i(2)], attrs: { axis: 0 } },
    ],
  },
  flip: {
    valid: [
      { types: [i(3)], attrs: { axes: [0] }, data: [[1, 2, 3]], expected: [3, 2, 1] },
      { types: [f(2, 3, 2)], attrs: { axes: [0, 2] } },
      { types: [f(2)], attrs: { axes: [] } },
      { types: [f(0, 2)], attrs: { axes: [0] } },
    ],
    invalid: [{ types: [f(2)], attrs: { axes: [1] } }],
  },
};
