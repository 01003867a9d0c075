/**
 * Threads of a task in the loop-IR interpreter: a body is cut at its barriers, and each stretch is run by all threads, one
 * after another. A loop that holds a barrier has the same bounds for all threads (verified), and is run once for all.
 */
import { invariant } from "../diagnostic/diagnostic.ts";
import { roundToFloat16 } from "../random/half.ts";
import { evaluator, type Evaluate } from "./evaluate.ts";
import { translate, type Run, type Scope } from "./interpret-statement.ts";
import { localArray, LoopMemory } from "./memory.ts";
import { at } from "../type.ts";
import type { Expr, MatrixFormat, Stmt } from "./loop.ts";
import { allStatements, isTogether } from "./walk.ts";

/** The variables of all threads of a task; those of the thread that runs lie in the scope's `values`. */
export class Team {
  readonly #scope: Scope;
  readonly #frames: number[][];

  constructor(scope: Scope) {
    this.#scope = scope;
    this.#frames = Array.from({ length: scope.progress.threads }, (_, thread) => [thread]);
  }

  /** Runs something for every thread in turn. */
  forEach(run: (thread: number) => void): void {
    const { values, progress } = this.#scope;
    this.#frames.forEach((frame, thread) => {
      for (let i = 0; i < values.length; i++) values[i] = frame[i] ?? 0;
      progress.thread = thread;
      run(thread);
      for (let i = 0; i < values.length; i++) frame[i] = values[i] ?? 0;
    });
  }

  /** Gives a variable the same value in all threads. */
  setAll(place: number, value: number): void {
    for (const frame of this.#frames) frame[place] = value;
  }
}

/** Translates a body that all threads of a task run. */
export function runTogether(body: readonly Stmt[], outer: Scope, team: Team): Run {
  const places = new Map(outer.places);
  const arrays = new Map(outer.arrays);
  const scope = { ...outer, places, arrays };
  const runs: Run[] = [];
  let stretch: Run[] = [];
  const flush = (): void => {
    const whole = stretch;
    stretch = [];
    if (whole.length > 0)
      runs.push(() =>
        team.forEach(() => {
          for (const run of whole) run();
        }),
      );
  };
  for (const stmt of body) {
    if (!meets(stmt)) {
      stretch.push(translate(stmt, scope, places, arrays));
      continue;
    }
    flush();
    runs.push(
      stmt.kind === "shuffle" ? shuffleTogether(stmt, scope, places, team) : meeting(stmt, scope, arrays, team),
    );
  }
  flush();
  return () => {
    for (const run of runs) run();
  };
}

/** Whether threads meet within a statement. */
function meets(stmt: Stmt): boolean {
  return allStatements([stmt]).some((inner) => isTogether(inner) || (inner.kind === "for" && inner.mode === "tasks"));
}

function meeting(stmt: Stmt, scope: Scope, arrays: Map<string, LoopMemory>, team: Team): Run {
  const { progress, fault } = scope;
  switch (stmt.kind) {
    case "barrier":
      return () => void progress.epoch++;
    case "shared": {
      const memory = new LoopMemory(stmt.name, stmt.size, localArray(stmt.dtype, stmt.size), "group", {
        fault,
        progress,
      });
      arrays.set(stmt.name, memory);
      return () => memory.reset();
    }
    case "mma":
      return multiplyTogether(stmt, scope, team);
    case "for":
      return loopTogether(stmt, scope, team);
    case "if": {
      const condition = evaluator(stmt.condition, scope);
      const then = runTogether(stmt.then, scope, team);
      const otherwise = runTogether(stmt.otherwise, scope, team);
      return () => {
        let holds = false;
        // The same for all threads, so the last one's will do.
        team.forEach(() => {
          holds = condition(0) !== 0;
        });
        if (holds) then();
        else otherwise();
      };
    }
    default:
      invariant(false, `threads do not meet in a ${stmt.kind}`);
  }
}

function loopTogether(stmt: Extract<Stmt, { kind: "for" }>, scope: Scope, team: Team): Run {
  const { values, progress } = scope;
  const place = values.push(0) - 1;
  const places = new Map(scope.places).set(stmt.name, place);
  const run = runTogether(stmt.body, { ...scope, places }, team);
  if (stmt.mode === "tasks") {
    return () => {
      team.setAll(place, progress.task - 1);
      run();
    };
  }
  const begin = evaluator(stmt.begin, scope);
  const end = evaluator(stmt.end, scope);
  return () => {
    let [first, last] = [0, 0];
    // The same for all threads, so the last one's will do.
    team.forEach(() => {
      first = begin(0);
      last = end(0);
    });
    for (let index = first; index < last; index += stmt.step) {
      team.setAll(place, index);
      run();
    }
  };
}

function shuffleTogether(
  stmt: Extract<Stmt, { kind: "shuffle" }>,
  scope: Scope,
  places: Map<string, number>,
  team: Team,
): Run {
  const own = stmt.values.map((value) => evaluator(value, scope));
  const given = own.map(() => new Float64Array(scope.progress.threads));
  const first = scope.values.length;
  stmt.names.forEach((name) => places.set(name, scope.values.push(0) - 1));
  return () => {
    team.forEach((thread) => own.forEach((value, i) => void (at(given, i)[thread] = value(0))));
    team.forEach((thread) =>
      given.forEach((values, i) => void (scope.values[first + i] = values[thread ^ stmt.distance] ?? 0)),
    );
  };
}

/** Threads of a warp. */
const warp = 32;

/** Rounds an operand as tensor cores do: `tf32` keeps 10 bits of the mantissa (ties away from 0), `bf16` 7 (ties to even). */
function roundOperand(format: MatrixFormat, value: number): number {
  if (format === "f16") return roundToFloat16(value);
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  const [word = 0] = bits;
  if (!Number.isFinite(value)) return value;
  bits[0] = format === "tf32" ? (word + 0x1000) & 0xffffe000 : (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0] ?? 0;
}

/** Depth of a tile, and where thread `t % 4` finds its operands in it (see `mma` in `loop.ts`). */
type Layout = {
  readonly depth: number;
  readonly a: (i: number, t: number) => readonly [row: number, depth: number];
  readonly b: (i: number, t: number) => number;
};

/** Of operands of 16 bits. */
const halfLayout: Layout = {
  depth: 16,
  a: (i, t) => [8 * ((i >> 1) % 2), 2 * t + (i % 2) + 8 * (i >> 2)],
  b: (i, t) => 2 * t + (i % 2) + 8 * (i >> 1),
};

const layouts: Readonly<Record<MatrixFormat, Layout>> = {
  tf32: { depth: 8, a: (i, t) => [8 * (i % 2), t + 4 * (i >> 1)], b: (i, t) => t + 4 * i },
  bf16: halfLayout,
  f16: halfLayout,
};

function multiplyTogether(stmt: Extract<Stmt, { kind: "mma" }>, scope: Scope, team: Team): Run {
  const { depth, a: placeA, b: placeB } = layouts[stmt.format];
  const evaluators = (exprs: readonly Expr[]): Evaluate[] => exprs.map((expr) => evaluator(expr, scope));
  const [a, b] = [evaluators(stmt.a), evaluators(stmt.b)];
  const sums = stmt.sums.map((name) => {
    const place = scope.places.get(name);
    invariant(place !== undefined, `no variable ${name}`);
    return place;
  });
  const warps = scope.progress.threads / warp;
  const left = Array.from({ length: warps }, () => new Float64Array(16 * depth));
  const right = Array.from({ length: warps }, () => new Float64Array(depth * 8));
  return () => {
    team.forEach((thread) => {
      const [g, t] = [(thread % warp) >> 2, thread % 4];
      const own = Math.floor(thread / warp);
      a.forEach((value, i) => {
        const [row, k] = placeA(i, t);
        const tile = left[own];
        if (tile !== undefined) tile[(g + row) * depth + k] = roundOperand(stmt.format, value(0));
      });
      b.forEach((value, i) => {
        const tile = right[own];
        if (tile !== undefined) tile[placeB(i, t) * 8 + g] = roundOperand(stmt.format, value(0));
      });
    });
    team.forEach((thread) => {
      const [g, t] = [(thread % warp) >> 2, thread % 4];
      const own = Math.floor(thread / warp);
      sums.forEach((place, i) => {
        const [row, column] = [g + 8 * (i >> 1), 2 * t + (i % 2)];
        let sum = scope.values[place] ?? 0;
        for (let k = 0; k < depth; k++)
          sum += (left[own]?.[row * depth + k] ?? 0) * (right[own]?.[k * 8 + column] ?? 0);
        scope.values[place] = Math.fround(sum);
      });
    });
  };
}
