/**
 * Every message Kiln can fail with, one function each. Codes are stable and grouped: K1xxx tracing and the model,
 * K2xxx data, K3xxx artifact and checkpoint, K4xxx training, K5xxx targets and devices, K6xxx command line, K9xxx our bugs.
 * A function takes what the caller knows and says what was expected, what was got and what to do.
 */
import { formatType, type TensorType } from "../type.ts";
import { internalHint, printable, type Diagnostic } from "./diagnostic.ts";

function user(code: string, what: string, rest: Omit<Diagnostic, "code" | "kind" | "what"> = {}): Diagnostic {
  return { code, kind: "user", what, ...rest };
}

function internal(code: string, what: string, rest: Omit<Diagnostic, "code" | "kind" | "what"> = {}): Diagnostic {
  return { code, kind: "internal", what, hint: internalHint, ...rest };
}

// ---- K1xxx: tracing and the model ----

/** An op got a wrong number of operands. */
export function wrongArity(op: string, expected: number, got: number): Diagnostic {
  return internal("K9002", `\`${op}\` takes ${expected} operands`, { got: String(got) });
}

/** Operands of an op do not fit together, or an attribute does not fit its operand. */
export function opTypeMismatch(
  op: string,
  operands: readonly TensorType[],
  expected: string,
  hint?: string,
): Diagnostic {
  return user("K1001", `\`${op}\`: the operands do not fit`, {
    expected,
    got: operands.map(formatType).join(", "),
    hint: hint ?? "Shapes are known while tracing: console.log(x.shape) in front of this line prints them.",
  });
}

/** An attribute of an op is out of its range. */
export function badAttribute(op: string, attribute: string, expected: string, got: string): Diagnostic {
  return user("K1002", `\`${op}\`: bad \`${printable(attribute)}\``, {
    expected,
    got: printable(got),
    hint: "Change the argument of this call.",
  });
}

/** A value of one graph was used in another. */
export function foreignValue(id: number): Diagnostic {
  return internal("K9003", `value %${id} belongs to another graph`);
}

/** A rewrite rule keeps making nodes that it, or another rule, rewrites again. */
export function ruleDoesNotEnd(rule: string): Diagnostic {
  return internal("K9050", `the rewrite rule \`${rule}\` does not come to an end`);
}

/** A rewrite rule replaced a node by one of another type. */
export function ruleChangesType(rule: string, expected: TensorType, got: TensorType): Diagnostic {
  return internal("K9051", `the rewrite rule \`${rule}\` changes a type`, {
    expected: formatType(expected),
    got: formatType(got),
  });
}

/** A pass gave a graph that does not verify. */
export function passBreaksGraph(pass: string, entry: string): Diagnostic {
  return internal("K9052", `the pass \`${pass}\` broke the graph of \`${printable(entry)}\``);
}

// ---- K32xx: checkpoints and run folders ----

/** There is no checkpoint where one was asked for. */
export function checkpointMissing(path: string): Diagnostic {
  return user("K3201", `there is no checkpoint at ${printable(path)}`, {
    expected: "a .safetensors file, or the folder of a run that has saved one",
    hint: "Give the path of a checkpoint, or leave --resume out to start from the beginning.",
    got: "nothing at this path",
  });
}

/** A checkpoint cannot be read, or its bytes are not those that were written. */
export function checkpointDamaged(path: string, reason: string): Diagnostic {
  return user("K3202", `the checkpoint ${printable(path)} is damaged`, {
    expected: "a complete checkpoint with the checksum it was written with",
    got: printable(reason),
    hint: "Resume from the generation before it (previous.safetensors in the same folder) or from another copy.",
  });
}

/** A checkpoint or weights file does not fit the program; every difference is listed. */
export function checkpointMismatch(path: string, differences: readonly string[]): Diagnostic {
  return user("K3203", `${printable(path)} does not fit this program`, {
    expected: "the same tensors, with the same shapes and element types, as the program's",
    got: `${differences.length} difference${differences.length === 1 ? "" : "s"}\n    ${differences.map(printable).join("\n    ")}`,
    hint: "Nothing was loaded. Use a file saved by a model with the same layers, or compile the model the file belongs to.",
  });
}

/** A file of plain weights was given to `--resume`. */
export function notACheckpoint(path: string): Diagnostic {
  return user("K3204", `${printable(path)} holds weights but no training state`, {
    expected: "a checkpoint written by a trainer (optimizer state, counters, generator and loader position)",
    got: "a .safetensors file without them",
    hint: `Start a new training from these weights with --init ${printable(path)}.`,
  });
}

/** A checkpoint was written by another program whose tensors happen to fit. */
export function checkpointOfOtherProgram(path: string, name: string): Diagnostic {
  return user("K3205", `${printable(path)} was written by another program`, {
    expected: "a checkpoint of the program that is running",
    got: `one of \`${printable(name)}\`, whose steps compute something else`,
    hint: `Compile the model it was written with, or take only its weights with --init ${printable(path)}.`,
  });
}

/** The folder of a run cannot be written. */
export function runFolderNotWritable(path: string, reason: string): Diagnostic {
  return user("K3206", `the run folder ${printable(path)} cannot be written`, {
    expected: "a folder this process may create files in",
    got: printable(reason),
    hint: "Choose another folder with --out DIR, or change its permissions.",
  });
}

/** Another trainer is writing to the run folder. */
export function runFolderLocked(path: string, holder: string): Diagnostic {
  return user("K3207", `another trainer is using the run folder ${printable(path)}`, {
    expected: "one trainer a folder",
    got: printable(holder),
    hint: "Wait for it, stop it, or choose another folder with --out DIR.",
  });
}

/** A checkpoint could not be written; the one before it is intact. */
export function checkpointNotSaved(path: string, reason: string): Diagnostic {
  return user("K3208", `the checkpoint ${printable(path)} could not be saved`, {
    got: printable(reason),
    hint: "The checkpoint saved before is intact. Make room, or choose another folder with --out DIR, then go on with --resume.",
    expected: "a file that can be written completely",
  });
}

/** `--seed` contradicts the seed a checkpoint was trained with. */
export function seedConflict(path: string, expected: number, got: number): Diagnostic {
  return user("K3209", `--seed differs from the seed of ${printable(path)}`, {
    expected: String(expected),
    got: String(got),
    hint: "Leave --seed out when resuming, or start a new training from the weights with --init.",
  });
}

/** The data is not what it was when the checkpoint was written. */
export function dataChangedSinceCheckpoint(path: string, expected: string, got: string): Diagnostic {
  return user("K3210", `the training data is not the data ${printable(path)} was written with`, {
    expected: printable(expected),
    got: printable(got),
    hint: "Resume with the same data (--data DIR), or start a new training from the weights with --init.",
  });
}

// ---- K40xx: training ----

/** The loss is NaN or infinite. */
export function lossNotFinite(
  name: string,
  value: number,
  epoch: number,
  step: number,
  checkpoint: string,
): Diagnostic {
  return user("K4001", `\`${printable(name)}\` is ${value} at epoch ${epoch}, step ${step}`, {
    expected: "a finite number",
    got: String(value),
    hint: `Training stopped. Try a smaller learning rate (--lr), and check the data and any log or division in the loss. ${
      checkpoint === ""
        ? "No checkpoint had been saved yet."
        : `The last good checkpoint is kept: ${printable(checkpoint)}`
    }`,
  });
}

/** A loader gives a batch for which no entry was compiled. */
export function batchNotCompiled(
  loader: string,
  entry: string,
  batch: number,
  compiled: readonly number[],
  samples: number,
): Diagnostic {
  return user("K4002", `the loader \`${printable(loader)}\` gives a batch of ${batch} samples`, {
    expected: `a batch size \`${printable(entry)}\` was compiled for: ${compiled.join(", ")}`,
    got: `${samples} samples, whose last batch has ${batch}`,
    hint: "Compile the model with this data set, or give the loader dropLast: true.",
  });
}

/** A loader's fields are not those the program was compiled for. */
export function fieldNotCompiled(loader: string, field: number, expected: string, got: string): Diagnostic {
  return user(
    "K4003",
    `field ${field} of the loader \`${printable(loader)}\` is not what the program was compiled for`,
    {
      expected: printable(expected),
      got: printable(got),
      hint: "Compile the model again with this data.",
    },
  );
}

/** `--lr` names no optimizer, or the program has no learning rate. */
export function noSuchHyper(name: string, known: readonly string[]): Diagnostic {
  return user("K4004", `there is no hyperparameter \`${printable(name)}\``, {
    expected: known.length === 0 ? "a program with hyperparameters" : known.map(printable).join(", "),
    got: printable(name),
    hint: "A learning rate can be set for all optimizers (--lr 0.01) or for one (--lr optimizer=0.01).",
  });
}

/** A loader has no batch at all. */
export function loaderEmpty(loader: string, samples: number, batch: number): Diagnostic {
  return user("K4005", `the loader \`${printable(loader)}\` has no batch`, {
    expected: "at least one batch",
    got: `${samples} samples in batches of ${batch}`,
    hint: "Use a smaller batchSize, or leave dropLast out.",
  });
}

/** The artifact has no training, or lacks an entry a command needs. */
export function entryMissing(name: string, entry: string, hint: string): Diagnostic {
  return user("K4006", `\`${printable(name)}\` has no \`${printable(entry)}\` entry`, {
    hint,
    expected: `an entry \`${printable(entry)}\``,
    got: "a program without it",
  });
}

/** `data()` does not return the loaders the program was compiled with. */
export function loaderMissing(loader: string, known: readonly string[]): Diagnostic {
  return user("K4007", `\`data()\` gives no loader \`${printable(loader)}\``, {
    got: known.map(printable).join(", "),
    hint: "Return it from data(), as when the model was compiled.",
    expected: `a loader named \`${printable(loader)}\``,
  });
}

/** The data code of a model uses something that only the model file defines. */
export function dataCodeNotClosed(name: string, place: string): Diagnostic {
  return user("K4008", `data() uses \`${printable(name)}\`, which ${printable(place)}`, {
    expected: 'names from "kilnjs/data", from a data module of your own, or plain constants',
    got: printable(name),
    hint: "Move it into a module of its own (data.ts, importing only kilnjs/data) and import it from there: the trainer runs without the model file.",
  });
}

/** The data code cannot be found in the model file. */
export function dataCodeNotFound(file: string): Diagnostic {
  return user("K4009", `no data() was found in ${printable(file)}`, {
    expected: "`export default defineTraining({ data: () => ({ train: … }), … })`, written out in that call",
    hint: "Write `data` in the object literal given to defineTraining, or import it from a data module.",
    got: "a file without it",
  });
}

// ---- K54xx: the CUDA target ----

/** The CUDA target has no spelling for an element type. */
export function dtypeNotInCuda(dtype: string, where: string): Diagnostic {
  return target("K5401", `the CUDA target cannot compute with ${dtype}`, {
    got: printable(where),
    hint: "Cast to f32 before computing, and back afterwards.",
    expected: "an element type that kernels compute with: f32, f64, integers or bool",
  });
}

/** A kernel for GPUs asks for what only a processor's thread does. */
export function notOnCuda(kernel: string, what: string): Diagnostic {
  return internal("K5402", `kernel \`${printable(kernel)}\` cannot run on CUDA: ${printable(what)}`);
}

/** A kernel needs more of a block than CUDA has. */
export function cudaLimit(kernel: string, what: string, got: number, limit: number): Diagnostic {
  return internal("K5403", `kernel \`${printable(kernel)}\` needs too much of a block: ${printable(what)}`, {
    expected: `at most ${limit}`,
    got: String(got),
  });
}

// ---- K60xx: the command line (K600x are mistakes of use: exit code 2) ----

/** A command that does not exist. */
export function unknownCommand(name: string, nearest: string | undefined): Diagnostic {
  return user("K6001", `unknown command \`${printable(name)}\``, {
    hint: nearest === undefined ? "`kiln --help` lists the commands." : `Did you mean \`${printable(nearest)}\`?`,
    expected: "a command of kiln",
    got: printable(name),
  });
}

/** A flag that does not exist. */
export function unknownOption(flag: string, nearest: string | undefined, command: string): Diagnostic {
  return user("K6002", `unknown option \`${printable(flag)}\``, {
    hint: `${nearest === undefined ? "" : `Did you mean \`${printable(nearest)}\`? `}\`${printable(command)} --help\` lists the options.`,
    expected: `an option of \`${printable(command)}\``,
    got: printable(flag),
  });
}

/** An option has a value it cannot take, or none. */
export function badOptionValue(flag: string, expected: string, got: string): Diagnostic {
  return user("K6003", `bad value for \`${printable(flag)}\``, {
    expected,
    got: printable(got),
    hint: `Give \`${printable(flag)}\` such a value.`,
  });
}

/** An argument is missing, or one too many was given. */
export function badUsage(what: string, command: string): Diagnostic {
  return user("K6004", printable(what), {
    hint: `\`${printable(command)} --help\` shows the usage.`,
    expected: "the arguments that the usage shows",
    got: printable(what),
  });
}

/** A file given to `predict` does not hold what the program takes. */
export function badPredictInput(path: string, expected: string, got: string): Diagnostic {
  return user("K6051", `${printable(path)} is not an input of this program`, {
    expected: printable(expected),
    got: printable(got),
    hint: "Give a file with these fields, or compile the model for this input.",
  });
}

// ---- K31xx: random numbers, safetensors, files ----

/** A seed is no integer of 64 bits. */
export function badSeed(got: string): Diagnostic {
  return user("K3101", "a seed is no integer of 64 bits", {
    expected: "an integer from -2^63 to 2^64 - 1 (a bigint past 2^53)",
    got: printable(got),
    hint: "Give a whole number, such as 0.",
  });
}

/** Saved words are not the state of a generator. */
export function badGeneratorState(got: string): Diagnostic {
  return user("K3102", "this is not the state of a random generator", {
    expected: "630 words written by a generator's `save`",
    got: printable(got),
    hint: "The checkpoint is damaged or comes from another program.",
  });
}

/** An argument of a random draw is out of its range. */
export function badDraw(draw: string, expected: string, got: string): Diagnostic {
  return user("K3103", `\`${draw}\`: bad argument`, {
    expected,
    got: printable(got),
    hint: "Change the argument of this call.",
  });
}

/** An initialisation step does not fit the state it names. */
export function badInitStep(kind: string, state: string, expected: string, got: string): Diagnostic {
  return user("K3104", `cannot initialise \`${printable(state)}\` by \`${printable(kind)}\``, {
    expected,
    got: printable(got),
    hint: "The artifact is damaged or was written by another version: compile the model again.",
  });
}

// ---- K20xx: data sets, samplers, loaders, data files ----

/** An option of a data set, sampler, transform or loader has a value it cannot have. */
export function badDataOption(owner: string, option: string, expected: string, got: string, hint?: string): Diagnostic {
  return user("K2001", `\`${printable(owner)}\`: bad \`${printable(option)}\``, {
    expected,
    got: printable(got),
    hint: hint ?? "Change the option where the data set, sampler or loader is made.",
  });
}

/** Two options of a loader contradict each other. */
export function contradictingDataOptions(owner: string, first: string, second: string, hint: string): Diagnostic {
  return user("K2002", `\`${owner}\`: \`${first}\` and \`${second}\` exclude each other`, {
    expected: "only one of them",
    got: "both",
    hint,
  });
}

/** A loader or sampler got a data set without samples. */
export function emptyDataset(owner: string): Diagnostic {
  return user("K2003", `\`${owner}\`: the data set is empty`, {
    expected: "at least one sample",
    got: "length 0",
    hint: "Check the folder, filter or split that the data set comes from.",
  });
}

/** A sample was asked for that the data set does not have. */
export function sampleOutside(owner: string, index: number, length: number): Diagnostic {
  return user("K2005", `\`${printable(owner)}\`: there is no sample ${index}`, {
    expected: length === 0 ? "nothing: it is empty" : `a whole number from 0 to ${length - 1}`,
    got: String(index),
    hint: "Indices count from 0: the last sample has the number length - 1.",
  });
}

/** A sampler gave something that is no index into the data set. */
export function samplerIndexOutside(sampler: string, position: number, got: unknown, length: number): Diagnostic {
  return user("K2006", `\`${printable(sampler)}\`: number ${position} of its indices is not in the data set`, {
    expected: `a whole number from 0 to ${length - 1}`,
    got: printable(String(got)),
    hint: "A sampler yields indices into the data set its loader was made with; Subset renumbers from 0.",
  });
}

/** A sampler yielded more or fewer items than its `length` says. */
export function samplerLength(sampler: string, expected: number, got: string): Diagnostic {
  return user("K2007", `\`${printable(sampler)}\`: its \`length\` is not the number of items it yields`, {
    expected: `${expected} items, as \`length\` says`,
    got,
    hint: "The number of steps of an epoch is compiled from `length`; make both agree.",
  });
}

/** `get()` gave something that is not a list of fields. */
export function notASample(place: string, got: string): Diagnostic {
  return user("K2008", `${printable(place)} is not a list of fields`, {
    expected: "an array such as [image, label]",
    got: printable(got),
    hint: "Return an array from `get`, with one element for each tensor of the batch.",
  });
}

/** A field of a sample is of a kind that no tensor can be made of. */
export function notAField(place: string, got: string): Diagnostic {
  return user("K2009", `${printable(place)} cannot become a tensor`, {
    expected: "a number, bigint, boolean, typed array or { data, shape, dtype? }",
    got: printable(got),
    hint: "Put several numbers into a typed array, such as Float32Array.of(1, 2), or { data, shape }.",
  });
}

/** Samples have different numbers of fields. */
export function fieldCountDiffers(place: string, expected: number, got: number): Diagnostic {
  return user("K2010", `${printable(place)} has another number of fields than sample 0`, {
    expected: `${expected} fields`,
    got: `${got} fields`,
    hint: "Make `get` return the same fields for every index.",
  });
}

/** A field differs in element type or shape from what was found in sample 0. */
export function fieldTypeDiffers(place: string, expected: string, got: string, hint: string): Diagnostic {
  return user("K2011", `${printable(place)} does not fit the batch`, { expected, got, hint });
}

/** The user's `get` threw. */
export function getFailed(place: string, reason: string): Diagnostic {
  return user("K2012", `${printable(place)} could not be read: ${printable(reason)}`, {
    hint: "The data set's own code threw; its error is the `cause` of this one.",
    expected: "a sample",
    got: printable(reason),
  });
}

/** Number of elements, element type and array class of a field do not agree. */
export function fieldDataMismatch(place: string, expected: string, got: string): Diagnostic {
  return user("K2013", `${printable(place)}: \`data\`, \`shape\` and \`dtype\` do not agree`, {
    expected: printable(expected),
    got: printable(got),
    hint: "`data` holds the product of `shape` elements, in the array class of `dtype`.",
  });
}

/** The fields of a `TensorDataset` have different numbers of rows. */
export function fieldRowsDiffer(shapes: readonly string[]): Diagnostic {
  return user("K2014", "`TensorDataset`: the fields have different numbers of samples", {
    expected: "the same first extent in all fields",
    got: shapes.join(", "),
    hint: "Row i of every field belongs to sample i: check how the arrays were cut.",
  });
}

/** The parts of a `ConcatDataset` cannot be batched together. */
export function concatDiffers(part: number, expected: string, got: string): Diagnostic {
  return user("K2015", `\`ConcatDataset\`: part ${part} does not fit part 0`, {
    expected,
    got,
    hint: "All parts need the same fields: number, element types, shapes and transforms.",
  });
}

/** Something that is not a transform was given as one. */
export function notATransform(place: string, got: string): Diagnostic {
  return user("K2016", `${printable(place)} is not a transform`, {
    expected: "what transforms.toTensor, normalize, lambda or compose give",
    got: printable(got),
    hint: "Wrap a function of tensors in transforms.lambda(…); do what only JavaScript can do in `get` itself.",
  });
}

/** The length of a stream of samples was needed and is not known. */
export function unknownLength(need: string): Diagnostic {
  return user("K2017", `${need} needs the number of samples of an IterableDataset`, {
    expected: "a `length` on the data set",
    got: "none",
    hint: "Give the data set a `length`: the number of samples of one pass.",
  });
}

/** A user's collate function gave something else than a batch. */
export function badCollateResult(place: string, expected: string, got: string): Diagnostic {
  return user("K2018", `\`collate\`: ${printable(place)} is not a batch`, {
    expected,
    got: printable(got),
    hint: "Return one { data, shape, dtype? } a field, its first extent the number of samples; pad to fixed shapes.",
  });
}

/** A data set has more samples than an index can number. */
export function badDatasetLength(owner: string, got: unknown): Diagnostic {
  return user("K2019", `\`${printable(owner)}\`: bad \`length\``, {
    expected: "a whole number from 0 to 2147483647",
    got: printable(String(got)),
    hint: "`length` is the number of samples; for data that is not counted extend IterableDataset.",
  });
}

/** A data file is not there. */
export function dataFileMissing(paths: readonly string[], hint: string): Diagnostic {
  return user("K2020", "a data file is missing", {
    expected: paths.map((path) => `\`${printable(path)}\``).join(" or "),
    got: "no such file",
    hint: printable(hint),
  });
}

/** The operating system refused to read a data file. */
export function dataFileUnreadable(path: string, reason: string): Diagnostic {
  return user("K2021", `cannot read the data file \`${printable(path)}\``, {
    expected: "a readable file",
    got: printable(reason),
    hint: "Check the permissions of the file and the folders above it.",
  });
}

/** A data file is a folder, a pipe or a device. */
export function notARegularFile(path: string, got: string): Diagnostic {
  return user("K2022", `\`${printable(path)}\` is no regular file`, {
    expected: "a regular file",
    got,
    hint: "Name the IDX file itself.",
  });
}

/** An IDX file ends within its header. */
export function idxHeaderTruncated(path: string, expected: number, got: number): Diagnostic {
  return user("K2023", `\`${printable(path)}\` ends within its IDX header`, {
    expected: `at least ${expected} bytes`,
    got: `${got} bytes`,
    hint: "The file is truncated: fetch it again.",
  });
}

/** A file does not start as IDX files do. */
export function notIdx(path: string, got: string): Diagnostic {
  return user("K2024", `\`${printable(path)}\` is no IDX file`, {
    expected: "two zero bytes, an element type and a rank",
    got,
    hint: "IDX is the format of MNIST's files, plain or gzip; other archives have to be unpacked.",
  });
}

/** An IDX file has an element type that the format does not define. */
export function idxElementType(path: string, got: string): Diagnostic {
  return user("K2025", `\`${printable(path)}\`: unknown IDX element type`, {
    expected: "0x08 (u8), 0x09 (i8), 0x0b (i16), 0x0c (i32), 0x0d (f32) or 0x0e (f64)",
    got,
    hint: "The file is damaged or no IDX file.",
  });
}

/** An IDX file without axes. */
export function idxRank(path: string): Diagnostic {
  return user("K2026", `\`${printable(path)}\`: an IDX file needs at least one axis`, {
    expected: "rank 1 or more",
    got: "rank 0",
    hint: "The file is damaged or no IDX file.",
  });
}

/** An IDX file holds more or fewer bytes than its header says. */
export function idxSize(path: string, type: string, expected: number, got: string): Diagnostic {
  return user("K2027", `\`${printable(path)}\`: its size does not fit its IDX header`, {
    expected: `${expected} bytes for ${type}`,
    got,
    hint: "The file is truncated or damaged: fetch it again.",
  });
}

/** An IDX header declares more than any file can hold. */
export function idxTooLarge(path: string, shape: readonly number[], limit: string): Diagnostic {
  return user("K2028", `\`${printable(path)}\`: its IDX header declares more data than the file can hold`, {
    expected: limit,
    got: `axes [${shape.join(", ")}]`,
    hint: "The file is damaged: fetch it again.",
  });
}

/** A gzip file is truncated or damaged. */
export function gzipDamaged(path: string, reason: string): Diagnostic {
  return user("K2029", `\`${printable(path)}\`: the gzip data is truncated or damaged`, {
    expected: "a whole gzip file",
    got: printable(reason),
    hint: "Fetch the file again.",
  });
}

/** An IDX file is not of the form the data set wants. */
export function idxForm(path: string, expected: string, got: string): Diagnostic {
  return user("K2030", `\`${printable(path)}\` does not hold what its name says`, {
    expected,
    got,
    hint: "Check that pictures and labels were not exchanged.",
  });
}

/** Pictures and labels of a data set differ in number. */
export function idxCountsDiffer(images: string, labels: string, expected: number, got: number): Diagnostic {
  return user("K2031", `\`${printable(images)}\` and \`${printable(labels)}\` do not belong together`, {
    expected: `${expected} labels, one for each picture`,
    got: `${got} labels`,
    hint: "Take both files from the same release of the data set, and the same split.",
  });
}

/** No folder with the files of a data set was named or found. */
export function dataRootMissing(dataset: string, hint: string): Diagnostic {
  return user("K2032", `\`${dataset}\`: no folder with its IDX files was given or found`, {
    expected: "the option `root`, or --data DIR",
    got: "neither",
    hint,
  });
}

/** A saved position of a loader does not fit the loader. */
export function badLoaderState(expected: string, got: string): Diagnostic {
  return user("K2033", "`DataLoader`: the saved position does not fit this loader", {
    expected,
    got: printable(got),
    hint: "Resume with the same data set, batch size, sampler and options as the run that was saved.",
  });
}

/** Something that is not a loader stands where one is needed. */
export function notALoader(place: string, got: string): Diagnostic {
  return user("K2034", `${printable(place)} is not a loader`, {
    expected: "a DataLoader of kilnjs/data",
    got: printable(got),
    hint: "Wrap the data set: new DataLoader(dataset, { batchSize }).",
  });
}

/** An index read from a tensor lies outside the axis it selects from. */
export function indexOutOfRange(op: string, index: number, extent: number): Diagnostic {
  return user("K1003", `\`${op}\`: an index lies outside the axis it selects from`, {
    expected: `an index of at least 0 and below ${extent}`,
    got: String(index),
    hint: "Check the labels or token numbers of the batch.",
  });
}

function target(code: string, what: string, rest: Omit<Diagnostic, "code" | "kind" | "what"> = {}): Diagnostic {
  return { code, kind: "target", what, ...rest };
}

// ---- K53xx: the WGSL target at compile time ----

/** WGSL has no type for a value. */
export function dtypeNotInWgsl(dtype: string, where: string): Diagnostic {
  return target("K5301", `WGSL has no ${dtype}`, {
    expected: "f32, bool, or integers, which are computed in 32 bits",
    got: `${dtype} in ${printable(where)}`,
    hint: "Cast to f32 before computing, or leave wgsl out of --target.",
  });
}

/** A kernel needs more buffers than a WebGPU kernel may bind. */
export function tooManyBindings(kernel: string, entry: string, got: number, limit: number): Diagnostic {
  return target(
    "K5302",
    `kernel \`${printable(kernel)}\` of \`${printable(entry)}\` binds too many buffers for WebGPU`,
    {
      expected: `at most ${limit}`,
      got: String(got),
      hint: "Give the function fewer inputs and outputs that are used in one place (join them), or leave wgsl out of --target.",
    },
  );
}

/** A kernel's work-group is larger than WebGPU allows. */
export function workgroupTooLarge(kernel: string, what: string, got: number, limit: number): Diagnostic {
  return internal("K5304", `kernel \`${printable(kernel)}\` has work-groups beyond WebGPU's limits`, {
    expected: `at most ${limit} ${what}`,
    got: String(got),
  });
}

/** An integer constant has more bits than WGSL's integers. */
export function integerNotInWgsl(value: number): Diagnostic {
  return target("K5305", "WGSL has no 64-bit integers", {
    expected: "constants from -2147483648 to 2147483647",
    got: String(value),
    hint: "Compute with smaller numbers or with f32, or leave wgsl out of --target.",
  });
}

// ---- K51xx: loop IR and the C target ----

/** Text that is no fragment was put into a program. */
export function badFragment(got: string, expected: string): Diagnostic {
  return internal("K5101", "text that is not well-formed was put into an emitted program", {
    expected,
    got: printable(got),
  });
}

/** A kernel breaks a rule of loop IR. */
export function malformedKernel(kernel: string, statement: string, rule: string): Diagnostic {
  return internal("K5102", `kernel \`${printable(kernel)}\` is malformed: ${rule}`, { got: printable(statement) });
}

/** A kernel did something that no kernel may do while the loop-IR interpreter ran it. */
export function kernelFault(kernel: string, fault: string): Diagnostic {
  return internal("K5103", `kernel \`${printable(kernel)}\`: ${printable(fault)}`);
}

/** The C target has no spelling for an element type. */
export function dtypeNotInC(dtype: string, where: string): Diagnostic {
  return target("K5104", `the C target cannot compute with ${dtype}`, {
    got: printable(where),
    hint: "Cast to f32 before computing, and back afterwards.",
    expected: "an element type that C has",
  });
}

/** A planned program does not fit its own kernels or buffers. */
export function malformedProgram(what: string): Diagnostic {
  return internal("K5105", `the planned program is malformed: ${printable(what)}`);
}

/** No C compiler answers. `tried`: the commands, in order. */
export function noCompiler(tried: readonly string[]): Diagnostic {
  return target("K5110", `No C compiler found (tried ${tried.map(printable).join(", ")})`, {
    hint:
      "The CPU target compiles your model to native code once. Install a compiler (Debian: apt install gcc; macOS: " +
      "xcode-select --install; Windows: winget install LLVM.LLVM), set CC, or ship the library built elsewhere (same CPU level).",
    expected: "a C compiler: cc, gcc or clang",
    got: "none",
  });
}

/** The compiler was found but does not work, or refuses what we emit. */
export function compilerFailed(command: string, status: string, output: string): Diagnostic {
  return target("K5111", `the C compiler failed: \`${printable(command)}\``, {
    got: `${status}\n${output.split("\n").slice(0, 20).map(printable).join("\n")}`.trimEnd(),
    hint: "Try another compiler by setting KILN_CC, or another --march. `kiln doctor` shows which compiler is used.",
    expected: "a C compiler that compiles C11 for this processor",
  });
}

/** The compiler ran into the time limit. */
export function compilerTimedOut(command: string, seconds: number): Diagnostic {
  return target("K5112", `the C compiler did not finish within ${seconds} s: \`${printable(command)}\``, {
    hint: "Check that the machine is not out of memory; set KILN_CC to another compiler, or KILN_CC_TIMEOUT to more seconds.",
    expected: `an end within ${seconds} s`,
    got: "none",
  });
}

/** A folder the build needs cannot be written. */
export function buildFolderUnusable(folder: string, reason: string): Diagnostic {
  return target("K5113", `cannot write compiled objects to ${printable(folder)}`, {
    got: printable(reason),
    hint: "Free some space or make the folder writable; KILN_CACHE names another cache folder, TMPDIR another folder for temporary files.",
    expected: "a folder with room that this process may write to",
  });
}

/** An option of the build that no compiler should be given. */
export function badMarch(march: string): Diagnostic {
  return user("K5114", "`march` is not the name of a CPU level", {
    expected: "letters, digits, `.`, `_`, `+` and `-`, such as native, x86-64-v3 or armv8-a",
    got: printable(march),
    hint: "Leave --march out to compile for this machine.",
  });
}

// ---- K52xx: GPU devices at run time, and wgpu-native ----

/** wgpu-native cannot be found or obtained. `reasons`: what was tried and how it ended. */
export function wgpuUnavailable(version: string, reasons: readonly string[]): Diagnostic {
  return target("K5201", `cannot find or obtain wgpu-native ${version}`, {
    got: reasons.map(printable).join("; "),
    hint: "Install Python with pip and run `npm run setup:wgpu`, or set WGPU_NATIVE_PATH to the library.",
    expected: "the library named by WGPU_NATIVE_PATH, in the cache, in an installed `wgpu` package, or from pip",
  });
}

/** No GPU can be opened. `wanted`: the name that was asked for, or empty. */
export function noGpuDevice(wanted: string, reason: string): Diagnostic {
  return target("K5202", "no GPU device can be opened", {
    expected: wanted === "" ? "an adapter with a driver" : `an adapter whose name holds ${printable(wanted)}`,
    got: printable(reason),
    hint: "Install the GPU's driver (on Debian, mesa-vulkan-drivers and libvulkan1 give one in software); `kiln doctor` shows what is there.",
  });
}

/** A device has not enough memory. */
export function gpuOutOfMemory(bytes: number, reason: string): Diagnostic {
  return target("K5203", `the GPU device has no room for ${bytes} bytes`, {
    got: printable(reason),
    expected: "memory that the device can give",
    hint: "Use a smaller batch or model, or another device.",
  });
}

/** A driver refuses a kernel. */
export function gpuKernelRefused(kernel: string, reason: string): Diagnostic {
  return target("K5204", `the kernel \`${printable(kernel)}\` cannot be compiled for this device`, {
    got: reason.split("\n").slice(0, 20).map(printable).join("\n            "),
    expected: "a kernel that the device's compiler accepts, with the bindings it is declared with",
    hint: "Compile the model again; if that does not help, `kiln compile --target c` makes it run on the processor.",
  });
}

/** A device is gone, for good. */
export function gpuLost(reason: string): Diagnostic {
  return target("K5205", "the GPU device was lost", {
    got: printable(reason),
    expected: "a device that stays",
    hint: "Start again: training resumes from the last checkpoint. If it happens again, look into the system's log for the driver's reason.",
  });
}

/** A call on a device that has been closed. */
export function gpuClosed(): Diagnostic {
  return target("K5206", "the GPU device is closed", {
    expected: "an open device",
    got: "one that was closed",
    hint: "Open the device again.",
  });
}

/** Something that was freed, or that another device made. `what`: memory, module or sequence. */
export function gpuForeign(what: string, isFreed: boolean): Diagnostic {
  return target("K5207", `this ${printable(what)} cannot be used here`, {
    expected: `a ${printable(what)} of this device`,
    got: isFreed ? "one that was freed" : "one of another device",
    hint: "Keep what a device made as long as it is used, and use it with that device only.",
  });
}

/** A range of bytes that does not lie in its memory as it must. */
export function gpuBadRange(what: string, expected: string, got: string): Diagnostic {
  return target("K5208", `${printable(what)} does not fit the device's memory`, {
    expected: printable(expected),
    got: printable(got),
    hint: "Compile the model again; its plan of the memory is for another device or damaged.",
  });
}

/** A launch that does not fit its kernel or the device. */
export function gpuBadLaunch(kernel: string, expected: string, got: string): Diagnostic {
  return target("K5209", `a launch of the kernel \`${printable(kernel)}\` is malformed`, {
    expected: printable(expected),
    got: printable(got),
    hint: "Compile the model again.",
  });
}

/** A number of steps that is none. */
export function gpuBadSteps(got: number): Diagnostic {
  return target("K5210", "this is no number of steps", {
    expected: "a positive integer",
    got: String(got),
    hint: "Run at least one step.",
  });
}

/** A call of a device's driver failed. */
export function gpuCallFailed(call: string, reason: string): Diagnostic {
  return target("K5211", `the GPU device failed in \`${printable(call)}\``, {
    got: reason.split("\n").slice(0, 20).map(printable).join("\n            "),
    expected: "success",
    hint: "`kiln doctor` shows the device and its driver; a newer driver may help.",
  });
}

/** A kernel that needs more than the device has, or whose text its compiler would not survive. */
export function gpuKernelTooLarge(kernel: string, expected: string, got: string): Diagnostic {
  return target("K5212", `the kernel \`${printable(kernel)}\` does not fit this device`, {
    expected: printable(expected),
    got: printable(got),
    hint: "Compile the model for this device.",
  });
}

// ---- K542x: CUDA devices; K543x: compiling for CUDA ----

/** The CUDA driver cannot be opened. */
export function cudaDriverMissing(path: string, reason: string): Diagnostic {
  return target("K5420", "there is no CUDA driver on this machine", {
    expected: `NVIDIA's driver, which brings ${printable(path)}`,
    got: printable(reason),
    hint: "Install NVIDIA's driver for this GPU (on Debian: apt install nvidia-driver), set KILN_CUDA_DRIVER to its libcuda, or choose another device with --device.",
  });
}

/** The CUDA driver knows no GPU that can be used. */
export function cudaGpuMissing(reason: string): Diagnostic {
  return target("K5421", "the CUDA driver has no GPU to run on", {
    expected: "an NVIDIA GPU that this process may use",
    got: printable(reason),
    hint: "`nvidia-smi` lists the GPUs; CUDA_VISIBLE_DEVICES may hide them, a container must be given them. --device chooses another device.",
  });
}

/** A GPU is older than the kernels can be compiled for. */
export function cudaGpuTooOld(name: string, capability: string): Diagnostic {
  return target("K5422", `${printable(name)} is too old for compiled programs`, {
    expected: "compute capability 8.0 or newer (Ampere: A100, RTX 30, and later)",
    got: printable(capability),
    hint: "Run on the processor (--device cpu) or through WebGPU (--device wgpu).",
  });
}

/** The CUDA driver does not work, or is too old for what is called. */
export function cudaDriverUnfit(reason: string): Diagnostic {
  return target("K5423", "the CUDA driver cannot be used", {
    expected: "a driver for CUDA 11.4 or newer whose kernel module is loaded",
    got: printable(reason),
    hint: "Install a newer driver and restart the machine; `nvidia-smi` must work first.",
  });
}

/** The compiled kernels do not fit the GPU or its driver, and cannot be compiled again. `driver`: "13.0"; `compiler`: why. */
export function cudaImageRefused(gpu: string, driver: string, reason: string, compiler: string): Diagnostic {
  return target("K5424", "the compiled kernels do not fit this GPU and its driver", {
    expected: `code for ${printable(gpu)} that a driver for CUDA ${printable(driver)} takes, or NVRTC to compile it`,
    got: `${reason.split("\n").map(printable).join("\n            ")}; NVRTC: ${printable(compiler)}`,
    hint: "Update the driver to that of the CUDA version that compiled them, or install NVRTC (pip install nvidia-cuda-nvrtc) and name it in NVRTC_PATH.",
  });
}

/** Kernels come as source only, and there is no compiler. */
export function cudaCompilerMissing(tried: readonly string[]): Diagnostic {
  return target("K5425", "the kernels are not compiled for CUDA, and NVRTC to compile them is missing", {
    expected: "a program compiled where nvcc was there, or NVRTC",
    got: tried.map(printable).join("; "),
    hint: "Install NVRTC (pip install nvidia-cuda-nvrtc, or the CUDA toolkit) and name it in NVRTC_PATH, or compile the model where nvcc is in the PATH.",
  });
}

/** NVRTC refuses the kernels. */
export function cudaCompileFailed(log: string): Diagnostic {
  return target("K5426", "NVRTC cannot compile the kernels", {
    got: log.split("\n").slice(0, 20).map(printable).join("\n            "),
    expected: "success",
    hint: "Use an NVRTC of CUDA 12 or newer (NVRTC_PATH); if it is one, this is a bug of Kiln: please report the log.",
  });
}

/** The compiled code and the description of its kernels do not belong together. */
export function cudaKernelMismatch(reason: string): Diagnostic {
  return target("K5427", "the compiled kernels are not those of the program", {
    got: printable(reason),
    expected: "every kernel of the program, for as many threads as it is run with",
    hint: "Compile the model again.",
  });
}

/** `nvcc` failed. `status`: its exit code or signal, in words. */
export function nvccFailed(command: string, status: string, output: string): Diagnostic {
  return target("K5430", `nvcc failed: \`${printable(command)}\``, {
    expected: "a fat binary",
    got: `${printable(status)}\n            ${output.split("\n").slice(0, 20).map(printable).join("\n            ")}`,
    hint: "nvcc 12 or newer is needed, with a host compiler it supports; KILN_NVCC names another nvcc, KILN_NVCC= (empty) leaves it out.",
  });
}

/** `nvcc` took too long. */
export function nvccTimedOut(command: string, seconds: number): Diagnostic {
  return target("K5431", `nvcc did not finish within ${seconds} s: \`${printable(command)}\``, {
    expected: "a fat binary in time",
    got: "nothing",
    hint: "Set KILN_CC_TIMEOUT to more seconds.",
  });
}

/** The `nvcc` that was named is not there. */
export function nvccMissing(path: string): Diagnostic {
  return target("K5432", `there is no nvcc at ${printable(path)}`, {
    expected: "the compiler that KILN_NVCC names",
    got: "no such file",
    hint: "Correct KILN_NVCC, or unset it: nvcc is then looked for in PATH, CUDA_HOME and /usr/local/cuda.",
  });
}

/** A module that data code imports cannot be read. */
export function dataModuleUnreadable(specifier: string, importer: string): Diagnostic {
  return user("K4010", `cannot read the module \`${printable(specifier)}\``, {
    expected: "a .ts or .js file beside the file that imports it",
    got: `an import in ${printable(importer)} that names no such file`,
    hint: "Relative imports need the file's extension, as Node demands.",
  });
}

/** Bytes are no whole number of elements. */
export function badByteLength(dtype: string, bytes: number): Diagnostic {
  return user("K3110", `${bytes} bytes are no whole number of ${printable(dtype)} elements`, {
    expected: `a multiple of the size of ${printable(dtype)}`,
    got: `${bytes} bytes`,
    hint: "The data is cut short or of another element type.",
  });
}

/** An initialisation step names a state that does not exist. */
export function unknownInitState(state: string, known: readonly string[]): Diagnostic {
  const shown = known.slice(0, 8).map(printable).join(", ");
  return user("K3105", `there is no state \`${printable(state)}\` to initialise`, {
    expected: known.length > 8 ? `one of ${shown}, … (${known.length} in all)` : `one of ${shown}`,
    got: printable(state),
    hint: "The artifact is damaged or was written by another version: compile the model again.",
  });
}

/** A safetensors file is malformed, or tensors cannot be written as one. */
export function badSafetensors(path: string, what: string): Diagnostic {
  return user("K3111", `${printable(path)} is no valid safetensors file: ${printable(what.slice(0, 400))}`, {
    hint: "The file is damaged, cut short or of another format; write or download it again.",
    expected: "a whole .safetensors file",
    got: printable(what.slice(0, 400)),
  });
}

/** What the system's reasons for a failed file operation mean to a user. */
const fileHints: Readonly<Record<string, string>> = {
  ENOSPC: "The disk is full: free some space, or write elsewhere.",
  EDQUOT: "The disk quota is used up: free some space, or write elsewhere.",
  EFBIG: "The file is larger than this system or its limits allow.",
  EROFS: "The folder is on a read-only file system: write elsewhere.",
  EACCES: "Permission is denied: check the owner and mode of the file and its folder.",
  EPERM: "Permission is denied: check the owner and mode of the file and its folder.",
  ENOENT: "There is no such file or folder: check the path.",
  ENOTDIR: "A part of the path is no folder: check the path.",
  EISDIR: "A folder is in the place of the file: check the path.",
  EMFILE: "This process has too many files open.",
  EIO: "The disk reports a fault: do not trust the file, and write elsewhere.",
};

/** The system refused to open, read, write or replace a file. */
export function fileFailed(action: string, path: string, cause: unknown): Diagnostic {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
  const hint = fileHints[code];
  return user("K3112", `cannot ${action} ${printable(path)}: ${printable(code)}`, {
    expected: "a file that this process may use so",
    got: printable(code),
    hint: hint ?? "Check the path, and that this process may use it.",
  });
}

/** A pipe, device or folder stands where a file must be. */
export function notRegularFile(path: string): Diagnostic {
  return user("K3113", `${printable(path)} is no regular file`, {
    expected: "a regular file",
    got: "a folder, a pipe or a device",
    hint: "Check the path.",
  });
}

/** A tensor of a file is larger than memory, or than one array can be. */
export function tooLargeForMemory(path: string, bytes: number): Diagnostic {
  return user("K3114", `${printable(path)}: no memory for a tensor of ${bytes} bytes`, {
    expected: "a tensor that fits into memory",
    got: `${bytes} bytes`,
    hint: "Is this the right file? Otherwise use a machine with more memory.",
  });
}

/** Text that should be a printed graph is not one. */
export function badGraphText(line: number, column: number, expected: string, got: string): Diagnostic {
  return user("K1004", `the text is no graph: line ${line}, column ${column}`, {
    expected,
    got: printable(got.length > 80 ? `${got.slice(0, 80)}…` : got),
    hint: "Kiln reads only what it printed itself (`kiln inspect`, --dump).",
  });
}

/** A graph breaks a rule that every pass must keep. */
export function brokenGraph(graph: string, rule: string, where: string): Diagnostic {
  return internal("K9010", `the graph of entry \`${printable(graph)}\` is broken: ${rule}`, { got: printable(where) });
}

/** The interpreter was not given a value that the graph reads. */
export function missingValue(kind: string, name: string, elements: number): Diagnostic {
  return user("K1005", `no value was given for ${kind} \`${printable(name)}\``, {
    expected: `${elements} elements`,
    got: "nothing",
    hint: "Give a value for every input and every state.",
  });
}

/** The interpreter was given a tensor of the wrong size. */
export function wrongElementCount(kind: string, name: string, expected: number, got: number): Diagnostic {
  return user("K1006", `the value given for ${kind} \`${printable(name)}\` has the wrong size`, {
    expected: `${expected} elements`,
    got: `${got} elements`,
    hint: "Give as many elements as the shape has.",
  });
}

// ---- K11xx: tensors while tracing ----

const stepOutputs = "Values exist only when the compiled step runs: return the tensor from the step to log it.";

/** A tensor operation outside `setup` and the steps. */
export function outsideTrace(what: string): Diagnostic {
  return user("K1101", `${printable(what)} needs a trace`, {
    expected: "tensors and modules to be made and used inside setup(), a step, or a function given to compile()",
    got: "a call outside of them",
    hint: "Move it into setup() if it makes weights or constants, else into the step.",
  });
}

/** A trace was started inside another. */
export function nestedTrace(outer: string, inner: string): Diagnostic {
  return user("K1102", `tracing \`${printable(inner)}\` began while \`${printable(outer)}\` was being traced`, {
    hint: "Compile one function after the other, not one inside the other.",
    expected: "one trace at a time",
    got: "one inside the other",
  });
}

/** An async function where a trace must be finished on return. */
export function asyncInTrace(name: string): Diagnostic {
  return user("K1103", `\`${printable(name)}\` is asynchronous`, {
    expected: "a function that returns its result",
    got: "a Promise",
    hint: "Model code is traced once and waits for nothing: read files before, in data() or at the top of the module.",
  });
}

/** A tensor kept from one trace was used in another. */
export function tensorOfAnotherTrace(from: string, to: string): Diagnostic {
  return user("K1104", `a tensor of \`${printable(from)}\` is used in \`${printable(to)}\``, {
    expected: "tensors of the same step, parameters, buffers, or constants made in setup()",
    hint: "A tensor does not outlive its step. Keep what must live on in a buffer: registerBuffer and copy_.",
    got: `one of \`${printable(from)}\``,
  });
}

/** Something that needs a tensor's value. */
export function valueRead(what: string, type: TensorType): Diagnostic {
  return user("K1105", `${what} of a tensor ${formatType(type)} while tracing`, {
    expected: "tensor operations only: shapes are known, values are not",
    got: what,
    hint: `${stepOutputs} Choose with where(), compute with tensor methods (x.add(y), x.gt(1)).`,
  });
}

/** A tensor was iterated over. */
export function tensorIterated(type: TensorType): Diagnostic {
  return user("K1106", `a tensor ${formatType(type)} cannot be iterated over or spread`, {
    hint: "x.unbind(dim) gives its parts along an axis as an array.",
    expected: "an array of tensors",
    got: formatType(type),
  });
}

/** Two copies of the library in one process. */
export function twoCopies(what: string): Diagnostic {
  return user("K1107", `${what} comes from another copy of kilnjs`, {
    expected: "one copy of kilnjs in the process",
    got: "two",
    hint: "Run the `kiln` of the project that the model belongs to (npx kiln), and check `npm ls kilnjs`.",
  });
}

/** A value computed from states or draws in `setup` was needed there or in a step. */
export function computedInSetup(): Diagnostic {
  return user("K1108", "setup() computes with the value of a parameter, a buffer or a random tensor", {
    expected: "constants; values of states are not known before the program starts",
    hint: "Initialise with nn.init.*, copy_ or zero_; compute from parameters inside the step.",
    got: "a computed value",
  });
}

/** A state that no returned module owns. */
export function unownedState(role: string): Diagnostic {
  return user("K1109", `a ${role} is used that no module or optimizer returned by setup() owns`, {
    expected: "every parameter and buffer to be a property of a module that setup() returns",
    hint: "Return its module from setup(). Properties named with #, closures, Sets and WeakMaps are not searched; arrays, plain objects and Maps with text keys are.",
    got: "one that nobody owns",
  });
}

/** A state was given a value of another type. */
export function stateTypeChanged(name: string, expected: TensorType, got: TensorType): Diagnostic {
  return user("K1110", `the new value of \`${printable(name)}\` has another type`, {
    expected: formatType(expected),
    got: formatType(got),
    hint: "Convert or reshape the new value: x.to(dtype), x.reshape(shape).",
  });
}

/** A parameter was written in place where gradients are recorded. */
export function inPlaceOnLeaf(name: string): Diagnostic {
  return user("K1111", `\`${printable(name)}\` takes gradients and is written in place`, {
    hint: "Write parameters inside noGrad(() => …).",
    expected: "no gradient recorded through the new value",
    got: "one that records gradients",
  });
}

/** An in-place operation on something that is not state. */
export function notState(op: string): Diagnostic {
  const plain = op.endsWith("_") ? op.slice(0, -1) : op;
  return user("K1112", `\`${printable(op)}\` writes a tensor that is not state`, {
    expected: "a parameter or a buffer",
    got: "a value of the step",
    hint: `Use the result instead: x = x.${printable(plain)}(…). What must live between steps is a buffer.`,
  });
}

/** Two states would have one name. */
export function duplicateStateName(name: string): Diagnostic {
  return user("K1113", `two different states would be named \`${printable(name)}\``, {
    hint: "Rename one of the properties of the modules that setup() returns.",
    expected: "one state for each name",
    got: "two",
  });
}

/** `requiresGrad_(false)` on the result of an operation. */
export function notALeaf(): Diagnostic {
  return user("K1114", "only leaves can stop taking gradients", {
    hint: "detach() gives a tensor without gradient.",
    expected: "a parameter, a buffer, or an input of the step",
    got: "the result of an operation",
  });
}

/** An axis is not one of the tensor's. */
export function axisOutOfRange(op: string, axis: number, type: TensorType): Diagnostic {
  const rank = Math.max(type.shape.length, 1);
  return user("K1121", `\`${printable(op)}\`: there is no axis ${axis}`, {
    expected: `${-rank} to ${rank - 1}, for ${formatType(type)}`,
    got: String(axis),
    hint: "Axes count from 0; negative ones from the end. Is an axis missing (unsqueeze) or one too many (squeeze)?",
  });
}

/** An axis was named twice. */
export function axisTwice(op: string, axes: readonly number[]): Diagnostic {
  return user("K1122", `\`${printable(op)}\`: an axis is named twice`, {
    got: `[${axes.join(", ")}]`,
    expected: "each axis once",
    hint: "Negative axes count from the end: -1 is the last one.",
  });
}

/** An operand is neither a tensor nor a number. */
export function notAnOperand(op: string, got: string): Diagnostic {
  return user("K1123", `\`${printable(op)}\`: an operand is not a tensor`, {
    expected: "a tensor, a number or a boolean",
    got,
    hint: got === "an array" ? "tensor([…]) makes a constant tensor of it." : "A module is called with forward(…).",
  });
}

/** Shapes do not broadcast. */
export function shapesDoNotBroadcast(op: string, types: readonly TensorType[]): Diagnostic {
  return user("K1124", `\`${printable(op)}\`: the shapes do not broadcast`, {
    expected: "extents that are equal or 1, aligned at the last axis",
    got: types.map(formatType).join(", "),
    hint: "Add axes with unsqueeze(dim), order them with permute(…), or sum out what is not wanted.",
  });
}

/** Arithmetic on bools that has no meaning. */
export function boolArithmetic(op: string): Diagnostic {
  return user("K1125", `\`${printable(op)}\` is not defined for bool tensors`, {
    hint: 'Convert one with to("f32"), or use logicalAnd, logicalXor, logicalNot.',
    expected: "numbers",
    got: "bool operands",
  });
}

/** A bitwise op on floats. */
export function needsIntegers(op: string, got: string): Diagnostic {
  return user("K1126", `\`${printable(op)}\` needs integers or bools`, {
    got,
    expected: "integers or bools",
    hint: "Convert it first: x.toLong().",
  });
}

/** An op on floats was given something else. */
export function needsFloats(op: string, got: TensorType): Diagnostic {
  return user("K1127", `\`${printable(op)}\` needs floating-point elements`, {
    got: formatType(got),
    hint: 'Convert it first: x.to("f32").',
    expected: "f32 or another floating-point dtype",
  });
}

/** A shape that the elements do not fill. */
export function badReshape(op: string, type: TensorType, shape: readonly number[]): Diagnostic {
  return user("K1128", `\`${printable(op)}\`: ${formatType(type)} cannot have the shape [${shape.join(", ")}]`, {
    expected: `${type.shape.reduce((count, extent) => count * extent, 1)} elements, at most one extent -1`,
    got: `[${shape.join(", ")}]`,
    hint: "-1 stands for what is left; flatten(1) keeps the batch.",
  });
}

/** A shape that a tensor does not broadcast to. */
export function badExpand(op: string, type: TensorType, shape: readonly number[]): Diagnostic {
  return user("K1129", `\`${printable(op)}\`: ${formatType(type)} does not broadcast to [${shape.join(", ")}]`, {
    expected: "each extent equal, or 1 in the tensor; new axes in front only",
    got: `[${shape.join(", ")}]`,
    hint: "Add an axis of extent 1 with unsqueeze(dim) where the tensor lacks one; repeat(…) copies whole axes.",
  });
}

/** A step of a slice below 1. */
export function badStep(step: number): Diagnostic {
  return user("K1130", "the step of a slice must be a whole number of at least 1", {
    got: String(step),
    hint: "flip(dim) reverses an axis.",
    expected: "a whole number of at least 1",
  });
}

/** Parts that do not add up to the axis. */
export function badSplit(type: TensorType, parts: readonly number[]): Diagnostic {
  return user("K1131", `\`split\`: the parts do not fit ${formatType(type)}`, {
    expected: "a length of at least 1, or lengths that add up to the axis",
    got: `[${parts.join(", ")}]`,
    hint: "Give one length for equal parts, or an array of lengths.",
  });
}

/** `flatten` with its axes in the wrong order. */
export function badFlatten(start: number, end: number, type: TensorType): Diagnostic {
  return user("K1132", `\`flatten\` of ${formatType(type)}: the first axis lies behind the last`, {
    got: `${start} to ${end}`,
    expected: "a first axis before the last",
    hint: "flatten(1) flattens all axes but the batch.",
  });
}

/** Axes that are no permutation. */
export function badPermutation(axes: readonly number[], type: TensorType): Diagnostic {
  return user("K1133", `the axes are not those of ${formatType(type)}, each once`, {
    got: `[${axes.join(", ")}]`,
    expected: `each of ${type.shape.map((_, axis) => axis).join(", ")} once`,
    hint: "To exchange two axes use transpose(a, b).",
  });
}

/** A tensor of the wrong rank. */
export function rankMismatch(op: string, expected: string, got: TensorType): Diagnostic {
  return user("K1134", `\`${printable(op)}\`: wrong number of axes`, {
    expected,
    got: formatType(got),
    hint: "Add an axis with unsqueeze(dim) or drop one with squeeze(dim).",
  });
}

/** `repeat` with counts that do not fit. */
export function badRepeat(type: TensorType, counts: readonly number[]): Diagnostic {
  return user("K1135", `\`repeat\`: the counts do not fit ${formatType(type)}`, {
    expected: "a whole number for each axis, or more of them",
    got: `[${counts.join(", ")}]`,
    hint: "Give a count for every axis, 1 where nothing repeats.",
  });
}

/** An index or a span outside an axis. */
export function outsideAxis(op: string, axis: number, got: readonly number[], type: TensorType): Diagnostic {
  return user("K1136", `\`${printable(op)}\`: outside axis ${axis} of ${formatType(type)}`, {
    got: got.join(", "),
    expected: `inside axis ${axis}, of extent ${type.shape[axis] ?? 0}`,
    hint: "Indices count from 0; negative ones from the end.",
  });
}

/** Something that must be a tensor is not. */
export function notATensor(op: string, got: string): Diagnostic {
  return user("K1137", `\`${printable(op)}\` takes a tensor`, {
    got,
    expected: "a tensor",
    hint: "A module is called with forward(…); tensor([…]) makes a constant of numbers.",
  });
}

/** Operands of a matrix product do not fit. */
export function matmulMismatch(op: string, x: TensorType, y: TensorType): Diagnostic {
  return user("K1138", `\`${printable(op)}\`: the operands do not fit`, {
    expected: `the last axis of the left operand, ${formatType(x)}, to equal the second last (or only) axis of the right, ${formatType(y)}, and the leading axes to broadcast`,
    got: `${x.shape.at(-1) ?? "a scalar"} and ${y.shape.at(-2) ?? y.shape.at(-1) ?? "a scalar"}`,
    hint: "Is one of them to be transposed (transpose(-2, -1)), or has the layer another size?",
  });
}

/** Operands of a linear layer do not fit. */
export function linearMismatch(x: TensorType, weight: TensorType): Diagnostic {
  return user("K1139", "`linear`: the operands do not fit", {
    expected: `the last axis of the input, ${formatType(x)}, to equal the last of the weight, ${formatType(weight)}`,
    got: `${x.shape.at(-1) ?? "a scalar"} and ${weight.shape.at(-1) ?? "a scalar"}`,
    hint: "Does the input need flatten(1) first?",
  });
}

/** An index of a wrong dtype. */
export function badIndexType(op: string, got: TensorType): Diagnostic {
  return user("K1140", `\`${printable(op)}\`: an index must hold integers`, {
    expected: "i64 or i32",
    got: formatType(got),
    hint: "Convert it with toLong().",
  });
}

/** A gradient of something that depends on nothing that takes one. */
export function nothingToDifferentiate(op: string, got: TensorType): Diagnostic {
  return user("K1151", `\`${printable(op)}\`: the tensor ${formatType(got)} depends on nothing that takes a gradient`, {
    hint: "Was it made under noGrad, detached, or by an op without a gradient (argmax, comparison, cast to integer)?",
    expected: "a tensor computed from a parameter",
    got: formatType(got),
  });
}

/** A gradient of several numbers at once without cotangents. */
export function gradientOfNonScalar(op: string, got: TensorType): Diagnostic {
  return user("K1152", `\`${printable(op)}\` of a tensor that is not a scalar`, {
    expected: "one element, or a cotangent for each output",
    got: formatType(got),
    hint: "Reduce it first: loss.mean() or loss.sum().",
  });
}

/** A cotangent of another type than its tensor. */
export function cotangentType(op: string, expected: TensorType, got: TensorType): Diagnostic {
  return user("K1153", `\`${printable(op)}\`: a gradient has the type of its tensor`, {
    expected: formatType(expected),
    got: formatType(got),
    hint: "Give a tensor of the shape and dtype of the output, such as ones(output.shape).",
  });
}

/** A gradient with respect to something that takes none. */
export function inputTakesNoGradient(got: TensorType): Diagnostic {
  return user("K1154", `\`grad\`: an input ${formatType(got)} takes no gradient`, {
    hint: "Call requiresGrad_() on it before computing with it.",
    expected: "a floating-point tensor that requires a gradient",
    got: formatType(got),
  });
}

/** An input that no output depends on. */
export function unusedInput(index: number): Diagnostic {
  return user("K1155", `\`grad\`: no output depends on input ${index}`, {
    hint: "Pass { allowUnused: true } to get undefined for it.",
    expected: "an input that an output was computed from",
    got: `input ${index}`,
  });
}

/** Bounds of a range that give no whole number of elements. */
export function badRange(start: number, end: number, step: number): Diagnostic {
  return user("K1141", "`arange`: bad bounds", {
    got: `from ${start} to ${end} by ${step}`,
    expected: "finite bounds, and a step from the first to the second",
    hint: "arange(end), arange(start, end) or arange(start, end, step).",
  });
}

/** Nested arrays of unequal lengths. */
export function raggedTensor(): Diagnostic {
  return user("K1142", "`tensor` takes a number or nested arrays of equal lengths", {
    hint: "To join tensors use stack(…) or cat(…).",
    expected: "a number, or nested arrays whose rows have one length",
    got: "rows of different lengths, or other things than numbers",
  });
}

/** A draw that exists only in steps. */
export function drawOnlyInStep(op: string): Diagnostic {
  return user("K1143", `\`${printable(op)}\` cannot be drawn in setup()`, {
    hint: "In setup() use rand, randn, normal, uniform or nn.init.*.",
    expected: "a draw in a step",
    got: "one in setup()",
  });
}

// ---- K30xx: artifacts and programs; K50xx: the device and its addon ----

/** An artifact's folder or manifest cannot be read. */
export function artifactMissing(folder: string, reason: string): Diagnostic {
  return user("K3001", `cannot read the artifact ${printable(folder)}`, {
    expected: "a folder with a manifest.json, as `kiln compile` writes it",
    got: printable(reason),
    hint: "Check the path, or compile the model again.",
  });
}

/** A manifest is not what the runtime can run. `where`: path of the faulty field. */
export function badManifest(where: string, expected: string, got: string): Diagnostic {
  return user("K3002", `the manifest is malformed at \`${printable(where)}\``, {
    expected,
    got: printable(got),
    hint: "The file is damaged or was written by another version: compile the model again.",
  });
}

/** A file of an artifact has other contents than the manifest says. */
export function artifactDamaged(file: string, expected: string, got: string): Diagnostic {
  return user("K3003", `${printable(file)} is not the file this artifact was written with`, {
    expected: `SHA-256 ${printable(expected)}`,
    got: printable(got),
    hint: "Compile the model again.",
  });
}

/** A path in a manifest leads outside the artifact. */
export function unsafeArtifactPath(file: string, reason: string): Diagnostic {
  return user("K3004", `the manifest names the file \`${printable(file)}\``, {
    expected: "a plain file inside the artifact's folder",
    got: printable(reason),
    hint: "The manifest is damaged or was tampered with: compile the model again.",
  });
}

/** An artifact was not compiled for the device that is to run it. */
export function targetNotCompiled(device: string, needed: string, has: readonly string[]): Diagnostic {
  const all = [...has, needed].map(printable).join(",");
  return target("K5230", `the artifact was not compiled for the device \`${printable(device)}\``, {
    expected: `an artifact with the target ${printable(needed)}`,
    got: `one with ${has.map(printable).join(", ")}`,
    hint: `Compile the model for it too: \`kiln compile … --target ${all}\`, or choose another device with --device.`,
  });
}

/** A number does not fit in the 32 bits in which a GPU holds it. */
export function valueTooLarge(name: string, index: number, value: string): Diagnostic {
  return user("K5231", `\`${printable(name)}\`: ${printable(value)} does not fit in 32 bits`, {
    expected: "numbers from -2147483648 to 2147483647: this device holds all integers in 32 bits",
    got: `${printable(value)}, element ${index}`,
    hint: "Use smaller numbers, or run on the processor: --device cpu.",
  });
}

/** The calling thread would have to wait for a device, which it cannot. */
export function deviceCannotWait(call: string, instead: string): Diagnostic {
  return target("K5232", `\`${printable(call)}\` would have to wait for the GPU, which this thread cannot do`, {
    expected: `\`await ${printable(instead)}()\` ${call === instead ? "instead" : "before it or instead of it"}`,
    got: printable(call),
    hint: "In browsers everything that waits for the GPU is asynchronous.",
  });
}

/** A program needs more than a device allows. */
export function programExceedsDevice(
  name: string,
  device: string,
  needs: readonly string[],
  allows: readonly string[],
): Diagnostic {
  return target("K5233", `${printable(name)} needs more than ${printable(device)} allows`, {
    expected: `at most ${allows.map(printable).join(", ")}`,
    got: needs.map(printable).join(", "),
    hint: "Choose another GPU, a smaller batch or a smaller model, or run on the processor: --device cpu.",
  });
}

/** A program has no entry of this name. */
export function unknownEntry(name: string, known: readonly string[]): Diagnostic {
  return user("K3005", `the program has no entry \`${printable(name)}\``, {
    expected: known.length === 0 ? "no entry at all" : `one of ${known.map(printable).join(", ")}`,
    got: printable(name),
    hint: "Use one of these, or compile a model with such a step.",
  });
}

/** An entry was not compiled for a batch size. */
export function programBatchNotCompiled(entry: string, batch: string, sizes: readonly number[]): Diagnostic {
  return user("K3006", `\`${printable(entry)}\` was not compiled for batches of ${printable(batch)}`, {
    expected: `a batch of ${sizes.join(" or ")}`,
    got: printable(batch),
    hint: "Compile with a loader whose length and batch size give this size, or set dropLast.",
  });
}

/** A buffer given to an entry does not fit. */
export function badEntryInput(entry: string, input: string, expected: string, got: string): Diagnostic {
  return user("K3007", `\`${printable(entry)}\`: bad \`${printable(input)}\``, {
    expected,
    got: printable(got),
    hint: "program.d.ts in the artifact lists what each entry takes.",
  });
}

/** A sample number is outside its data set. */
export function sampleNumberOutside(entry: string, position: number, index: number, rows: number): Diagnostic {
  return user("K3008", `\`${printable(entry)}\`: sample number ${index} at position ${position} of the indices`, {
    expected: `0 to ${rows - 1}, since the data set has ${rows} rows`,
    got: String(index),
    hint: "Sample numbers count from 0.",
  });
}

/** Tensors to be loaded differ from the program's state. `differences`: one line each. */
export function stateMismatch(differences: readonly string[]): Diagnostic {
  const shown = differences.slice(0, 20).map(printable);
  const more = differences.length - shown.length;
  return user("K3009", "the tensors do not fit this program; nothing was loaded", {
    got: [...shown, ...(more > 0 ? [`… and ${more} more`] : [])].join("\n            "),
    hint: "With { strict: false } missing and additional tensors are passed over.",
    expected: "the same tensors, with the same shapes and element types, as the program's",
  });
}

/** A program has no hyperparameter of this name. */
export function unknownHyper(name: string, known: readonly string[]): Diagnostic {
  return user("K3010", `the program has no hyperparameter \`${printable(name)}\``, {
    expected:
      known.length === 0 ? "none: this program has no hyperparameters" : `one of ${known.map(printable).join(", ")}`,
    got: printable(name),
    hint: "Hyperparameters are named `<optimizer>.<group>.<name>`.",
  });
}

/** A step was given an index that lies outside the axis it selects from. */
export function indexOutside(entry: string, index: number, extent: number): Diagnostic {
  return user("K3011", `\`${printable(entry)}\`: a label or index is out of range`, {
    expected: `0 to ${extent - 1}`,
    got: String(index),
    hint: "Check the labels or token numbers of the batch. The step's results and state are not to be used.",
  });
}

/** A program was used while a call of it is under way. */
export function programBusy(what: string): Diagnostic {
  return user("K3012", `cannot ${what} while the program is running`, {
    hint: "Await the promise of the call first.",
    expected: "no call under way",
    got: "one that is not finished",
  });
}

/** A program was used after it was disposed of. */
export function programDisposed(what: string): Diagnostic {
  return user("K3013", `cannot ${what}: the program was disposed of`, {
    expected: "a program in use",
    got: "one that was disposed of",
    hint: "Load it again with Program.load.",
  });
}

/** A learning-rate scheduler's description is faulty. */
export function badScheduler(kind: string, option: string, expected: string, got: string): Diagnostic {
  return user("K3014", `${printable(kind)}: bad \`${printable(option)}\``, {
    expected,
    got: printable(got),
    hint: "Change the option where the scheduler is made, and compile again.",
  });
}

/** An option of the runtime is out of its range. */
export function badRuntimeOption(option: string, expected: string, got: string): Diagnostic {
  return user("K3015", `bad \`${printable(option)}\``, { expected, got: printable(got), hint: "Change the option." });
}

/** A step reported a failed check that this runtime does not know. */
export function unknownStatus(entry: string, status: readonly number[]): Diagnostic {
  return internal("K9060", `\`${printable(entry)}\` ended with the unknown status ${status.join(", ")}`);
}

/** An artifact was compiled for another kind of processor. */
export function wrongArchitecture(expected: string, got: string): Diagnostic {
  return target("K5001", "the artifact was compiled for another processor", {
    expected: printable(expected),
    got: printable(got),
    hint: "Compile the model on this machine.",
  });
}

/** This processor lacks what compiled kernels need. */
export function missingCpuFeatures(missing: readonly string[]): Diagnostic {
  return target("K5002", "this processor cannot run the artifact's kernels", {
    expected: `a processor with ${missing.map(printable).join(", ")}`,
    got: "one without",
    hint: "Compile the model on this machine, or with --march for the oldest one it must run on.",
  });
}

/** A native call failed. `call`: its name; `text`: what it said. */
export function nativeCallFailed(call: string, text: string): Diagnostic {
  return target("K5003", `\`${printable(call)}\` failed`, {
    got: printable(text),
    expected: "success",
    hint: "Compile the model again on this machine; `kiln doctor` shows what is there.",
  });
}

/** There is no C++ compiler to build the native addon with. */
export function noAddonCompiler(tried: readonly string[]): Diagnostic {
  return target("K5004", "no C++ compiler found to build the native addon", {
    expected: `one of ${tried.map(printable).join(", ")}`,
    hint: "Install one (Debian: apt install g++; macOS: xcode-select --install) or name it in KILN_CXX.",
    got: "none",
  });
}

/** The native addon could not be compiled. `output`: what the compilers said. */
export function addonBuildFailed(output: string): Diagnostic {
  return target("K5005", "the native addon could not be compiled", {
    got: output.split("\n").map(printable).join("\n            "),
    hint: "A compiler for C++20 is needed (g++ 11 or clang++ 14 and later); KILN_CXX names the one to use.",
    expected: "a C++20 compiler",
  });
}

/** There is no folder the native addon can be built in. */
export function addonFolderUnusable(folder: string, reason: string): Diagnostic {
  return target("K5006", `cannot write the native addon to ${printable(folder)}`, {
    got: printable(reason),
    hint: "Make room or set KILN_CACHE to a folder that can be written.",
    expected: "a folder with room that this process may write to",
  });
}

/** The native addon was built but cannot be loaded. */
export function addonUnloadable(path: string, reason: string): Diagnostic {
  return target("K5007", `cannot load the native addon ${printable(path)}`, {
    got: printable(reason),
    hint: "Delete the file; it is built again at the next start.",
    expected: "an addon for this version of Node and this processor",
  });
}

/** A program's library has other entries than its manifest. */
export function libraryMismatch(entry: string, expected: string, got: string): Diagnostic {
  return target("K5008", `the library does not belong to the manifest: entry \`${printable(entry)}\``, {
    expected: printable(expected),
    got: printable(got),
    hint: "Compile the model again.",
  });
}

// ---- K3xxx: artifact, written by the compiler ----

/** The folder of an artifact cannot be written. */
export function artifactNotWritable(folder: string, reason: string): Diagnostic {
  return user("K3090", `cannot write the artifact to ${printable(folder)}`, {
    expected: "a folder that can be created and written",
    got: printable(reason),
    hint: "Choose another folder with --out, or free space and permissions on this one.",
  });
}

// ---- K12xx: modules, optimizers ----

/** A parameter or buffer made outside `setup`. */
export function stateOutsideSetup(what: string): Diagnostic {
  return user("K1201", `a ${printable(what)} is made while a step is traced`, {
    expected: "modules, parameters and buffers to be made in setup()",
    got: "one made in a step, which would start anew each time",
    hint: "Move it into setup(), as a property of a module that setup() returns.",
  });
}

/** A name that cannot be part of a state-dict key. */
export function badStateName(name: string, place: string): Diagnostic {
  return user("K1202", `\`${printable(name)}\` in \`${printable(place)}\` cannot name a part of a module`, {
    expected: "text without dots, not empty, and none of __proto__, constructor, prototype",
    got: printable(JSON.stringify(name)),
    hint: "Rename the property or key; its path is the name in checkpoints.",
  });
}

/** A module that holds itself. */
export function moduleCycle(path: string): Diagnostic {
  return user("K1203", `the module at \`${printable(path)}\` holds itself`, {
    hint: "Keep references to parents in a property named with #.",
    expected: "modules that form a tree",
    got: "a module inside itself",
  });
}

/** Keys of a state dict that do not fit the module. */
export function stateDictMismatch(missing: readonly string[], unexpected: readonly string[]): Diagnostic {
  const list = (names: readonly string[]): string => names.slice(0, 5).map(printable).join(", ") || "none";
  return user("K1204", "the state dict does not fit the module", {
    expected: `missing: ${list(missing)}`,
    got: `unexpected: ${list(unexpected)}`,
    hint: "Load a state dict of a model with the same layers, or pass { strict: false } to take what fits.",
  });
}

/** The plan needs more memory than `--max-memory` allows. */
export function needsTooMuchMemory(total: number, limit: number, parts: Readonly<Record<string, number>>): Diagnostic {
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const list = Object.entries(parts).map(([name, bytes]) => `${name} ${megabytes(bytes)}`);
  return user("K1090", "the program does not fit the memory it was given", {
    expected: `at most ${megabytes(limit)}`,
    got: `${megabytes(total)}: ${list.join(", ")}`,
    hint: "Use a smaller batch or model, or raise --max-memory.",
  });
}

/** A folder is not an artifact that can be inspected. */
export function notAnArtifact(folder: string, reason: string): Diagnostic {
  return user("K3091", `${printable(folder)} is not an artifact`, {
    expected: "a folder written by `kiln compile`",
    got: printable(reason),
    hint: "Compile the model first, and give the folder that it names.",
  });
}

/** `inspect` was asked for an entry or kernel that is not there. */
export function nothingToInspect(what: string, name: string, there: readonly string[]): Diagnostic {
  return user("K3092", `no ${what} named ${printable(name)}`, {
    expected: `one of ${there.map(printable).join(", ")}`,
    got: printable(name),
    hint: "`kiln inspect` without a name lists what there is.",
  });
}

/** `nn.init` outside `setup`. */
export function initOutsideSetup(op: string): Diagnostic {
  return user("K1205", `\`nn.init.${printable(op)}\` is called while a step is traced`, {
    hint: "Initialise in setup(); in a step write with copy_ or fill_ under noGrad.",
    expected: "a call in setup()",
    got: "one in a step",
  });
}

/** An option of a layer, loss or optimizer is out of its range. */
export function badLayerOption(owner: string, option: string, expected: string, got: string): Diagnostic {
  return user("K1206", `\`${printable(owner)}\`: bad \`${printable(option)}\``, {
    expected,
    got: printable(got),
    hint: `Change \`${printable(option)}\` at this call of \`${printable(owner)}\`.`,
  });
}

/** An input that does not fit a layer. */
export function layerInput(layer: string, expected: string, got: TensorType): Diagnostic {
  return user("K1207", `\`${printable(layer)}\`: the input does not fit`, {
    expected,
    got: formatType(got),
    hint: "Reshape the input, or make the layer for this input.",
  });
}

/** Input and target of a loss must have one shape. */
export function lossShapes(loss: string, input: TensorType, target: TensorType): Diagnostic {
  return user("K1208", `\`${printable(loss)}\`: input and target have different shapes`, {
    expected: formatType(input),
    got: formatType(target),
    hint: "Bring both to one shape: reshape, squeeze, or unsqueeze the target.",
  });
}

/** A target of classes does not fit the input. */
export function classTarget(loss: string, input: TensorType, target: TensorType): Diagnostic {
  const shape = input.shape.filter((_, axis) => axis !== (input.shape.length === 1 ? 0 : 1));
  return user("K1209", `\`${printable(loss)}\`: the target does not fit the input ${formatType(input)}`, {
    expected: `classes as integers, i64[${shape.join(",")}]`,
    got: formatType(target),
    hint: "Classes are numbers from 0: convert with toLong(), or make them of one-hot rows with argmax(1).",
  });
}

/** `optimizer.step()` in `setup`. */
export function stepInSetup(): Diagnostic {
  return user("K1210", "`step()` is called in setup()", {
    hint: "Call it in trainStep, after backward().",
    expected: "a call in trainStep",
    got: "a call in setup()",
  });
}

/** An optimizer was given something that is no parameter. */
export function notAParameter(owner: string, got: string): Diagnostic {
  return user("K1211", `\`${printable(owner)}\` takes parameters`, {
    expected: "model.parameters(), or groups { params, lr, … }",
    hint: "Only nn.Parameter is trained; buffers and results of operations are not.",
    got: printable(got),
  });
}

/** An optimizer without parameters. */
export function noParameters(owner: string): Diagnostic {
  return user("K1212", `\`${printable(owner)}\` got no parameters`, {
    hint: "Does the module keep its layers in properties (not in # properties, closures or Sets)?",
    expected: "at least one parameter",
    got: "none",
  });
}

/** A parameter that stands in an optimizer twice. */
export function parameterTwice(owner: string): Diagnostic {
  return user("K1213", `\`${printable(owner)}\`: a parameter is given twice`, {
    hint: "Each parameter belongs to one group.",
    expected: "each parameter once",
    got: "one twice",
  });
}

/** `scheduler.step()` outside the train step. */
export function schedulerStep(): Diagnostic {
  return user("K1214", "`scheduler.step()` is called outside of trainStep", {
    hint: 'Return the scheduler from setup(): it then steps after each epoch, or after each step with { per: "step" }.',
    expected: "a call in trainStep",
    got: "one elsewhere",
  });
}

/** A scheduler's function gave no number. */
export function badFactor(kind: string, got: number): Diagnostic {
  return user("K1215", `\`${printable(kind)}\`: the function must give finite numbers`, {
    got: String(got),
    expected: "finite numbers",
    hint: "The function gets the number of the epoch (or step), from 0.",
  });
}

// ---- K13xx: the training definition and the model file ----

/** A step returned something that is no record of tensors. */
export function badResults(entry: string, got: string): Diagnostic {
  return user("K1301", `\`${printable(entry)}\` returns no results`, {
    expected: "an object of tensors, such as { loss }",
    got,
    hint: "End the step with return { loss }.",
  });
}

/** A result of a step is not a tensor. */
export function badResult(entry: string, name: string, got: string): Diagnostic {
  return user("K1302", `result \`${printable(name)}\` of \`${printable(entry)}\` is not a tensor`, {
    got,
    expected: "a tensor",
    hint: "Return tensors only; numbers that do not change belong into the log of your own code.",
  });
}

/** A part of a training definition is missing or of the wrong kind. */
export function badDefinition(name: string, expected: string, got: string): Diagnostic {
  return user("K1303", `defineTraining: bad \`${printable(name)}\``, {
    expected,
    got: got === "undefined" ? "nothing" : printable(got),
    hint: "The parts are: data, setup, trainStep, and where wanted evalStep, predictStep, metrics, seed, epochs, logEvery.",
  });
}

/** A training definition has a part that means nothing. */
export function unknownDefinitionKey(name: string, known: readonly string[]): Diagnostic {
  return user("K1304", `defineTraining does not know \`${printable(name)}\``, {
    expected: known.join(", "),
    got: printable(name),
    hint: "Remove it, or correct its spelling.",
  });
}

/** `data()` gives no loader to train on. */
export function noTrainLoader(names: readonly string[]): Diagnostic {
  return user("K1305", "data() gives no loader named `train`", {
    got: names.map(printable).join(", ") || "no loader",
    hint: "Return { train: new DataLoader(…), test: new DataLoader(…) }.",
    expected: "a loader named `train`",
  });
}

/** A metric that no step returns. */
export function unknownMetric(name: string, known: readonly string[]): Diagnostic {
  return user("K1306", `no step returns the metric \`${printable(name)}\``, {
    expected: known.map(printable).join(", "),
    got: printable(name),
    hint: "Return it from a step, or remove it from `metrics`.",
  });
}

/** A `lambda` transform returned no tensor. */
export function badLambda(got: string): Diagnostic {
  return user("K1307", "a `lambda` transform must return a tensor", {
    got,
    expected: "a function of a tensor that returns a tensor",
    hint: "Write transforms.lambda((x) => x.mul(2)), with the arrow's result returned.",
  });
}

/** The model file is not there. */
export function modelNotFound(path: string): Diagnostic {
  return user("K1308", `there is no model at ${printable(path)}`, {
    expected: "a model file, or a folder with a model.ts",
    got: "no such file",
    hint: "Check the path: kiln compile path/to/model.ts.",
  });
}

/** The model file is not valid TypeScript, or uses what cannot be stripped. */
export function modelSyntax(reason: string, isUnsupported: boolean): Diagnostic {
  return user("K1309", `the model does not parse: ${printable(reason)}`, {
    hint: isUnsupported
      ? "Types are stripped, not compiled: instead of enum, namespace and parameter properties use plain values."
      : "Correct the line; an editor, or npx tsc --noEmit, shows all such mistakes.",
    expected: "TypeScript whose types can be blanked",
    got: printable(reason),
  });
}

/** A module that the model imports is not there, or lacks what is imported. */
export function modelImport(reason: string): Diagnostic {
  return user("K1310", `an import of the model fails: ${printable(reason)}`, {
    hint: "Check the spelling. Relative imports need their file extension (./data.ts); packages must be installed in the model's project.",
    expected: "modules that are there and export what is imported",
    got: printable(reason),
  });
}

/** The model file threw an error of its own while it was read. */
export function modelFailed(reason: string): Diagnostic {
  return user("K1311", `the model file fails while it is read: ${printable(reason)}`, {
    expected: "a file that can be imported",
    got: printable(reason),
    hint: "The error is thrown by code outside of functions; data() and setup() run later.",
  });
}

/** The model file exports no definition. */
export function noDefinition(got: string): Diagnostic {
  return user("K1312", "the model file does not export a training definition as default", {
    expected: "export default defineTraining({ … })",
    got: printable(got),
    hint: "A model file has one default export, made by defineTraining.",
  });
}

/** A number of results that depends on values must be given. */
export function needsOutputSize(op: string): Diagnostic {
  return user("K1401", `\`${printable(op)}\`: the extent of the result depends on values, which are not known`, {
    expected: "{ outputSize: … }",
    got: "no `outputSize`",
    hint: "Give the extent, or the largest there may be, as `outputSize`.",
  });
}

/** Two lists that belong together have different lengths. */
export function unequalLists(
  op: string,
  first: string,
  a: readonly number[],
  second: string,
  b: readonly number[],
): Diagnostic {
  return user("K1402", `\`${printable(op)}\`: \`${first}\` and \`${second}\` have different lengths`, {
    got: `[${a.join(", ")}] and [${b.join(", ")}]`,
    expected: "lists of one length",
    hint: "Each element of the one belongs to one of the other.",
  });
}

/** An equation of einsum that does not fit. */
export function badEquation(equation: string, expected: string): Diagnostic {
  return user("K1403", "`einsum`: the equation does not fit the operands", {
    expected,
    got: printable(equation),
    hint: "Write one letter an axis, operands parted by commas: `bik,bkj->bij`.",
  });
}

/** More indices than axes. */
export function tooManyIndices(count: number, type: TensorType): Diagnostic {
  return user("K1404", `an index with ${count} parts does not fit ${formatType(type)}`, {
    expected: `1 to ${type.shape.length} parts and at most one "..."`,
    got: `${count} parts`,
    hint: "Index fewer axes, or add axes with unsqueeze(dim).",
  });
}

// ---- K16xx: mistakes in the user's own code ----

/** The user's own code threw an error of JavaScript's. */
export function userCodeFailed(what: string, reason: string): Diagnostic {
  return user("K1601", `${printable(what)} fails: ${printable(reason)}`, {
    expected: `${printable(what)} to end without an error`,
    got: printable(reason),
    hint: "The line is your own code's. Is a name misspelt, or a layer or argument missing? A type check (npx tsc --noEmit) finds most such mistakes.",
  });
}

/** Our code threw an error of JavaScript's while the user's code called it. */
export function failedUnderUserCode(what: string, reason: string): Diagnostic {
  return internal("K9061", `a call in ${printable(what)} fails inside Kiln: ${printable(reason)}`, {
    got: printable(reason),
    hint: `Check the arguments of the call at this place. If they are right: ${internalHint}`,
  });
}

/** Operands of a product have different element types. */
export function dtypesDiffer(op: string, x: TensorType, y: TensorType): Diagnostic {
  return user("K1602", `\`${printable(op)}\`: the operands have different element types`, {
    expected: "one element type",
    got: `${formatType(x)} and ${formatType(y)}`,
    hint: 'Convert one: x.to("f32"). Pictures and other bytes become floats with transforms.toTensor().',
  });
}

/** A layer, loss, optimizer or scheduler was given an option that it does not have. */
export function unknownLayerOption(owner: string, known: readonly string[], got: string): Diagnostic {
  return user("K1603", `\`${printable(owner)}\` does not know this option`, {
    expected: known.length === 0 ? "no options" : `an object with ${known.map(printable).join(", ")}`,
    got: printable(got),
    hint: "Options are PyTorch's keyword arguments in camel case, in an object as the last argument.",
  });
}

/** A plan could race, or leaves its memory. */
export function planFault(entry: string, what: string): Diagnostic {
  return internal("K9021", `the plan of ${printable(entry)} is wrong: ${printable(what)}`);
}

/** A parameter that an optimizer was given never has a gradient. */
export function parameterUnused(name: string, optimizer: string): Diagnostic {
  return user("K1605", `\`${printable(name)}\` is given to \`${printable(optimizer)}\` and never trained`, {
    expected: `a gradient when ${printable(optimizer)}.step() is called`,
    got: "none in any step",
    hint: "Is its layer used in forward? Is backward() called before step(), and zeroGrad() before backward()? A layer that is not to be trained is frozen with requiresGrad_(false) or left out of the optimizer.",
  });
}

/** An optimizer that no step uses. */
export function optimizerUnused(name: string): Diagnostic {
  return user("K1606", `\`${printable(name)}\` never takes a step`, {
    expected: `${printable(name)}.step() in trainStep`,
    got: "no call of it",
    hint: "Call it after backward(), or do not return the optimizer from setup().",
  });
}

/** A folder has no generated trainer. */
export function noTrainer(folder: string): Diagnostic {
  return user("K6052", `${printable(folder)} has no trainer`, {
    expected: "the folder of an artifact with a trainer.js that exports main and data",
    got: "a folder without one",
    hint: "Compile a training definition: `kiln compile model.ts --out DIR`.",
  });
}

/** A model was given where an artifact belongs. */
export function modelNotArtifact(path: string): Diagnostic {
  return user("K6053", `${printable(path)} is a model, not an artifact`, {
    expected: "a folder written by `kiln compile`",
    got: "a model file, or a folder with a model.ts",
    hint: `Compile it first: \`kiln compile ${printable(path)}\`, then give the folder that it names.`,
  });
}

/** The Node that runs Kiln is too old. */
export function nodeTooOld(version: string): Diagnostic {
  return target("K6054", `Node ${printable(version)} is too old`, {
    expected: "Node 20.19 or newer",
    got: printable(version),
    hint: "Install a newer Node from nodejs.org or with your version manager.",
  });
}

/** The C compiler compiles for features that this CPU does not have. */
export function cpuLacksAssumed(features: readonly string[]): Diagnostic {
  return target("K6055", "the C compiler assumes CPU features that this machine lacks", {
    expected: "a compiler whose -march=native fits this CPU",
    got: features.map(printable).join(", "),
    hint: "Name the CPU when you compile: `kiln compile --march x86-64-v3`.",
  });
}

/** There is no GPU, nor a driver in software, that WebGPU programs could run on. */
export function noWgpuAdapter(library: string): Diagnostic {
  return target("K6060", "no GPU that WebGPU programs can run on", {
    expected: "a GPU with a driver for Vulkan, Metal or Direct3D 12",
    got: `none, by ${printable(library)}`,
    hint: "Only --device wgpu needs it. Install the GPU's driver, or one in software (Debian: mesa-vulkan-drivers).",
  });
}

/** There is no CUDA compiler. */
export function noNvcc(): Diagnostic {
  return target("K6061", "no nvcc", {
    expected: "nvcc on the PATH, in CUDA_HOME, or named by KILN_NVCC",
    got: "none",
    hint: "Only `kiln compile --target cuda` uses it. Without it, NVRTC compiles the kernels each time they are loaded.",
  });
}

/** The CUDA compiler in a library is not there. */
export function noNvrtc(): Diagnostic {
  return target("K6062", "no NVRTC", {
    expected: "libnvrtc where the system looks for libraries, in a CUDA toolkit, or named by NVRTC_PATH",
    got: "none",
    hint: "Only CUDA programs that were compiled without nvcc need it: `pip install nvidia-cuda-nvrtc`.",
  });
}

/** The place for an artifact holds something else. */
export function outputTaken(folder: string, got: string): Diagnostic {
  return user("K1607", `cannot write the artifact to ${printable(folder)}: there is something else`, {
    expected: "a new or empty folder, or an artifact that is to be replaced",
    got: printable(got),
    hint: "Nothing was changed. Choose another folder with --out, or remove what is there.",
  });
}

/** A result or a loader has a name that JavaScript keeps for itself. */
export function reservedName(kind: string, name: string): Diagnostic {
  return user("K1608", `a ${kind} cannot be named \`${printable(name)}\``, {
    expected: "another name",
    got: printable(name),
    hint: `Rename the ${kind}: JavaScript gives this name a meaning of its own.`,
  });
}

/** The path of a model has a character that Node imports nothing from. */
export function backslashInPath(path: string): Diagnostic {
  return user("K1609", "Node cannot import a file whose path has a backslash", {
    expected: "a path without backslashes",
    got: printable(path),
    hint: "Rename the folder or the file.",
  });
}

// ---- K55xx: WebGPU in a browser, and pages for it ----

/** A browser has no WebGPU. `insecure`: the page came over plain HTTP from another machine. */
export function webGpuMissing(insecure: boolean): Diagnostic {
  return target("K5501", "this browser offers no WebGPU", {
    expected: "WebGPU",
    got: insecure ? "a page that is not in a secure context" : "none",
    hint: insecure
      ? "Open the page over https, from localhost, or as a file."
      : "Use a current Chrome, Edge, Safari or Firefox; on Linux, Chrome may need chrome://flags/#enable-unsafe-webgpu.",
  });
}

/** A browser has WebGPU, but no GPU for it. */
export function webGpuNoAdapter(): Diagnostic {
  return target("K5502", "this browser finds no GPU that WebGPU can use", {
    expected: "a GPU with a current driver",
    got: "no adapter",
    hint: "Switch hardware acceleration on in the browser's settings, and update the GPU's driver.",
  });
}

/** The page's program is not in this package. */
export function pageNotBuilt(file: string): Diagnostic {
  return target("K5510", "the program of exported pages has not been built", {
    expected: `${printable(file)} in this package`,
    got: "no such file",
    hint: "Run `npm run build` in Kiln's own folder; an installed package has it.",
  });
}

/** An artifact without what a browser runs cannot become a page. */
export function pageNeedsWgsl(targets: readonly string[]): Diagnostic {
  return target("K5511", "the artifact was not compiled for browsers", {
    expected: "a target wgsl",
    got: targets.map(printable).join(", "),
    hint: "Compile the model again with --target c,wgsl.",
  });
}

/** A page would be written over something else. */
export function pageFolderTaken(folder: string, found: string): Diagnostic {
  return user("K5512", `${printable(folder)} holds something else than an exported page`, {
    expected: "a new or an empty folder, or one that `kiln export` wrote",
    got: printable(found),
    hint: "Name another folder, or empty this one.",
  });
}

/** A page holds its data as whole arrays, which a loader does not have. */
export function pageDataNotResident(loader: string, got: string): Diagnostic {
  return user("K5513", `the data of \`${printable(loader)}\` cannot be put into a page`, {
    expected: "a data set held as arrays: TensorDataset, mnist, fashionMnist, or parts and choices of them",
    got: printable(got),
    hint: "Read the samples into a TensorDataset in data(), and leave out `collate`.",
  });
}

/** A page can visit its data only in an order that it can draw itself. */
export function pageSamplerUnknown(loader: string, sampler: string): Diagnostic {
  return user("K5514", `the order of \`${printable(loader)}\` cannot be drawn in a page`, {
    expected: "`shuffle`, or a sampler of kilnjs/data",
    got: printable(sampler),
    hint: "Pages run no code of the model file: use a RandomSampler, SubsetRandomSampler or WeightedRandomSampler.",
  });
}

/** A file of a page cannot be fetched. */
export function pageFileMissing(file: string, reason: string): Diagnostic {
  return user("K5515", `cannot load ${printable(file)}, which belongs to this page`, {
    expected: "the file beside the page",
    got: printable(reason),
    hint: "Open the page through a web server (for example `npx serve`), or export it with --single-file.",
  });
}

/** A file of a page is damaged. */
export function pageFileDamaged(file: string, expected: string, got: string): Diagnostic {
  return user("K5516", `${printable(file)} of this page is damaged`, {
    expected: printable(expected),
    got: printable(got),
    hint: "Export the page again, and copy all of its files.",
  });
}
