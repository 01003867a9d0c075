/** Where Kiln keeps what it can make or fetch again: one folder a user, with a subfolder for each kind. */
import { homedir } from "node:os";
import { join } from "node:path";

/** The cache folder for `kind`: below `KILN_CACHE`, else below the user's cache folder. It may not exist yet. */
export function cacheFolder(kind: string): string {
  const cache = process.env["KILN_CACHE"] ?? join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "kiln");
  return join(cache, kind);
}
