/** Axes as users give them: negative from the end, one or several, checked. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { TensorType } from "../../ir/type.ts";
import { activeTrace } from "../trace/trace.ts";

/** One axis, several, or (`undefined`) all. */
export type Axes = number | readonly number[] | undefined;

/** `axis` counted from 0. A scalar is taken to have one axis, as in PyTorch. */
export function normaliseAxis(op: string, axis: number, type: TensorType): number {
  const rank = Math.max(type.shape.length, 1);
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw fail(messages.axisOutOfRange(op, axis, type), activeTrace()?.here());
  return axis < 0 ? axis + rank : axis;
}

/** Axes counted from 0, ascending and different; all of them for `undefined` or an empty list. */
export function normaliseAxes(op: string, axes: Axes, type: TensorType): number[] {
  if (type.shape.length === 0) return [];
  const list = axes === undefined ? [] : typeof axes === "number" ? [axes] : axes;
  if (list.length === 0) return type.shape.map((_, axis) => axis);
  const normal = list.map((axis) => normaliseAxis(op, axis, type)).toSorted((a, b) => a - b);
  if (new Set(normal).size !== normal.length) throw fail(messages.axisTwice(op, list), activeTrace()?.here());
  return normal;
}
