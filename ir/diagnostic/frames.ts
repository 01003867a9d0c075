/**
 * The frames of a JavaScript error that was caught: where in which file it was thrown, and by what calls. Imports nothing of
 * Node's, since browsers use what imports it.
 */
import type { SourceLocation } from "./diagnostic.ts";

/**
 * The frames of an error's stack that lie in files, the innermost first, with absolute paths; those of the calls beyond the
 * function named `until` are left out.
 */
export function framesOf(error: unknown, until: string = ""): SourceLocation[] {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const found: SourceLocation[] = [];
  for (const line of stack.split("\n")) {
    if (until !== "" && line.trimStart().startsWith(`at ${until} `)) break;
    const match = /^\s+at (?:.*\()?((?:file:\/\/|\/|[A-Za-z]:\\).*?):(\d+):(\d+)\)?$/.exec(line);
    if (match === null) continue;
    const [, name = "", row, column] = match;
    const file = name.startsWith("file:") ? pathOf(name) : name;
    found.push({ file, line: Number(row), column: Number(column) });
  }
  return found;
}

/** The path that a URL of a file names; on Windows it begins with a drive. */
function pathOf(url: string): string {
  const path = decodeURIComponent(new URL(url).pathname);
  return /^\/[A-Za-z]:\//.test(path) ? path.slice(1).replaceAll("/", "\\") : path;
}
