/**
 * Plans an artifact's program again as its compilation did: for the same machine, with the options that the artifact
 * itself shows. Takes the artifact's files, gives what the back made of them then.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { LoadedManifest } from "../ir/artifact/manifest.ts";
import type { Machine } from "../ir/machine.ts";
import { planTraced, type BackResult } from "./pipeline.ts";
import { targets } from "./targets/index.ts";
import { precisions, type TargetOptions } from "./targets/target.ts";
import type { TracedProgram } from "./trace/traced.ts";

/** A plan, and the machine that it was made for. */
export type PlannedAgain = BackResult & { readonly machine: Machine };

/** Plans a program for a target of the artifact in `folder`. `march`: what the C compiler's `-march` takes. */
export async function planAgain(
  folder: string,
  manifest: LoadedManifest,
  traced: TracedProgram,
  march?: string,
): Promise<PlannedAgain> {
  const { name } = manifest.target;
  // What it held in the place of text is for others to find out.
  const loops = await readFile(join(folder, "ir", name, "kernels.loop"), "utf8").catch(() => "");
  const machine = await targets[name].machine({
    ...optionsOf(manifest, loops),
    ...(march === undefined ? {} : { march }),
  });
  return { ...planTraced(traced, { machine, name: manifest.name }), machine };
}

/** Draws show in the entries' buffers, tensor cores in the kernels' loops. What does not show makes no difference. */
function optionsOf({ entries }: LoadedManifest, loops: string): TargetOptions {
  const roles = new Set(entries.flatMap(({ buffers }) => buffers.map(({ role }) => role)));
  const random = roles.has("key") ? "counter" : roles.has("draws") || roles.has("generator") ? "torch" : undefined;
  const precision = precisions.find((each) => new RegExp(`^ *(?:mma|dot) ${each} `, "m").test(loops));
  return { ...(random === undefined ? {} : { random }), ...(precision === undefined ? {} : { precision }) };
}
