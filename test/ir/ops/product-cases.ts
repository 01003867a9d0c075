/** Cases of products and windows. */
import { b, f, i, type CasesOf } from "./case.ts";

const { NaN: nan } = Number;

const square = { lhsBatch: [], rhsBatch: [], lhsContract: [1], rhsContract: [0] };
const plain1 = { strides: [1], padding: [[0, 0]], lhsDilation: [1], rhsDilation: [1], groups: 1 } as const;

export const productCases: CasesOf<"dot" | "conv"> = {
  dot: {
    valid: [
      {
        types: [i(2, 2), i(2, 1)],
        attrs: square,
        data: [
          [1, 2, 3, 4],
          [5, 6],
        ],
        expected: [17, 39],
      },
      { types: [f(2, 3), f(3, 4)], attrs: square },
      {
        types: [f(2, 4, 3), f(4, 3, 2)],
        attrs: { lhsBatch: [0], rhsBatch: [2], lhsContract: [2, 1], rhsContract: [1, 0] },
      },
      {
        types: [f(3, 2, 4, 5), f(5, 4, 2)],
        attrs: { lhsBatch: [2, 1], rhsBatch: [1, 2], lhsContract: [], rhsContract: [] },
      },
      { types: [f(3), f(3)], attrs: { lhsBatch: [], rhsBatch: [], lhsContract: [0], rhsContract: [0] } },
      { types: [f(), f(2)], attrs: { lhsBatch: [], rhsBatch: [], lhsContract: [], rhsContract: [] } },
      { types: [f(2, 0), f(0, 3)], attrs: square, expected: [0, 0, 0, 0, 0, 0] },
    ],
    invalid: [
      { types: [f(2, 3), f(2, 3)], attrs: square },
      { types: [f(2, 3), i(3, 2)], attrs: square },
      { types: [f(2, 3), f(3, 2)], attrs: { ...square, lhsBatch: [1] } },
      { types: [b(2, 3), b(3, 2)], attrs: square },
    ],
  },
  conv: {
    valid: [
      {
        types: [f(1, 1, 4), f(1, 1, 2)],
        attrs: plain1,
        data: [
          [1, 2, 3, 4],
          [10, 1],
        ],
        expected: [12, 23, 34],
      },
      { types: [f(2, 3, 5), f(4, 3, 2)], attrs: { ...plain1, strides: [2], padding: [[1, 0]] } },
      { types: [f(1, 2, 5), f(2, 2, 2)], attrs: { ...plain1, padding: [[3, 4]], rhsDilation: [2] } },
      {
        types: [f(2, 4, 6), f(6, 2, 3)],
        attrs: { ...plain1, strides: [2], padding: [[2, 1]], rhsDilation: [2], groups: 2 },
      },
      { types: [f(1, 2, 3), f(2, 1, 2)], attrs: { ...plain1, padding: [[0, 1]], lhsDilation: [3], groups: 2 } },
      { types: [f(1, 1, 3), f(1, 1, 1)], attrs: { ...plain1, padding: [[2, 3]], strides: [4], lhsDilation: [2] } },
      {
        types: [f(2, 2, 4, 5), f(2, 2, 3, 2)],
        attrs: {
          strides: [1, 2],
          padding: [
            [1, 1],
            [0, 1],
          ],
          lhsDilation: [1, 1],
          rhsDilation: [1, 2],
          groups: 1,
        },
      },
      {
        types: [f(1, 2, 2, 3, 2), f(2, 1, 2, 1, 2)],
        attrs: {
          strides: [1, 1, 2],
          padding: [
            [0, 1],
            [0, 0],
            [1, 1],
          ],
          lhsDilation: [1, 1, 1],
          rhsDilation: [1, 1, 1],
          groups: 2,
        },
      },
      { types: [f(0, 1, 3), f(1, 1, 2)], attrs: plain1, expected: [] },
    ],
    invalid: [
      { types: [f(1, 1, 2), f(1, 1, 3)], attrs: plain1 },
      { types: [f(1, 2, 4), f(1, 1, 2)], attrs: plain1 },
      { types: [f(1, 2, 4), f(3, 1, 2)], attrs: { ...plain1, groups: 2 } },
      { types: [f(1, 1, 4), f(1, 1, 2)], attrs: { ...plain1, padding: [[-1, 0]] } },
      { types: [f(1, 1, 4), f(1, 1, 2)], attrs: { ...plain1, strides: [] } },
      { types: [f(1, 1), f(1, 1)], attrs: plain1 },
      { types: [i(1, 1, 4), i(1, 1, 2)], attrs: plain1 },
    ],
  },
};

const window2 = {
  window: [2, 2],
  strides: [2, 2],
  padding: [
    [0, 0],
    [0, 0],
  ],
  dilation: [1, 1],
} as const;

export const windowCases: CasesOf<"windowSum" | "windowArgmax"> = {
  windowSum: {
    valid: [
      { types: [i(2, 4)], attrs: window2, data: [[1, 2, 3, 4, 5, 6, 7, 8]], expected: [14, 22] },
      { types: [f(2, 3, 5, 6)], attrs: window2 },
      { types: [f(2, 7)], attrs: { window: [3], strides: [2], padding: [[1, 1]], dilation: [2] } },
      { types: [f(5)], attrs: { window: [1], strides: [3], padding: [[2, 3]], dilation: [1] } },
      { types: [f(0, 3)], attrs: { window: [2], strides: [1], padding: [[0, 0]], dilation: [1] }, expected: [] },
      { types: [f(0)], attrs: { window: [1], strides: [1], padding: [[1, 0]], dilation: [1] }, expected: [0] },
    ],
    invalid: [
      { types: [f(1, 2)], attrs: window2 },
      { types: [f(4)], attrs: window2 },
      { types: [f(4, 4)], attrs: { ...window2, window: [] } },
      { types: [f(4, 4)], attrs: { ...window2, strides: [0, 1] } },
      { types: [b(4, 4)], attrs: window2 },
    ],
  },
  windowArgmax: {
    valid: [
      { types: [f(2, 4)], attrs: window2, data: [[1, 9, 3, 3, 9, 2, 3, 3]], expected: [1, 2] },
      { types: [f(1, 2, 4)], attrs: window2, data: [[nan, 9, -1, -2, 9, nan, -3, -4]], expected: [5, 2] },
      {
        types: [f(3)],
        attrs: { window: [2], strides: [1], padding: [[1, 1]], dilation: [1] },
        data: [[-5, -6, -7]],
        expected: [0, 0, 1, 2],
      },
      {
        types: [f(5)],
        attrs: { window: [2], strides: [2], padding: [[0, 0]], dilation: [2] },
        data: [[1, 9, 2, 9, 3]],
        expected: [2, 4],
      },
    ],
    invalid: [
      { types: [f(2)], attrs: { window: [1], strides: [1], padding: [[1, 0]], dilation: [1] } },
      { types: [f(0, 2, 1)], attrs: window2 },
    ],
  },
};
