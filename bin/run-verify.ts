/** `kiln verify`: checks an artifact and prints each result; exit code 1 if anything differs. */
import type { OptionValues } from "../runtime/training/option-table.ts";
import { artifactFolder } from "./artifact-module.ts";
import type { commands } from "./options.ts";
import { verifyArtifact } from "./verify.ts";

/** Runs `kiln verify`. */
export async function runVerify(
  [artifact]: readonly string[],
  options: OptionValues<typeof commands.verify.options>,
): Promise<number> {
  const json = options.json === true;
  const report = await verifyArtifact(artifactFolder(artifact), {
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.target === undefined ? {} : { target: options.target }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(json ? {} : { onLine: (line: string) => void process.stdout.write(`${line}\n`) }),
  });
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
  return report.ok ? 0 : 1;
}
