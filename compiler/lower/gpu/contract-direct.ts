/**
 * Products on a GPU without shared memory: each thread has a tile of the result in registers, some rows by some vectors,
 * and reads what it needs straight from memory; neighbouring threads read neighbouring columns. Long sums are added up in
 * chains, which keeps rounding errors near those of blocked libraries.
 */
import { assign, branch, constant, dot, int, lane, scalar, splat, variable, type Expr } from "../../../ir/loop/loop.ts";
import { at } from "../../../ir/type.ts";
import type { Loop } from "../../schedule/contraction.ts";
import { affineExpr, rangeOf, substitute } from "../index-math.ts";
import { nameOfVariable, Scope } from "../kernel-writer.ts";
import { finish, type Lowered } from "../lowered.ts";
import { extentOf, indicesOf, type Product } from "./product.ts";
import { overItems } from "./threads.ts";
import { vectorize } from "./vectorize.ts";

/** Products added up in one register before the sum is added to the total. */
const longestChain = 512;

/** Tiles to choose from, rows by columns: the largest first. */
const tiles: readonly (readonly [rows: number, columns: number])[] = [
  [8, 16],
  [8, 8],
  [4, 8],
  [4, 4],
  [2, 4],
  [1, 4],
];

/** Fewer threads than this leave a processor's cores idle. */
const enoughThreads = 128;

/** Threads of a work-group: a few, so that small products reach several cores. */
const groupThreads = 32;

/** One thread's tile. */
type Tile = Product & {
  /** Numbers a vector: 4, or 1 where the columns cannot be read as vectors. */
  readonly lanes: number;
  /** Row loops, which only the scalar operand has, flattened; and their product. */
  readonly rowLoops: readonly Loop[];
  readonly rows: number;
  readonly height: number;
  /** Vectors a row of the tile. */
  readonly vectors: number;
  /** Whether products may be halves. */
  readonly halves: boolean;
};

/** Lowers a product. `halves`: whether it may be computed in half precision. */
export function lowerDirect(product: Product, lanes: number, halves: boolean): Lowered {
  const { draft, c, plan, vectorAccess } = product;
  const free = c.out.filter(({ name, extent }) => name !== plan.vector.name && extent > 1);
  const rowLoops = free.filter(({ name }) => !vectorAccess.coefficients.has(name));
  const outer = free.filter((loop) => !rowLoops.includes(loop));
  const rows = extentOf(rowLoops);
  const columns = plan.vector.extent;
  const width = columns % lanes === 0 ? lanes : 1;
  const [height, across] = chooseTile(rows, columns / width, width, extentOf(outer));
  const tile: Tile = { ...product, lanes: width, rowLoops, rows, height, vectors: across, halves };
  const rowTiles = Math.ceil(rows / height);
  const columnTiles = Math.ceil(columns / (across * width));
  const count = extentOf(outer) * rowTiles * columnTiles;
  const tasks = overItems(
    draft,
    count,
    (scope, item) => {
      const { writer } = draft;
      const column = writer.bind(scope, scalar("mod", item, int(columnTiles)), "column");
      const rest = scalar("div", item, int(columnTiles));
      const row = writer.bind(scope, scalar("mod", rest, int(rowTiles)), "row");
      const point = indicesOf(outer, scalar("div", rest, int(rowTiles)));
      emitTile(tile, point, scalar("mul", row, int(height)), scalar("mul", column, int(across * width)), scope);
    },
    groupThreads,
  );
  return finish(draft, tasks, 2 * extentOf([...c.out, ...c.reduced]));
}

/** The largest tile that still gives threads enough; its rows, and vectors a row. */
function chooseTile(rows: number, vectors: number, lanes: number, outer: number): readonly [number, number] {
  const fitting = tiles
    .map(([height, columns]): readonly [number, number] => [
      Math.min(height, rows),
      Math.min(Math.max(1, columns / (lanes === 1 ? 4 : lanes)), vectors),
    ])
    .filter(([height, across]) => height >= 1 && across >= 1);
  const threads = ([height, across]: readonly [number, number]): number =>
    outer * Math.ceil(rows / height) * Math.ceil(vectors / across);
  return fitting.find((tile) => threads(tile) >= enoughThreads) ?? fitting.at(-1) ?? [1, 1];
}

/** A number kept below `count` where it may reach it, and whether it is below. */
function kept(tile: Tile, number: Expr, count: number): { readonly inside: Expr; readonly isInside: Expr | undefined } {
  const { max } = rangeOf(number, tile.draft.writer.ranges);
  if (max < count) return { inside: number, isInside: undefined };
  return { inside: scalar("min", number, int(count - 1)), isInside: scalar("lt", number, int(count)) };
}

function emitTile(tile: Tile, outer: ReadonlyMap<string, Expr>, row: Expr, column: Expr, scope: Scope): void {
  const { draft, c, plan, dtype, lanes, height, vectors, rows } = tile;
  const { writer } = draft;
  const zero = (): Expr => splat(constant(dtype, 0), lanes);
  const each = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
  const rowPlaces = each(height, (r) => kept(tile, scalar("add", row, int(r)), rows));
  const columnPlaces = each(vectors, (v) => {
    const number = scalar("add", column, int(v * lanes));
    const { max } = rangeOf(number, writer.ranges);
    if (max < plan.vector.extent) return { inside: number, isInside: undefined };
    const inside = scalar("min", number, int(plan.vector.extent - lanes));
    return { inside, isInside: scalar("lt", number, int(plan.vector.extent)) };
  });
  const points = rowPlaces.map(({ inside }) => new Map([...outer, ...indicesOf(tile.rowLoops, inside)]));
  const declare = (inner: Scope, prefix: string): Expr[][] =>
    points.map((_, r) => columnPlaces.map((__, v) => writer.mutable(inner, zero(), `${prefix}${r}_${v}_`)));

  const chains = chainsOf(c.reduced);
  const sums = declare(scope, "s");
  if (chains === undefined)
    overLoops(tile, c.reduced, outer, scope, (inner, here) => multiply(tile, here, points, columnPlaces, sums, inner));
  else
    chains.over(tile, scope, (body, reduced) => {
      const part = declare(body, "p");
      overBounds(tile, reduced, outer, body, (inner, here) => multiply(tile, here, points, columnPlaces, part, inner));
      sums.forEach((line, r) =>
        line.forEach((sum, v) => body.add(assign(nameOfVariable(sum), scalar("add", sum, at(at(part, r), v))))),
      );
    });

  points.forEach((point, r) =>
    columnPlaces.forEach((place, v) => {
      const conditions = [at(rowPlaces, r).isInside, place.isInside].filter((each) => each !== undefined);
      const [first, second] = conditions;
      if (first === undefined) emitVector(tile, point, place.inside, at(at(sums, r), v), scope);
      else {
        const inner = new Scope(scope, true);
        emitVector(tile, point, place.inside, at(at(sums, r), v), inner);
        scope.add(branch(second === undefined ? first : scalar("and", first, second), inner.statements));
      }
    }),
  );
}

/** The epilogue of one vector of the tile. */
function emitVector(tile: Tile, point: ReadonlyMap<string, Expr>, column: Expr, sum: Expr, scope: Scope): void {
  const { draft, c, plan, lanes, dtype } = tile;
  const { writer, values } = draft;
  if (lanes === 1) {
    values.locals.set(c.node, () => sum);
    tile.epilogue(scope, new Map([...point, [plan.vector.name, column]]));
    return;
  }
  const name = writer.fresh("j");
  const element = writer.fresh("x");
  writer.ranges.set(name, { min: 0, max: lanes - 1 });
  const body = new Scope(scope, true);
  values.locals.set(c.node, () => variable(element, { dtype, lanes: 1 }));
  tile.epilogue(body, new Map([...point, [plan.vector.name, scalar("add", column, variable(name))]]));
  scope.add(...vectorize(body.statements, name, lanes, writer.ranges, new Map([[element, sum]])));
}

/** A reduced loop over part of its extent. */
type Bounds = { readonly loop: Loop; readonly begin: Expr; readonly end: Expr; readonly range: number };

/** How a long sum is cut: the outer loops whose iterations are chains of their own, or blocks of the only loop. */
type Chains = {
  readonly over: (tile: Tile, scope: Scope, build: (body: Scope, reduced: readonly Bounds[]) => void) => void;
};

function chainsOf(reduced: readonly Loop[]): Chains | undefined {
  if (extentOf(reduced) <= 2 * longestChain) return undefined;
  let inner = reduced.length;
  let length = 1;
  while (inner > 0 && length * at(reduced, inner - 1).extent <= longestChain) {
    inner--;
    length *= at(reduced, inner).extent;
  }
  const whole = (loop: Loop): Bounds => ({ loop, begin: int(0), end: int(loop.extent), range: loop.extent });
  const rest = reduced.slice(inner).map(whole);
  const cut = at(reduced, inner - 1);
  const block = Math.max(4, Math.floor(longestChain / length / 4) * 4);
  return {
    over: ({ draft: { writer } }, scope, build) => {
      const visit = (loops: readonly Loop[], body: Scope): void => {
        const [loop, ...others] = loops;
        if (loop !== undefined) {
          writer.loop(loop.name, int(0), int(loop.extent), (next) => visit(others, next), body);
          return;
        }
        if (block >= cut.extent) {
          writer.loop(cut.name, int(0), int(cut.extent), (next) => build(next, rest), body);
          return;
        }
        const fill = (next: Scope, from: Expr): void => {
          const end =
            cut.extent % block === 0
              ? scalar("add", from, int(block))
              : scalar("min", scalar("add", from, int(block)), int(cut.extent));
          build(next, [{ loop: cut, begin: from, end, range: cut.extent }, ...rest]);
        };
        const options = { step: block, range: { min: 0, max: cut.extent - 1 } };
        writer.loop(writer.fresh("from"), int(0), int(cut.extent), fill, body, options);
      };
      visit(reduced.slice(0, inner - 1), scope);
    },
  };
}

function overLoops(
  tile: Tile,
  loops: readonly Loop[],
  outer: ReadonlyMap<string, Expr>,
  scope: Scope,
  build: (inner: Scope, here: Step) => void,
): void {
  const bounds = loops.map((loop): Bounds => ({ loop, begin: int(0), end: int(loop.extent), range: loop.extent }));
  overBounds(tile, bounds, outer, scope, build);
}

/** A step of the sum: the indices of outer loops, and along the innermost reduced loop so many neighbours at once. */
type Step = { readonly outer: ReadonlyMap<string, Expr>; readonly depth: number; readonly loop: Loop | undefined };

function overBounds(
  tile: Tile,
  bounds: readonly Bounds[],
  outer: ReadonlyMap<string, Expr>,
  scope: Scope,
  build: (inner: Scope, here: Step) => void,
): void {
  const [first, ...rest] = bounds;
  if (first === undefined) {
    build(scope, { outer, depth: 1, loop: undefined });
    return;
  }
  const { loop, begin, end, range } = first;
  const { writer } = tile.draft;
  const depth = rest.length === 0 ? depthOf(tile, first) : 1;
  const fill = (inner: Scope): void =>
    rest.length === 0 ? build(inner, { outer, depth, loop }) : overBounds(tile, rest, outer, inner, build);
  writer.loop(loop.name, begin, end, fill, scope, { step: depth, range: { min: 0, max: range - depth } });
}

/** How many neighbours of the sum the scalar operand is read at once: a vector where they lie together, else one. */
function depthOf(tile: Tile, { loop, range }: Bounds): number {
  const { scalarAccess, lanes } = tile;
  const width = 4;
  const others = [...scalarAccess.coefficients].filter(([name]) => name !== loop.name);
  const isTogether = scalarAccess.coefficients.get(loop.name) === 1;
  const isAligned = scalarAccess.constant % width === 0 && others.every(([, stride]) => stride % width === 0);
  return lanes > 1 && isTogether && isAligned && range % width === 0 ? width : 1;
}

/** One step of the sum for the whole tile. */
function multiply(
  tile: Tile,
  { outer, depth, loop }: Step,
  points: readonly ReadonlyMap<string, Expr>[],
  columns: readonly { readonly inside: Expr }[],
  sums: readonly (readonly Expr[])[],
  scope: Scope,
): void {
  const { draft, plan, lanes, vectorAccess } = tile;
  const { writer } = draft;
  const scalars = readScalars(tile, depth, points, scope);
  const steps = Array.from({ length: depth }, (_, d) => {
    const vectors = columns.map(({ inside }) => {
      const index = substitute(affineExpr(vectorAccess), new Map([...outer, [plan.vector.name, inside]]));
      const moved = loop === undefined ? 0 : d * (vectorAccess.coefficients.get(loop.name) ?? 0);
      const value = writer.load(plan.vectorOperand.buffer, scalar("add", index, int(moved)), lanes);
      return writer.bind(scope, value, "v");
    });
    const rows = scalars.map((row) => writer.bind(scope, splat(at(row, d), lanes), "x"));
    if (!tile.halves)
      rows.forEach((x, r) =>
        at(sums, r).forEach((sum, v) => scope.add(assign(nameOfVariable(sum), scalar("fma", x, at(vectors, v), sum)))),
      );
    return { rows, vectors };
  });
  if (!tile.halves) return;
  sums.forEach((line, r) =>
    line.forEach((sum, v) => {
      const [a, b] = [steps.map(({ rows }) => at(rows, r)), steps.map(({ vectors }) => at(vectors, v))];
      scope.add(dot("f16", nameOfVariable(sum), a, b));
    }),
  );
}

/** The scalar operand's elements: for each row, `depth` neighbours of the sum. */
function readScalars(tile: Tile, depth: number, points: readonly ReadonlyMap<string, Expr>[], scope: Scope): Expr[][] {
  const { draft, plan, scalarAccess, rowLoops, height, lanes } = tile;
  const { writer } = draft;
  const { buffer } = plan.scalarOperand;
  const indexAt = (point: ReadonlyMap<string, Expr>): Expr => substitute(affineExpr(scalarAccess), point);
  const read = (index: Expr, count: number): Expr[] => {
    const value = writer.bind(scope, writer.load(buffer, index, count), "a");
    return count === 1 ? [value] : Array.from({ length: count }, (_, i) => lane(value, i));
  };
  if (depth > 1) return points.map((point) => read(indexAt(point), depth));
  // Rows that are neighbours in memory are read as vectors.
  const [only] = rowLoops;
  const others = [...scalarAccess.coefficients].filter(([name]) => name !== only?.name);
  const width = 4;
  const isTogether =
    lanes > 1 &&
    rowLoops.length === 1 &&
    only !== undefined &&
    scalarAccess.coefficients.get(only.name) === 1 &&
    height % width === 0 &&
    only.extent % height === 0 &&
    scalarAccess.constant % width === 0 &&
    others.every(([, stride]) => stride % width === 0);
  if (!isTogether) return points.map((point) => read(indexAt(point), 1));
  return points.flatMap((point, r) => (r % width === 0 ? read(indexAt(point), width).map((element) => [element]) : []));
}
