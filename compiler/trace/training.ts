/**
 * Tracing a training definition: a `train` entry and an `evaluate` entry for every batch size that occurs, the ragged
 * last batch included, and `predict`. Fields that are resident arrive as `feed` leaves, others as `input` leaves, and go
 * through their transforms first.
 */
import type { FieldDescription, LoaderDescription } from "../../ir/data/description.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { ManifestMetric } from "../../ir/artifact/manifest.ts";
import { isFloat } from "../../ir/type.ts";
import { checkUse } from "../optim/optimizer.ts";
import { blaming } from "./blame.ts";
import { completeNames, elementNames } from "./argument-names.ts";
import type { Batch, TrainingDefinition } from "./definition.ts";
import { relativeFile } from "./source.ts";
import { traceProgram, type EntrySpec, type TraceOptions } from "./program.ts";
import type { Tensor } from "./tensor.ts";
import { transformField } from "./transforms.ts";
import type { NamedLoader, TracedEntry, TracedProgram } from "./traced.ts";

/** Descriptions of the loaders that `data()` returns, by name. */
export type LoaderDescriptions = Readonly<Record<string, LoaderDescription>>;

type Step<S> = (setup: S, batch: Batch) => unknown;

/** Traces a definition for the given loaders. */
export function traceTraining<S>(
  given: TrainingDefinition<S>,
  loaders: LoaderDescriptions,
  options: TraceOptions = {},
): TracedProgram {
  const root = options.root ?? process.cwd();
  const place = given.place === undefined ? undefined : { ...given.place, file: relativeFile(given.place.file, root) };
  const definition = { ...given, place };
  const { train, ...others } = loaders;
  if (train === undefined) throw fail(messages.noTrainLoader(Object.keys(loaders)), definition.place);
  const fieldCount = Math.max(...Object.values(loaders).map((loader) => loader.fields.length));
  const names = completeNames(elementNames(definition.trainStep, 1), fieldCount, "field");
  const entries: EntrySpec<S>[] = batchSizes("train", train, definition).map((batch) =>
    entrySpec(definition, {
      name: "train",
      mode: "train",
      batch,
      fields: train.fields,
      names,
      step: definition.trainStep,
    }),
  );
  if (definition.evalStep !== undefined) entries.push(...evaluations(definition, definition.evalStep, others, names));
  if (definition.predictStep !== undefined) {
    const sample = Object.values(others)[0] ?? train;
    entries.push(...predictions(definition, definition.predictStep, sample, names));
  }
  const { program, owned } = traceProgram(definition.setup, entries, options);
  for (const optimizer of owned.optimizers) optimizer[checkUse]();
  const epochs = definition.epochs ?? 1;
  const stepsPerEpoch = train.dropLast
    ? Math.floor(train.samples / train.batchSize)
    : Math.ceil(train.samples / train.batchSize);
  return {
    ...program,
    training: {
      seed: definition.seed ?? 0,
      epochs,
      logEvery: definition.logEvery ?? 100,
      loaders: Object.entries(loaders).map(([name, loader]): NamedLoader => ({ name, loader })),
      metrics: metricsOf(definition, program.entries),
      schedulers: owned.schedulers.map((scheduler) =>
        blaming({ what: "a scheduler", root, place: definition.place }, () =>
          scheduler.describe(scheduler.per === "step" ? epochs * stepsPerEpoch : epochs),
        ),
      ),
    },
  };
}

/** Batch sizes that occur in a pass: the full one, and what is left at the end. */
function batchSizes<S>(name: string, loader: LoaderDescription, definition: TrainingDefinition<S>): number[] {
  const { samples, batchSize, dropLast } = loader;
  const sizes = samples >= batchSize ? [batchSize] : [];
  const rest = samples % batchSize;
  if (rest > 0 && !dropLast) sizes.push(rest);
  if (sizes.length === 0) throw fail(messages.loaderEmpty(name, samples, batchSize), definition.place);
  return sizes;
}

function entrySpec<S>(
  definition: TrainingDefinition<S>,
  spec: {
    readonly name: string;
    readonly mode: "train" | "eval";
    readonly batch: number;
    readonly fields: readonly FieldDescription[];
    readonly names: readonly string[];
    readonly step: Step<S>;
    readonly kind?: "input";
  },
): EntrySpec<S> {
  const { name, mode, batch, fields, names, step } = spec;
  return {
    name,
    mode,
    batch,
    place: definition.place,
    inputs: fields.map((field, i) => ({
      kind: spec.kind ?? (field.resident ? "feed" : "input"),
      name: names[i] ?? `field${i}`,
      type: { dtype: field.dtype, shape: [batch, ...field.shape] },
    })),
    run: (setup, inputs) => {
      const fieldsIn = inputs.map((input, i): Tensor => {
        const field = fields[i];
        return field === undefined ? input : transformField(input, field, definition.place);
      });
      // A step may name up to as many fields as its loader gives; one more would be undefined.
      return step(setup, fieldsIn as unknown as Batch);
    },
  };
}

/** `evaluate` for the fields of the first loader, and `evaluate.<loader>` where another's fields differ. */
function evaluations<S>(
  definition: TrainingDefinition<S>,
  step: Step<S>,
  loaders: LoaderDescriptions,
  names: readonly string[],
): EntrySpec<S>[] {
  const [first] = Object.values(loaders);
  const done = new Set<string>();
  return Object.entries(loaders).flatMap(([loaderName, loader]) => {
    const isShared = first !== undefined && sameFields(first.fields, loader.fields);
    const name = isShared ? "evaluate" : `evaluate.${loaderName}`;
    return batchSizes(loaderName, loader, definition).flatMap((batch) => {
      if (done.has(`${name}@${batch}`)) return [];
      done.add(`${name}@${batch}`);
      return [entrySpec(definition, { name, mode: "eval", batch, fields: loader.fields, names, step })];
    });
  });
}

/** `predict` for one sample and for a whole batch, on the fields that the step names. */
function predictions<S>(
  definition: TrainingDefinition<S>,
  step: Step<S>,
  loader: LoaderDescription,
  names: readonly string[],
): EntrySpec<S>[] {
  const used = elementNames(step, 1).length;
  const fields = used === 0 ? loader.fields : loader.fields.slice(0, used);
  const sizes = [...new Set([Math.min(loader.batchSize, loader.samples), 1])];
  return sizes.map((batch) =>
    entrySpec(definition, { name: "predict", mode: "eval", batch, fields, names, step, kind: "input" }),
  );
}

function sameFields(a: readonly FieldDescription[], b: readonly FieldDescription[]): boolean {
  const form = (fields: readonly FieldDescription[]): string =>
    JSON.stringify(fields.map((field) => ({ ...field, transforms: field.transforms.map(plain) })));
  const plain = (transform: FieldDescription["transforms"][number]): unknown =>
    transform.kind === "lambda" ? { kind: "lambda", text: String(transform.apply) } : transform;
  return form(a) === form(b);
}

/** How each result of the train and evaluate entries combines: as the definition says, else by its element type. */
function metricsOf<S>(definition: TrainingDefinition<S>, entries: readonly TracedEntry[]): ManifestMetric[] {
  const metrics = new Map<string, ManifestMetric>();
  for (const { name: entry, graph } of entries) {
    if (entry === "predict") continue;
    for (const { name, value } of graph.outputs) {
      if (metrics.has(name)) continue;
      const combine = definition.metrics?.[name] ?? (isFloat(value.type.dtype) ? "mean" : "sum");
      metrics.set(name, { name, combine });
    }
  }
  for (const name of Object.keys(definition.metrics ?? {})) {
    if (!metrics.has(name)) throw fail(messages.unknownMetric(name, [...metrics.keys()]), definition.place);
  }
  return [...metrics.values()];
}
