/** `kiln inspect`: prints what the compiler did, from the artifact's own files. */
import { inspect, inspectStages, type InspectOptions } from "../compiler/inspect.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import type { OptionValues } from "../runtime/training/option-table.ts";
import { artifactFolder } from "./artifact-module.ts";
import type { commands } from "./options.ts";

/** Runs `kiln inspect`. */
export async function runInspect(
  [artifact, wanted]: readonly string[],
  options: OptionValues<typeof commands.inspect.options>,
): Promise<number> {
  const stage = inspectStages.find((name) => name === wanted);
  if (wanted !== undefined && stage === undefined) {
    throw fail(messages.badOptionValue("stage", inspectStages.join(", "), wanted));
  }
  const asked: InspectOptions = {
    ...(stage === undefined ? {} : { stage }),
    ...(options.entry === undefined ? {} : { entry: options.entry }),
    ...(options.kernel === undefined ? {} : { kernel: options.kernel }),
    ...(options.target === undefined ? {} : { target: options.target }),
    ...(options.json === undefined ? {} : { json: options.json }),
    ...(process.stdout.isTTY ? { width: process.stdout.columns } : {}),
  };
  const text = await inspect(artifactFolder(artifact), asked);
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  return 0;
}
