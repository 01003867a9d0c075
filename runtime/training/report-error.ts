/**
 * Errors at the edge of a process: what is printed for one, and with which exit code the process ends. A diagnostic is
 * printed with its code, its place and, where the file can be read, the line with a caret; anything else is a bug of ours
 * and says how to report it.
 */
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import pc from "picocolors";
import {
  DiagnosticError,
  fail,
  InternalError,
  internalHint,
  printable,
  TargetError,
} from "../../ir/diagnostic/diagnostic.ts";
import type { SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { Interrupted } from "./interrupt.ts";

/** Exit codes: the user's model or data, the usage, a missing target, our bug. */
export const exitCodes = { ok: 0, user: 1, usage: 2, target: 3, bug: 70 } as const;

/** The exit code for what was thrown. */
export function exitCodeOf(thrown: unknown): number {
  const error = diagnosed(thrown);
  if (error instanceof Interrupted) return error.exitCode;
  if (error instanceof InternalError || !(error instanceof DiagnosticError)) return exitCodes.bug;
  if (error instanceof TargetError) return exitCodes.target;
  return error.code.startsWith("K600") ? exitCodes.usage : exitCodes.user;
}

/** Whether text for `stream` may have colours: only on a terminal that shows them, and not if `NO_COLOR` says so. */
export function showsColors(stream: NodeJS.WriteStream): boolean {
  if (!stream.isTTY) return false;
  return (process.env["NO_COLOR"] ?? "") === "" && process.env["TERM"] !== "dumb";
}

/**
 * Prepares this process for being a command: a reader that goes away (`| head`) ends it quietly, and what nobody catches
 * is reported as the bug that it is.
 */
export function beCommand(): void {
  const leave = (error: NodeJS.ErrnoException): void => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  };
  process.stdout.on("error", leave);
  process.stderr.on("error", leave);
  process.on("uncaughtException", (error: unknown) => {
    process.stderr.write(`${describeError(error, { json: false, colors: showsColors(process.stderr) })}\n`);
    process.exit(exitCodeOf(error));
  });
}

/** How to print an error. */
export type ReportOptions = {
  /** Whether to print a JSON object instead of text. */
  readonly json: boolean;
  /** Whether the text is for a terminal that shows colours. */
  readonly colors: boolean;
  /** Folders that relative file names of places may be relative to, the first that has the file wins. */
  readonly roots?: readonly string[];
};

/** The text for what was thrown, without a line break at its end; empty for an `Interrupted`. */
export function describeError(thrown: unknown, options: ReportOptions): string {
  const error = diagnosed(thrown);
  if (error instanceof Interrupted) return "";
  if (options.json) return JSON.stringify({ event: "error", ...errorData(error), exitCode: exitCodeOf(error) });
  const colors = pc.createColors(options.colors);
  if (!(error instanceof DiagnosticError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `${colors.red("internal error")}: ${text}\n  hint:     ${internalHint}`;
  }
  const [first = "", ...rest] = error.message.split("\n");
  const excerpt = error.source === undefined ? [] : sourceExcerpt(error.source, options.roots ?? [process.cwd()]);
  const title = `${colors.red("error")}: ${colors.bold(first)}`;
  return [title, ...excerpt.map((line) => colors.dim(line)), ...rest].join("\n");
}

/** Where this package's own code lies, as stacks name it. */
const ownCode = new URL("../..", import.meta.url).href;

/** What was thrown; an error that JavaScript threw in code that is not ours becomes the user's, at its line. */
function diagnosed(thrown: unknown): unknown {
  if (thrown instanceof DiagnosticError || thrown instanceof Interrupted || !(thrown instanceof Error)) return thrown;
  const [, url = "", line, column] = /(file:\/\/[^\s()]+?):(\d+):(\d+)/.exec(thrown.stack ?? "") ?? [];
  if (url === "" || url.startsWith(ownCode)) return thrown;
  const place = { file: fileURLToPath(url), line: Number(line), column: Number(column) };
  return fail(messages.userCodeFailed("your own code", `${thrown.name}: ${thrown.message}`), place, thrown);
}

function errorData(error: unknown): object {
  if (error instanceof DiagnosticError) return { ...error.diagnostic, source: error.source ?? null };
  return {
    code: "K9000",
    kind: "internal",
    what: error instanceof Error ? error.message : String(error),
    hint: internalHint,
  };
}

/** The source line of a place with a caret under its column; nothing if the file cannot be read. */
function sourceExcerpt(place: SourceLocation, roots: readonly string[]): string[] {
  for (const root of roots) {
    let line: string | undefined;
    try {
      line = readFileSync(path.resolve(root, place.file), "utf8").split(/\r?\n/)[place.line - 1];
    } catch {
      continue;
    }
    if (line === undefined) continue;
    const number = String(place.line).padStart(6);
    const shown = printable(line.replaceAll("\t", " "));
    return [`${number} | ${shown}`, `${" ".repeat(6)} | ${" ".repeat(Math.max(0, place.column - 1))}^`];
  }
  return [];
}
