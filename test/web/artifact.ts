/** An artifact for the C and the WGSL target, for tests of pages. */
import { compileModel } from "../../compiler/compile.ts";
import type { Manifest } from "../../ir/artifact/manifest.ts";

/** Compiles the model in a file or folder into the folder `out`. */
export async function compileBoth(path: string, out: string): Promise<Manifest> {
  const { manifest } = await compileModel(path, { out, targets: ["c", "wgsl"] });
  return manifest;
}
