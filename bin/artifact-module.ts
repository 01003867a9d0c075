/**
 * The generated trainer of an artifact as a module: its loop and its data code. An artifact that lies where Node finds no
 * `kilnjs` package gets this one.
 */
import { existsSync, statSync } from "node:fs";
import { register } from "node:module";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { readManifest } from "../runtime/manifest.ts";
import type { TrainerMain } from "../runtime/training/run-trainer.ts";

/** What a trainer exports. */
export type TrainerModule = {
  readonly main: TrainerMain;
  /** Makes the loaders, by name. */
  readonly data: () => unknown;
};

/** The folder that a command was given as an artifact. Throws a `UserError` (K6053) if it is a model. */
export function artifactFolder(given: string | undefined): string {
  const folder = given ?? "";
  const isFile = existsSync(folder) && statSync(folder).isFile();
  const isModel = isFile
    ? /\.[cm]?[jt]s$/.test(folder)
    : ["model.ts", "model.mts", "model.js", "model.mjs"].some((name) => existsSync(path.join(folder, name)));
  if (isModel && !existsSync(path.join(folder, "manifest.json"))) throw fail(messages.modelNotArtifact(folder));
  return folder;
}

/** Imports the trainer of the artifact in `folder`. Throws a `UserError`: K6052 if it has none, K3001 if it is no artifact. */
export async function importTrainer(folder: string): Promise<TrainerModule> {
  const file = path.resolve(folder, "trainer.js");
  if (!existsSync(file) || !statSync(file).isFile()) {
    // A folder that is no artifact at all is the likelier mistake.
    await readManifest(folder);
    throw fail(messages.noTrainer(folder));
  }
  register("./resolve-kilnjs-hook.js", import.meta.url);
  const exported: unknown = await import(pathToFileURL(file).href);
  if (!isTrainer(exported)) throw fail(messages.noTrainer(folder));
  return exported;
}

function isTrainer(exported: unknown): exported is TrainerModule {
  return (
    typeof exported === "object" &&
    exported !== null &&
    "main" in exported &&
    typeof exported.main === "function" &&
    "data" in exported &&
    typeof exported.data === "function"
  );
}
