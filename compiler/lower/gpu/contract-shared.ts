/**
 * Products on a GPU through shared memory: a work-group has a block of the result; panels of both operands go through
 * shared arrays, from which each thread feeds the sums it has in registers. Two panels take turns, so that the next is read
 * while the last is multiplied, and the threads meet once a panel. Convolutions are the same product: only the index of an
 * element in memory differs. With tensor cores, the warps multiply tiles of 16 by 8 together.
 */
import { branch, int, pack, scalar, shared, variable, type Expr, type MatrixFormat } from "../../../ir/loop/loop.ts";
import { at } from "../../../ir/type.ts";
import type { Loop } from "../../schedule/contraction.ts";
import type { PlacedOperand } from "../contract-tile.ts";
import type { Affine } from "../index-math.ts";
import { Scope } from "../kernel-writer.ts";
import { finish, type Lowered } from "../lowered.ts";
import { limit, padding, type Block, type Held, type Shape, type Side } from "./block.ts";
import { overPanels } from "./block-panels.ts";
import { holdQuads, holdTiles, multiplyQuads, multiplyTiles } from "./block-threads.ts";
import { extentOf, indicesOf, type Product } from "./product.ts";
import { overGroups } from "./threads.ts";
import { vectorize } from "./vectorize.ts";

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
