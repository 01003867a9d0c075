/**
 * The command line as data: every command of `kiln`, its arguments and its flags. Parser, help and the types of the parsed
 * values derive from these tables.
 */
import type { InspectStage } from "../compiler/inspect.ts";
import { precisions, randomSources } from "../compiler/targets/target.ts";
import { targetNames } from "../ir/artifact/manifest.ts";
import { trainerOptions } from "../runtime/training/options.ts";
import type { CommandSpec, OptionTable } from "../runtime/training/option-table.ts";

const json = { kind: "switch", doc: "print JSON instead of text" } as const;
const threads = trainerOptions.threads;
const device = trainerOptions.device;
const data = trainerOptions.data;

const artifact = { name: "artifact", doc: "folder that `kiln compile` wrote", required: true };

const checkpoint = {
  kind: "text",
  value: "FILE",
  doc: "weights to use: a .safetensors file or a run's folder (default: runs/<name>)",
} as const;

const loader = { kind: "text", value: "NAME", doc: "which loader of data() (default: every one but train)" } as const;

/** The stages that `inspect` prints; a record, so that none can be forgotten. Only its type comes from the compiler. */
const stages: Readonly<Record<InspectStage, true>> = {
  traced: true,
  graph: true,
  schedule: true,
  plan: true,
  loops: true,
  source: true,
  memory: true,
};

/** A command's table, its option types kept. */
function command<T extends OptionTable>(spec: CommandSpec<T>): CommandSpec<T> {
  return spec;
}

/** All commands, in the order of the help. */
export const commands = {
  compile: command({
    name: "kiln compile",
    doc: "Compiles a model file into an artifact: kernels, a trainer, and dumps of every stage.",
    arguments: [{ name: "model", doc: "model file, or folder with a model.ts", required: true }],
    options: {
      out: { kind: "text", value: "DIR", doc: "folder of the artifact (default: build/<name>)" },
      target: {
        kind: "choices",
        choices: targetNames,
        doc: "what to compile for: processors, WebGPU, CUDA (default: c)",
      },
      march: { kind: "text", value: "CPU", doc: "CPU to compile for, as the C compiler's -march (default: native)" },
      random: {
        kind: "choice",
        choices: randomSources,
        doc: "random numbers in steps, such as dropout's: PyTorch's or by a counter (default: torch for c, counter for GPUs)",
      },
      precision: {
        kind: "choice",
        choices: precisions,
        doc: "products in lower precision, on CUDA's tensor cores or (f16) WebGPU's halves (default: f32)",
      },
      noCheck: { kind: "switch", doc: "do not type-check the model file" },
      dump: { kind: "text", value: "DIR", doc: "also write the program after every pass to this folder" },
      maxMemory: { kind: "text", value: "SIZE", doc: "fail if training needs more memory (500MB, 2GB)" },
      json,
    },
  }),
  train: command({
    name: "kiln train",
    doc: "Runs the trainer of an artifact.",
    arguments: [artifact],
    options: trainerOptions,
  }),
  eval: command({
    name: "kiln eval",
    doc: "Evaluates saved weights on the data of an artifact.",
    arguments: [artifact],
    options: { checkpoint, loader, data, device, threads, json },
  }),
  predict: command({
    name: "kiln predict",
    doc: "Runs the model's predictStep with saved weights.",
    arguments: [artifact],
    options: {
      input: { kind: "text", value: "FILE", doc: "one sample or a batch of them: .npy, .safetensors or an IDX file" },
      index: { kind: "count", value: "N", doc: "sample N of the file, or of the data if no file is given" },
      checkpoint,
      loader: { ...loader, doc: "which loader's data an --index without --input counts in (default: test)" },
      data,
      device,
      threads,
      json,
    },
  }),
  export: command({
    name: "kiln export",
    doc: "Writes a page that trains the artifact in a browser, with WebGPU.",
    arguments: [artifact],
    options: {
      web: { kind: "text", value: "DIR", doc: "write the page and its files to this folder, for any static server" },
      singleFile: { kind: "text", value: "FILE", doc: "write one HTML file with everything in it" },
      data,
      json,
    },
  }),
  inspect: command({
    name: "kiln inspect",
    doc: "Shows what the compiler did: costs of every launch, any stage, any kernel, the memory plan.",
    arguments: [artifact, { name: "stage", doc: `what to print: ${Object.keys(stages).join(", ")}`, required: false }],
    options: {
      entry: { kind: "text", value: "NAME", doc: "only this entry, such as train@64" },
      kernel: { kind: "text", value: "NAME", doc: "print a kernel: cost, loops and source, on every target" },
      target: { kind: "choice", choices: targetNames, doc: "only this target (default: the artifact's first)" },
      json,
    },
  }),
  verify: command({
    name: "kiln verify",
    doc: "Checks every kernel against the reference interpreter, and the gradients, on the model's own shapes.",
    arguments: [artifact],
    options: {
      target: { kind: "choice", choices: targetNames, doc: "which target (default: the artifact's first)" },
      seed: { kind: "count", value: "N", doc: "seed of the random inputs" },
      threads,
      json,
    },
  }),
  doctor: command({
    name: "kiln doctor",
    doc: "Tells what this machine has of what Kiln needs, and what to do about the rest.",
    arguments: [],
    options: { data, json },
  }),
} as const;

/** A command's name. */
export type CommandName = keyof typeof commands;
