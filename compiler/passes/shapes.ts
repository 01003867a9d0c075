/** Questions about shapes and axes that several rules ask. */
import { at, elementCount, sameShape, type Shape } from "../../ir/type.ts";

/** The extents other than 1, in order. Two shapes with equal ones differ by unit axes only. */
export function nonUnitExtents(shape: Shape): number[] {
  return shape.filter((extent) => extent !== 1);
}

/** Whether a reshape between these shapes only adds and drops axes of extent 1. */
export function differByUnitAxes(from: Shape, to: Shape): boolean {
  return sameShape(nonUnitExtents(from), nonUnitExtents(to));
}

/** For each axis of extent other than 1, in order, its number. */
export function nonUnitAxes(shape: Shape): number[] {
  return shape.flatMap((extent, axis) => (extent === 1 ? [] : [axis]));
}

/** Whether a list is 0, 1, 2, …. */
export function isIdentityOrder(order: readonly number[]): boolean {
  return order.every((axis, i) => axis === i);
}

/** Whether numbers never fall. */
export function isAscending(values: readonly number[]): boolean {
  return values.every((value, i) => i === 0 || at(values, i - 1) <= value);
}

/** Whether every number is `value`. */
export function allAre(values: readonly number[], value: number): boolean {
  return values.every((element) => element === value);
}

/** A shape of this rank with one element. */
export function unitShape(rank: number): Shape {
  return Array.from({ length: rank }, () => 1);
}

/** Whether a shape has exactly one element. */
export function isUnit(shape: Shape): boolean {
  return elementCount(shape) === 1;
}
