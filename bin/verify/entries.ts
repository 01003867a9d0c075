/**
 * Checks an artifact's entries as a whole: each runs once on its own compiled library, on random data, and its outputs
 * and the states it leaves are compared with those of the reference interpreter on the traced graph. Weights are as the
 * program initialises them, a little disturbed; optimizer slots are positive, as if training had gone on for a while.
 */
import type { PlannedAgain } from "../../compiler/plan-again.ts";
import { indexBounds, type ArtifactProgram } from "../../compiler/verify.ts";
import type { TracedEntry } from "../../compiler/trace/traced.ts";
import { evaluateHostExpr } from "../../ir/artifact/host-expr.ts";
import type { Graph, Node } from "../../ir/graph.ts";
import { interpret, type Environment, type Interpretation } from "../../ir/interpret.ts";
import type { Elements } from "../../ir/op.ts";
import { entryLabel } from "../../ir/program.ts";
import type { Generator } from "../../ir/random/generator.ts";
import { at, elementCount, isFloat, type TensorType } from "../../ir/type.ts";
import type { GpuDevice } from "../../runtime/gpu/device.ts";
import { Program } from "../../runtime/program.ts";
import type { DeviceChoice } from "../../runtime/select-target.ts";
import type { StateTensor } from "../../runtime/state.ts";
import { newTypedArray, type TypedArray } from "../../runtime/typed-array.ts";
import { drawSources, type DrawSource } from "./draws.ts";
import {
  distance,
  isBeyond,
  nudge,
  nudges,
  numberAt,
  roundings,
  type Difference,
  type NumberArray,
} from "./compare.ts";

/** What the check of one entry found. */
export type EntryCheck = {
  readonly entry: string;
  /** Elements of outputs and states that were compared. */
  readonly elements: number;
  /** The largest distance from an expected value, relative to the largest of its tensor (of its change, for a state). */
  readonly worstError: number;
  /** Elements left out since their expected value moves as far when weights change by roundings. */
  readonly unstable: number;
  readonly ok: boolean;
  readonly difference?: Difference;
  /** Why the entry was not run; it counts as ok. */
  readonly leftOut?: string;
};

/** Options of `checkEntries`. */
export type EntryOptions = {
  readonly random: Generator;
  /** Seconds that the interpreter may take for one entry, about. */
  readonly seconds: number;
  readonly threads: number;
  /** Where to run; `auto` if left out. */
  readonly device?: DeviceChoice;
  /** A GPU that is open already. */
  readonly gpu?: GpuDevice;
  readonly onCheck?: (check: EntryCheck) => void;
};

/** Floating-point operations that the reference interpreter does in a second, about. */
const interpreterSpeed = 3e8;

/** Rows that a data set gets. */
const datasetRows = 7;

/** How exact a program's results are. */
type Precision = {
  /** How far floats may be from float64 results, relative to the largest of their tensor. */
  readonly allowed: number;
  /** How much weights are changed, relatively, to see how far results move. */
  readonly nudge: number;
};

/**
 * A step in float32 loses about 1e-5 in the gradients of deep networks, and a hundredfold of that is far below what a
 * mistake does. Products that round their operands lose a few of those roundings.
 */
function precisionOf({ machine }: PlannedAgain): Precision {
  const rounding = machine.gpu?.matrix === undefined ? 0 : roundings[machine.gpu.matrix];
  return { allowed: 2e-3 + 16 * rounding, nudge: Math.max(nudge, rounding) };
}

/** Checks every entry, in order. */
export async function checkEntries(
  folder: string,
  artifact: ArtifactProgram,
  planned: PlannedAgain,
  options: EntryOptions,
): Promise<EntryCheck[]> {
  const { threads, device, gpu } = options;
  const program = await Program.load(folder, {
    threads,
    ...(device === undefined ? {} : { device }),
    ...(gpu === undefined ? {} : { gpu }),
  });
  const { kernels, entries } = planned.plan.program;
  const precision = precisionOf(planned);
  const checks: EntryCheck[] = [];
  try {
    for (const entry of artifact.traced.entries) {
      const label = entryLabel(entry);
      const launches = entries.find((each) => entryLabel(each) === label)?.phases.flat() ?? [];
      const flops = launches.reduce((sum, { kernel }) => sum + at(kernels, kernel).flops, 0);
      const seconds = flops / interpreterSpeed;
      const seed = options.random.nextU32();
      const draws = drawSources(planned.machine, entry.graph, planned.graphs.get(label), seed);
      const check =
        seconds > options.seconds
          ? leftOut(label, `the reference interpreter would take about ${Math.ceil(seconds)} s`)
          : draws === undefined
            ? leftOut(label, "a pass has changed its draws, so that the reference would draw other numbers")
            : await checkEntry(program, entry, { random: options.random, seed, draws, precision });
      options.onCheck?.(check);
      checks.push(check);
    }
  } finally {
    await program.dispose();
  }
  return checks;
}

function leftOut(entry: string, why: string): EntryCheck {
  return { entry, elements: 0, worstError: 0, unstable: 0, ok: true, leftOut: why };
}

/** Random contents of what an entry reads: as the program takes them, and as the interpreter does. */
type Contents = {
  readonly states: ReadonlyMap<string, Elements>;
  readonly inputs: ReadonlyMap<string, TypedArray>;
  readonly datasets: ReadonlyMap<string, { readonly data: TypedArray; readonly rows: number }>;
  readonly indices: Int32Array;
  readonly environment: () => Environment;
};

/** Random numbers for checking an entry: of its contents, and those that it draws itself. */
type EntryRandom = { readonly random: Generator; readonly seed: number; readonly draws: () => DrawSource };

async function checkEntry(
  program: Program,
  entry: TracedEntry,
  context: EntryRandom & { readonly precision: Precision },
): Promise<EntryCheck> {
  const { random, seed, precision } = context;
  const contents = prepare(program, entry, context);
  const { inputs, datasets, indices } = contents;
  program.seed(seed);
  const feeds = datasets.size > 0 ? { datasets, indices } : {};
  const { outputs } = await program.run({ entry: entry.name, batch: entry.batch, inputs, ...feeds });
  const after = new Map([...program.stateDict(), ...program.optimizerState()]);
  const environment = contents.environment();
  const expected = interpret(entry.graph, environment);
  const results = resultsOf(entry.graph, expected, contents.states, (kind, name) =>
    kind === "output" ? outputs[name] : after.get(name)?.data,
  );
  const label = entryLabel(entry);
  const elements = results.reduce((sum, { expected }) => sum + expected.length, 0);
  const [worstError, differences] = compareAll(results, precision.allowed);
  if (differences.length === 0) return { entry: label, elements, worstError, unstable: 0, ok: true };
  const stable = stableOnes(entry.graph, environment, contents, { random, results, differences, precision });
  const unstable = differences.length - stable.length;
  const [difference] = stable;
  return {
    entry: label,
    elements,
    worstError,
    unstable,
    ok: difference === undefined,
    ...(difference === undefined ? {} : { difference }),
  };
}

/** One result, with what a state was before. */
type Result = {
  readonly where: string;
  readonly type: TensorType;
  readonly got: NumberArray;
  readonly expected: Elements;
  readonly before: Elements | undefined;
};

function resultsOf(
  graph: Graph,
  { outputs, writes }: Interpretation,
  states: ReadonlyMap<string, Elements>,
  got: (kind: "output" | "state", name: string) => NumberArray | undefined,
): Result[] {
  const result = (kind: "output" | "state", name: string, { type }: Node, expected: Elements | undefined): Result[] => {
    const actual = got(kind, name);
    if (expected === undefined || actual === undefined) return [];
    return [
      {
        where: `${kind} ${name}`,
        type,
        got: actual,
        expected,
        before: kind === "state" ? states.get(name) : undefined,
      },
    ];
  };
  return [
    ...graph.outputs.flatMap(({ name, value }) => result("output", name, value, outputs.get(name))),
    ...graph.writes.flatMap(({ state, value }) => result("state", state, value, writes.get(state))),
  ];
}

/** What counts as 1 when the errors of a result are measured, and how large a relative error may be. */
function scaleOf(
  { type, expected, before }: Result,
  allowed: number,
): { readonly scale: number; readonly limit: number } {
  if (!isFloat(type.dtype)) return { scale: 1, limit: 0 };
  let [largest, change] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const value = at(expected, i);
    if (!Number.isFinite(value)) continue;
    largest = Math.max(largest, Math.abs(value));
    change = Math.max(change, Math.abs(value - (before?.[i] ?? 0)));
  }
  // A state that hardly moves is known to no more than its own rounding.
  const scale = Math.max(change, 1e-3 * largest, 1e-30);
  return { scale, limit: allowed };
}

function compareAll(
  results: readonly Result[],
  allowed: number,
): [worst: number, differences: (Difference & { result: Result })[]] {
  const differences: (Difference & { result: Result })[] = [];
  let worst = 0;
  for (const result of results) {
    const { scale, limit } = scaleOf(result, allowed);
    for (let element = 0; element < result.expected.length; element++) {
      const expected = at(result.expected, element);
      const got = numberAt(result.got, element);
      const apart = distance(got, expected) / scale;
      if (apart > limit) differences.push({ where: result.where, element, got, expected, result });
      else worst = Math.max(worst, apart);
    }
  }
  return [worst, differences];
}

type StabilityContext = {
  readonly random: Generator;
  readonly precision: Precision;
  readonly results: readonly Result[];
  readonly differences: readonly (Difference & { readonly result: Result })[];
};

/** Those differences that are no rounding: further away than the expected value moves when states change by eight nudges. */
function stableOnes(
  graph: Graph,
  environment: Environment,
  contents: Contents,
  context: StabilityContext,
): Difference[] {
  const { random, results, differences, precision } = context;
  let stable = [...differences];
  for (let repeat = 0; repeat < nudges && stable.length > 0; repeat++) {
    const moved = (values: Elements): Elements =>
      values.map((x) => x * (1 + precision.nudge * (2 * random.nextFloat24() - 1)));
    const states = new Map([...contents.states].map(([name, values]) => [name, moved(values)]));
    const again = resultsOf(
      graph,
      interpret(graph, { ...environment, ...contents.environment(), states }),
      states,
      (kind, name) => results.find(({ where }) => where === `${kind} ${name}`)?.got,
    );
    const values = new Map(again.map(({ where, expected }) => [where, expected]));
    stable = stable.filter(({ where, element, got, expected }) =>
      isBeyond(distance(got, expected), distance(values.get(where)?.[element] ?? expected, expected)),
    );
  }
  return stable.map(({ where, element, got, expected }) => ({ where, element, got, expected }));
}

/** Sets the program's states and makes all that the entry is called with. */
function prepare(program: Program, entry: TracedEntry, { random, seed, draws }: EntryRandom): Contents {
  program.seed(seed);
  program.initialize();
  const weights = disturbed(program.stateDict(), random, (x) => x + 0.05 * (2 * random.nextFloat24() - 1));
  const slots = disturbed(program.optimizerState(), random, () => 0.1 * random.nextFloat24());
  program.loadStateDict(weights);
  program.loadOptimizerState(slots);
  const states = new Map(
    [...weights, ...slots].map(([name, { data }]) => [
      name,
      Float64Array.from({ length: data.length }, (_, i) => numberAt(data, i)),
    ]),
  );
  const bounds = indexBounds(entry.graph);
  const make = (type: TensorType, leaf: Node): TypedArray => randomArray(type, bounds.get(leaf), random);
  const inputs = new Map<string, TypedArray>();
  const datasets = new Map<string, { readonly data: TypedArray; readonly rows: number }>();
  const batchValues = new Map<string, Elements>();
  const indices = Int32Array.from({ length: entry.inputs[0]?.type.shape[0] ?? 0 }, () =>
    Math.floor(random.nextFloat24() * datasetRows),
  );
  for (const { kind, name, type, leaf } of entry.inputs) {
    if (kind === "input") {
      const data = make(type, leaf);
      inputs.set(name, data);
      batchValues.set(
        name,
        Float64Array.from({ length: data.length }, (_, i) => numberAt(data, i)),
      );
    } else {
      const sample = type.shape.slice(1);
      const data = make({ dtype: type.dtype, shape: [datasetRows, ...sample] }, leaf);
      datasets.set(name, { data, rows: datasetRows });
      const row = elementCount(sample);
      const gathered = (_: unknown, i: number): number =>
        numberAt(data, at(indices, Math.floor(i / row)) * row + (i % row));
      batchValues.set(name, Float64Array.from({ length: indices.length * row }, gathered));
    }
  }
  const hosts = { hyper: new Map(program.hyper), counters: new Map(program.counters) };
  const environment = (): Environment => ({
    states,
    inputs: batchValues,
    feeds: batchValues,
    hostScalar: (expr) => evaluateHostExpr(expr, hosts),
    draw: draws(),
  });
  return { states, inputs, datasets, indices, environment };
}

function disturbed(
  tensors: ReadonlyMap<string, StateTensor>,
  random: Generator,
  change: (x: number) => number,
): Map<string, StateTensor> {
  return new Map(
    [...tensors].map(([name, { dtype, shape, data }]) => {
      const changed = newTypedArray(dtype, data.length);
      for (let i = 0; i < data.length; i++)
        setNumber(
          changed,
          i,
          isFloat(dtype) ? change(numberAt(data, i)) : numberAt(data, i) + Math.floor(random.nextFloat24() * 2),
        );
      return [name, { dtype, shape, data: changed }];
    }),
  );
}

/** Random numbers of a type. `bound`: one past the largest integer that may stand in an index. */
function randomArray({ dtype, shape }: TensorType, bound: number | undefined, random: Generator): TypedArray {
  const array = newTypedArray(dtype, elementCount(shape));
  const limit = dtype === "bool" ? 2 : Math.min(bound ?? (dtype === "u8" ? 256 : 4), dtype === "i8" ? 128 : Infinity);
  for (let i = 0; i < array.length; i++) {
    const number = random.nextFloat24();
    setNumber(array, i, isFloat(dtype) ? 2 * number - 1 : Math.floor(number * limit));
  }
  return array;
}

function setNumber(array: TypedArray, index: number, value: number): void {
  if (array instanceof BigInt64Array) array[index] = BigInt(value);
  else array[index] = value;
}
