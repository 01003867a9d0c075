/** Making a folder and those above it. */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes `folder` with all that is missing above it. Node 20's own recursive form never returns where a parent exists and
 * still nothing can be made in it, as in /proc.
 *
 * @throws the system's error if it cannot be made, or something else has its name.
 */
export function makeFolder(folder: string): void {
  const parent = dirname(folder);
  const isMissing = statSync(parent, { throwIfNoEntry: false }) === undefined;
  if (isMissing && parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder);
  } catch (error) {
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}
