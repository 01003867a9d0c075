/** `kiln train`: runs the generated trainer of an artifact in this process. */
import type { OptionValues } from "../runtime/training/option-table.ts";
import { trainArtifact } from "../runtime/training/run-trainer.ts";
import { artifactFolder, importTrainer } from "./artifact-module.ts";
import type { commands } from "./options.ts";

/** Runs `kiln train`. */
export async function runTrain(
  [given]: readonly string[],
  options: OptionValues<typeof commands.train.options>,
): Promise<number> {
  const artifact = artifactFolder(given);
  const { main } = await importTrainer(artifact);
  await trainArtifact(artifact, main, options);
  return 0;
}
