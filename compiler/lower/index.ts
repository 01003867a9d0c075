/** Lowering: one schedule for each kind of group. */
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import type { Group, GroupKind } from "../schedule/group.ts";
import { arrangedOperands, runsAlong } from "../schedule/arrange.ts";
import { contractionOf } from "../schedule/contraction.ts";
import type { Schedule } from "../schedule/schedule.ts";
import { lowerContract } from "./contract.ts";
import type { LowerContext, Lowered } from "./lowered.ts";
import { lowerMap } from "./map.ts";
import { lowerPointwise } from "./nest.ts";
import { lowerRow } from "./row.ts";
import { lowerRowOnThreads } from "./gpu/row.ts";
import { lowerRandom } from "./random.ts";
import { lowerCumulative, lowerScatter, lowerSort } from "./serial.ts";

const schedules: Readonly<Record<GroupKind, (group: Group, context: LowerContext, schedule: Schedule) => Lowered>> = {
  map: lowerMap,
  row: lowerRow,
  contract: lowerProduct,
  nest: lowerPointwise,
  scatter: lowerScatter,
  sort: lowerSort,
  cumulative: lowerCumulative,
  random: lowerRandom,
};

/** Lowers a group of a schedule to loops. */
export function lowerGroup(group: Group, context: LowerContext, schedule: Schedule): Lowered {
  if (group.kind === "row" && context.machine.gpu !== undefined) return lowerRowOnThreads(group, context);
  return schedules[group.kind](group, context, schedule);
}

/** A product on register tiles where it has a vector axis, else element by element. */
function lowerProduct(group: Group, context: LowerContext, schedule: Schedule): Lowered {
  const [node] = group.heavy;
  invariant(node !== undefined, "a contract group has a product");
  const choice = schedule.vector.get(node);
  if (choice === undefined) return lowerPointwise(group, context);
  const [lhs, rhs] = arrangedOperands(node, schedule.grouping.stored);
  const [vectorPlaced, scalarPlaced] = choice.side === "lhs" ? [lhs, rhs] : [rhs, lhs];
  const vectorBuffer = context.places.buffer(vectorPlaced.place);
  const scalarBuffer = context.places.buffer(scalarPlaced.place);
  const vector = contractionOf(node).out.find(({ name }) => name === choice.loop);
  if (vectorBuffer === undefined || scalarBuffer === undefined || vector === undefined)
    return lowerPointwise(group, context);
  if (!runsAlong(vectorPlaced, vectorBuffer.strides, node, choice.loop)) return lowerPointwise(group, context);
  return lowerContract(group, context, {
    vector,
    vectorOperand: { placed: vectorPlaced, buffer: vectorBuffer },
    scalarOperand: { placed: scalarPlaced, buffer: scalarBuffer },
  });
}
