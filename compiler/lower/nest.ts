/**
 * Values computed one element at a time by loops of their own: sliding windows, and products that have no vector axis
 * (integers, operands that are not affine). Simple loops, correct for every shape and element type.
 */
import { opDef, type Node } from "../../ir/graph.ts";
import { assign, branch, cast, constant, int, scalar, type Expr } from "../../ir/loop/loop.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { at, rowMajorStrides } from "../../ir/type.ts";
import { contractionOf } from "../schedule/contraction.ts";
import type { Group } from "../schedule/group.ts";
import { affine, substitute } from "./index-math.ts";
import { nameOfVariable, sameElement, Scope } from "./kernel-writer.ts";
import type { Draft, LowerContext, Lowered } from "./lowered.ts";
import { lowerNest, type PointBuilder } from "./map.ts";

/** Lowers a group whose heavy value needs loops of its own at each element. */
export function lowerPointwise(group: Group, context: LowerContext): Lowered {
  const [node] = group.heavy;
  invariant(node !== undefined, "a nest group has a heavy value");
  return lowerNest(group, context, builderOf(node));
}

function builderOf(node: Node): PointBuilder {
  switch (opDef(node.op).lowering.class) {
    case "windowSum":
      return windowSum(node);
    case "windowArgmax":
      return windowArgmax(node);
    case "dot":
    case "conv":
      return product(node);
    default:
      invariant(false, `${node.op} is not computed point by point`);
  }
}

/** Makes a heavy value readable at the point it was computed for. */
function defineAt(draft: Draft, node: Node, point: readonly Expr[], value: Expr): void {
  const here = [...point];
  draft.values.locals.set(node, (index) =>
    sameElement(index, here, node.type.shape, draft.writer.ranges) ? value : undefined,
  );
}

type Window = {
  readonly window: readonly number[];
  readonly strides: readonly number[];
  readonly padding: readonly (readonly number[])[];
  readonly dilation: readonly number[];
};

/** Runs over the elements of a window that lie inside the operand, first to last. */
function overWindow(
  draft: Draft,
  node: Node,
  point: readonly Expr[],
  scope: Scope,
  build: (scope: Scope, index: readonly Expr[]) => void,
): void {
  // The op's own type rule has checked its attributes.
  const { window, strides, padding, dilation } = node.attrs as unknown as Window;
  const { shape } = at(node.inputs, 0).type;
  const leading = shape.length - window.length;
  const visit = (axis: number, index: readonly Expr[], inner: Scope): void => {
    if (axis === window.length) {
      build(inner, index);
      return;
    }
    const name = draft.writer.fresh("w");
    const fill = (body: Scope, k: Expr): void => {
      const start = scalar("mul", at(point, leading + axis), int(at(strides, axis)));
      const offset = scalar("sub", scalar("mul", k, int(at(dilation, axis))), int(at(at(padding, axis), 0)));
      const extent = at(shape, leading + axis);
      const position = draft.writer.bind(body, scalar("add", start, offset), "y");
      const range = draft.writer.ranges.get(nameOfVariable(position));
      if (range !== undefined && range.min >= 0 && range.max < extent) {
        visit(axis + 1, [...index, position], body);
        return;
      }
      const inside = scalar("and", scalar("ge", position, int(0)), scalar("lt", position, int(extent)));
      const guarded = new Scope(body, true);
      draft.writer.ranges.set(nameOfVariable(position), { min: 0, max: extent - 1 });
      visit(axis + 1, [...index, position], guarded);
      body.add(branch(inside, guarded.statements));
    };
    draft.writer.loop(name, int(0), int(at(window, axis)), fill, inner);
  };
  visit(0, point.slice(0, leading), scope);
}

function windowSum(node: Node): PointBuilder {
  return (draft, point, scope) => {
    const sum = draft.writer.mutable(scope, constant(node.type.dtype, 0), "sum");
    overWindow(draft, node, point, scope, (body, index) => {
      body.add(assign(nameOfVariable(sum), scalar("add", sum, draft.values.at(at(node.inputs, 0), index, body))));
    });
    defineAt(draft, node, point, sum);
  };
}

/** The first largest element's position in the flattened window axes, else the last NaN's; -1 marks "none yet". */
function windowArgmax(node: Node): PointBuilder {
  return (draft, point, scope) => {
    const operand = at(node.inputs, 0);
    const { window } = node.attrs as unknown as Window;
    const leading = operand.type.shape.length - window.length;
    const strides = rowMajorStrides(operand.type.shape.slice(leading));
    const best = draft.writer.mutable(scope, constant(operand.type.dtype, 0), "best");
    const position = draft.writer.mutable(scope, int(-1), "at");
    overWindow(draft, node, point, scope, (body, index) => {
      const value = draft.values.at(operand, index, body);
      const isFirst = scalar("lt", position, int(0));
      const isBetter = scalar("or", scalar("gt", value, best), scalar("ne", value, value));
      const flat = strides.reduce<Expr>(
        (sum, stride, axis) => scalar("add", sum, scalar("mul", at(index, leading + axis), int(stride))),
        int(0),
      );
      const update = [assign(nameOfVariable(best), value), assign(nameOfVariable(position), flat)];
      body.add(branch(scalar("or", isFirst, isBetter), update));
    });
    defineAt(draft, node, point, position);
  };
}

/** A product by its definition. */
function product(node: Node): PointBuilder {
  return (draft, point, scope) => {
    const c = contractionOf(node);
    const { writer, values } = draft;
    const accumulate = node.type.dtype;
    const sum = writer.mutable(scope, constant(accumulate, 0), "sum");
    const place = new Map<string, Expr>(c.out.map(({ name }, i) => [name, outLoop(c.outIndex, point, name, i)]));
    const visit = (axis: number, inner: Scope): void => {
      const loop = c.reduced[axis];
      if (loop === undefined) {
        const [lhs, rhs] = node.inputs;
        invariant(lhs !== undefined && rhs !== undefined, "a product takes two operands");
        const x = values.at(
          lhs,
          c.lhsIndex.map((i) => substitute(i, place)),
          inner,
        );
        const y = values.at(
          rhs,
          c.rhsIndex.map((i) => substitute(i, place)),
          inner,
        );
        const term = cast(scalar("mul", x, y), accumulate);
        inner.add(assign(nameOfVariable(sum), scalar("add", sum, term)));
        return;
      }
      const fill = (body: Scope, k: Expr): void => {
        place.set(loop.name, k);
        visit(axis + 1, body);
      };
      writer.loop(writer.fresh("k"), int(0), int(loop.extent), fill, inner);
    };
    visit(0, scope);
    defineAt(draft, node, point, sum);
  };
}

/** The value of an out loop at a point of the result: an axis of it, or the group or channel part of the channel axis. */
function outLoop(outIndex: readonly Expr[], point: readonly Expr[], name: string, position: number): Expr {
  const own = outIndex.findIndex((i) => i.kind === "variable" && i.name === name);
  if (own >= 0) return at(point, own);
  const [, channel] = outIndex;
  const form = channel === undefined ? undefined : affine(channel, new Map());
  const size = Math.max(...(form?.coefficients.values() ?? [1]));
  const whole = at(point, 1);
  return position === 1 ? scalar("div", whole, int(size)) : scalar("mod", whole, int(size));
}
