/**
 * A kernel under construction: which buffers it is given under which names, the ranges of its loop variables, fresh
 * names, and scopes. A scope is a list of statements together with the values already computed in it, so that a value
 * used twice is computed once.
 */
import type { BufferParam, Draw, Expr, LoopOptions, Stmt } from "../../ir/loop/loop.ts";
import * as loopIr from "../../ir/loop/loop.ts";
import { partsOf } from "../../ir/loop/walk.ts";
import type { DType, Shape } from "../../ir/type.ts";
import { bufferElements, type Buffer } from "../memory/buffer.ts";
import { exprKey, offsetOf, rangeOf, simplify, type Range, type Ranges } from "./index-math.ts";

/** How a kernel touches a buffer: every load and store with its index, for the planner. */
export type Access = { readonly buffer: Buffer; readonly index: Expr; readonly lanes: number; readonly write: boolean };

/** Statements in order, and the values bound in them. */
export class Scope {
  readonly statements: Stmt[] = [];
  readonly parent: Scope | undefined;
  readonly depth: number;
  /** Whether the statements run only under a condition, so that nothing may be moved out of them. */
  readonly conditional: boolean;
  private readonly values = new Map<string, Expr>();
  constructor(parent?: Scope, conditional = false) {
    this.parent = parent;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
    this.conditional = conditional;
  }

  /** The expression of a value computed here or in an enclosing scope. */
  find(key: string): Expr | undefined {
    return this.values.get(key) ?? this.parent?.find(key);
  }

  /** Remembers the expression of a value. */
  remember(key: string, value: Expr): Expr {
    this.values.set(key, value);
    return value;
  }

  /** Appends statements. */
  add(...statements: readonly Stmt[]): void {
    this.statements.push(...statements);
  }
}

/** Collects what becomes a `Kernel`. */
export class KernelWriter {
  readonly ranges: Map<string, Range> = new Map();
  readonly accesses: Access[] = [];
  /** Variables that are a row of the task axis, or the first of that many rows of one task. */
  readonly rows: Map<string, number> = new Map();
  private readonly names = new Map<Buffer, string>();
  /** The scope in which each variable and local array is declared. */
  private readonly homes = new Map<string, Scope>();
  private readonly usage = new Map<Buffer, { read: boolean; written: boolean; size: number }>();
  private readonly slack: number;
  private counter = 0;

  /** `slack`: elements behind a buffer that a vector may be read over, where its lanes are thrown away. */
  constructor(slack: number) {
    this.slack = slack;
  }

  /** A name not used before in this kernel. */
  fresh(prefix: string): string {
    return `${prefix}${this.counter++}`;
  }

  /** Buffers in the order in which the kernel takes them. */
  get buffers(): readonly Buffer[] {
    return [...this.names.keys()];
  }

  /** The kernel's parameters, in the same order. */
  params(): BufferParam[] {
    return this.buffers.map((buffer) => {
      const usage = this.usage.get(buffer) ?? { read: true, written: false, size: 0 };
      const access = usage.read && usage.written ? "readwrite" : usage.written ? "write" : "read";
      return { name: this.nameOf(buffer), dtype: buffer.dtype, size: usage.size, access };
    });
  }

  /** The name under which the kernel knows a buffer. */
  nameOf(buffer: Buffer): string {
    const known = this.names.get(buffer);
    if (known !== undefined) return known;
    const name = `b${this.names.size}`;
    this.names.set(buffer, name);
    return name;
  }

  /** Reads an element, or `lanes` neighbours; also from one past the end on, where the extra lanes are thrown away. */
  load(buffer: Buffer, index: Expr, lanes = 1): Expr {
    const place = this.touch(buffer, index, lanes, false);
    return loopIr.load(this.nameOf(buffer), buffer.dtype, place, lanes);
  }

  /** Writes an element or vector, as the buffer's type. */
  store(buffer: Buffer, index: Expr, value: Expr): Stmt {
    const place = this.touch(buffer, index, value.type.lanes, true);
    return loopIr.store(this.nameOf(buffer), place, loopIr.cast(value, buffer.dtype));
  }

  /** The offset of an element of a buffer's value. */
  offset(buffer: Buffer, index: readonly Expr[]): Expr {
    return offsetOf(index, buffer.strides, this.ranges);
  }

  /** Notes that a whole buffer is read and written by something that is not a load or store (a draw, the status). */
  touchWhole(buffer: Buffer): string {
    const size = bufferElements(buffer);
    const name = this.nameOf(buffer);
    this.usage.set(buffer, { read: true, written: true, size });
    this.accesses.push({ buffer, index: loopIr.variable("anywhere"), lanes: 1, write: true });
    return name;
  }

  /** The name of the buffer that holds the key of counter-based random numbers, which is read. */
  nameOfKey(buffer: Buffer): string {
    this.touch(buffer, loopIr.int(0), 1, false);
    return this.nameOf(buffer);
  }

  /** Opens a loop: `build` fills its body with the variable in range. */
  loop(
    name: string,
    begin: Expr,
    end: Expr,
    build: (scope: Scope, variable: Expr) => void,
    parent: Scope,
    options: LoopOptions & { readonly range?: Range } = {},
  ): void {
    const range = options.range ?? { min: rangeOf(begin, this.ranges).min, max: rangeOf(end, this.ranges).max - 1 };
    // An empty loop is left out whole: what its body reads may not be there, and must not be moved in front of it.
    if (range.max < range.min) return;
    this.ranges.set(name, range);
    const scope = new Scope(parent);
    this.homes.set(name, scope);
    build(scope, loopIr.variable(name));
    const { mode, step, reductions } = options;
    parent.add(
      loopIr.loop(name, simplify(begin, this.ranges), simplify(end, this.ranges), scope.statements, {
        ...(mode === undefined ? {} : { mode }),
        ...(step === undefined ? {} : { step }),
        ...(reductions === undefined ? {} : { reductions }),
      }),
    );
  }

  /**
   * The outermost scope around `scope` in which a value can be computed: all that it is made of is known there. What does
   * not change in a loop is thereby computed before it.
   */
  homeOf(value: Expr, scope: Scope): Scope {
    const deepest = Math.max(0, ...freeNames(value).map((name) => this.homes.get(name)?.depth ?? 0));
    let home = scope;
    while (home.parent !== undefined && home.depth > deepest && !home.conditional) home = home.parent;
    return home;
  }

  /** Binds a value to a name unless it is a name or constant already. */
  bind(scope: Scope, value: Expr, prefix = "t"): Expr {
    const bound = value.type.dtype === "i64" && value.type.lanes === 1 ? simplify(value, this.ranges) : value;
    if (bound.kind === "variable" || bound.kind === "constant") return bound;
    const name = this.fresh(prefix);
    this.homes.set(name, scope);
    scope.add(loopIr.bind(name, bound));
    if (bound.type.dtype === "i64") this.ranges.set(name, rangeOf(bound, this.ranges));
    return loopIr.variable(name, bound.type);
  }

  /** Runs `build` while a variable is known to be in a range, which it is where a condition holds. */
  knowing(variable: Expr, range: Range, build: () => void): void {
    if (variable.kind !== "variable") {
      build();
      return;
    }
    const before = this.ranges.get(variable.name);
    this.ranges.set(variable.name, range);
    build();
    if (before === undefined) this.ranges.delete(variable.name);
    else this.ranges.set(variable.name, before);
  }

  /** Declares a variable that changes. */
  mutable(scope: Scope, value: Expr, prefix: string): Expr {
    const name = this.fresh(prefix);
    this.homes.set(name, scope);
    scope.add(loopIr.mutable(name, value));
    return loopIr.variable(name, value.type);
  }

  /** Declares an array of the thread. */
  local(scope: Scope, dtype: DType, size: number, prefix: string): string {
    const name = this.fresh(prefix);
    this.homes.set(name, scope);
    scope.add(loopIr.local(name, dtype, size));
    return name;
  }

  /** Values of the threads at a distance. */
  shuffle(scope: Scope, values: readonly Expr[], distance: number): Expr[] {
    const names = values.map(() => this.fresh("theirs"));
    for (const name of names) this.homes.set(name, scope);
    scope.add(loopIr.shuffle(names, values, distance));
    return names.map((name, i) => loopIr.variable(name, values[i]?.type));
  }

  /** Fills a buffer from the generator. */
  draw(scope: Scope, what: Draw, generator: Buffer, target: Buffer): void {
    const generatorName = this.touchWhole(generator);
    const targetName = this.touchWhole(target);
    scope.add(loopIr.draw(what, generatorName, targetName, bufferElements(target)));
  }

  private touch(buffer: Buffer, index: Expr, lanes: number, write: boolean): Expr {
    const place = simplify(index, this.ranges);
    const usage = this.usage.get(buffer) ?? { read: false, written: false, size: 0 };
    const end = buffer.role === "dataset" ? loopIr.unboundedSize : bufferElements(buffer);
    this.usage.set(buffer, {
      read: usage.read || !write,
      written: usage.written || write,
      size: Math.max(usage.size, lanes > 1 && !write ? end + this.slack : end),
    });
    this.nameOf(buffer);
    this.accesses.push({ buffer, index: place, lanes, write });
    return place;
  }
}

/** Variables and arrays that an expression mentions. */
function freeNames(expr: Expr): string[] {
  const own = expr.kind === "variable" ? [expr.name] : expr.kind === "load" ? [expr.buffer] : [];
  return [...own, ...partsOf(expr).flatMap(freeNames)];
}

/** Whether two indices name the same element of a value of this shape; along an axis of one element any two do. */
export function sameElement(a: readonly Expr[], b: readonly Expr[], shape: Shape, ranges: Ranges): boolean {
  return shape.every((extent, axis) => {
    const [i, j] = [a[axis], b[axis]];
    if (extent === 1) return true;
    return i !== undefined && j !== undefined && exprKey(simplify(i, ranges)) === exprKey(simplify(j, ranges));
  });
}

/** A name for a variable's update. */
export function nameOfVariable(expr: Expr): string {
  return expr.kind === "variable" ? expr.name : exprKey(expr);
}
