/**
 * What the threads of a block hold and multiply: quads of rows and columns in registers of their own, or, on tensor cores,
 * the tiles of their warp.
 */
import { assign, constant, int, lane, load, mma, scalar, type Expr, type MatrixFormat } from "../../../ir/loop/loop.ts";
import { at } from "../../../ir/type.ts";
import { simplify } from "../index-math.ts";
import { nameOfVariable, type Scope } from "../kernel-writer.ts";
import { padding, type Block, type Held, type Side } from "./block.ts";
import { thread } from "./threads.ts";

/** A thread's quads: rows and columns come in fours, as far apart as there are threads side by side. */
export function holdQuads({ draft, shape }: Block, scope: Scope): Held[] {
  const { writer } = draft;
  const across = shape.columns / shape.width;
  const down = shape.rows / shape.height;
  const x = writer.bind(scope, scalar("mul", scalar("mod", thread, int(across)), int(4)), "x");
  const y = writer.bind(scope, scalar("mul", scalar("div", thread, int(across)), int(4)), "y");
  const held: Held[] = [];
  for (let r = 0; r < shape.height; r++)
    for (let q = 0; q < shape.width / 4; q++) {
      const row = scalar("add", y, int(Math.floor(r / 4) * 4 * down + (r % 4)));
      const column = scalar("add", x, int(q * 4 * across));
      const sums = [0, 1, 2, 3].map((j) => writer.mutable(scope, constant("f32", 0), `s${r}_${q * 4 + j}_`));
      held.push({ row, column, sums });
    }
  return held;
}

/** One panel's products for a thread's quads. */
export function multiplyQuads(block: Block, held: readonly Held[], parity: Expr, scope: Scope): void {
  const { draft, shape, left, right } = block;
  const { writer } = draft;
  const quads = shape.width / 4;
  writer.loop(
    writer.fresh("k"),
    int(0),
    int(shape.depth),
    (inner, k) => {
      const read = (side: Side, i: Expr): Expr => {
        const depth = scalar("add", scalar("mul", parity, int(shape.depth)), k);
        const place = scalar("add", scalar("mul", depth, int(side.size + padding)), i);
        return writer.bind(
          inner,
          load(side.array, "f32", simplify(place, writer.ranges), 4),
          side === left ? "a" : "b",
        );
      };
      const rows = held.filter((_, i) => i % (4 * quads) === 0).map(({ row }) => read(left, row));
      const columns = held.slice(0, quads).map(({ column }) => read(right, column));
      held.forEach(({ sums }, i) => {
        const r = Math.floor(i / quads);
        const x = lane(at(rows, Math.floor(r / 4)), r % 4);
        sums.forEach((sum, j) => {
          const value = scalar("fma", x, lane(at(columns, i % quads), j), sum);
          inner.add(assign(nameOfVariable(sum), value));
        });
      });
    },
    scope,
    { mode: "unroll" },
  );
}

/** A warp's tiles: 2 of 16 rows by 4 of 8 columns; in each a thread has two neighbours in two rows. */
export function holdTiles({ draft, shape }: Block, scope: Scope): Held[] {
  const { writer } = draft;
  const warp = scalar("div", thread, int(32));
  const across = shape.columns / 32;
  const g = scalar("div", scalar("mod", thread, int(32)), int(4));
  const t = scalar("mod", thread, int(4));
  const y = writer.bind(scope, scalar("add", scalar("mul", scalar("div", warp, int(across)), int(32)), g), "y");
  const x = writer.bind(
    scope,
    scalar("add", scalar("mul", scalar("mod", warp, int(across)), int(32)), scalar("mul", t, int(2))),
    "x",
  );
  const held: Held[] = [];
  for (let m = 0; m < 2; m++)
    for (let n = 0; n < 4; n++)
      for (let half = 0; half < 2; half++) {
        const sums = [0, 1].map((j) => writer.mutable(scope, constant("f32", 0), `s${m}_${n}_${half * 2 + j}_`));
        held.push({
          row: scalar("add", y, int(m * 16 + half * 8)),
          column: scalar("add", x, int(n * 8)),
          sums,
        });
      }
  return held;
}

/** Depth of a tile, and the row and depth of a thread's operands in it (see `mma` in `ir/loop/loop.ts`), beside g and t. */
type Operands = {
  readonly depth: number;
  readonly left: readonly (readonly [row: number, scale: number, depth: number])[];
  readonly right: readonly (readonly [scale: number, depth: number])[];
};

/** Of 16 bits. */
const halves: Operands = {
  depth: 16,
  left: [0, 1, 2, 3, 4, 5, 6, 7].map((i) => [8 * ((i >> 1) % 2), 2, (i % 2) + 8 * (i >> 2)]),
  right: [0, 1, 2, 3].map((i) => [2, (i % 2) + 8 * (i >> 1)]),
};

const operands: Readonly<Record<MatrixFormat, Operands>> = {
  tf32: {
    depth: 8,
    left: [0, 1, 2, 3].map((i) => [8 * (i % 2), 1, 4 * (i >> 1)]),
    right: [0, 1].map((i) => [1, 4 * i]),
  },
  bf16: halves,
  f16: halves,
};

/** One panel's products for a warp's tiles. */
export function multiplyTiles(
  block: Block,
  format: MatrixFormat,
  held: readonly Held[],
  parity: Expr,
  scope: Scope,
): void {
  const { draft, shape, left, right } = block;
  const { writer } = draft;
  const { depth, left: leftPlaces, right: rightPlaces } = operands[format];
  const g = scalar("div", scalar("mod", thread, int(32)), int(4));
  const t = scalar("mod", thread, int(4));
  const warp = scalar("div", thread, int(32));
  const across = shape.columns / 32;
  const warpRow = scalar("mul", scalar("div", warp, int(across)), int(32));
  const warpColumn = scalar("mul", scalar("mod", warp, int(across)), int(32));
  for (let from = 0; from < shape.depth; from += depth) {
    const read = (side: Side, i: Expr, k: Expr): Expr => {
      const place = scalar("add", scalar("mul", parity, int(shape.depth)), scalar("add", k, int(from)));
      const index = scalar("add", scalar("mul", place, int(side.size + padding)), i);
      return writer.bind(scope, load(side.array, "f32", simplify(index, writer.ranges)), side === left ? "a" : "b");
    };
    const rows = [0, 1].map((m) =>
      leftPlaces.map(([row, scale, k]) =>
        read(
          left,
          scalar("add", scalar("add", warpRow, g), int(m * 16 + row)),
          scalar("add", scalar("mul", t, int(scale)), int(k)),
        ),
      ),
    );
    const columns = [0, 1, 2, 3].map((n) =>
      rightPlaces.map(([scale, k]) =>
        read(
          right,
          scalar("add", scalar("add", warpColumn, g), int(n * 8)),
          scalar("add", scalar("mul", t, int(scale)), int(k)),
        ),
      ),
    );
    rows.forEach((a, m) =>
      columns.forEach((b, n) => {
        const tile = (m * 4 + n) * 2;
        const sums = [...at(held, tile).sums, ...at(held, tile + 1).sums].map(nameOfVariable);
        scope.add(mma(format, sums, a, b));
      }),
    );
  }
}
