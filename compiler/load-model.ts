/**
 * Reading a model file as the user wrote it: takes a `.ts` or `.js` file, or a folder with a `model.ts`, runs it, and gives
 * the definition it exports. Types are stripped on the way unless Node does that itself. Whatever is wrong with the file
 * becomes a `UserError` at its line.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { register } from "node:module";
import { dirname, isAbsolute, join, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { DiagnosticError, fail, type SourceLocation } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { syntaxMark } from "./load-model-hook.ts";
import { defineTraining, isDefinition, type TrainingDefinition } from "./trace/definition.ts";
import { relativeFile } from "./trace/source.ts";

/** A model that was read. */
export type LoadedModel = {
  /** Absolute path of the file. */
  readonly file: string;
  /** Folder that file names in sources are relative to. */
  readonly root: string;
  readonly definition: TrainingDefinition;
};

/** Reads the model at `path`: a file, or a folder with a `model.ts` (or `.mts`, `.js`, `.mjs`). */
export async function loadModel(path: string): Promise<LoadedModel> {
  const file = findModel(resolve(path));
  const root = dirname(file);
  if (sep === "/" && file.includes("\\")) throw fail(messages.backslashInPath(file));
  stripTypes();
  const exported = await importModel(file, root);
  const definition = exported["default"];
  const place = { file: relativeFile(file, root), line: 1, column: 1 };
  if (!isDefinition(definition)) throw fail(messages.noDefinition(describe(exported)), place);
  if (!isOurs(definition)) throw fail(messages.twoCopies("the definition"), place);
  return { file, root, definition };
}

function findModel(path: string): string {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const candidates = isFolder
    ? ["model.ts", "model.mts", "model.js", "model.mjs"].map((name) => join(path, name))
    : [path];
  const file = candidates.find((candidate) => existsSync(candidate));
  if (file === undefined) throw fail(messages.modelNotFound(path));
  return file;
}

let isHooked = false;

/** Makes Node strip types, once; Node 22.18 and later do it by themselves. */
function stripTypes(): void {
  const native: unknown = Reflect.get(process.features, "typescript");
  if (isHooked || (native !== undefined && native !== false)) return;
  isHooked = true;
  register("./load-model-hook.js", import.meta.url);
}

/** A definition made by this copy of the library: only its own `defineTraining` makes its own class of object. */
function isOurs(definition: TrainingDefinition): boolean {
  return definition.madeBy === defineTraining;
}

async function importModel(file: string, root: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const exported: unknown = await import(pathToFileURL(file).href);
    return Object.fromEntries(Object.entries(exported as object)); // a module's namespace is an object
  } catch (error) {
    throw explain(error, file, root);
  }
}

/** The `UserError` for whatever reading a model threw. */
function explain(error: unknown, file: string, root: string): Error {
  if (error instanceof DiagnosticError) {
    const { source } = error;
    if (source === undefined) return error;
    return fail(error.diagnostic, { ...source, file: relativeFile(source.file, root) }, error);
  }
  if (!(error instanceof Error)) return fail(messages.modelFailed(String(error)), undefined, error);
  const syntax = syntaxError(error, root);
  if (syntax !== undefined) return syntax;
  const code = "code" in error ? error.code : undefined;
  if (code === "ERR_MODULE_NOT_FOUND" || code === "ERR_PACKAGE_PATH_NOT_EXPORTED" || code === "MODULE_NOT_FOUND") {
    const specifier = /'([^']+)'/.exec(error.message)?.[1] ?? "";
    return fail(messages.modelImport(error.message.split("\n")[0] ?? ""), importPlace(file, root, specifier), error);
  }
  if (error instanceof SyntaxError) {
    const place = stackPlace(error, root);
    const isImport = error.message.includes("does not provide an export");
    const message = isImport ? messages.modelImport(error.message) : messages.modelSyntax(error.message, false);
    return fail(message, place, error);
  }
  return fail(messages.modelFailed(`${error.name}: ${error.message}`), stackPlace(error, root), error);
}

/** A syntax error that the hook reports. */
function syntaxError(error: Error, root: string): Error | undefined {
  const start = error.message.indexOf(syntaxMark);
  if (start < 0) return undefined;
  const report: unknown = JSON.parse(error.message.slice(start + syntaxMark.length));
  const { url, error: details } = report as {
    readonly url: string;
    readonly error: {
      readonly code?: string;
      readonly message?: string;
      readonly startLine?: number;
      readonly startColumn?: number;
    };
  }; // written by our own hook
  const place: SourceLocation = {
    file: relativeFile(fileURLToPath(url), root),
    line: details.startLine ?? 1,
    column: (details.startColumn ?? 0) + 1,
  };
  return fail(
    messages.modelSyntax(details.message ?? "syntax error", details.code === "UnsupportedSyntax"),
    place,
    error,
  );
}

/** The first place of a file of the user's in an error's stack. */
function stackPlace(error: Error, root: string): SourceLocation | undefined {
  const match = /file:\/\/[^\s):]+(?::\d+)?(?::\d+)?/.exec(error.stack ?? "")?.[0];
  const parts = match === undefined ? null : /^(file:\/\/[^:]+):(\d+)(?::(\d+))?$/.exec(match);
  if (parts === null) return undefined;
  const file = fileURLToPath(parts[1] ?? "");
  // Errors of syntax say the column by a caret under the line.
  const caret = (error.stack ?? "").split("\n").find((line) => /^\s*\^+\s*$/.test(line));
  const column = parts[3] ?? (caret === undefined ? 1 : caret.indexOf("^") + 1);
  return isAbsolute(file)
    ? { file: relativeFile(file, root), line: Number(parts[2]), column: Number(column) }
    : undefined;
}

/** Where the model imports something whose resolved or written name ends like `specifier`. */
function importPlace(file: string, root: string, specifier: string): SourceLocation {
  const lines = readFileSync(file, "utf8").split("\n");
  const name = specifier.split("/").at(-1) ?? specifier;
  const index = lines.findIndex((line) => /\bfrom\b|\bimport\b/.test(line) && name !== "" && line.includes(name));
  const line = Math.max(index, 0);
  const column = Math.max(lines[line]?.indexOf(name) ?? 0, 0);
  return { file: relativeFile(file, root), line: line + 1, column: column + 1 };
}

function describe(exported: Readonly<Record<string, unknown>>): string {
  const names = Object.keys(exported);
  if (names.length === 0) return "no exports";
  return "default" in exported
    ? `a default export that is ${typeof exported["default"]}`
    : `exports ${names.join(", ")}`;
}
