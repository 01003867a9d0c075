/**
 * What a schema cannot say of a manifest: that every value lies inside its region, that names are unique and known, that
 * paths stay inside the folder, that formulas can be evaluated, and that all targets are the same program. After
 * `checkManifest` nothing in it is trusted blindly and nothing in it needs checking again.
 */
import * as v from "valibot";
import { manifestSchema, type Manifest, type ManifestTarget } from "../ir/artifact/manifest.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { bad, checkName, checkPath, countOf, finite, unique } from "./manifest-faults.ts";
import { checkTarget, entryLabel } from "./target-check.ts";

/** A manifest from parsed JSON, checked. @throws UserError K3002, K3004. */
export function parseManifest(parsed: unknown): Manifest {
  let result;
  try {
    result = v.safeParse(manifestSchema, parsed, { abortEarly: true });
  } catch (error) {
    // The depth of JSON is bounded only by the stack.
    const reason = error instanceof Error ? error.message : String(error);
    throw fail(messages.badManifest("manifest.json", "a manifest", reason), undefined, error);
  }
  if (!result.success) {
    const [issue] = result.issues;
    const where = v.getDotPath(issue) ?? "the whole";
    throw fail(messages.badManifest(where, issue.expected ?? "another value", issue.received));
  }
  checkManifest(result.output);
  return result.output;
}

/** Throws unless the manifest is sound. @throws UserError K3002, K3004. */
function checkManifest(manifest: Manifest): void {
  for (const [file, hash] of Object.entries(manifest.files)) {
    checkPath(file);
    if (!/^[0-9a-f]{64}$/.test(hash)) throw bad(`files.${file}`, "a SHA-256 in hexadecimal", hash.slice(0, 80));
  }
  unique("counters", manifest.counters);
  for (const [name, value] of Object.entries(manifest.hyper)) {
    checkName("hyper", name);
    finite(`hyper.${name}`, value);
  }
  unique(
    "targets",
    manifest.targets.map((target) => target.name),
  );
  const [first] = manifest.targets;
  if (first === undefined) throw bad("targets", "at least one target", "none");
  for (const [i, target] of manifest.targets.entries()) {
    checkTarget(`targets.${i}`, target, manifest);
    if (target !== first) checkSame(`targets.${i}`, target, first);
  }
  checkInit(manifest, first);
  checkTraining(manifest);
}

/** Throws unless two targets hold the same values and entries, so that a checkpoint of one is one of the other. */
function checkSame(where: string, target: ManifestTarget, first: ManifestTarget): void {
  const values = ({ state }: ManifestTarget): string =>
    JSON.stringify(state.values.map(({ name, role, dtype, shape }) => [name, role, dtype, shape]));
  if (values(target) !== values(first))
    throw bad(`${where}.state.values`, `the values of the target ${first.name}, in the same order`, "others");
  const entries = ({ entries: all }: ManifestTarget): string =>
    JSON.stringify(
      all.map(({ buffers, increments, ...entry }) => [
        entryLabel(entry),
        buffers
          .filter(({ role }) => role === "input" || role === "dataset" || role === "output")
          .map(({ role, name, dtype, shape }) => [role, name, dtype, shape]),
        Object.entries(increments).toSorted(([a], [b]) => (a < b ? -1 : 1)),
      ]),
    );
  if (entries(target) !== entries(first))
    throw bad(`${where}.entries`, `the entries of the target ${first.name}, in the same order`, "others");
}

function checkInit(manifest: Manifest, { state }: ManifestTarget): void {
  const known = new Set(state.values.map((value) => value.name));
  for (const [i, step] of manifest.init.entries()) {
    const where = `init.${i}`;
    if (typeof step.kind !== "string" || typeof step.state !== "string")
      throw bad(where, "a step with kind and state", "none");
    if (step.kind === "scratch") {
      checkName(where, step.state);
      // The initialiser checks dtype and extents; their product is what could ask for all memory there is.
      if (!Array.isArray(step.shape)) throw bad(`${where}.shape`, "a shape", typeof step.shape);
      const count = countOf(`${where}.shape`, step.shape);
      if (count > 2 ** 32) throw bad(`${where}.shape`, "at most 2^32 elements", String(count));
      known.add(step.state);
    } else if (!known.has(step.state)) {
      throw bad(`${where}.state`, "a known state", step.state);
    }
  }
}

function checkTraining(manifest: Manifest): void {
  const { training } = manifest;
  if (training === null) return;
  finite("training.seed", training.seed);
  unique(
    "training.loaders",
    training.loaders.map((loader) => loader.name),
  );
}
