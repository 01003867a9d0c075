/** Draws: from the generator in program order, or element by element as a function of a counter. */
import { opDef, type Node } from "../../ir/graph.ts";
import { cast, constant, int, randomBits, scalar, type Draw, type Expr } from "../../ir/loop/loop.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { at, elementCount, rowMajorStrides } from "../../ir/type.ts";
import type { Group } from "../schedule/group.ts";
import type { Scope } from "./kernel-writer.ts";
import { draftOf, finish, type Draft, type LowerContext, type Lowered } from "./lowered.ts";
import { lowerNest } from "./map.ts";
import { oneTask, overShape, rootOf, targetsOf } from "./serial.ts";
import { overTasks } from "./tasks.ts";

/** A group that draws. */
export function lowerRandom(group: Group, context: LowerContext): Lowered {
  return context.machine.random === "counter" ? lowerCounter(group, context) : lowerSequential(group, context);
}

/** A draw from the generator, in program order, on one thread. */
function lowerSequential(group: Group, context: LowerContext): Lowered {
  const draft = draftOf(group, context);
  const { writer } = draft;
  const node = rootOf(group);
  const [target, ...copies] = targetsOf(node, context);
  overTasks(writer, oneTask, draft.root, (scope) => {
    writer.draw(scope, drawOf(node), context.places.generator, target);
    for (const copy of copies)
      overShape(draft, node.type.shape, new Map(), scope, (body, index) => {
        const value = writer.load(target, writer.offset(target, index));
        body.add(writer.store(copy, writer.offset(copy, index), value));
      });
  });
  return finish(draft, oneTask, elementCount(node.type.shape));
}

/** Every element by itself, from its number in the value. The node's number tells its draws from those of others. */
function lowerCounter(group: Group, context: LowerContext): Lowered {
  const node = rootOf(group);
  const strides = rowMajorStrides(node.type.shape);
  return lowerNest(group, context, (draft, point, scope) => {
    const element = point.reduce<Expr>(
      (sum, i, axis) => scalar("add", sum, scalar("mul", i, int(at(strides, axis)))),
      int(0),
    );
    const value = draft.writer.bind(
      scope,
      cast(numberOf(node, element, draft, context, scope), node.type.dtype),
      "drawn",
    );
    draft.values.locals.set(node, () => value);
  });
}

/** 2 ** -24, the distance of neighbouring uniform numbers. */
const grain = 2 ** -24;

/** The number drawn for an element. */
function numberOf(node: Node, element: Expr, draft: Draft, context: LowerContext, scope: Scope): Expr {
  const { writer } = draft;
  const key = writer.nameOfKey(context.places.key);
  const f32 = (value: number): Expr => constant("f32", value);
  /** Uniform in [0, 1) from the bits numbered `index`. */
  const unit = (index: Expr): Expr => scalar("mul", cast(randomBits(key, node.id, index), "f32"), f32(grain));
  const draw = drawOf(node);
  switch (draw.kind) {
    case "uniform":
      return scalar("add", scalar("mul", unit(element), f32(draw.high - draw.low)), f32(draw.low));
    case "bernoulli":
      return scalar("lt", unit(element), f32(draw.p));
    case "normal": {
      // Box and Muller; 1 - u is never 0.
      const pair = scalar("mul", element, int(2));
      const radius = writer.bind(scope, scalar("sub", f32(1), unit(pair)), "u");
      const angle = scalar("mul", unit(scalar("add", pair, int(1))), f32(2 * Math.PI));
      const length = scalar("sqrt", scalar("mul", f32(-2), scalar("log", radius)));
      const normal = scalar("mul", length, scalar("cos", angle));
      return scalar("add", scalar("mul", normal, f32(draw.std)), f32(draw.mean));
    }
  }
}

/** What a random node draws. */
export function drawOf(node: Node): Draw {
  const { lowering } = opDef(node.op);
  invariant(lowering.class === "random", `${node.op} does not draw`);
  const number = (name: string): number => Number(node.attrs[name]);
  switch (lowering.distribution) {
    case "uniform":
      return { kind: "uniform", low: number("low"), high: number("high") };
    case "normal":
      return { kind: "normal", mean: number("mean"), std: number("std") };
    case "bernoulli":
      return { kind: "bernoulli", p: number("p") };
  }
}
