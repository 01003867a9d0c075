/** The frames of a JavaScript error that was caught: where in which file it was thrown, and by what calls. */
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
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
    const file = name.startsWith("file:") ? fileURLToPath(name) : name;
    if (isAbsolute(file)) found.push({ file, line: Number(row), column: Number(column) });
  }
  return found;
}
