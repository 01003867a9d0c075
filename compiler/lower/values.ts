/**
 * Values inside a kernel: turns "element `index` of this node" into an expression. Elementwise ops and movement are
 * computed on the spot; a value that has a place in memory is loaded; a value that this kernel itself computes (a
 * product's sum, a row's maximum) is whatever the schedule says it is. Each value is bound once per scope.
 */
import { opDef, type Node } from "../../ir/graph.ts";
import { cast, check, constant, int, scalar, variable, type Expr } from "../../ir/loop/loop.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import type { HostExpr } from "../../ir/artifact/host-expr.ts";
import type { Origin } from "../../ir/op.ts";
import { at } from "../../ir/type.ts";
import type { Buffer } from "../memory/buffer.ts";
import { gatherIndex, originOf } from "../schedule/reach.ts";
import { exprKey, rangeOf, simplify } from "./index-math.ts";
import type { KernelWriter, Scope } from "./kernel-writer.ts";

/** Where the values of an entry lie. */
export type Places = {
  /** The buffer of a value that has a place; `undefined` if it is computed where it is read. */
  readonly buffer: (node: Node) => Buffer | undefined;
  /** The whole field of a data set, and the batch's sample numbers. */
  readonly dataset: (node: Node) => { readonly rows: Buffer; readonly indices: Buffer };
  readonly scalars: Buffer;
  /** Position of a host scalar in the scalars buffer. */
  readonly scalarSlot: (expr: HostExpr) => number;
  readonly generator: Buffer;
  /** The key of counter-based random numbers in this step. */
  readonly key: Buffer;
  readonly status: Buffer;
};

/** Code that a kernel leaves in the status buffer when an index is outside its axis. */
export const indexOutOfRange = 1;

/** A value the kernel computes itself: its expression at an index, or `undefined` where it is not at hand. */
export type Local = (index: readonly Expr[]) => Expr | undefined;

/** Expressions for values, in one kernel. */
export class Values {
  readonly writer: KernelWriter;
  readonly places: Places;
  readonly locals: Map<Node, Local> = new Map();
  private readonly computed: ReadonlySet<Node>;

  /** `computed`: stored values that this kernel computes, which are therefore not loaded. */
  constructor(writer: KernelWriter, places: Places, computed: ReadonlySet<Node>) {
    this.writer = writer;
    this.places = places;
    this.computed = computed;
  }

  /** Element `index` of a value. A `lazy` value stands in a branch that may not be taken, so nothing of it is bound. */
  at(node: Node, index: readonly Expr[], scope: Scope, lazy = false): Expr {
    const here = index.map((i) => simplify(i, this.writer.ranges));
    const local = this.locals.get(node)?.(here);
    if (local !== undefined) return local;
    const key = `${node.id}@${here.map(exprKey).join(",")}`;
    const known = scope.find(key);
    if (known !== undefined) return known;
    const value = this.compute(node, here, scope, lazy);
    if (lazy) return value;
    if (isTrivial(value)) return scope.remember(key, value);
    const home = this.writer.homeOf(value, scope);
    return home.remember(key, this.writer.bind(home, value));
  }

  private compute(node: Node, index: readonly Expr[], scope: Scope, lazy: boolean): Expr {
    const buffer = this.computed.has(node) ? undefined : this.places.buffer(node);
    const { dtype } = node.type;
    if (buffer !== undefined) return cast(this.writer.load(buffer, this.writer.offset(buffer, index)), dtype);
    const { lowering } = opDef(node.op);
    switch (lowering.class) {
      case "map":
        return lowering.scalar === "select"
          ? this.select(node, index, scope, lazy)
          : scalar(lowering.scalar, ...node.inputs.map((input) => this.at(input, index, scope, lazy)));
      case "cast":
        return cast(this.at(at(node.inputs, 0), index, scope, lazy), dtype);
      case "constant":
        return constant(dtype, Number(node.attrs["value"]));
      case "iota":
        return cast(at(index, Number(node.attrs["axis"])), dtype);
      case "movement": {
        const origin = originOf(node, index);
        invariant(origin !== undefined, `movement without origin: ${node.op}`);
        return this.origin(node, origin, scope, lazy);
      }
      case "gather":
        return this.gather(node, index, scope, lazy);
      case "leaf":
        return this.leaf(node, index);
      default:
        invariant(false, `${node.op} (%${node.id}) is read where it has no place`);
    }
  }

  private select(node: Node, index: readonly Expr[], scope: Scope, lazy: boolean): Expr {
    const [condition, then, otherwise] = node.inputs.map((input) => this.at(input, index, scope, lazy));
    invariant(condition !== undefined && then !== undefined && otherwise !== undefined, "select takes three operands");
    return scalar("select", condition, then, otherwise);
  }

  private origin(node: Node, origin: Origin, scope: Scope, lazy: boolean): Expr {
    switch (origin.kind) {
      case "operand":
        return this.at(at(node.inputs, origin.operand), origin.index, scope, lazy);
      case "fill":
        return constant(node.type.dtype, origin.value);
      case "choose": {
        const known = this.decide(origin.condition);
        if (known !== undefined) return this.origin(node, known ? origin.then : origin.otherwise, scope, lazy);
        const then = this.origin(node, origin.then, scope, true);
        const otherwise = this.origin(node, origin.otherwise, scope, true);
        return scalar("select", origin.condition, then, otherwise);
      }
    }
  }

  /** The truth of a condition that the ranges of the loop variables decide. */
  private decide(condition: Expr): boolean | undefined {
    if (condition.kind !== "scalar") return undefined;
    const [x, y] = condition.args;
    if (x === undefined || y === undefined) return undefined;
    if (condition.op === "and") {
      const [left, right] = [this.decide(x), this.decide(y)];
      if (left === false || right === false) return false;
      return left === true && right === true ? true : undefined;
    }
    if (x.type.dtype !== "i64") return undefined;
    const difference = rangeOf(scalar("sub", x, y), this.writer.ranges);
    switch (condition.op) {
      case "lt":
        return difference.max < 0 ? true : difference.min >= 0 ? false : undefined;
      case "le":
        return difference.max <= 0 ? true : difference.min > 0 ? false : undefined;
      case "ge":
        return difference.min >= 0 ? true : difference.max < 0 ? false : undefined;
      case "gt":
        return difference.min > 0 ? true : difference.max <= 0 ? false : undefined;
      default:
        return undefined;
    }
  }

  /** Reads at an index that is data: checked against the axis, and kept inside it whatever it is. */
  private gather(node: Node, index: readonly Expr[], scope: Scope, lazy: boolean): Expr {
    const [data, positions] = node.inputs;
    invariant(data !== undefined && positions !== undefined, "gather takes data and positions");
    const extent = at(data.type.shape, Number(node.attrs["axis"]));
    const where = gatherIndex(node, index, variable("unused")).positions;
    const raw = cast(this.at(positions, where, scope, lazy), "i64");
    const position = lazy ? clamp(raw, extent) : this.checked(raw, extent, scope);
    return this.at(data, gatherIndex(node, index, position).data, scope, lazy);
  }

  /** An index from data as a variable that is certainly inside [0, extent); a bad one is noted in the status. */
  checked(raw: Expr, extent: number, scope: Scope): Expr {
    const status = this.writer.touchWhole(this.places.status);
    const position = this.writer.bind(scope, raw, "p");
    const inside = scalar("and", scalar("ge", position, int(0)), scalar("lt", position, int(extent)));
    scope.add(check(inside, indexOutOfRange, status, position, int(extent)));
    const safe = this.writer.bind(scope, scalar("select", inside, position, int(0)), "p");
    if (safe.kind === "variable") this.writer.ranges.set(safe.name, { min: 0, max: extent - 1 });
    return safe;
  }

  private leaf(node: Node, index: readonly Expr[]): Expr {
    const { lowering } = opDef(node.op);
    invariant(lowering.class === "leaf", "not a leaf");
    if (lowering.source === "scalar") {
      const expr = node.attrs["expr"];
      // The op's attribute type says what it holds; generic attributes do not.
      return this.writer.load(this.places.scalars, int(this.places.scalarSlot(expr as HostExpr)));
    }
    invariant(lowering.source === "feed", `${node.op} has no place`);
    const { rows, indices } = this.places.dataset(node);
    const [sample, ...rest] = index;
    invariant(sample !== undefined, "a feed has a batch axis");
    const row = cast(this.writer.load(indices, sample), "i64");
    const length = rows.shape.reduce((product, extent) => product * extent, 1);
    const offset = scalar("add", scalar("mul", row, int(length)), this.writer.offset(rows, rest));
    return cast(this.writer.load(rows, offset), node.type.dtype);
  }
}

function clamp(position: Expr, extent: number): Expr {
  return scalar("min", scalar("max", position, int(0)), int(extent - 1));
}

function isTrivial(value: Expr): boolean {
  return value.kind === "variable" || value.kind === "constant";
}
