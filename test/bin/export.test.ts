/** `kiln export`: what a page consists of, and every reason why there is none. What a page does: `end-to-end/web.test.ts`. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { assert } from "chai";
import * as v from "valibot";
import { readPageProgram } from "../../bin/export.ts";
import { describePage } from "../../bin/export-data.ts";
import { pageSchema } from "../../ir/artifact/page.ts";
import { Generator } from "../../ir/random/generator.ts";
import {
  DataLoader,
  Dataset,
  RandomSampler,
  SubsetRandomSampler,
  Subset,
  TensorDataset,
  WeightedRandomSampler,
} from "../../runtime/data/index.ts";
import { openWebGpu } from "../../runtime/gpu/webgpu.ts";
import { parseManifest } from "../../runtime/manifest-check.ts";
import { failsWith } from "../fails-with.ts";
import { failsWithAsync } from "../fails-with-async.ts";
import { digitsProject, kiln } from "./kiln.ts";

describe("kiln export", () => {
  let folder = "";

  before(() => {
    folder = digitsProject();
    const compiled = kiln(["compile", "digits", "--no-check", "--target", "c,wgsl"], folder);
    assert.equal(compiled.code, 0, compiled.talk);
  });

  it("writes a page with the artifact's part for browsers and its data", () => {
    const { code, talk, out } = kiln(["export", "build/digits", "--web", "page"], folder);
    assert.equal(code, 0, talk);
    assert.match(out, /^page: \d+\.\d MB$/m);
    const files = readdirSync(join(folder, "page"));
    assert.sameMembers(files, ["app.css", "app.js", "data", "index.html", "kernels", "manifest.json", "page.json"]);
    const read = (file: string): Buffer => readFileSync(join(folder, "page", file));
    const manifest = parseManifest(JSON.parse(read("manifest.json").toString()));
    assert.deepEqual(
      manifest.targets.map(({ name }) => name),
      ["wgsl"],
    );
    for (const file of Object.keys(manifest.files)) assert.match(file, /^kernels\/wgsl\/\w+(\.\w+)*\.wgsl$/);
    const page = v.parse(pageSchema, JSON.parse(read("page.json").toString()));
    assert.deepEqual(
      page.loaders.map(({ name, batchSize, sampler }) => [name, batchSize, sampler.kind]),
      [
        ["train", 8, "random"],
        ["test", 5, "sequential"],
      ],
    );
    assert.isNull(page.drawn);
    for (const { file, shape, dtype } of page.arrays)
      assert.equal(
        gunzipSync(read(file)).length,
        shape.reduce((product, extent) => product * extent, dtype === "i64" ? 8 : 1),
      );
    // Nothing comes from elsewhere, nor from this machine.
    const html = read("index.html").toString();
    assert.notMatch(html + read("app.css").toString(), /https?:\/\/(?!www\.w3\.org)/);
    assert.notInclude(read("app.js").toString(), folder);
  });

  it("writes one file that holds the same", () => {
    const { code, talk, json } = kiln(["export", "build/digits", "--single-file", "one/page.html", "--json"], folder);
    assert.equal(code, 0, talk);
    const html = readFileSync(join(folder, "one", "page.html"), "utf8");
    assert.notMatch(html, /(?:src|href)="app/);
    const files = json()[0]?.["files"];
    const embedded = [...html.matchAll(/<script type="text\/plain" data-file="/g)];
    assert.equal(embedded.length, (Array.isArray(files) ? files.length : 0) - 3);
  });

  it("refuses a folder that holds something else", () => {
    const other = join(folder, "other");
    mkdirSync(other);
    writeFileSync(join(other, "thesis.txt"), "years");
    const { code, json } = kiln(["export", "build/digits", "--web", "other", "--json"], folder);
    assert.equal(code, 1);
    assert.include(json()[0], { code: "K5512", got: "thesis.txt" });
    assert.deepEqual(readdirSync(other), ["thesis.txt"]);
  });

  it("refuses an artifact without WGSL, and asks where to write to", () => {
    assert.equal(kiln(["compile", "digits", "--no-check", "--out", "only-c"], folder).code, 0);
    const { code, json } = kiln(["export", "only-c", "--web", "none", "--json"], folder);
    assert.equal(code, 3);
    assert.include(json()[0], { code: "K5511", got: "c" });
    assert.include(kiln(["export", "build/digits", "--json"], folder).json()[0], { code: "K6004" });
  });

  it("says that the page's program was not built", () => {
    const empty = mkdtempSync(join(tmpdir(), "kiln-export-"));
    try {
      failsWith("K5510", () => readPageProgram(empty));
    } finally {
      rmSync(empty, { recursive: true });
    }
  });
});

describe("the data of a page", () => {
  const whole = new TensorDataset({ data: Float32Array.from([1, 2, 3, 4]), shape: [4, 1] });
  const describe = (loaders: Record<string, DataLoader>): ReturnType<typeof describePage> =>
    describePage(new Map(Object.entries(loaders)), null);

  it("keeps shared arrays and generators once, and every kind of sampler", () => {
    const generator = new Generator();
    const sampler = new RandomSampler(whole, { replacement: true, numSamples: 7, generator });
    const { page, arrays } = describe({
      train: new DataLoader(whole, { sampler, generator }),
      part: new DataLoader(new Subset(whole, [2, 0]), { batchSize: 2 }),
      subset: new DataLoader(whole, { sampler: new SubsetRandomSampler([3, 1]) }),
      weighted: new DataLoader(whole, { sampler: new WeightedRandomSampler([1, 2, 3, 4], 6) }),
    });
    const [train, part, subset, weighted] = page.loaders;
    assert.deepInclude(train, { fields: [0], rows: null, generator: 0 });
    assert.deepEqual(train?.sampler, { kind: "random", replacement: true, samples: 7, generator: 0 });
    assert.deepInclude(part, { fields: [0], rows: 1, sampler: { kind: "sequential" } });
    assert.deepEqual(subset?.sampler, { kind: "subset", indices: 2, generator: null });
    assert.deepInclude(weighted?.sampler, { kind: "weighted", weights: 3, samples: 6 });
    assert.lengthOf(page.generators, 1);
    assert.deepEqual(
      [...arrays.keys()],
      page.arrays.map(({ file }) => file),
    );
    assert.deepEqual(
      page.arrays.map(({ dtype }) => dtype),
      ["f32", "i32", "i32", "f64"],
    );
  });

  it("must be held as arrays", () => {
    class Own extends Dataset {
      readonly length = 2;
      get(index: number): number[] {
        return [index];
      }
    }
    assert.include(failsWith("K5513", () => describe({ train: new DataLoader(new Own()) })).message, "Own");
    const collate = (): never => {
      throw new Error("not called");
    };
    failsWith("K5513", () => describe({ train: new DataLoader(whole, { collate }) }));
  });

  it("must be visited in an order that the page can draw", () => {
    class Backwards extends RandomSampler {
      override order(): Int32Array {
        return super.order().toReversed();
      }
    }
    const sampler = new Backwards(whole);
    assert.include(
      failsWith("K5514", () => describe({ train: new DataLoader(whole, { sampler }) })).message,
      "Backwards",
    );
  });
});

describe("a browser without WebGPU", () => {
  it("is told what it lacks", async () => {
    await failsWithAsync("K5501", () => openWebGpu());
  });
});
