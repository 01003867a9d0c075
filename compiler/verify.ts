/**
 * What `kiln verify` compares: an artifact's kernels one by one, each as an entry of its own, and the gradients of its
 * losses against finite differences. Works from the graphs that the artifact holds, which the back turns into the same
 * kernels again; running native code is the caller's part.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { emitC, type CProgram } from "../codegen/targets/c/emit.ts";
import { evaluateHostExpr } from "../ir/artifact/host-expr.ts";
import {
  manifestSchema,
  viewTarget,
  type LoadedManifest,
  type ManifestLaunch,
  type TargetName,
} from "../ir/artifact/manifest.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { createWriter, opDef, type Graph, type Node } from "../ir/graph.ts";
import { interpret, type Environment } from "../ir/interpret.ts";
import type { Kernel } from "../ir/loop/loop.ts";
import type { Elements } from "../ir/op.ts";
import { parseGraph } from "../ir/parse.ts";
import { entryLabel, type Launch, type PlannedEntry } from "../ir/program.ts";
import { at, elementCount, isFloat } from "../ir/type.ts";
import { gradients } from "./autodiff/gradient.ts";
import { buildC } from "./build/c.ts";
import { planAgain, type PlannedAgain } from "./plan-again.ts";
import type { TracedInput, TracedProgram } from "./trace/traced.ts";

/** An artifact's program, traced again from its files. */
export type ArtifactProgram = { readonly manifest: LoadedManifest; readonly traced: TracedProgram };

/** Reads the graphs of an artifact, and the manifest as `wanted` of its targets sees it: the first one if left out. */
export async function readArtifact(folder: string, wanted?: TargetName): Promise<ArtifactProgram> {
  const read = async (path: string): Promise<string> => {
    try {
      return await readFile(join(folder, path), "utf8");
    } catch (error) {
      throw fail(messages.notAnArtifact(folder, `${path} cannot be read`), undefined, error);
    }
  };
  const parsed = v.safeParse(manifestSchema, JSON.parse(await read("manifest.json")));
  if (!parsed.success) throw fail(messages.notAnArtifact(folder, parsed.issues[0].message));
  const names = parsed.output.targets.map(({ name }) => name);
  const target = parsed.output.targets.find(({ name }) => name === (wanted ?? names[0]));
  if (target === undefined) throw fail(messages.nothingToInspect("target", wanted ?? "", names));
  const manifest = viewTarget(parsed.output, target);
  const entries = await Promise.all(
    manifest.entries.map(async (entry) => {
      const graph = parseGraph(await read(`ir/${entryLabel(entry)}.traced.ir`));
      return { name: entry.name, batch: entry.batch, graph, inputs: inputsOf(graph), increments: entry.increments };
    }),
  );
  const states = manifest.state.values.map(({ name, role, dtype, shape }) => ({ name, role, dtype, shape }));
  const { init, hyper, counters } = manifest;
  return { manifest, traced: { entries, states, init, hyper, counters, training: undefined } };
}

function inputsOf(graph: Graph): TracedInput[] {
  const inputs: TracedInput[] = [];
  for (const node of graph.nodes) {
    if (node.op === "input")
      inputs.push({ kind: "input", name: String(node.attrs["name"]), type: node.type, leaf: node });
    if (node.op === "feed")
      inputs.push({ kind: "feed", name: String(node.attrs["field"]), type: node.type, leaf: node });
  }
  return inputs;
}

/** An artifact's kernels, and a library in which each is an entry with the kernel's own buffers. */
export type KernelLibrary = {
  readonly kernels: readonly Kernel[];
  /** The program as planned, which tells what the kernels are launched with. */
  readonly planned: PlannedAgain;
  /** In the order of `kernels`. */
  readonly entries: readonly PlannedEntry[];
  readonly library: Uint8Array;
};

/** Options of `buildKernelLibrary`. */
export type KernelLibraryOptions = {
  /** What the C compiler's `-march` takes; `native` by default. */
  readonly march?: string;
  /** Changes the emitted text before it is compiled: for tests that plant a mistake. */
  readonly alter?: (program: CProgram) => CProgram;
};

/** Builds the library for checking every kernel by itself. */
export async function buildKernelLibrary(
  folder: string,
  { manifest, traced }: ArtifactProgram,
  { march = "native", alter = (program) => program }: KernelLibraryOptions = {},
): Promise<KernelLibrary> {
  const planned = await planAgain(folder, manifest, traced, march);
  const { kernels } = planned.plan.program;
  const entries = kernels.map((kernel, index): PlannedEntry => ({
    name: kernel.name,
    batch: 0,
    buffers: kernel.buffers.map(({ name, dtype, size }) => ({
      role: "input",
      name,
      dtype,
      stored: dtype,
      shape: [size],
    })),
    phases: [[{ kernel: index, args: kernel.buffers.map((_, buffer) => ({ buffer, offset: 0 })) }]],
    arenaBytes: 0,
    scalars: [],
    increments: {},
  }));
  const { library } = await buildC(alter(emitC({ name: manifest.name, kernels, entries })), { march });
  return { kernels, planned, entries, library };
}

/** A launch of an artifact's GPU target, and the launch of the plan that it was made of. */
export type PlannedLaunch = {
  readonly kernel: Kernel;
  readonly buffers: PlannedEntry["buffers"];
  readonly args: Launch["args"];
  readonly launch: ManifestLaunch;
};

/** An artifact's GPU target, planned again. */
export type PlannedTarget = {
  readonly planned: PlannedAgain;
  /** The first launch of each of the target's kernels that is launched at all, in the kernels' order. */
  readonly launches: readonly PlannedLaunch[];
};

/**
 * Plans an artifact for its target again, and finds for each of the target's kernels what it was made of. Throws a
 * `UserError` (K3091) if the artifact is not what this version of the compiler makes of its graphs.
 */
export async function planTarget(folder: string, { manifest, traced }: ArtifactProgram): Promise<PlannedTarget> {
  const planned = await planAgain(folder, manifest, traced);
  const { program } = planned.plan;
  const found = new Map<number, PlannedLaunch>();
  for (const [i, { buffers, phases }] of program.entries.entries()) {
    const launches = manifest.entries[i]?.launches ?? [];
    const made = phases.flat().filter(({ kernel }) => at(program.kernels, kernel).tasks > 0);
    if (launches.length !== made.length) throw fail(messages.notAnArtifact(folder, "another version compiled it"));
    for (const [place, launch] of launches.entries()) {
      const { kernel, args } = at(made, place);
      if (!found.has(launch.kernel))
        found.set(launch.kernel, { kernel: at(program.kernels, kernel), buffers, args, launch });
    }
  }
  const launches = [...found].sort(([a], [b]) => a - b).map(([, launch]) => launch);
  return { planned, launches };
}

/** One direction along which a loss was differentiated both ways. */
export type GradientCheck = {
  readonly entry: string;
  readonly output: string;
  /** The parameters that the direction moves. */
  readonly states: readonly string[];
  /** Derivative along the direction, by the VJP rules and by central differences. */
  readonly analytic: number;
  readonly numeric: number;
  readonly agrees: boolean;
};

/**
 * Steps of the central differences, relative to values of about 1, in float64. Where a step crosses a kink (of relu, of a
 * maximum) the difference is off, more often the longer the step; where it is short, rounding weighs more. A wrong rule
 * disagrees at every step.
 */
const steps: readonly number[] = [1e-8, 1e-6, 1e-5];

/** How far analytic and numeric derivative may be apart, relatively, and below which size absolutely. */
const agreement = { relative: 1e-3, floor: 1e-3 } as const;

/** What `checkGradients` found. `leftOut`: parameters for which there was no time. */
export type GradientChecks = { readonly checks: readonly GradientCheck[]; readonly leftOut: readonly string[] };

/**
 * Differentiates every scalar float output of the train entry (of its smallest batch) along one random direction of all
 * parameters and of each, in float64 on the reference interpreter: by the VJP rules of its ops, and by central
 * differences. Stops when `seconds` are over.
 */
export function checkGradients(
  { manifest, traced }: ArtifactProgram,
  random: () => number,
  seconds = Infinity,
): GradientChecks {
  const end = performance.now() + 1000 * seconds;
  const checks: GradientCheck[] = [];
  const leftOut = new Set<string>();
  const parameters = new Set(traced.states.filter(({ role }) => role === "parameter").map(({ name }) => name));
  const [entry] = traced.entries.filter(({ name }) => name === "train").toSorted((a, b) => a.batch - b.batch);
  if (entry === undefined) return { checks, leftOut: [] };
  const values = environmentOf(entry.graph, manifest, random);
  for (const { name, value } of entry.graph.outputs) {
    if (!isFloat(value.type.dtype) || elementCount(value.type.shape) !== 1) continue;
    const { forward, graph, derivatives } = differentiate(entry.graph, value, parameters);
    const outputs =
      performance.now() < end ? interpret(graph, values.environment()).outputs : new Map<string, Elements>();
    // All parameters at once first, so that nothing goes unchecked where time is short.
    for (const states of [derivatives, ...(derivatives.length > 1 ? derivatives.map((state) => [state]) : [])]) {
      if (performance.now() > end) {
        for (const state of states) leftOut.add(state);
        continue;
      }
      const directions = new Map(
        states.map((state) => [state, Float64Array.from(values.states.get(state) ?? [], () => random() * 2 - 1)]),
      );
      const along = (length: number): number => {
        const moved = new Map(values.states);
        for (const [state, direction] of directions)
          moved.set(
            state,
            direction.map((d, i) => (values.states.get(state)?.[i] ?? 0) + length * d),
          );
        return interpret(forward, { ...values.environment(), states: moved }).outputs.get("value")?.[0] ?? NaN;
      };
      let analytic = 0;
      for (const [state, direction] of directions)
        direction.forEach((d, i) => (analytic += d * (outputs.get(`gradient ${state}`)?.[i] ?? NaN)));
      let [numeric, agrees] = [NaN, false];
      for (const step of steps) {
        if (agrees) break;
        numeric = (along(step) - along(-step)) / (2 * step);
        const scale = Math.max(Math.abs(analytic), Math.abs(numeric), agreement.floor);
        agrees = Math.abs(analytic - numeric) <= agreement.relative * scale;
      }
      checks.push({ entry: entryLabel(entry), output: name, states, analytic, numeric, agrees });
    }
  }
  return { checks, leftOut: [...leftOut] };
}

/** The part of a graph that computes one scalar, and the same with its gradients as further outputs. */
function differentiate(
  graph: Graph,
  scalar: Node,
  parameters: ReadonlySet<string>,
): { readonly forward: Graph; readonly graph: Graph; readonly derivatives: readonly string[] } {
  const needed = new Set<Node>([scalar]);
  for (const node of graph.nodes.toReversed()) if (needed.has(node)) for (const input of node.inputs) needed.add(input);
  const { g, append, nodes } = createWriter(() => undefined);
  const renewed = new Map<Node, Node>();
  for (const node of graph.nodes) {
    if (!needed.has(node)) continue;
    const inputs = node.inputs.flatMap((input) => renewed.get(input) ?? []);
    renewed.set(node, append(node.op, inputs, node.attrs));
  }
  const output = renewed.get(scalar) ?? scalar;
  const forward = { name: graph.name, nodes: [...nodes], outputs: [{ name: "value", value: output }], writes: [] };
  const reads = nodes.filter((node) => node.op === "read" && parameters.has(String(node.attrs["state"])));
  const stops = (node: Node): boolean => opDef(node.op).vjp === null;
  const cotangent = g.full({ value: 1, dtype: output.type.dtype, shape: output.type.shape });
  const found = gradients({ g, nodes, stops, at: (_, body) => body() }, [{ output, cotangent }], reads);
  const derivatives: string[] = [];
  const outputs = [{ name: "value", value: output }];
  reads.forEach((read, i) => {
    const gradient = found[i];
    if (gradient === undefined) return;
    const state = String(read.attrs["state"]);
    derivatives.push(state);
    outputs.push({ name: `gradient ${state}`, value: gradient });
  });
  return { forward, graph: { name: graph.name, nodes, outputs, writes: [] }, derivatives };
}

/** Random values for everything a graph reads: floats in [-0.3, 0.3), bytes, and integers that are in range where they index. */
function environmentOf(
  graph: Graph,
  manifest: LoadedManifest,
  random: () => number,
): { readonly states: ReadonlyMap<string, Elements>; readonly environment: () => Environment } {
  const states = new Map<string, Elements>();
  const inputs = new Map<string, Elements>();
  const feeds = new Map<string, Elements>();
  const bounds = indexBounds(graph);
  for (const node of graph.nodes) {
    if (node.op !== "read" && node.op !== "input" && node.op !== "feed") continue;
    const limit = bounds.get(node) ?? (node.type.dtype === "u8" ? 256 : 2);
    const elements = Float64Array.from({ length: elementCount(node.type.shape) }, () =>
      isFloat(node.type.dtype) ? (random() * 2 - 1) * 0.3 : Math.floor(random() * limit),
    );
    if (node.op === "read") states.set(String(node.attrs["state"]), elements);
    else if (node.op === "input") inputs.set(String(node.attrs["name"]), elements);
    else feeds.set(String(node.attrs["field"]), elements);
  }
  const hosts = {
    hyper: new Map(Object.entries(manifest.hyper)),
    counters: new Map(manifest.counters.map((name) => [name, 0])),
  };
  const draws: Elements[] = [];
  const environment = (): Environment => {
    let next = 0;
    return {
      states,
      inputs,
      feeds,
      hostScalar: (expr) => evaluateHostExpr(expr, hosts),
      // The same numbers in every run, so that differences see the same dropout masks.
      draw: (draw, count) => {
        const drawn =
          draws[next] ??
          Float64Array.from({ length: count }, () => {
            const number = random();
            return draw.kind === "bernoulli" ? Number(number < draw.p) : number;
          });
        draws[next++] = drawn;
        return drawn;
      },
    };
  };
  return { states, environment };
}

/** For each leaf whose values end up as indices, the extent of the shortest axis they index. */
export function indexBounds(graph: Graph): Map<Node, number> {
  const bounds = new Map<Node, number>();
  const origins = new Map<Node, readonly Node[]>();
  for (const node of graph.nodes) {
    const { lowering } = opDef(node.op);
    if (lowering.class === "leaf") origins.set(node, [node]);
    if (lowering.class === "movement" || lowering.class === "cast")
      origins.set(
        node,
        node.inputs.flatMap((input) => origins.get(input) ?? []),
      );
    // Labels that are kept or replaced, as where some are ignored.
    if (node.op === "select")
      origins.set(
        node,
        node.inputs.slice(1).flatMap((input) => origins.get(input) ?? []),
      );
    if (lowering.class !== "gather" && lowering.class !== "scatter") continue;
    const [indexed, index] = node.inputs;
    const extent = indexed?.type.shape[Number(node.attrs["axis"])];
    if (index === undefined || extent === undefined) continue;
    for (const leaf of origins.get(index) ?? []) bounds.set(leaf, Math.min(extent, bounds.get(leaf) ?? Infinity));
  }
  return bounds;
}
