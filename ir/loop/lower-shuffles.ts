/**
 * Shuffles for machines whose threads cannot reach each other's registers, or not far enough: each thread writes its value
 * to a shared array and, after a barrier, reads its partner's. Takes a kernel and how far values of a type can be
 * shuffled; gives the kernel without the shuffles that reach further.
 */
import { dtypeBytes, type DType } from "../type.ts";
import { barrier, bind, load, scalar, shared, store, int, variable, type Kernel, type Stmt } from "./loop.ts";
import { allStatements } from "./walk.ts";

type Shuffle = Extract<Stmt, { kind: "shuffle" }>;

/** The distance from which on values of a type are not shuffled. */
export type Reach = (dtype: DType) => number;

/** The kernel with shared arrays in place of shuffles out of reach. */
export function lowerShuffles(kernel: Kernel, reach: Reach): Kernel {
  const isFar = (stmt: Stmt): stmt is Shuffle =>
    stmt.kind === "shuffle" && stmt.values.some(({ type }) => stmt.distance >= reach(type.dtype));
  if (!allStatements(kernel.body).some(isFar)) return kernel;
  return { ...kernel, body: new Lowering(kernel.threads ?? 1, isFar).body(kernel.body, 0, false) };
}

/** Bytes of shared arrays that a kernel of so many threads needs, those for its shuffles included. */
export function sharedBytes(body: readonly Stmt[], threads: number, reach: Reach, alignment = 1): number {
  const kernel = lowerShuffles({ name: "k", doc: "", tasks: 1, threads, buffers: [], body, flops: 0 }, reach);
  return allStatements(kernel.body).reduce((sum, stmt) => {
    if (stmt.kind !== "shared") return sum;
    return sum + Math.ceil((stmt.size * dtypeBytes[stmt.dtype]) / alignment) * alignment;
  }, 0);
}

/**
 * Arrays are used in turns: a thread that is ahead writes to one while others still read the other, and comes back to the
 * first only after the barrier of the second. So one barrier a shuffle is enough where shuffles follow each other; where a
 * body may be left out or repeated, another one stands at its end.
 */
class Lowering {
  readonly #threads: number;
  readonly #isFar: (stmt: Stmt) => stmt is Shuffle;
  /** The arrays by name. */
  readonly #arrays = new Map<string, Stmt>();

  constructor(threads: number, isFar: (stmt: Stmt) => stmt is Shuffle) {
    this.#threads = threads;
    this.#isFar = isFar;
  }

  /** `before`: whose turn it was. `goesOn`: whether other shuffles may follow the last one. */
  body(body: readonly Stmt[], before: number, goesOn: boolean): readonly Stmt[] {
    let turn = before;
    const isLater = (i: number): boolean => allStatements(body.slice(i + 1)).some(this.#isFar);
    const lowered = body.flatMap((stmt, i): readonly Stmt[] => {
      if (this.#isFar(stmt)) {
        turn = 1 - turn;
        return this.#shuffle(stmt, turn);
      }
      if (stmt.kind === "if") {
        const follows = goesOn || isLater(i);
        return [
          { ...stmt, then: this.body(stmt.then, turn, follows), otherwise: this.body(stmt.otherwise, turn, follows) },
        ];
      }
      if (stmt.kind !== "for") return [stmt];
      if (stmt.mode !== "tasks") return [{ ...stmt, body: this.body(stmt.body, turn, true) }];
      const inner = this.body(stmt.body, turn, false);
      return [{ ...stmt, body: [...this.#arrays.values(), ...inner] }];
    });
    return goesOn && body.some(this.#isFar) ? [...lowered, barrier()] : lowered;
  }

  #shuffle({ names, values, distance }: Shuffle, turn: number): readonly Stmt[] {
    const thread = variable("thread");
    const partner = scalar("xor", thread, int(distance));
    const arrays = values.map(({ type }, i) => this.#array(type.dtype, i, turn));
    return [
      ...values.map((value, i) => store(arrays[i] ?? "", thread, value)),
      barrier(),
      ...names.map((name, i) => bind(name, load(arrays[i] ?? "", values[i]?.type.dtype ?? "f32", partner))),
    ];
  }

  #array(dtype: DType, number: number, turn: number): string {
    const name = `shuffled_${dtype}_${number}_${turn}`;
    this.#arrays.set(name, shared(name, dtype, this.#threads));
    return name;
  }
}
