/**
 * `kiln export`: writes a page that trains an artifact in a browser, as a folder for any static server, as one HTML file,
 * or both. The program of the page was bundled when this package was built; here only files are put together.
 */
import { existsSync, readFileSync, readdirSync, statSync, unlinkSync } from "node:fs";
import * as path from "node:path";
import { defaultGenerator } from "../ir/random/default.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { writeAtomically } from "../runtime/atomic-file.ts";
import type { DataLoader } from "../runtime/data/loader.ts";
import { setDataRoot } from "../runtime/data/root.ts";
import { makeFolder } from "../runtime/make-folder.ts";
import { kernelFiles } from "../runtime/gpu/variants.ts";
import { readArtifactFile, readManifest } from "../runtime/manifest.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { isLoader } from "../runtime/training/feed.ts";
import type { OptionValues } from "../runtime/training/option-table.ts";
import { artifactFolder, importTrainer } from "./artifact-module.ts";
import { describePage, encodeWords, isPage } from "./export-data.ts";
import type { commands } from "./options.ts";

/** Files of a page by path relative to its folder. */
type PageFiles = ReadonlyMap<string, Uint8Array>;

/** The page's program, as it was built. */
const programFiles = ["index.html", "app.css", "app.js"] as const;

/** Folders in a page that hold nothing but what an export put there. */
const ownFolders = ["data", "kernels"] as const;

/** Runs `kiln export`. */
export async function runExport(
  [given]: readonly string[],
  options: OptionValues<typeof commands.export.options>,
): Promise<number> {
  const { web, singleFile } = options;
  if (web === undefined && singleFile === undefined)
    throw fail(messages.badUsage("nothing to write: give --web DIR, --single-file FILE, or both", "kiln export"));
  if (web !== undefined) checkFolder(web);
  const files = await collectFiles(artifactFolder(given), options.data);
  const written = [];
  if (web !== undefined) written.push({ path: web, bytes: writePage(web, files) });
  if (singleFile !== undefined) {
    const page = inlined(files);
    makeFolder(path.resolve(path.dirname(singleFile)));
    writeAtomically(singleFile, [page]);
    written.push({ path: singleFile, bytes: page.byteLength });
  }
  if (options.json === true) process.stdout.write(`${JSON.stringify({ written, files: [...files.keys()] })}\n`);
  else for (const each of written) process.stdout.write(`${each.path}: ${(each.bytes / 1e6).toFixed(1)} MB\n`);
  if (options.json !== true && web !== undefined)
    process.stdout.write(`Serve the folder with any static server, for example: npx serve ${web}\n`);
  return 0;
}

/** All files of a page: its program, the artifact's part for browsers, and the data. */
async function collectFiles(artifact: string, dataRoot: string | undefined): Promise<PageFiles> {
  const manifest = await readManifest(artifact);
  const target = manifest.targets.find(({ name }) => name === "wgsl");
  if (target?.name !== "wgsl") throw fail(messages.pageNeedsWgsl(manifest.targets.map(({ name }) => name)));
  const { data } = await importTrainer(artifact);
  const files = readPageProgram(path.join(packageRoot(), "dist", "web"));
  const kernels = [...new Set(target.kernels.flatMap(kernelFiles))];
  for (const file of kernels) files.set(file, await readArtifactFile(artifact, manifest, file));
  const hashes = Object.fromEntries(kernels.map((file) => [file, manifest.files[file] ?? ""]));
  files.set("manifest.json", text(JSON.stringify({ ...manifest, files: hashes, targets: [target] })));
  if (dataRoot !== undefined) setDataRoot(dataRoot);
  const { loaders, drawn } = await makeLoaders(data, manifest.training?.seed ?? 0);
  const { page, arrays } = describePage(loaders, drawn);
  for (const [file, bytes] of arrays) files.set(file, bytes);
  files.set("page.json", text(JSON.stringify(page)));
  return files;
}

/** The files of the page's program in `folder`, as it was built. @throws TargetError K5510 if it was not. */
export function readPageProgram(folder: string): Map<string, Uint8Array> {
  return new Map(
    programFiles.map((name) => {
      const file = path.join(folder, name);
      if (!existsSync(file)) throw fail(messages.pageNotBuilt(name));
      return [name, readFileSync(file)];
    }),
  );
}

/** The loaders of a trainer, seeded as it seeds them, and the default generator's state if they drew from it. */
async function makeLoaders(
  data: () => unknown,
  seed: number,
): Promise<{ readonly loaders: ReadonlyMap<string, DataLoader>; readonly drawn: string | null }> {
  defaultGenerator.manualSeed(seed);
  const before = encodeWords(defaultGenerator.save());
  const made: unknown = await data();
  const after = encodeWords(defaultGenerator.save());
  const loaders = new Map<string, DataLoader>();
  for (const [name, loader] of Object.entries(made ?? {})) if (isLoader(loader)) loaders.set(name, loader);
  if (!loaders.has("train")) throw fail(messages.loaderMissing("train", Object.keys(made ?? {})));
  return { loaders, drawn: before === after ? null : after };
}

/** Refuses a folder whose contents are not ours to replace. @throws UserError K5512. */
function checkFolder(folder: string): void {
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) throw fail(messages.pageFolderTaken(folder, "a file"));
  const names = readdirSync(folder);
  const description = path.join(folder, "page.json");
  const isOurs = existsSync(description) && statSync(description).isFile() && isPage(readFileSync(description));
  if (names.length > 0 && !isOurs) throw fail(messages.pageFolderTaken(folder, names.slice(0, 5).join(", ")));
}

/** Writes a page's files into a folder and removes those of an older page; their bytes. */
function writePage(folder: string, files: PageFiles): number {
  let bytes = 0;
  for (const [name, contents] of files) {
    const file = path.join(folder, name);
    makeFolder(path.resolve(path.dirname(file)));
    writeAtomically(file, [contents]);
    bytes += contents.byteLength;
  }
  for (const own of ownFolders) {
    const place = path.join(folder, own);
    if (!existsSync(place)) continue;
    for (const name of readdirSync(place, { recursive: true, encoding: "utf8" })) {
      const file = path.join(place, name);
      const isOld = !files.has(path.relative(folder, file).split(path.sep).join("/"));
      if (isOld && statSync(file).isFile()) unlinkSync(file);
    }
  }
  return bytes;
}

/** The page as one HTML file: what it would fetch lies in it in base64. */
function inlined(files: PageFiles): Uint8Array {
  const read = (name: string): string => new TextDecoder().decode(files.get(name));
  const embedded = [...files].filter(([name]) => !programFiles.some((own) => own === name));
  const parts = embedded.map(
    ([name, bytes]) =>
      `<script type="text/plain" data-file="${attribute(name)}">${Buffer.from(bytes).toString("base64")}</script>`,
  );
  // Functions, since text to replace with may hold `$`.
  const html = read("index.html")
    .replace('<link rel="stylesheet" href="app.css" />', () => `<style>${read("app.css")}</style>`)
    .replace('<script src="app.js"></script>', () => `${parts.join("\n")}\n<script>${read("app.js")}</script>`);
  return text(html);
}

function attribute(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
