/**
 * Products on a GPU through shared memory: a work-group has a block of the result; panels of both operands go through
 * shared arrays, from which each thread feeds the sums it has in registers. Two panels take turns, so that the next is read
 * while the last is multiplied, and the threads meet once a panel. Convolutions are the same product: only the index of an
 * element in memory differs. With tensor cores, the warps multiply tiles of 16 by 8 together.
 */
import {
  assign,
  barrier,
  branch,
  constant,
  int,
  lane,
  load,
  mma,
  pack,
  scalar,
  shared,
  store,
  variable,
  type Expr,
  type MatrixFormat,
} from "../../../ir/loop/loop.ts";
import { at } from "../../../ir/type.ts";
import type { Loop } from "../../schedule/contraction.ts";
import type { PlacedOperand } from "../contract-tile.ts";
import { affineExpr, rangeOf, simplify, substitute, type Affine } from "../index-math.ts";
import { nameOfVariable, Scope } from "../kernel-writer.ts";
import { finish, type Lowered } from "../lowered.ts";
import { extentOf, indicesOf, type Product } from "./product.ts";
import { overGroups, thread } from "./threads.ts";
import { vectorize } from "./vectorize.ts";

/** Sizes of a block and of what each thread has of it; the sum's panel is `depth` deep. */
type Shape = {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Rows and columns a thread has, in quads. */
  readonly height: number;
  readonly width: number;
};

/** Blocks to choose from, the largest first: a larger one reads each operand less often. */
const shapes: readonly Shape[] = [
  { rows: 128, columns: 128, depth: 8, height: 8, width: 8 },
  { rows: 64, columns: 64, depth: 16, height: 4, width: 4 },
  { rows: 32, columns: 64, depth: 16, height: 4, width: 4 },
  { rows: 32, columns: 32, depth: 16, height: 4, width: 4 },
  { rows: 16, columns: 32, depth: 32, height: 4, width: 4 },
];

/** Blocks for tensor cores: each warp has 32 by 32 of the block. */
const matrixShapes: readonly Shape[] = [
  { rows: 128, columns: 64, depth: 16, height: 0, width: 0 },
  { rows: 64, columns: 64, depth: 16, height: 0, width: 0 },
  { rows: 32, columns: 64, depth: 16, height: 0, width: 0 },
];

/** Blocks that fill a large GPU once. */
const enoughBlocks = 128;

/** Numbers behind each row of a shared panel, so that neighbouring rows begin in other banks. */
const padding = 4;

/** A side of the product: its operand, and the loops that it alone has, flattened. */
type Side = {
  readonly operand: PlacedOperand;
  readonly access: Affine;
  readonly loops: readonly Loop[];
  readonly extent: number;
  /** Rows or columns of a block. */
  readonly size: number;
  /** The shared array, and the first element of a panel in it. */
  readonly array: string;
};

/** A block under construction. */
type Block = Product & {
  readonly shape: Shape;
  readonly threads: number;
  /** Loops of both operands, by the work-group. */
  readonly outer: ReadonlyMap<string, Expr>;
  readonly left: Side;
  readonly right: Side;
  /** First row and column of the block. */
  readonly row: Expr;
  readonly column: Expr;
  readonly depthExtent: number;
};

/** Where in the block one of a thread's sums belongs, and the variables that hold it and its right neighbours. */
type Held = { readonly row: Expr; readonly column: Expr; readonly sums: readonly Expr[] };

/** Lowers a product; `matrix`: the precision of the tensor cores that may be used. */
export function lowerShared(product: Product, matrix: MatrixFormat | undefined): Lowered {
  const { draft, c, plan, vectorAccess, scalarAccess } = product;
  const { writer } = draft;
  const free = c.out.filter(({ extent }) => extent > 1);
  const has = (access: Affine, loop: Loop): boolean => access.coefficients.has(loop.name);
  const rowLoops = free.filter((loop) => !has(vectorAccess, loop));
  const columnLoops = free.filter((loop) => !has(scalarAccess, loop) && has(vectorAccess, loop));
  const outerLoops = free.filter((loop) => !rowLoops.includes(loop) && !columnLoops.includes(loop));
  const [rows, columns, outers] = [extentOf(rowLoops), extentOf(columnLoops), extentOf(outerLoops)];
  const shape = chooseShape(matrix === undefined ? shapes : matrixShapes, rows, columns, outers);
  const threads =
    matrix === undefined
      ? (shape.rows / shape.height) * (shape.columns / shape.width)
      : (shape.rows / 32) * (shape.columns / 32) * 32;
  const [rowBlocks, columnBlocks] = [Math.ceil(rows / shape.rows), Math.ceil(columns / shape.columns)];
  const tasks = overGroups(draft, outers * rowBlocks * columnBlocks, threads, (scope, task) => {
    const sideOf = (operand: PlacedOperand, access: Affine, loops: readonly Loop[], size: number): Side => {
      const array = writer.fresh("panel");
      scope.add(shared(array, "f32", 2 * shape.depth * (size + padding)));
      return { operand, access, loops, extent: extentOf(loops), size, array };
    };
    const column = scalar("mul", scalar("mod", task, int(columnBlocks)), int(shape.columns));
    const rest = scalar("div", task, int(columnBlocks));
    const row = scalar("mul", scalar("mod", rest, int(rowBlocks)), int(shape.rows));
    const block: Block = {
      ...product,
      shape,
      threads,
      outer: indicesOf(outerLoops, scalar("div", rest, int(rowBlocks))),
      left: sideOf(plan.scalarOperand, scalarAccess, rowLoops, shape.rows),
      right: sideOf(plan.vectorOperand, vectorAccess, columnLoops, shape.columns),
      row: writer.bind(scope, row, "row"),
      column: writer.bind(scope, column, "column"),
      depthExtent: extentOf(c.reduced),
    };
    const held = matrix === undefined ? holdQuads(block, scope) : holdTiles(block, scope);
    overPanels(block, scope, (panel, inner) =>
      matrix === undefined
        ? multiplyQuads(block, held, panel, inner)
        : multiplyTiles(block, matrix, held, panel, inner),
    );
    for (const each of held) emitHeld(block, each, scope);
  });
  return finish(draft, tasks, 2 * extentOf([...c.out, ...c.reduced]));
}

/** The largest block that wastes little at the edges and gives blocks enough; else the one that wastes least. */
function chooseShape(from: readonly Shape[], rows: number, columns: number, outers: number): Shape {
  const blocks = ({ rows: m, columns: n }: Shape): number => outers * Math.ceil(rows / m) * Math.ceil(columns / n);
  const used = (shape: Shape): number => (rows * columns * outers) / (blocks(shape) * shape.rows * shape.columns);
  const fitting = from.filter((shape) => used(shape) >= 0.5 && blocks(shape) >= enoughBlocks);
  return (
    fitting[0] ??
    from.toSorted((a, b) => used(b) - used(a) || b.rows * b.columns - a.rows * a.columns)[0] ??
    at(from, 0)
  );
}

/** Reads all panels in turn; `multiply` gets the place of a panel's first element in each array, by its parity. */
function overPanels(block: Block, scope: Scope, multiply: (parity: Expr, inner: Scope) => void): void {
  const { draft, shape, depthExtent, left, right } = block;
  const { writer } = draft;
  const panels = Math.ceil(depthExtent / shape.depth);
  const zero = int(0);
  for (const side of [left, right]) storePanel(block, side, zero, readPanel(block, side, zero, scope), scope);
  scope.add(barrier());
  if (panels > 1)
    writer.loop(
      writer.fresh("panel"),
      int(1),
      int(panels),
      (inner, panel) => {
        const next = [left, right].map((side) => readPanel(block, side, panel, inner));
        const parity = scalar("mod", panel, int(2));
        multiply(scalar("sub", int(1), parity), inner);
        [left, right].forEach((side, i) => storePanel(block, side, parity, at(next, i), inner));
        inner.add(barrier());
      },
      scope,
    );
  multiply(int((panels - 1) % 2), scope);
}

/** Elements of a panel that a thread reads: where each goes, and its value. */
type Piece = { readonly place: Expr; readonly value: Expr };

/** How many neighbours are read at once along the axis that lies together in memory. */
type Reading = { readonly along: "depth" | "side"; readonly count: number };

function readingOf({ c, depthExtent }: Block, side: Side): Reading {
  const { coefficients, constant: first } = side.access;
  const innermost = c.reduced.findLast(({ extent }) => extent > 1);
  const together = (loop: Loop | undefined): boolean => loop !== undefined && coefficients.get(loop.name) === 1;
  const aligned = (loop: Loop): boolean =>
    first % 4 === 0 &&
    loop.extent % 4 === 0 &&
    [...coefficients].every(([name, stride]) => name === loop.name || stride % 4 === 0);
  const last = side.loops.at(-1);
  if (last !== undefined && together(last))
    return { along: "side", count: aligned(last) && side.extent % 4 === 0 ? 4 : 1 };
  if (innermost !== undefined && together(innermost))
    return { along: "depth", count: aligned(innermost) && depthExtent % 4 === 0 ? 4 : 1 };
  return { along: "side", count: 1 };
}

/** Reads this thread's share of a panel into registers. */
function readPanel(block: Block, side: Side, panel: Expr, scope: Scope): Piece[] {
  const { draft, c, shape, threads, depthExtent, row, column, left } = block;
  const { writer } = draft;
  const { along, count } = readingOf(block, side);
  const first = side === left ? row : column;
  const total = (side.size * shape.depth) / count;
  const short = along === "depth" ? shape.depth / count : side.size / count;
  const pieces: Piece[] = [];
  for (let from = 0; from < total; from += threads) {
    const number = scalar("add", thread, int(from));
    const inner = scalar("mul", scalar("mod", number, int(short)), int(count));
    const across = scalar("div", number, int(short));
    const [k, i] = along === "depth" ? [inner, across] : [across, inner];
    const depth = writer.bind(scope, scalar("add", scalar("mul", panel, int(shape.depth)), k), "depth");
    const own = writer.bind(scope, scalar("add", first, i), "own");
    const conditions = [
      ...limit(block, own, side.extent),
      ...limit(block, depth, depthExtent),
      ...(from + threads > total ? [scalar("lt", number, int(total))] : []),
    ];
    const point = new Map([...block.outer, ...indicesOf(side.loops, own), ...indicesOf(c.reduced, depth)]);
    const index = substitute(affineExpr(side.access), point);
    const value = readGuarded(block, side.operand, index, count, conditions, scope);
    pieces.push({ place: scalar("add", scalar("mul", k, int(side.size + padding)), i), value });
  }
  return pieces;
}

/** That a number is below a count, if it may not be. */
function limit({ draft }: Block, number: Expr, count: number): Expr[] {
  return rangeOf(number, draft.writer.ranges).max < count ? [] : [scalar("lt", number, int(count))];
}

/** Elements where the conditions hold, else zeros: what lies outside adds nothing to a sum. */
function readGuarded(
  { draft }: Block,
  { buffer }: PlacedOperand,
  index: Expr,
  count: number,
  conditions: readonly Expr[],
  scope: Scope,
): Expr {
  const { writer } = draft;
  const [first, ...others] = conditions;
  const zeros = Array.from({ length: count }, () => constant("f32", 0));
  if (first === undefined) return writer.bind(scope, writer.load(buffer, index, count), "read");
  const value = writer.mutable(scope, pack(zeros), "read");
  const condition = others.reduce((all, each) => scalar("and", all, each), first);
  scope.add(branch(condition, [assign(nameOfVariable(value), writer.load(buffer, index, count))]));
  return value;
}

/** Writes what was read to a panel; a panel lies with its depth outermost. */
function storePanel(block: Block, side: Side, parity: Expr, pieces: readonly Piece[], scope: Scope): void {
  const { shape, threads } = block;
  const { along, count } = readingOf(block, side);
  const base = scalar("mul", parity, int(shape.depth * (side.size + padding)));
  const total = (side.size * shape.depth) / count;
  pieces.forEach(({ place, value }, turn) => {
    const at0 = (moved: number): Expr =>
      simplify(scalar("add", scalar("add", base, place), int(moved)), block.draft.writer.ranges);
    const stores =
      along === "side" || count === 1
        ? [store(side.array, at0(0), value)]
        : Array.from({ length: count }, (_, d) => store(side.array, at0(d * (side.size + padding)), lane(value, d)));
    const isPartial = (turn + 1) * threads > total;
    scope.add(
      ...(isPartial ? [branch(scalar("lt", scalar("add", thread, int(turn * threads)), int(total)), stores)] : stores),
    );
  });
}

/** A thread's quads: rows and columns come in fours, as far apart as there are threads side by side. */
function holdQuads({ draft, shape }: Block, scope: Scope): Held[] {
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
function multiplyQuads(block: Block, held: readonly Held[], parity: Expr, scope: Scope): void {
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
function holdTiles({ draft, shape }: Block, scope: Scope): Held[] {
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
const operands: Readonly<
  Record<
    MatrixFormat,
    {
      readonly depth: number;
      readonly left: readonly (readonly [row: number, scale: number, depth: number])[];
      readonly right: readonly (readonly [scale: number, depth: number])[];
    }
  >
> = {
  tf32: {
    depth: 8,
    left: [0, 1, 2, 3].map((i) => [8 * (i % 2), 1, 4 * (i >> 1)]),
    right: [0, 1].map((i) => [1, 4 * i]),
  },
  bf16: {
    depth: 16,
    left: [0, 1, 2, 3, 4, 5, 6, 7].map((i) => [8 * ((i >> 1) % 2), 2, (i % 2) + 8 * (i >> 2)]),
    right: [0, 1, 2, 3].map((i) => [2, (i % 2) + 8 * (i >> 1)]),
  },
};

/** One panel's products for a warp's tiles. */
function multiplyTiles(block: Block, format: MatrixFormat, held: readonly Held[], parity: Expr, scope: Scope): void {
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

/** The epilogue of a few neighbours in a row. */
function emitHeld(block: Block, held: Held, scope: Scope): void {
  const { draft, left, right } = block;
  const { writer } = draft;
  const m = writer.bind(scope, scalar("add", block.row, held.row), "m");
  const n = writer.bind(scope, scalar("add", block.column, held.column), "n");
  const [first, second] = [...limit(block, m, left.extent), ...limit(block, n, right.extent)];
  const inner = first === undefined ? scope : new Scope(scope, true);
  writer.knowing(m, { min: 0, max: left.extent - 1 }, () => {
    const row = indicesOf(left.loops, m);
    const last = right.loops.at(-1);
    const width = held.sums.length;
    if (last !== undefined && last.extent % width === 0)
      writer.knowing(n, { min: 0, max: right.extent - width }, () => emitVector(block, row, n, last, held.sums, inner));
    else held.sums.forEach((sum, j) => emitElement(block, row, scalar("add", n, int(j)), sum, inner));
  });
  if (first !== undefined)
    scope.add(branch(second === undefined ? first : scalar("and", first, second), inner.statements));
}

/** The epilogue of neighbours along the column loop `last`, as vectors. */
function emitVector(
  { draft, right, outer, c, dtype, epilogue }: Block,
  row: ReadonlyMap<string, Expr>,
  n: Expr,
  last: Loop,
  sums: readonly Expr[],
  scope: Scope,
): void {
  const { writer, values } = draft;
  const name = writer.fresh("j");
  const element = writer.fresh("x");
  writer.ranges.set(name, { min: 0, max: sums.length - 1 });
  const body = new Scope(scope, true);
  values.locals.set(c.node, () => variable(element, { dtype, lanes: 1 }));
  const column = indicesOf(right.loops, n);
  column.set(last.name, scalar("add", column.get(last.name) ?? int(0), variable(name)));
  epilogue(body, new Map([...outer, ...row, ...column]));
  scope.add(...vectorize(body.statements, name, sums.length, writer.ranges, new Map([[element, pack(sums)]])));
}

/** The epilogue of one element, if it is inside. */
function emitElement(block: Block, row: ReadonlyMap<string, Expr>, number: Expr, sum: Expr, scope: Scope): void {
  const { draft, right, outer, c, epilogue } = block;
  const { writer, values } = draft;
  const n = writer.bind(scope, number, "n");
  const [condition] = limit(block, n, right.extent);
  const inner = condition === undefined ? scope : new Scope(scope, true);
  values.locals.set(c.node, () => sum);
  writer.knowing(n, { min: 0, max: right.extent - 1 }, () =>
    epilogue(inner, new Map([...outer, ...row, ...indicesOf(right.loops, n)])),
  );
  if (condition !== undefined) scope.add(branch(condition, inner.statements));
}
