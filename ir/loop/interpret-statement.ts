/**
 * Statements of loop IR as JavaScript functions of one thread: each is translated once, then run for every task. What the
 * interpreter of whole kernels (`interpret.ts`) and of the threads of a task (`interpret-team.ts`) are made of.
 */
import { invariant, unreachable } from "../diagnostic/diagnostic.ts";
import { roundToFloat16 } from "../random/half.ts";
import { evaluator, type Frame } from "./evaluate.ts";
import { localArray, LoopMemory, type Fault, type LoopArray, type Progress } from "./memory.ts";
import type { Draw, Stmt } from "./loop.ts";

/** Makes the draws of a kernel: `count` numbers from the generator whose state is `generator`. */
export type DrawNumbers = (draw: Draw, generator: LoopArray, count: number) => ArrayLike<number>;

/** A statement, ready to run. */
export type Run = () => void;

/** What a statement can see. */
export type Scope = Frame & {
  readonly progress: Progress;
  readonly fault: Fault;
  readonly buffers: Readonly<Record<string, LoopArray>>;
  readonly draw: DrawNumbers | undefined;
  readonly inVector: boolean;
};

/** Statements in order, in a scope of their own. */
export function translateBody(body: readonly Stmt[], outer: Scope): Run {
  const places = new Map(outer.places);
  const arrays = new Map(outer.arrays);
  const scope = { ...outer, places, arrays };
  const runs = body.map((stmt) => translate(stmt, scope, places, arrays));
  return () => {
    for (const run of runs) run();
  };
}

/** One statement that a thread runs by itself; names that it declares are added to `places` and `arrays`. */
export function translate(stmt: Stmt, scope: Scope, places: Map<string, number>, arrays: Map<string, LoopMemory>): Run {
  const { values, fault, progress } = scope;
  switch (stmt.kind) {
    case "for":
      return translateLoop(stmt, scope);
    case "let":
    case "mutable":
    case "assign": {
      const value = evaluator(stmt.value, scope);
      const { lanes } = stmt.value.type;
      const place = stmt.kind === "assign" ? scope.places.get(stmt.name) : values.length;
      invariant(place !== undefined, `no variable ${stmt.name}`);
      if (stmt.kind !== "assign") {
        places.set(stmt.name, place);
        for (let lane = 0; lane < lanes; lane++) values.push(0);
      }
      if (lanes === 1) return () => void (values[place] = value(0));
      return () => {
        for (let lane = 0; lane < lanes; lane++) values[place + lane] = value(lane);
      };
    }
    case "local": {
      const kind = scope.inVector ? "private" : "local";
      const array = localArray(stmt.dtype, stmt.size * progress.threads);
      const memory = new LoopMemory(stmt.name, stmt.size, array, kind, { fault, progress });
      arrays.set(stmt.name, memory);
      return () => memory.reset();
    }
    case "dot":
      return translateDot(stmt, scope);
    case "store":
      return translateStore(stmt, scope);
    case "if": {
      const condition = evaluator(stmt.condition, scope);
      const then = translateBody(stmt.then, scope);
      const otherwise = translateBody(stmt.otherwise, scope);
      return () => (condition(0) === 0 ? otherwise() : then());
    }
    case "shared":
    case "barrier":
    case "shuffle":
    case "mma":
      invariant(false, `a thread alone comes to a ${stmt.kind}`);
      break;
    case "draw":
      return translateDraw(stmt, scope);
    case "check":
      return translateCheck(stmt, scope);
    case "note":
      return () => undefined;
    default:
      return unreachable(stmt);
  }
}

function translateLoop(stmt: Extract<Stmt, { kind: "for" }>, scope: Scope): Run {
  const { values, progress } = scope;
  const place = values.push(0) - 1;
  const places = new Map(scope.places).set(stmt.name, place);
  const vector = stmt.mode === "vector";
  const run = translateBody(stmt.body, { ...scope, places, inVector: scope.inVector || vector });
  if (stmt.mode === "tasks") {
    return () => {
      values[place] = progress.task - 1;
      run();
    };
  }
  const begin = evaluator(stmt.begin, scope);
  const end = evaluator(stmt.end, scope);
  const { step } = stmt;
  return () => {
    const last = end(0);
    if (vector) {
      progress.inVector = true;
      progress.first = progress.stamp + 1;
    }
    for (let index = begin(0); index < last; index += step) {
      values[place] = index;
      if (vector) progress.stamp++;
      run();
    }
    if (vector) progress.inVector = false;
  };
}

/** In halves, which is the worst that a target may do. */
function translateDot(stmt: Extract<Stmt, { kind: "dot" }>, scope: Scope): Run {
  const { values } = scope;
  const place = scope.places.get(stmt.sum);
  invariant(place !== undefined, `no variable ${stmt.sum}`);
  const a = stmt.a.map((x) => evaluator(x, scope));
  const b = stmt.b.map((x) => evaluator(x, scope));
  const lanes = stmt.a[0]?.type.lanes ?? 0;
  return () => {
    for (let lane = 0; lane < lanes; lane++) {
      let part = 0;
      a.forEach((x, i) => {
        part = roundToFloat16(part + roundToFloat16(x(lane)) * roundToFloat16(b[i]?.(lane) ?? 0));
      });
      values[place + lane] = Math.fround((values[place + lane] ?? 0) + part);
    }
  };
}

function translateStore(stmt: Extract<Stmt, { kind: "store" }>, scope: Scope): Run {
  const array = arrayOf(stmt.buffer, scope);
  const index = evaluator(stmt.index, scope);
  const value = evaluator(stmt.value, scope);
  const { lanes } = stmt.value.type;
  if (lanes === 1) return () => array.write(index(0), value(0));
  const whole: number[] = [];
  return () => {
    const first = index(0);
    // All lanes are read before any is written.
    for (let lane = 0; lane < lanes; lane++) whole[lane] = value(lane);
    for (let lane = 0; lane < lanes; lane++) array.write(first + lane, whole[lane] ?? 0);
  };
}

function translateCheck(stmt: Extract<Stmt, { kind: "check" }>, scope: Scope): Run {
  const status = arrayOf(stmt.status, scope);
  const [condition, value, limit] = [stmt.condition, stmt.value, stmt.limit].map((expr) => evaluator(expr, scope));
  invariant(condition !== undefined && value !== undefined && limit !== undefined, "a check has three expressions");
  return () => {
    if (condition(0) !== 0 || status.read(0) !== 0) return;
    status.write(0, stmt.code);
    status.write(1, value(0) | 0);
    status.write(2, limit(0) | 0);
  };
}

function translateDraw(stmt: Extract<Stmt, { kind: "draw" }>, scope: Scope): Run {
  const array = arrayOf(stmt.buffer, scope);
  const generator = scope.buffers[stmt.generator];
  const { draw } = scope;
  if (draw === undefined || generator === undefined) scope.fault("draws, but nothing was given to draw with");
  return () => {
    const numbers = draw(stmt.draw, generator, stmt.count);
    for (let index = 0; index < stmt.count; index++) array.write(index, numbers[index] ?? Number.NaN);
  };
}

function arrayOf(name: string, scope: Scope): LoopMemory {
  const array = scope.arrays.get(name);
  invariant(array !== undefined, `no buffer ${name}`);
  return array;
}
