/**
 * Running the user's model file as it is, JavaScript or TypeScript, in this process and with this copy of the library.
 * Takes the path of a file or of a folder with a `model.ts`; gives the module's exports. Whatever goes wrong while it is
 * found, read or run is a `UserError` with the place.
 */
import { existsSync, statSync } from "node:fs";
import { register } from "node:module";
import { join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { DiagnosticError, fail, type SourceLocation } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { placeMark } from "./strip-types-hook.ts";

/** A model file that was run. */
export type LoadedModule = { readonly file: string; readonly exports: Readonly<Record<string, unknown>> };

/** File names looked for in a folder, in order. */
const modelNames = ["model.ts", "model.mts", "model.js", "model.mjs"] as const;

let hooked = false;

/** Runs the model file at `path`. */
export async function loadModule(path: string): Promise<LoadedModule> {
  const file = findModelFile(path);
  // Node 22.18 and later strip types by themselves.
  if (!hooked && !("typescript" in process.features && Boolean(process.features.typescript))) {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    register(new URL(`./strip-types-hook.${extension}`, import.meta.url));
    hooked = true;
  }
  try {
    const exports: Record<string, unknown> = { ...(await import(pathToFileURL(file).href)) };
    return { file, exports };
  } catch (error) {
    throw asDiagnostic(file, error);
  }
}

/** The model file that a path names. Throws K1301 if there is none. */
export function findModelFile(path: string): string {
  const full = resolve(path);
  if (!existsSync(full)) throw fail(messages.modelNotFound(path));
  if (!statSync(full).isDirectory()) return full;
  const found = modelNames.map((name) => join(full, name)).find((name) => existsSync(name));
  if (found === undefined) throw fail(messages.noModelInFolder(path, modelNames));
  return found;
}

function asDiagnostic(file: string, error: unknown): Error {
  if (error instanceof DiagnosticError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const syntax = syntaxFault(message);
  if (syntax !== undefined) return fail(messages.modelSyntax(syntax.message), syntax.source, error);
  const place = error instanceof Error ? frameIn(error) : undefined;
  return fail(messages.modelThrows(relative(process.cwd(), file), message), place, error);
}

/** The place and text of a syntax error that the hook reports. */
function syntaxFault(message: string): { readonly message: string; readonly source: SourceLocation } | undefined {
  const begin = message.indexOf(`${placeMark} `);
  if (begin < 0) return undefined;
  const fault: unknown = JSON.parse(message.slice(begin + placeMark.length + 1));
  if (typeof fault !== "object" || fault === null) return undefined;
  const fields: Record<string, unknown> = { ...fault };
  return {
    message: String(fields["message"]),
    source: {
      file: relative(process.cwd(), String(fields["file"])),
      line: Number(fields["line"]),
      column: Number(fields["column"]),
    },
  };
}

/** The first frame of an error that lies in a file of the user. */
function frameIn(error: Error): SourceLocation | undefined {
  for (const line of (error.stack ?? "").split("\n")) {
    const match = /(file:\/\/[^\s)]+?):(\d+):(\d+)/.exec(line);
    const url = match?.[1];
    if (url === undefined || url.includes("/node_modules/") || url.startsWith(new URL("..", import.meta.url).href))
      continue;
    return {
      file: relative(process.cwd(), new URL(url).pathname),
      line: Number(match?.[2]),
      column: Number(match?.[3]),
    };
  }
  return undefined;
}
