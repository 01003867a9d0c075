/**
 * A module hook that lets Node run TypeScript as it is: types become blanks, so that every line and column stays where it
 * was and no source map is needed. What blanks cannot express (enums, namespaces, parameter properties) is a syntax
 * error, as it is in Node versions that do the same by themselves. Runs in Node's hook thread.
 */
import { readFile } from "node:fs/promises";
import type { LoadHook } from "node:module";
import { fileURLToPath } from "node:url";
import { transformSync } from "@swc/wasm-typescript";

/** Marks an error message that carries a place in the source: `MARK file:line:column message`. */
export const placeMark = "kiln-syntax";

/** Node's `load` hook. */
export const load: LoadHook = async (url, context, nextLoad) => {
  if (!/^file:.*\.m?ts$/.test(url) || url.includes("/node_modules/")) return nextLoad(url, context);
  const file = fileURLToPath(url);
  const text = await readFile(file, "utf8");
  return { format: "module", source: strip(file, text), shortCircuit: true };
};

function strip(file: string, text: string): string {
  try {
    return transformSync(text, { mode: "strip-only", module: true, filename: file }).code;
  } catch (error) {
    const { message, startLine, startColumn } = syntaxError(error);
    throw new SyntaxError(`${placeMark} ${JSON.stringify({ file, line: startLine, column: startColumn, message })}`);
  }
}

/** What the stripper throws: an object with the place, or text. */
function syntaxError(error: unknown): {
  readonly message: string;
  readonly startLine: number;
  readonly startColumn: number;
} {
  const fields: Record<string, unknown> = typeof error === "object" && error !== null ? { ...error } : {};
  const number = (value: unknown, otherwise: number): number => (typeof value === "number" ? value : otherwise);
  const message = typeof fields["message"] === "string" ? fields["message"] : String(error);
  return { message, startLine: number(fields["startLine"], 1), startColumn: number(fields["startColumn"], 0) + 1 };
}
