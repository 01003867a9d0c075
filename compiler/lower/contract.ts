/** Products (`dot`, `conv`) with their epilogue, on register tiles. */
import type { Node } from "../../ir/graph.ts";
import { int, type Expr } from "../../ir/loop/loop.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { accessOf, contractionOf, type Contraction } from "../schedule/contraction.ts";
import type { Group } from "../schedule/group.ts";
import { buildLoops, panelsOf, rowLoopsOf } from "./contract-loops.ts";
import type { ContractPlan, Tile } from "./contract-tile.ts";
import { lowerDirect } from "./gpu/contract-direct.ts";
import { lowerShared } from "./gpu/contract-shared.ts";
import { substitute } from "./index-math.ts";
import type { Scope } from "./kernel-writer.ts";
import { draftOf, finish, storeIndex, writeAll, type Draft, type LowerContext, type Lowered } from "./lowered.ts";

/** Lowers a product whose vector axis has been chosen. */
export function lowerContract(group: Group, context: LowerContext, plan: ContractPlan): Lowered {
  const draft = draftOf(group, context);
  const [node] = group.heavy;
  invariant(node !== undefined, "a contract group has a product");
  const c = longestInside(contractionOf(node));
  const vectorAccess = accessOf(plan.vectorOperand.placed, plan.vectorOperand.buffer.strides, c.ranges);
  const scalarAccess = accessOf(plan.scalarOperand.placed, plan.scalarOperand.buffer.strides, c.ranges);
  invariant(vectorAccess !== undefined && scalarAccess !== undefined, "operands of a product are affine");
  for (const [name, range] of c.ranges) draft.writer.ranges.set(name, range);
  const { dtype } = node.type;
  const epilogue = epilogueOf(draft, group, context, c, node);
  const { gpu } = context.machine;
  if (gpu !== undefined) {
    const product = { draft, c, plan, vectorAccess, scalarAccess, dtype, epilogue };
    // An empty sum has nothing to share.
    const isEmpty = c.reduced.some(({ extent }) => extent === 0);
    if (gpu.tiles === "shared" && dtype === "f32" && !isEmpty) return lowerShared(product, gpu.matrix);
    return lowerDirect(product, dtype === "f32" ? 4 : 1, dtype === "f32" && gpu.matrix === "f16");
  }
  const lanes = dtype === "f64" ? Math.max(2, context.machine.lanes / 2) : context.machine.lanes;
  const free = c.out.filter(({ name, extent }) => name !== plan.vector.name && extent > 1);
  const widest = Math.max(...panelsOf(plan.vector.extent, lanes).map(({ vectors }) => vectors));
  const mostRows = context.machine.registers >= 32 ? 8 : widest >= 3 ? 4 : 6;
  const tile: Tile = {
    draft,
    c,
    plan,
    vectorAccess,
    scalarAccess,
    lanes,
    dtype,
    rowLoops: rowLoopsOf(free, vectorAccess, mostRows),
    mostRows,
    epilogue,
  };
  const tasks = buildLoops(tile, free);
  const products = [...c.out, ...c.reduced].reduce((count, { extent }) => count * extent, 1);
  return finish(draft, tasks, 2 * products);
}

/** A reduced loop shorter than this is mostly overhead as the innermost one. */
const shortLoop = 8;

/** The contraction with its longest reduced loop innermost, if the innermost one is short (a convolution's window). */
function longestInside(c: Contraction): Contraction {
  const last = c.reduced.at(-1);
  if (last === undefined || last.extent >= shortLoop) return c;
  const [longest] = c.reduced.toSorted((a, b) => b.extent - a.extent);
  if (longest === undefined || longest.extent === last.extent) return c;
  return { ...c, reduced: [...c.reduced.filter((loop) => loop !== longest), longest] };
}

/** Writes the tile's values: the product itself where it has a place, and everything computed from it. */
function epilogueOf(
  draft: Draft,
  group: Group,
  context: LowerContext,
  c: Contraction,
  node: Node,
): (scope: Scope, point: ReadonlyMap<string, Expr>) => void {
  const singletons = new Map<string, Expr>(
    c.out.filter(({ extent }) => extent === 1).map(({ name }) => [name, int(0)]),
  );
  return (scope, point) => {
    const index = c.outIndex.map((i) => substitute(i, new Map([...singletons, ...point])));
    const pending = [
      { node, index },
      ...group.stores.map((entry) => ({ node: entry.node, index: storeIndex(entry, index) })),
    ].filter(({ node: value }) => context.targets(value).length > 0);
    writeAll(draft, context, pending, scope);
  };
}
