/** Manifests as hostile input: every fault is a coded error, and nothing else ever happens. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import * as fc from "fast-check";
import { DiagnosticError } from "../../ir/diagnostic/diagnostic.ts";
import { readArtifactFile, readManifest } from "../../runtime/manifest.ts";
import { parseManifest } from "../../runtime/manifest-check.ts";
import { selectTarget } from "../../runtime/select-target.ts";
import { StateRegion } from "../../runtime/state.ts";
import { failsWith } from "../fails-with.ts";
import { removeFolders, temporaryFolder, tinyManifest, writeArtifact } from "./tiny-artifact.ts";

const library = new Uint8Array([1, 2, 3]);

/** A JSON value that can be changed anywhere. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const valid = (): Json => JSON.parse(JSON.stringify(tinyManifest(library))) as Json;

/** The value at a path, whose last step is set to `value`. */
function change(path: readonly (string | number)[], value: Json | undefined): Json {
  const manifest = valid();
  let place: Json = manifest;
  for (const step of path.slice(0, -1)) place = (place as { [key: string]: Json })[step] ?? null;
  Object.defineProperty(place, path.at(-1) ?? "", { value, enumerable: true, configurable: true });
  return manifest;
}

describe("manifests", () => {
  after(removeFolders);

  it("reads a valid one", () => {
    expect(selectTarget(parseManifest(valid())).entries.length).to.equal(7);
  });

  const big = 2 ** 52;
  const faults: readonly [string, readonly (string | number)[], Json | undefined][] = [
    ["another schema", ["schema"], 1],
    ["a missing part", ["targets", 0, "state"], undefined],
    ["an offset outside the region", ["targets", 0, "state", "values", 1, "offset"], 512],
    ["a misaligned offset", ["targets", 0, "state", "values", 1, "offset"], 2],
    ["a negative offset", ["targets", 0, "state", "values", 1, "offset"], -4],
    ["an offset past 2^53", ["targets", 0, "state", "values", 1, "offset"], 2 ** 54],
    ["a stride that leads outside", ["targets", 0, "state", "values", 1, "strides"], [1, 400]],
    ["a stride whose span wraps", ["targets", 0, "state", "values", 1, "strides"], [big, big]],
    ["strides that overlap", ["targets", 0, "state", "values", 1, "strides"], [1, 2]],
    ["a stride of 0", ["targets", 0, "state", "values", 1, "strides"], [0, 0]],
    ["too few strides", ["targets", 0, "state", "values", 1, "strides"], [1]],
    ["a shape whose product wraps", ["targets", 0, "state", "values", 1, "shape"], [big, big]],
    ["a bomb of extents", ["targets", 0, "state", "values", 1, "shape"], [2 ** 40, 1]],
    ["a name twice", ["targets", 0, "state", "values", 1, "name"], "total"],
    ["a reserved name", ["targets", 0, "state", "values", 1, "name"], "fc.__proto__"],
    ["an empty name", ["targets", 0, "state", "values", 1, "name"], ""],
    ["an unknown dtype", ["targets", 0, "state", "values", 1, "dtype"], "toString"],
    ["an unknown counter", ["targets", 0, "entries", 0, "increments"], { steps: 1 }],
    ["an unknown hyperparameter", ["targets", 0, "entries", 0, "scalars", 0], ["hyper", "lr"]],
    ["a hyperparameter of the prototype", ["targets", 0, "entries", 0, "scalars", 0], ["hyper", "toString"]],
    ["an unknown operation", ["targets", 0, "entries", 0, "scalars", 0], ["eval", 1]],
    ["a missing operand", ["targets", 0, "entries", 0, "scalars", 0], ["add", 1]],
    ["too many scalars for their buffer", ["targets", 0, "entries", 0, "scalars"], [1, 2, 3]],
    ["scalars without a buffer", ["targets", 0, "entries", 3, "scalars"], [1]],
    ["an entry twice", ["targets", 0, "entries", 1, "batch"], 4],
    ["a buffer twice", ["targets", 0, "entries", 0, "buffers", 0, "role"], "state"],
    ["a status of one word", ["targets", 0, "entries", 6, "buffers", 1, "shape"], [1]],
    ["a data set without indices", ["targets", 0, "entries", 2, "buffers", 1, "role"], "arena"],
    ["an initial value for nothing", ["init", 0, "state"], "fc.bias"],
    ["a scratch bomb", ["init", 0], { kind: "scratch", state: "s", dtype: "f32", shape: [2 ** 40] }],
    ["a step of no kind", ["init", 0], { state: "total", kind: 5 }],
    ["a library without a hash", ["files"], {}],
    ["no target", ["targets"], []],
    ["a hash of another form", ["files", "program.so"], "abc"],
  ];
  for (const [what, path, value] of faults)
    it(`refuses ${what}`, () => {
      failsWith("K3002", () => parseManifest(change(path, value)));
    });

  it("refuses infinite numbers and deep formulas", () => {
    const infinite = JSON.parse(JSON.stringify(valid()).replace('"bias":0.25', '"bias":1e400')) as unknown;
    failsWith("K3002", () => parseManifest(infinite));
    let deep: Json = 1;
    for (let i = 0; i < 100_000; i++) deep = ["neg", deep];
    failsWith("K3002", () => parseManifest(change(["targets", 0, "entries", 0, "scalars", 0], deep)));
  });

  for (const path of ["../program.so", "/etc/passwd", "a/../../b", "./program.so", "C:\\x", "a//b", "x\u0000"])
    it(`refuses the path ${JSON.stringify(path)}`, () => {
      failsWith("K3004", () => parseManifest(change(["targets", 0, "library"], path)));
      const manifest = valid();
      const { files } = manifest as { files: { [key: string]: Json } };
      files[path] = "0".repeat(64);
      failsWith("K3004", () => parseManifest(manifest));
    });

  it("follows no link out of the folder and opens nothing but plain files", async () => {
    const codeOf = async (promise: Promise<unknown>): Promise<string> =>
      promise.then(
        () => "none",
        (error: unknown) => (error instanceof DiagnosticError ? error.code : String(error)),
      );
    const outside = temporaryFolder();
    writeFileSync(join(outside, "manifest.json"), JSON.stringify(valid()));
    writeFileSync(join(outside, "program.so"), library);
    const linked = temporaryFolder();
    symlinkSync(join(outside, "manifest.json"), join(linked, "manifest.json"));
    expect(await codeOf(readManifest(linked))).to.equal("K3004");
    symlinkSync(join(outside, "program.so"), join(linked, "program.so"));
    expect(await codeOf(readArtifactFile(linked, tinyManifest(library), "program.so"))).to.equal("K3004");
    const folders = temporaryFolder();
    mkdirSync(join(folders, "manifest.json"));
    expect(await codeOf(readManifest(folders))).to.equal("K3004");
    expect(await codeOf(readManifest(join(folders, "manifest.json")))).to.equal("K3001");
    const text = temporaryFolder();
    for (const contents of ["", "{", '"x"', "[]", "null", Buffer.from([0xff, 0xfe]), "[".repeat(1_000_000)]) {
      writeFileSync(join(text, "manifest.json"), contents);
      expect(await codeOf(readManifest(text))).to.equal("K3002");
    }
    expect((await readManifest(writeArtifact(valid(), library))).name).to.equal("tiny");
  });

  it("refuses or accepts every mutation, and what it accepts is safe to use", () => {
    const values: fc.Arbitrary<Json> = fc.oneof(
      fc.constantFrom<Json>(null, true, "", "__proto__", "f64", 0, -1, 0.5, 3, 2 ** 31, big, 2 ** 60, 1e308, [], {}),
      fc.integer({ min: 0, max: 600 }),
      fc.array(fc.integer({ min: 0, max: 64 }), { maxLength: 4 }),
    );
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(9999), values), { minLength: 1, maxLength: 2 }), (mutations) => {
        const manifest = valid();
        for (const [where, value] of mutations) mutate(manifest, where / 10_000, value);
        let parsed;
        try {
          parsed = selectTarget(parseManifest(manifest));
        } catch (error) {
          if (!(error instanceof DiagnosticError)) throw error;
          return;
        }
        accepted++;
        if (parsed.state.bytes > 2 ** 20) return;
        const region = new StateRegion(parsed.state.values, new ArrayBuffer(parsed.state.bytes));
        const roles = ["parameter", "buffer", "slot"] as const;
        const tensors = region.read(roles);
        region.write(roles, tensors);
      }),
      { numRuns: 4000, seed: 11 },
    );
    expect(accepted).to.be.above(50);
  });
});

/** Replaces, in the tree of a JSON value, the node that lies `where` (0 to 1) of the way through it. */
function mutate(root: Json, where: number, value: Json): void {
  const places: (() => void)[] = [];
  const walk = (node: Json): void => {
    if (typeof node !== "object" || node === null) return;
    for (const [key, child] of Object.entries(node)) {
      // Mostly keeps a number a number, so that more than the schema is reached.
      const fitting = typeof child === "number" && typeof value !== "number" && where < 0.9 ? 8 : value;
      places.push(() => ((node as { [key: string]: Json })[key] = fitting));
      walk(child);
    }
  };
  walk(root);
  places[Math.min(places.length - 1, Math.floor(where * places.length))]?.();
}
