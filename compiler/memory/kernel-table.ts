/** The kernels of a program, each distinct one once: equal loops over equal buffers are one kernel with many launches. */
import type { Node } from "../../ir/graph.ts";
import type { Kernel } from "../../ir/loop/loop.ts";
import type { Lowered } from "../lower/lowered.ts";

/** Collects kernels, and names them after what they compute first. */
export class KernelTable {
  readonly kernels: Kernel[] = [];
  private readonly known = new Map<string, number>();
  private readonly names = new Map<string, number>();

  /** The kernel of a lowered group, and its position. */
  add(lowered: Lowered, kind: string, nodes: readonly Node[]): { readonly kernel: Kernel; readonly index: number } {
    const { params, body, tasks, flops } = lowered;
    const key = JSON.stringify([params, body, tasks.tasks, tasks.threads]);
    const found = this.known.get(key);
    const existing = found === undefined ? undefined : this.kernels[found];
    if (found !== undefined && existing !== undefined) return { kernel: existing, index: found };
    const index = this.kernels.length;
    const kernel: Kernel = {
      name: this.nameFor(kind, nodes),
      doc: describe(nodes),
      tasks: tasks.tasks,
      ...(tasks.threads === undefined ? {} : { threads: tasks.threads }),
      buffers: params,
      body,
      flops,
    };
    this.kernels.push(kernel);
    this.known.set(key, index);
    return { kernel, index };
  }

  /** A readable identifier: the module and op of the first value, made unique by a number. */
  private nameFor(kind: string, nodes: readonly Node[]): string {
    const [first] = nodes;
    const module = first?.source?.module ?? "";
    const words = [module, kind === "copy" ? "copy" : (first?.op ?? kind)]
      .filter((part) => part !== "")
      .join("_")
      .replace(/[^A-Za-z0-9]+/g, "_")
      // Layers of a list are numbered; an identifier cannot begin with a digit.
      .replace(/^(?=[0-9])/, "layer_")
      .replace(/^_+/, "")
      .slice(0, 40);
    // The layers of a `Sequential` are called 0, 1, …, which no identifier may begin with.
    const base = /^[A-Za-z]/.test(words) ? words : `layer_${words}`;
    const count = (this.names.get(base) ?? 0) + 1;
    this.names.set(base, count);
    return `${base}_${count}`;
  }
}

function describe(nodes: readonly Node[]): string {
  return nodes
    .slice(0, 4)
    .map(({ op, source }) => (source?.module === undefined || source.module === "" ? op : `${source.module}.${op}`))
    .concat(nodes.length > 4 ? [`${nodes.length - 4} more`] : [])
    .join(", ");
}
