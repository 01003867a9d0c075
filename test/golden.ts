/**
 * PyTorch's reference data for tests: where it lies, its manifests and its tensors. The folder is named by the variable
 * `KILN_GOLDEN`, by default `../shared/golden`, relative to the repository. Where it is absent, tests skip, loudly.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Context } from "mocha";
import type { DType, Shape } from "../ir/type.ts";
import { readSafetensors } from "../runtime/safetensors.ts";
import { typedArray, type TypedArray } from "../runtime/typed-array.ts";

/** A stored tensor and its elements, row-major (`f16` and `bf16` as bits). */
export type GoldenTensor = { readonly dtype: DType; readonly shape: Shape; readonly data: TypedArray };

/** What the manifests of all families have in common: a list of cases with names. The rest is the family's own. */
export type GoldenManifest<Case> = { readonly cases: readonly (Case & { readonly id: string })[] };

/** The repository's root, seen from the built test. */
const root = fileURLToPath(new URL("../..", import.meta.url));

/** The folder of the reference data; `undefined` if there is none. */
export function goldenDir(): string | undefined {
  const folder = resolve(root, process.env["KILN_GOLDEN"] ?? "../shared/golden");
  return existsSync(folder) ? folder : undefined;
}

/** The folder of the reference data for a test that needs it; skips the test, with a line on stderr, if there is none. */
export function requireGolden(context: Context): string {
  const folder = goldenDir();
  if (folder !== undefined) return folder;
  process.stderr.write(`SKIPPED without reference data (set KILN_GOLDEN): ${context.test?.fullTitle() ?? "a test"}\n`);
  return context.skip();
}

/**
 * The manifest of a family (`rng`, `ops`, …): its folder's `manifest.json`. The caller names the type of the cases,
 * since each family has fields of its own; nothing is checked.
 */
export function loadManifest<Case = Record<string, unknown>>(family: string): GoldenManifest<Case> {
  return JSON.parse(readFileSync(join(goldenDir() ?? "", family, "manifest.json"), "utf8")) as GoldenManifest<Case>;
}

/** All tensors of a safetensors file; a relative path starts at the golden folder (`rng/rng.safetensors`). */
export function openTensors(path: string): Map<string, GoldenTensor> {
  const { tensors } = readSafetensors(resolve(goldenDir() ?? root, path));
  return new Map(
    [...tensors].map(([name, { dtype, shape, bytes }]) => [name, { dtype, shape, data: typedArray(dtype, bytes) }]),
  );
}
