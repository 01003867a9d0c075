/**
 * Launches that may run at the same time, as one kernel: its first work-groups do the first launch's work, the next ones
 * the next one's. A launch costs microseconds whatever it does, so small ones ride along with others. Takes what the
 * groups of an entry were lowered to, in order; gives fewer of them. Each launch keeps its own loops: only names, and the
 * numbers of its work-groups, change.
 */
import {
  bind,
  branch,
  int,
  loop,
  scalar,
  variable,
  type BufferParam,
  type Expr,
  type Stmt,
} from "../../../ir/loop/loop.ts";
import { sharedBytes } from "../../../ir/loop/lower-shuffles.ts";
import { allStatements, isTogether, mapParts } from "../../../ir/loop/walk.ts";
import { invariant } from "../../../ir/diagnostic/diagnostic.ts";
import type { Gpu } from "../../../ir/machine.ts";
import { at } from "../../../ir/type.ts";
import type { Buffer } from "../../memory/buffer.ts";
import type { Lowered } from "../lowered.ts";

/** A launch of at most so many work-groups and operations is small: it may join any other. */
const smallGroups = 64;
const smallFlops = 2 ** 20;

/** Whether a launch may join others at little cost. */
function isSmall({ tasks, flops }: Lowered): boolean {
  return tasks.tasks <= smallGroups && flops <= smallFlops;
}

/** Whether launches fit into one kernel. */
export function fitTogether(launches: readonly Lowered[], gpu: Gpu): boolean {
  if (launches.length < 2) return true;
  const bound = new Set(launches.flatMap(({ buffers }) => buffers).filter(({ role }) => !isUniform(role)));
  const large = launches.filter((launch) => !isSmall(launch)).length;
  // Threads that wait for each other would hold up those of a large launch, which need not.
  if (bound.size > gpu.bindings || large > 1 || (large === 1 && launches.some(meet))) return false;
  if (
    launches.reduce((bytes, launch) => bytes + sharedBytes(launch.body, threadsOf(launch), () => gpu.warp), 0) >
    gpu.sharedBytes
  )
    return false;
  const threads = Math.max(...launches.map(threadsOf));
  return launches.every(
    (launch) => threads % threadsOf(launch) === 0 && (threadsOf(launch) === threads || !meet(launch)),
  );
}

/** Buffers that a kernel reads whole and that are small: they do not count among those it binds as storage. */
function isUniform(role: Buffer["role"]): boolean {
  return role === "scalars" || role === "indices" || role === "key";
}

function threadsOf({ tasks }: Lowered): number {
  return tasks.threads ?? 1;
}

/** One kernel that does the work of several launches. */
export function mergeLaunches(launches: readonly Lowered[]): Lowered {
  const [only] = launches;
  invariant(only !== undefined, "nothing to merge");
  if (launches.length === 1) return only;
  const threads = Math.max(...launches.map(threadsOf));
  const buffers = [...new Set(launches.flatMap((launch) => launch.buffers))];
  const head: Stmt[] = [];
  const task = variable("group");
  let groups = 0;
  const parts = launches.map((launch, i) => {
    const side = threads / threadsOf(launch);
    const own = Math.ceil(launch.tasks.tasks / side);
    const body = rewrite(launch, { prefix: `k${i}`, buffers, number: scalar("sub", task, int(groups)), side, head });
    groups += own;
    return { end: groups, body };
  });
  const chain = parts.reduceRight<readonly Stmt[]>(
    (rest, { end, body }) => (rest.length === 0 ? body : [branch(scalar("lt", task, int(end)), body, rest)]),
    [],
  );
  const body = loop("group", variable("taskBegin"), variable("taskEnd"), [...head, ...chain], { mode: "tasks" });
  return {
    params: buffers.map((buffer, i) => paramOf(buffer, `b${i}`, launches)),
    body: [body],
    tasks: { extent: groups, tasks: groups, threads },
    flops: launches.reduce((sum, { flops }) => sum + flops, 0),
    buffers,
    accesses: launches.flatMap(({ accesses }) => accesses),
    rows: new Map(),
    ranges: new Map(),
  };
}

function paramOf(buffer: Buffer, name: string, launches: readonly Lowered[]): BufferParam {
  const params = launches.flatMap((launch) => {
    const place = launch.buffers.indexOf(buffer);
    return place < 0 ? [] : [at(launch.params, place)];
  });
  const reads = params.some(({ access }) => access !== "write");
  const writes = params.some(({ access }) => access !== "read");
  return {
    name,
    dtype: buffer.dtype,
    size: Math.max(...params.map(({ size }) => size)),
    access: reads && writes ? "readwrite" : writes ? "write" : "read",
  };
}

/** Whether a launch's threads wait for each other. */
function meet({ body }: Lowered): boolean {
  return allStatements(body).some(isTogether);
}

/** How a launch becomes part of a kernel. */
type Part = {
  /** Before each of its names. */
  readonly prefix: string;
  /** Buffers of the whole kernel. */
  readonly buffers: readonly Buffer[];
  /** Its work-group's number among those that do its work. */
  readonly number: Expr;
  /** How many of its own work-groups are one of the kernel's, side by side. */
  readonly side: number;
  /** Statements that open the kernel's tasks: shared arrays. */
  readonly head: Stmt[];
};

/** The statements that do a launch's work in a kernel. */
function rewrite(launch: Lowered, { prefix, buffers, number, side, head }: Part): Stmt[] {
  const names = new Map(
    launch.params.map(({ name }, i): [string, string] => [name, `b${buffers.indexOf(at(launch.buffers, i))}`]),
  );
  const own = (name: string): string => names.get(name) ?? (name === "thread" ? name : `${prefix}_${name}`);
  const before: Stmt[] = [];
  const threads = threadsOf(launch);
  const values = new Map<string, Expr>();
  if (side > 1) {
    before.push(bind(`${prefix}_thread`, scalar("mod", variable("thread"), int(threads))));
    values.set("thread", variable(`${prefix}_thread`));
  }
  const renamer = new Renamer(own, values, head);
  const inner: Stmt[] = [];
  for (const stmt of launch.body) {
    if (stmt.kind !== "for" || stmt.mode !== "tasks") {
      inner.push(...renamer.statement(stmt));
      continue;
    }
    const task =
      side === 1
        ? number
        : scalar("add", scalar("mul", number, int(side)), scalar("div", variable("thread"), int(threads)));
    const name = own(stmt.name);
    before.push(bind(name, task));
    inner.push(...renamer.body(stmt.body));
    if (launch.tasks.tasks % side !== 0)
      return [...before, branch(scalar("lt", variable(name), int(launch.tasks.tasks)), inner)];
  }
  return [...before, ...inner];
}

/** Gives the names of a kernel's statements other ones. */
class Renamer {
  readonly #own: (name: string) => string;
  readonly #values: ReadonlyMap<string, Expr>;
  readonly #head: Stmt[];

  constructor(own: (name: string) => string, values: ReadonlyMap<string, Expr>, head: Stmt[]) {
    this.#own = own;
    this.#values = values;
    this.#head = head;
  }

  body(body: readonly Stmt[]): Stmt[] {
    return body.flatMap((stmt) => this.statement(stmt));
  }

  /** The statement, or nothing where it opens the kernel. */
  statement(stmt: Stmt): Stmt[] {
    const own = this.#own;
    const expr = (value: Expr): Expr => this.expr(value);
    switch (stmt.kind) {
      case "for": {
        const reductions = stmt.reductions.map(({ name, op }) => ({ name: own(name), op }));
        const body = this.body(stmt.body);
        return [{ ...stmt, name: own(stmt.name), begin: expr(stmt.begin), end: expr(stmt.end), reductions, body }];
      }
      case "let":
      case "mutable":
      case "assign":
        return [{ ...stmt, name: own(stmt.name), value: expr(stmt.value) }];
      case "local":
        return [{ ...stmt, name: own(stmt.name) }];
      case "shared":
        this.#head.push({ ...stmt, name: own(stmt.name) });
        return [];
      case "store":
        return [{ ...stmt, buffer: own(stmt.buffer), index: expr(stmt.index), value: expr(stmt.value) }];
      case "if":
        return [
          {
            ...stmt,
            condition: expr(stmt.condition),
            then: this.body(stmt.then),
            otherwise: this.body(stmt.otherwise),
          },
        ];
      case "check":
        return [
          {
            ...stmt,
            condition: expr(stmt.condition),
            status: own(stmt.status),
            value: expr(stmt.value),
            limit: expr(stmt.limit),
          },
        ];
      case "draw":
        return [{ ...stmt, generator: own(stmt.generator), buffer: own(stmt.buffer) }];
      case "shuffle":
        return [{ ...stmt, names: stmt.names.map(own), values: stmt.values.map(expr) }];
      case "dot":
        return [{ ...stmt, sum: own(stmt.sum), a: stmt.a.map(expr), b: stmt.b.map(expr) }];
      case "mma":
        return [{ ...stmt, sums: stmt.sums.map(own), a: stmt.a.map(expr), b: stmt.b.map(expr) }];
      case "barrier":
      case "note":
        return [stmt];
    }
  }

  expr(expr: Expr): Expr {
    if (expr.kind === "variable") {
      const value = this.#values.get(expr.name);
      return value ?? { ...expr, name: this.#own(expr.name) };
    }
    const part = mapParts(expr, (inner) => this.expr(inner));
    if (part.kind === "load") return { ...part, buffer: this.#own(part.buffer) };
    return part.kind === "random" ? { ...part, key: this.#own(part.key) } : part;
  }
}
