/** The schedule of an entry as text: one line a group, with what it computes and what it keeps. */
import type { Node } from "../../ir/graph.ts";
import { formatType } from "../../ir/type.ts";
import type { Group, Store } from "./group.ts";
import type { Schedule } from "./schedule.ts";

/** All groups of a schedule, in the order in which they were formed. */
export function printSchedule(schedule: Schedule): string {
  return schedule.grouping.groups.map((group) => `${printGroup(group, schedule)}\n`).join("");
}

function printGroup(group: Group, schedule: Schedule): string {
  const axes = group.axes.length > 0 ? ` reduces {${group.axes.join(",")}}` : "";
  const vector = group.heavy.map((node) => schedule.vector.get(node)).find((choice) => choice !== undefined);
  const along = vector === undefined ? "" : ` vectors along ${vector.side} ${vector.loop}`;
  const needs = group.needs.size > 0 ? ` after ${[...group.needs].map(({ id }) => id).join(",")}` : "";
  const lines = [`group ${group.id} ${group.kind} [${group.shape.join(",")}]${axes}${along}${needs}`];
  for (const node of group.heavy) lines.push(`  ${schedule.placed.has(node) ? "keep" : "use "} ${printValue(node)}`);
  for (const store of group.stores) lines.push(`  keep ${printValue(store.node)}${printStore(store)}`);
  return lines.join("\n");
}

function printValue(node: Node): string {
  const module = node.source?.module === undefined || node.source.module === "" ? "" : `  # ${node.source.module}`;
  return `%${node.id} ${node.op} : ${formatType(node.type)}${module}`;
}

function printStore({ level, order }: Store): string {
  if (level === "row") return "  per row";
  return order.every((axis, i) => axis === i) ? "" : `  along axes ${order.join(",")}`;
}
