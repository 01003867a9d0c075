/** Where this package lies, found from this file both in the source tree and in `dist`. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { invariant } from "../ir/diagnostic/diagnostic.ts";

/** Folder of the package: the nearest one above this file with the addon's sources. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "runtime", "native", "program.h"))) {
    const parent = dirname(folder);
    invariant(parent !== folder, "runtime/native is missing from the package");
    folder = parent;
  }
  return folder;
}
