/**
 * Finding what a module holds: its own enumerable properties in order of definition, into modules, arrays, plain objects
 * and maps with text keys. Names are the paths, joined by dots, exactly as in PyTorch's state dict.
 */
import { fail, printable } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { Buffer, Parameter } from "../trace/parameter.ts";

/** Marks modules of every copy of the library. */
export const moduleBrand: unique symbol = Symbol.for("kiln.module");

/** Anything that is a module. */
export type ModuleLike = { readonly [moduleBrand]: true };

/** Something a module holds directly. */
export type Held =
  | { readonly kind: "module"; readonly name: string; readonly module: ModuleLike }
  | { readonly kind: "parameter"; readonly name: string; readonly tensor: Parameter }
  | { readonly kind: "buffer"; readonly name: string; readonly tensor: Buffer };

/** Whether `x` is a module, of whichever copy of the library. */
export function isModuleLike(x: unknown): x is ModuleLike {
  return typeof x === "object" && x !== null && moduleBrand in x;
}

/** Names that would reach into JavaScript's own objects, or break a path. */
function checkName(name: string, place: string): void {
  if (name === "" || name.includes(".") || ["__proto__", "constructor", "prototype"].includes(name))
    throw fail(messages.badStateName(name, place));
}

/** What `module` holds directly, in order of definition. */
export function held(module: ModuleLike): Held[] {
  const found: Held[] = [];
  for (const [name, value] of Object.entries(module)) collect(name, value, found, [module]);
  return found;
}

function collect(name: string, value: unknown, found: Held[], inside: readonly unknown[]): void {
  if (typeof value !== "object" || value === null) return;
  if (isModuleLike(value)) found.push({ kind: "module", name, module: value });
  else if (value instanceof Parameter) found.push({ kind: "parameter", name, tensor: value });
  else if (value instanceof Buffer) found.push({ kind: "buffer", name, tensor: value });
  else if (isContainer(value) && !inside.includes(value)) {
    for (const [key, part] of entries(value)) {
      const inner: Held[] = [];
      collect(String(key), part, inner, [...inside, value]);
      if (inner.length === 0) continue;
      if (typeof key !== "string") throw fail(messages.badStateName(printable(String(key)), name));
      checkName(key, name);
      for (const each of inner) found.push({ ...each, name: `${name}.${each.name}` });
    }
    return;
  } else return;
  checkName(name, "a module");
}

type Container = readonly unknown[] | ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>>;

function isContainer(value: object): value is Container {
  if (Array.isArray(value) || value instanceof Map) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function entries(value: Container): Iterable<readonly [unknown, unknown]> {
  return value instanceof Map ? value.entries() : Object.entries(value);
}
