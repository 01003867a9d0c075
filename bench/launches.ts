/**
 * A program taken apart for measuring: the same kernels, and for every launch of an entry an entry of its own, so that
 * launches can be run one after another in their order and timed each. The whole entries stay beside them.
 */
import { emitC, type CProgram } from "../codegen/targets/c/emit.ts";
import { createManifest, cTarget } from "../compiler/artifact.ts";
import { buildC } from "../compiler/build/c.ts";
import { cpuProfile } from "../compiler/build/features.ts";
import { packageVersion } from "../compiler/compile.ts";
import { loadModel } from "../compiler/load-model.ts";
import type { LaunchReport } from "../compiler/memory/plan.ts";
import { planTraced } from "../compiler/pipeline.ts";
import { traceTraining } from "../compiler/trace/training.ts";
import { viewTarget, type LoadedManifest, type ManifestEntry } from "../ir/artifact/manifest.ts";
import { describeLoader } from "../ir/data/describe.ts";
import { invariant } from "../ir/diagnostic/diagnostic.ts";
import { entryLabel, type PlannedEntry, type PlannedProgram } from "../ir/program.ts";
import { at } from "../ir/type.ts";
import { DataLoader } from "../runtime/data/loader.ts";

/** A launch, and the entry of the library that runs it alone. */
export type SingleLaunch = { readonly label: string; readonly report: LaunchReport };

/** A program whose launches can be run one by one. */
export type TakenApart = {
  /** Its text in C, and the shared object. */
  readonly source: CProgram;
  readonly image: Uint8Array;
  readonly manifest: LoadedManifest;
  /** The entry that was taken apart. */
  readonly entry: ManifestEntry;
  readonly launches: readonly SingleLaunch[];
  /** Label of an entry that does nothing: what a call costs. */
  readonly empty: string;
  /** The loader that the entry is fed from. */
  readonly loader: DataLoader;
};

/** Compiles the model at `path` and takes its training step at the loader's batch size apart. */
export async function takeApart(path: string): Promise<TakenApart> {
  const { file, root, definition } = await loadModel(path);
  const loaders = definition.data();
  const described = Object.entries(loaders).map(([name, loader]) => [name, describeLoader(loader, name)] as const);
  const loader = loaders["train"];
  invariant(loader instanceof DataLoader, "a model without a `train` loader");
  const traced = traceTraining(definition, Object.fromEntries(described), { root });
  const name = file;
  const profile = await cpuProfile();
  const { plan } = planTraced(traced, { machine: profile, name });
  const place = plan.program.entries.findIndex((entry) => entry.name === "train" && entry.batch === loader.batchSize);
  const whole = at(plan.program.entries, place);
  const { program, labels, empty } = withSingles(plan.program, whole);
  const source = emitC(program);
  const { library } = await buildC(source);
  const target = cTarget(traced, plan, profile.features);
  const about = { name, version: packageVersion(), command: "", traced, targets: [target] };
  const manifest = viewTarget(createManifest(about), target);
  const reports = at(plan.reports, place).launches;
  // Reports are in the order of scheduling; the plan may have put a launch into an earlier phase than one before it.
  const ordered = [...reports].sort((a, b) => a.phase - b.phase);
  invariant(ordered.length === labels.length, "as many reports as launches");
  const launches = labels.map((label, i) => ({ label, report: at(ordered, i) }));
  return { source, image: library, manifest, entry: at(manifest.entries, place), launches, empty, loader };
}

function withSingles(
  program: PlannedProgram,
  whole: PlannedEntry,
): { program: PlannedProgram; labels: string[]; empty: string } {
  const single = (name: string, phases: PlannedEntry["phases"]): PlannedEntry => ({ ...whole, name, phases });
  const singles = whole.phases.flat().map((launch, i) => single(`launch ${i}`, [[launch]]));
  const empty = single("empty", [[]]);
  return {
    program: { ...program, entries: [...program.entries, ...singles, empty] },
    labels: singles.map(entryLabel),
    empty: entryLabel(empty),
  };
}
