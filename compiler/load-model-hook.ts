/**
 * The load hook for TypeScript model files: types are blanked in place, so that every line and column of the result is the
 * source's own. Runs in Node's loader thread; a syntax error goes back as text that `load-model.ts` understands.
 */
import { readFile } from "node:fs/promises";
import type { LoadHook } from "node:module";
import { fileURLToPath } from "node:url";
import { transform } from "@swc/wasm-typescript";

/** Marks the message of an error that carries a syntax error as JSON. */
export const syntaxMark = "kiln-model-syntax:";

/** Strips types from `.ts` and `.mts` files outside `node_modules`; leaves the rest to Node. */
export const load: LoadHook = async (url, context, nextLoad) => {
  const isTypeScript = /^file:.*\.m?ts(\?.*)?$/.test(url) && !url.includes("/node_modules/");
  if (!isTypeScript) return nextLoad(url, context);
  const source = await readFile(fileURLToPath(url), "utf8");
  try {
    const { code } = await transform(source, { mode: "strip-only", module: true, filename: fileURLToPath(url) });
    return { format: "module", source: code, shortCircuit: true };
  } catch (error) {
    throw new Error(`${syntaxMark}${JSON.stringify({ url, error })}`, { cause: error });
  }
};
