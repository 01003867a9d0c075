/**
 * The trainer of a model file, from its text to the artifact's files, remembered by content: reading and writing
 * TypeScript costs some tenths of a second, so the result is kept in a cache folder under a hash of all that it depends
 * on. Takes the model file and the manifest; gives file names with their texts. `ts-morph` is loaded only on a miss.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import * as v from "valibot";
import type { TrainerInput } from "./emit.ts";

/** What the trainer of a model file is made from. */
export type TrainerRequest = Pick<TrainerInput, "manifest" | "training"> & {
  /** Absolute path of the model file. */
  readonly modelFile: string;
  /** Its name in messages and positions. */
  readonly displayName: string;
  /** Folder to remember results in; none are remembered without one. */
  readonly cache?: string | undefined;
};

const cachedSchema = v.object({
  /** SHA-256 of the data modules the result was made from, by path relative to the model file. */
  modules: v.record(v.string(), v.string()),
  files: v.record(v.string(), v.string()),
});

/** The generated files by name: the trainer, its types, and the user's data modules. Throws `UserError`s (K4008 to K4010). */
export async function generateTrainer(request: TrainerRequest): Promise<Record<string, string>> {
  const text = readFileSync(request.modelFile, "utf8");
  const entry =
    request.cache === undefined ? undefined : path.join(request.cache, "trainer", `${requestHash(request, text)}.json`);
  const cached = entry === undefined ? undefined : readCached(entry, request.modelFile);
  if (cached !== undefined) return cached;
  const [{ readData }, { copyModules, isRelative }, { emitTrainer }] = await Promise.all([
    import("./read-data.ts"),
    import("./copy-modules.ts"),
    import("./emit.ts"),
  ]);
  const data = readData(request.displayName, text);
  const relative = data.imports.map(({ module }) => module).filter(isRelative);
  const copied = copyModules(request.modelFile, relative);
  const imports = data.imports.map((each) => ({ ...each, module: copied.specifiers.get(each.module) ?? each.module }));
  const trainer = emitTrainer({ ...request, data: { ...data, imports } });
  const files = { ...trainer, ...copied.files };
  if (entry !== undefined) writeCached(entry, request.modelFile, copied.originals, files);
  return files;
}

function requestHash(request: TrainerRequest, text: string): string {
  const { manifest, training, displayName } = request;
  const { kiln, name, command, entries, state } = manifest;
  // Only what the text depends on: offsets and layouts may change without changing the trainer.
  const shapes = entries.map((entry) => ({
    name: entry.name,
    batch: entry.batch,
    buffers: entry.buffers
      .filter(({ role }) => role === "input" || role === "dataset" || role === "output")
      .map((buffer) => [buffer.role, buffer.name, buffer.dtype, buffer.shape]),
  }));
  const states = state.values.map((value) => [value.role, value.name, value.dtype, value.shape]);
  return sha256(JSON.stringify([generatorText(), kiln, name, command, displayName, shapes, states, training, text]));
}

/** The generator's own code, so that a changed generator never meets what an older one has left in the cache. */
function generatorText(): string {
  const extension = path.extname(fileURLToPath(import.meta.url));
  return ["emit", "names", "program-types", "read-data", "copy-modules"]
    .map((name) => readFileSync(new URL(`./${name}${extension}`, import.meta.url), "utf8"))
    .join("\n");
}

function readCached(entry: string, modelFile: string): Record<string, string> | undefined {
  try {
    const cached = v.parse(cachedSchema, JSON.parse(readFileSync(entry, "utf8")));
    const folder = path.dirname(modelFile);
    const fresh = Object.entries(cached.modules).every(
      ([name, hash]) => sha256(readFileSync(path.resolve(folder, name), "utf8")) === hash,
    );
    return fresh ? cached.files : undefined;
  } catch {
    // Not cached, or unreadable: then it is made anew.
    return undefined;
  }
}

function writeCached(
  entry: string,
  modelFile: string,
  originals: readonly string[],
  files: Record<string, string>,
): void {
  const folder = path.dirname(modelFile);
  const modules = Object.fromEntries(
    originals.map((original) => [path.relative(folder, original), sha256(readFileSync(original, "utf8"))]),
  );
  const temporary = `${entry}.${process.pid}-${randomBytes(6).toString("hex")}`;
  try {
    mkdirSync(path.dirname(entry), { recursive: true });
    writeFileSync(temporary, JSON.stringify({ modules, files }), { flag: "wx" });
    renameSync(temporary, entry);
  } catch {
    // A cache that cannot be written costs time on the next compile and nothing else.
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
