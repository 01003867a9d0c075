/** `kiln eval`: evaluates saved weights on the loaders of an artifact's data code. */
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { evaluateLoader, type Evaluation } from "../runtime/training/evaluate.ts";
import type { OptionValues } from "../runtime/training/option-table.ts";
import { loadTrained, makeLoaders } from "../runtime/training/trained-weights.ts";
import { artifactFolder, importTrainer } from "./artifact-module.ts";
import type { commands } from "./options.ts";

/** Runs `kiln eval`. */
export async function runEvaluate(
  [given]: readonly string[],
  options: OptionValues<typeof commands.eval.options>,
): Promise<number> {
  const artifact = artifactFolder(given);
  const { data } = await importTrainer(artifact);
  const trained = await loadTrained(artifact, options);
  try {
    const { program, file } = trained;
    const { name, entries } = program.manifest;
    if (!entries.some((entry) => entry.name.startsWith("evaluate"))) {
      throw fail(
        messages.entryMissing(name, "evaluate", "Define evalStep in defineTraining, and compile the model again."),
      );
    }
    const loaders = await makeLoaders(trained, data, options.data);
    const names =
      options.loader === undefined ? [...loaders.keys()].filter((each) => each !== "train") : [options.loader];
    if (options.json !== true) process.stderr.write(`Weights of ${file}\n`);
    for (const each of names) {
      const loader = loaders.get(each);
      if (loader === undefined) throw fail(messages.loaderMissing(each, [...loaders.keys()]));
      const evaluation = await evaluateLoader(program, each, loader);
      const line = options.json === true ? JSON.stringify({ loader: each, ...evaluation }) : describe(each, evaluation);
      process.stdout.write(`${line}\n`);
    }
    return 0;
  } finally {
    await trained.program.dispose();
  }
}

function describe(name: string, { samples, results }: Evaluation): string {
  const parts = Object.entries(results).map(([result, value]) =>
    result === "correct" && Number.isInteger(value)
      ? `correct ${value} (${((100 * value) / samples).toFixed(2)} %)`
      : `${result} ${value.toFixed(4)}`,
  );
  return `${name}: ${samples} samples, ${parts.join(", ")}`;
}
