/** An artifact for C and WGSL in one, of a model file, as `kiln compile --target c,wgsl` writes it. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { emitWgsl } from "../../codegen/targets/wgsl/emit.ts";
import { wgslMachine } from "../../codegen/targets/wgsl/limits.ts";
import { manifestEntries, manifestState, writeArtifact } from "../../compiler/artifact.ts";
import { compileModel } from "../../compiler/compile.ts";
import { loadModel } from "../../compiler/load-model.ts";
import { planTraced } from "../../compiler/pipeline.ts";
import { traceTraining } from "../../compiler/trace/training.ts";
import { describeLoader } from "../../ir/data/describe.ts";
import type { Manifest, WgslTarget } from "../../ir/artifact/manifest.ts";
import { at } from "../../ir/type.ts";
import { readManifest } from "../../runtime/manifest.ts";

/** Compiles the model in a file or folder into the folder `out`. */
export async function compileBoth(path: string, out: string): Promise<Manifest> {
  await compileModel(path, { out, command: "kiln compile --target c,wgsl" });
  const model = await loadModel(path);
  const loaders = Object.entries(await model.definition.data()).map(
    ([name, loader]) => [name, describeLoader(loader, name)] as const,
  );
  const traced = traceTraining(model.definition, Object.fromEntries(loaders), { root: dirname(model.file) });
  const { plan } = planTraced(traced, { machine: wgslMachine, name: "wgsl" });
  const { kernels, launches } = emitWgsl(plan.program);
  const fileOf = (name: string): string => `kernels/wgsl/${name}.wgsl`;
  const target: WgslTarget = {
    name: "wgsl",
    kernels: kernels.map(({ name, threads, sharedBytes, bindings }) => ({
      name,
      file: fileOf(name),
      threads,
      sharedBytes,
      bindings: [...bindings],
    })),
    state: manifestState(traced, plan),
    entries: manifestEntries(plan).map((entry, i) => ({
      ...entry,
      launches: at(launches, i).map(({ kernel, groups, bindings }) => ({
        kernel,
        groups,
        bindings: bindings.map(({ buffer, offset, bytes }) => ({ buffer, offset, bytes })),
      })),
    })),
  };
  const manifest = await readManifest(out);
  const files = new Map<string, Uint8Array | string>(
    Object.keys(manifest.files).map((file) => [file, readFileSync(join(out, file))]),
  );
  for (const { name, text } of kernels) files.set(fileOf(name), text);
  await writeArtifact(out, { ...manifest, targets: [...manifest.targets, target] }, files);
  return readManifest(out);
}
