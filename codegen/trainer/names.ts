/**
 * Text from the user (names of loaders, metrics, programs, commands) as TypeScript source. Whatever the text holds, what
 * comes out is one string literal, one comment, or one identifier, and nothing else.
 */
import { printable } from "../../ir/diagnostic/diagnostic.ts";

/** A string literal in double quotes. */
export function stringLiteral(text: string): string {
  return JSON.stringify(text).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** Text that can stand in a line comment or a block comment without ending it. */
export function commentText(text: string): string {
  return printable(text).replaceAll("*/", "*\\/");
}

/** Text that can stand between the backquotes of a template literal. */
export function templateText(text: string): string {
  return printable(text).replaceAll("\\", "\\\\").replaceAll("`", "\\`").replaceAll("${", "\\${");
}

/** `.name`, or `["name"]` where the name is no identifier. */
export function propertyAccess(name: string): string {
  return isIdentifierName(name) ? `.${name}` : `[${stringLiteral(name)}]`;
}

/** `name`, or `"name"` where the name is no identifier: a property's key. */
export function propertyKey(name: string): string {
  return isIdentifierName(name) && name !== "__proto__" ? name : stringLiteral(name);
}

/** A variable name made from `name`, none of `taken`; the result is added to `taken`. */
export function variableName(name: string, taken: Set<string>): string {
  const words = name.replace(/[^A-Za-z0-9_$]+(.)?/g, (_, letter: string | undefined) => letter?.toUpperCase() ?? "");
  const start = /^[A-Za-z_$]/.test(words) ? words : `loader${words}`;
  let candidate = reserved.has(start) ? `${start}Loader` : start;
  for (let count = 2; taken.has(candidate); count++) candidate = `${start}${count}`;
  taken.add(candidate);
  return candidate;
}

/** `name` with its first letter in upper case. */
export function capitalized(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function isIdentifierName(name: string): boolean {
  return /^[A-Za-z_$][A-Za-z0-9_$]*$/.test(name);
}

const reserved = new Set(
  (
    "arguments await break case catch class const continue debugger default delete do else enum eval export extends " +
    "false finally for function if implements import in instanceof interface let new null package private protected " +
    "public return static super switch this throw true try typeof undefined var void while with yield"
  ).split(" "),
);
