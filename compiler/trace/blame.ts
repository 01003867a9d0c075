/**
 * Running the user's code: whatever it throws becomes one of our errors with a place in the user's files. An error of ours
 * without a place gets the user's line that led to it; any other error is the user's if its own code threw it, and ours if
 * ours did.
 */
import { dirname, isAbsolute, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { DiagnosticError, fail, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { ownFolderNames, relativeFile } from "./source.ts";

/** Where user code runs: what it is called, the folder that file names are relative to, and a place if none is found. */
export type Blame = {
  readonly what: string;
  readonly root: string | undefined;
  readonly place: SourceLocation | undefined;
};

/** Frames kept of an error's stack while user code runs: enough to reach from the depths of ours to the user's. */
const deepStack = 64;

/** The result of `run`, which calls code of the user's. @throws DiagnosticErrors only. */
export function blaming<T>(blame: Blame, run: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = deepStack;
  try {
    return run();
  } catch (error) {
    throw blamed(blame, error);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The error to throw for what was thrown by user code or under it. */
function blamed({ what, root, place }: Blame, error: unknown): Error {
  const frames = error instanceof Error ? framesOf(error) : [];
  const frame = frames.find(({ file }) => !isOurs(file));
  const found = frame === undefined ? place : { ...frame, file: relativeFile(frame.file, root) };
  if (error instanceof DiagnosticError)
    return error.source !== undefined || found === undefined ? error : fail(error.diagnostic, found, error);
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const top = frames[0];
  const isEndless = error instanceof RangeError && error.message.includes("call stack");
  return !isEndless && top !== undefined && isOurs(top.file)
    ? fail(messages.failedUnderUserCode(what, text), found, error)
    : fail(messages.userCodeFailed(what, text), found, error);
}

const here = dirname(fileURLToPath(import.meta.url));
/** The folder of the compiled files, and the one above it, where source maps lead. */
const ownRoots = [dirname(dirname(here)), dirname(dirname(dirname(here)))];
const ownFolders = ownRoots.flatMap((folder) => ownFolderNames.map((name) => `${folder}${sep}${name}${sep}`));

function isOurs(file: string): boolean {
  return ownFolders.some((folder) => file.startsWith(folder));
}

/** The frames of an error's stack that lie in files and under `blaming`, the innermost first. */
function framesOf(error: Error): SourceLocation[] {
  const { stack = "" } = error;
  const found: SourceLocation[] = [];
  for (const line of stack.split("\n")) {
    if (/^\s+at blaming /.test(line)) break; // beyond it lies who asked for the trace, not what was traced
    const match = /^\s+at (?:.*\()?((?:file:\/\/|\/|[A-Za-z]:\\).*?):(\d+):(\d+)\)?$/.exec(line);
    if (match === null) continue;
    const [, name = "", row, column] = match;
    const file = name.startsWith("file:") ? fileURLToPath(name) : name;
    if (isAbsolute(file)) found.push({ file, line: Number(row), column: Number(column) });
  }
  return found;
}
