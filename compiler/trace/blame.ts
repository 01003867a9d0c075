/**
 * Running the user's code: whatever it throws becomes one of our errors with a place in the user's files. An error of ours
 * without a place gets the user's line that led to it; any other error is the user's if its own code threw it, and ours if
 * ours did.
 */
import { dirname, isAbsolute, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { DiagnosticError, fail, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import { framesOf } from "../../ir/diagnostic/frames.ts";
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
  const frames = framesOf(error, blaming.name);
  const frame = userFrame(error);
  const found = frame === undefined ? place : relativePlace(frame, root);
  if (error instanceof DiagnosticError) {
    const { source } = error;
    if (source === undefined) return found === undefined ? error : fail(error.diagnostic, found, error);
    return isAbsolute(source.file) ? fail(error.diagnostic, relativePlace(source, root), error) : error;
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const top = frames[0];
  const isEndless = error instanceof RangeError && error.message.includes("call stack");
  return !isEndless && top !== undefined && isOurs(top.file)
    ? fail(messages.failedUnderUserCode(what, text), found, error)
    : fail(messages.userCodeFailed(what, text), found, error);
}

/** The innermost place in the user's files that led to an error or to what caused it. */
function userFrame(error: unknown): SourceLocation | undefined {
  if (!(error instanceof Error)) return undefined;
  return userFrame(error.cause) ?? framesOf(error, blaming.name).find(({ file }) => !isOurs(file));
}

function relativePlace(place: SourceLocation, root: string | undefined): SourceLocation {
  return { ...place, file: relativeFile(place.file, root) };
}

const here = dirname(fileURLToPath(import.meta.url));
/** The folder of the compiled files, and the one above it, where source maps lead. */
const ownRoots = [dirname(dirname(here)), dirname(dirname(dirname(here)))];
const ownFolders = ownRoots.flatMap((folder) => ownFolderNames.map((name) => `${folder}${sep}${name}${sep}`));

function isOurs(file: string): boolean {
  return ownFolders.some((folder) => file.startsWith(folder));
}
