/**
 * Which barriers of a kernel must order the memory of buffers, beside that of shared arrays: those with a write and another
 * access of one buffer on either side. Others are cheaper without.
 */
import type { Expr, Kernel, Stmt } from "../../../ir/loop/loop.ts";
import { expressionsOf, partsOf } from "../../../ir/loop/walk.ts";
import type { BoundLaunch } from "./bindings.ts";

/** In the order in which they happen: an access of a binding, or a barrier. */
type Event =
  { readonly kind: "read" | "write"; readonly binding: number } | { readonly kind: "barrier"; readonly stmt: Stmt };

/** The barriers of `body` that stand between two accesses of a buffer of which one is a write. */
export function orderingBarriers(kernel: Kernel, body: readonly Stmt[], bound: BoundLaunch): ReadonlySet<Stmt> {
  const bindings = new Map(kernel.buffers.map(({ name }, index) => [name, bound.places[index]?.binding ?? 0]));
  const events = eventsOf(body, bindings);
  const ordering = new Set<Stmt>();
  const after = events.map(() => ({ reads: new Set<number>(), writes: new Set<number>() }));
  events.reduceRight(
    (later, event, index) => {
      const here = { reads: new Set(later.reads), writes: new Set(later.writes) };
      if (event.kind === "read") here.reads.add(event.binding);
      if (event.kind === "write") here.writes.add(event.binding);
      after[index] = here;
      return here;
    },
    { reads: new Set<number>(), writes: new Set<number>() },
  );
  const [reads, writes] = [new Set<number>(), new Set<number>()];
  events.forEach((event, index) => {
    if (event.kind === "read") reads.add(event.binding);
    if (event.kind === "write") writes.add(event.binding);
    const later = after[index];
    if (event.kind !== "barrier" || later === undefined) return;
    const meets =
      [...later.writes].some((binding) => reads.has(binding) || writes.has(binding)) ||
      [...later.reads].some((binding) => writes.has(binding));
    if (meets) ordering.add(event.stmt);
  });
  return ordering;
}

function eventsOf(body: readonly Stmt[], bindings: ReadonlyMap<string, number>): readonly Event[] {
  const readsIn = (expr: Expr): readonly Event[] => {
    const own = expr.kind === "load" ? bindings.get(expr.buffer) : undefined;
    const inner = partsOf(expr).flatMap(readsIn);
    return own === undefined ? inner : [...inner, { kind: "read", binding: own }];
  };
  return body.flatMap((stmt): readonly Event[] => {
    const reads = expressionsOf(stmt).flatMap(readsIn);
    switch (stmt.kind) {
      case "store": {
        const own = bindings.get(stmt.buffer);
        return own === undefined ? reads : [...reads, { kind: "write", binding: own }];
      }
      case "barrier":
        return [{ kind: "barrier", stmt }];
      case "for": {
        const inner = eventsOf(stmt.body, bindings);
        // What comes after a barrier in a loop comes before it in the next iteration.
        const again = stmt.mode !== "tasks" && inner.some(({ kind }) => kind === "barrier");
        return [...reads, ...inner, ...(again ? inner : [])];
      }
      case "if":
        return [...reads, ...eventsOf(stmt.then, bindings), ...eventsOf(stmt.otherwise, bindings)];
      default:
        return reads;
    }
  });
}
