/** `kiln inspect`: prints what the compiler did, from the artifact's own files. */
import { inspect, inspectStages, type InspectOptions } from "../compiler/inspect.ts";
import type { OptionValues } from "../runtime/training/option-table.ts";
import type { commands } from "./options.ts";

/** Runs `kiln inspect`. */
export async function runInspect(
  [artifact = ""]: readonly string[],
  options: OptionValues<typeof commands.inspect.options>,
): Promise<number> {
  const stage = inspectStages.find((name) => name === options.stage);
  const wanted: InspectOptions = {
    ...(stage === undefined ? {} : { stage }),
    ...(options.entry === undefined ? {} : { entry: options.entry }),
    ...(options.kernel === undefined ? {} : { kernel: options.kernel }),
    ...(options.json === undefined ? {} : { json: options.json }),
  };
  const text = await inspect(artifact, wanted);
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  return 0;
}
