/** The parts of the family of optimizers that need no training: schedulers in float64, and clipping of given gradients. */
import { clipGradNorm_, clipGradValue_ } from "../../compiler/nn/clip.ts";
import { Module } from "../../compiler/nn/module.ts";
import { zeros } from "../../compiler/tensor/create.ts";
import { traceFunctionWith } from "../../compiler/trace/function.ts";
import { Parameter } from "../../compiler/trace/parameter.ts";
import { at, type Shape } from "../../ir/type.ts";
import { createSchedulers } from "../../runtime/schedulers.ts";
import type { Job, JobResult } from "./execute.ts";
import { initialValues } from "./modules.ts";
import { makeOptimizer, makeScheduler, type Keywords } from "./ports/optimizers.ts";
import { agrees, compare, type Mismatch, type NumberTensor, type TensorFile, type Tolerance } from "./tensors.ts";

/** A scheduler of the manifest. */
export type SchedulerCase = {
  readonly scheduler: string;
  readonly base_lr: number;
  readonly kwargs: Keywords;
  readonly lrs: readonly number[];
  readonly momentum?: readonly number[];
  readonly metric?: readonly number[];
  readonly rtol: number;
};

/** A clipping of the manifest. */
export type ClippingCase = {
  readonly fn: string;
  readonly kwargs: Readonly<Record<string, number | string>>;
  readonly grads: readonly string[];
  readonly out: readonly string[];
  readonly total_norm: number | null;
  readonly rtol: number;
  readonly atol: number;
};

const nothing: NumberTensor = { type: { dtype: "f32", shape: [0] }, values: new Float64Array() };

/** Parameters of given shapes, whose gradients are set by hand. */
class Gradients extends Module {
  readonly list: readonly Parameter[];
  constructor(shapes: readonly Shape[]) {
    super();
    this.list = shapes.map((shape) => new Parameter(zeros(shape)));
  }
}

/** Momentum of the optimizer that schedulers are tried on, where a scheduler does not set it (PyTorch's examples). */
const schedulerMomentum = 0.9;

/** Rates (and momenta) that the runtime's scheduler sets, against the reference. */
export function schedulerMismatches(test: SchedulerCase): (Mismatch | undefined)[] {
  const times = test.lrs.length;
  let description: ReturnType<ReturnType<typeof makeScheduler>["describe"]> | undefined;
  let made: ReturnType<typeof makeScheduler> | undefined;
  const traced = traceFunctionWith(
    () => {
      const model = new Gradients([[1]]);
      const optimizer = makeOptimizer("SGD", model.parameters(), { lr: test.base_lr, momentum: schedulerMomentum });
      const scheduler = makeScheduler(test.scheduler, optimizer, test.kwargs);
      made = scheduler;
      return { model, optimizer, scheduler };
    },
    ({ model, optimizer }) => {
      const loss = at(model.list, 0).sum();
      loss.backward();
      optimizer.step();
      return { loss };
    },
    [],
    { names: [], name: "main" },
  );
  description = made?.describe(times);
  if (description === undefined) throw new Error("the scheduler was not made");
  const hyper = new Map(Object.entries(traced.hyper));
  const [scheduler] = createSchedulers([description], hyper);
  const rates: number[] = [];
  const momenta: number[] = [];
  for (let s = 0; s < times; s++) {
    rates.push(hyper.get("optimizer.0.lr") ?? Number.NaN);
    momenta.push(hyper.get("optimizer.0.momentum") ?? Number.NaN);
    if (s + 1 < times) scheduler?.step(test.metric?.[s]);
  }
  const tolerance = { rtol: test.rtol, atol: 0 };
  return [
    series("lr", rates, test.lrs, tolerance),
    ...(test.momentum === undefined ? [] : [series("momentum", momenta, test.momentum, tolerance)]),
  ];
}

function series(
  label: string,
  computed: readonly number[],
  stored: readonly number[],
  tolerance: Tolerance,
): Mismatch | undefined {
  const bad = stored.findIndex((value, s) => !agrees(computed[s] ?? Number.NaN, value, tolerance));
  if (bad < 0) return undefined;
  const [a, b] = [computed[bad] ?? Number.NaN, stored[bad] ?? Number.NaN];
  return { what: `${label} of step ${bad}: ${a}, expected ${b}`, largest: Math.abs(a - b), tolerance };
}

/** A program that clips given gradients. */
export function clippingJob(test: ClippingCase, file: TensorFile): Job {
  const names = test.grads.map((_, i) => `grad${i}`);
  const traced = traceFunctionWith(
    () => new Gradients(test.grads.map((name) => file.type(name).shape)),
    ({ list }, ...grads) => {
      list.forEach((parameter, i) => {
        parameter.grad = at(grads, i);
      });
      const { max_norm: maxNorm, norm_type: type = 2, clip_value: value } = test.kwargs;
      const normType = type === "inf" ? Infinity : Number(type);
      const norm = test.fn === "clip_grad_norm_" ? clipGradNorm_(list, Number(maxNorm), { normType }) : undefined;
      if (test.fn === "clip_grad_value_") clipGradValue_(list, Number(value));
      const out = list.map((parameter, i) => [`out${i}`, parameter.grad ?? parameter] as const);
      return { ...Object.fromEntries(out), ...(norm === undefined ? {} : { norm }) };
    },
    test.grads.map((name) => file.type(name)),
    { names, name: "main" },
  );
  return {
    traced,
    inputs: new Map(test.grads.map((name, i) => [`grad${i}`, file.get(name).values])),
    states: initialValues(traced),
  };
}

/** Clipped gradients and their norm before, against the reference. */
export function clippingMismatches(
  test: ClippingCase,
  { outputs }: JobResult,
  file: TensorFile,
): (Mismatch | undefined)[] {
  const grads = test.out.map((name, i) =>
    compare(`gradient ${i}`, outputs.get(`out${i}`) ?? nothing, file.get(name), test),
  );
  const norm =
    test.total_norm === null
      ? []
      : [series("total norm", [outputs.get("norm")?.values[0] ?? Number.NaN], [test.total_norm], test)];
  return [...grads, ...norm];
}
