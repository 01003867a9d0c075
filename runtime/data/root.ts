/**
 * Where data sets look for their files: the folder named from outside (`--data DIR`), else the option `root`, else a
 * package that carries the data.
 */
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Folders named from outside, by data set; "" stands for all. */
const roots = new Map<string, string>();

/**
 * Makes every data set read from `folder`, whatever its option `root` says; `undefined` undoes it. With `dataset`
 * (`"mnist"`), only that one. This is what `--data DIR` calls.
 */
export function setDataRoot(folder: string | undefined, dataset: string = ""): void {
  if (folder === undefined) roots.delete(dataset);
  else roots.set(dataset, folder);
}

/** The folder named from outside for a data set, if any; a user's own data set may ask for it, too. */
export function dataRoot(dataset: string = ""): string | undefined {
  return roots.get(dataset) ?? roots.get("");
}

/** Folder of an installed package, seen from the working directory, the calling module, the program or this package. */
export function packageFolder(name: string): string | undefined {
  const own = fileURLToPath(import.meta.url);
  const program = process.argv[1];
  const places = [join(process.cwd(), "_"), callingFile(dirname(own)), program, own];
  for (const place of places) {
    if (place === undefined) continue;
    try {
      return dirname(createRequire(pathToFileURL(place)).resolve(`${name}/package.json`));
    } catch {
      // Not installed there: the next place may have it, and the caller says so if none has.
    }
  }
  return undefined;
}

/** File of the first stack frame outside `folder`. */
function callingFile(folder: string): string | undefined {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, callingFile);
  for (const line of (holder.stack ?? "").split("\n").slice(1)) {
    const [, url] = /(file:\/\/.+?):\d+:\d+\)?$/.exec(line) ?? [];
    if (url === undefined) continue;
    const file = fileURLToPath(url);
    if (!file.startsWith(folder + sep)) return file;
  }
  return undefined;
}
