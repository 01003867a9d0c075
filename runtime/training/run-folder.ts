/**
 * The folder of a run: where a trainer keeps its checkpoints and the loss curve. Opening makes it, proves that it can be
 * written before any work is done, locks it against a second trainer and removes what a killed one left.
 */
import { accessSync, constants, existsSync } from "node:fs";
import * as path from "node:path";
import { DiagnosticError, fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { removeStaleTemporaries, writeAtomically } from "../atomic-file.ts";
import { checkpointFiles, readCheckpoint, writeCheckpoint, type Checkpoint } from "../checkpoint.ts";
import { makeFolder } from "../make-folder.ts";
import { RunLock } from "./run-lock.ts";

/** A checkpoint and the file it came from. */
export type FoundCheckpoint = { readonly file: string; readonly checkpoint: Checkpoint };

/** An open run folder. */
export class RunFolder {
  readonly path: string;
  readonly #lock: RunLock;

  private constructor(folder: string, lock: RunLock) {
    this.path = folder;
    this.#lock = lock;
  }

  /** Opens `folder`. Throws a `UserError`: K3206 if it cannot be written, K3207 if another trainer holds it. */
  static open(folder: string): RunFolder {
    try {
      // Asked first: where it may not, making the folder gives reasons that mislead.
      accessSync(nearestFolder(folder), constants.W_OK | constants.X_OK);
      makeFolder(path.resolve(folder));
      accessSync(folder, constants.W_OK | constants.X_OK);
      const lock = RunLock.acquire(folder);
      removeStaleTemporaries(folder);
      return new RunFolder(folder, lock);
    } catch (error) {
      if (error instanceof DiagnosticError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw fail(messages.runFolderNotWritable(folder, reason), undefined, error);
    }
  }

  /** Path of the newest checkpoint. */
  get lastCheckpoint(): string {
    return path.join(this.path, checkpointFiles.last);
  }

  /** Writes a checkpoint as the newest, and keeps the one before it. Throws a `UserError` (K3208) if that fails. */
  writeCheckpoint(checkpoint: Checkpoint): void {
    writeCheckpoint(this.path, checkpoint);
  }

  /** Writes a text file into the folder; its path. */
  writeText(name: string, text: string): string {
    const file = path.join(this.path, name);
    writeAtomically(file, [new TextEncoder().encode(text)]);
    return file;
  }

  /** Unlocks the folder. */
  close(): void {
    this.#lock.release();
  }
}

/** The folder itself, or the nearest one above it that is there. */
function nearestFolder(folder: string): string {
  let place = path.resolve(folder);
  while (!existsSync(place) && path.dirname(place) !== place) {
    place = path.dirname(place);
  }
  return place;
}

/**
 * The newest whole checkpoint of a folder; if the last one is damaged, the one before it, and `onDamage` is told.
 * `undefined` if the folder has none. Throws what reading the last one threw if no generation can be read.
 */
export function newestCheckpoint(folder: string, onDamage: (error: Error) => void): FoundCheckpoint | undefined {
  let failure: Error | undefined;
  for (const name of [checkpointFiles.last, checkpointFiles.previous]) {
    const file = path.join(folder, name);
    if (!existsSync(file)) continue;
    try {
      const found = { file, checkpoint: readCheckpoint(file) };
      if (failure !== undefined) onDamage(failure);
      return found;
    } catch (error) {
      if (!(error instanceof DiagnosticError)) throw error;
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  return undefined;
}
