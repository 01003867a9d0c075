/**
 * A program with weights from a file, for everything that uses a trained network. Takes a checkpoint or any .safetensors
 * file of weights; the seed of a checkpoint is used again, so that data which is split at random is split alike.
 */
import * as path from "node:path";
import type { DeviceChoice } from "../select-target.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { checkTensors, readProgress, readWeights } from "../checkpoint.ts";
import type { DataLoader } from "../data/loader.ts";
import { setDataRoot } from "../data/root.ts";
import { Program } from "../program.ts";
import { isLoader } from "./feed.ts";
import { newestCheckpoint } from "./run-folder.ts";
import { loadTensors } from "./snapshot.ts";

/** Where weights come from. */
export type WeightsOptions = {
  /** A file, or the folder of a run; `runs/<name>` if left out. */
  readonly checkpoint?: string;
  readonly threads?: number;
  readonly device?: DeviceChoice;
};

/** A program ready to be evaluated. */
export type TrainedWeights = { readonly program: Program; readonly file: string; readonly seed: number };

/** Loads the artifact in `folder` with trained weights. Throws `UserError`s (K3201 to K3203). */
export async function loadTrained(folder: string, options: WeightsOptions): Promise<TrainedWeights> {
  const { threads, device } = options;
  const program = await Program.load(folder, {
    ...(threads === undefined ? {} : { threads }),
    ...(device === undefined ? {} : { device }),
  });
  try {
    const { manifest } = program;
    const given = options.checkpoint ?? path.join("runs", path.basename(manifest.name));
    const file = newestCheckpoint(given, () => undefined)?.file ?? given;
    const weights = readWeights(file);
    checkTensors(
      file,
      weights,
      manifest.state.values.filter((state) => state.role !== "slot"),
    );
    const seed = readProgress(file)?.seed ?? manifest.training?.seed ?? 0;
    program.seed(seed);
    loadTensors(program, weights);
    return { program, file, seed };
  } catch (error) {
    await program.dispose();
    throw error;
  }
}

/** The loaders that data code gives, by name, seeded as when it was trained. Throws a `UserError` (K4007) without any. */
export async function makeLoaders(
  { program, seed }: TrainedWeights,
  data: () => unknown,
  root: string | undefined,
): Promise<ReadonlyMap<string, DataLoader>> {
  if (root !== undefined) setDataRoot(root);
  program.seed(seed);
  const made: unknown = await data();
  const loaders = new Map<string, DataLoader>();
  for (const [name, loader] of Object.entries(made ?? {})) if (isLoader(loader)) loaders.set(name, loader);
  if (loaders.size === 0) throw fail(messages.loaderMissing("train", Object.keys(made ?? {})));
  return loaders;
}
