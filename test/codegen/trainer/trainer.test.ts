/** The generated trainer: its golden text, its types under `strict`, hostile names, data modules, and the cache. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { generateTrainer } from "../../../codegen/trainer/trainer.ts";
import { packageRoot } from "../../../runtime/package-root.ts";
import { freshFolder, writeProject } from "../../errors/project.ts";
import { failsWithAsync } from "../../fails-with-async.ts";
import { expectGolden } from "../../golden-text.ts";
import { correct, entry, loss, manifest, training } from "./trainer-input.ts";

const model = `import { defineTraining } from "kilnjs";
import { DataLoader, mnist, transforms } from "kilnjs/data";
export default defineTraining({
  data: () => ({
    train: new DataLoader(mnist({ split: "train", transform: transforms.toTensor() }), { batchSize: 64, shuffle: true }),
    validation: new DataLoader(mnist({ split: "test", transform: transforms.toTensor() }), { batchSize: 64 }),
    test: new DataLoader(mnist({ split: "test", transform: transforms.toTensor() }), { batchSize: 64 }),
  }),
});
`;

/** Errors that the TypeScript compiler finds in the trainers of some folders under `strict`. */
function typeErrors(...folders: readonly string[]): string {
  const tsc = join(packageRoot(), "node_modules", "typescript", "bin", "tsc");
  const flags = "--noEmit --strict --noUnusedLocals --noUncheckedIndexedAccess --skipLibCheck --ignoreConfig".split(
    " ",
  );
  const target = "--target es2023 --module nodenext --types node".split(" ");
  const types = ["--typeRoots", join(packageRoot(), "node_modules", "@types")];
  const files = folders.map((folder) => join(folder, "trainer.ts"));
  const result = spawnSync(process.execPath, [tsc, ...flags, ...target, ...types, ...files], { encoding: "utf8" });
  return result.stdout + result.stderr;
}

async function generate(
  request: Partial<Parameters<typeof generateTrainer>[0]> = {},
  files: Readonly<Record<string, string>> = { "model.ts": model },
): Promise<{ readonly folder: string; readonly files: Record<string, string> }> {
  const folder = writeProject(files);
  const generated = await generateTrainer({
    manifest: manifest([entry("train", 64, [loss]), entry("evaluate", 64, [loss, correct])]),
    training: training(["train", "validation", "test"]),
    modelFile: join(folder, "model.ts"),
    displayName: "model.ts",
    ...request,
  });
  const out = writeProject({ ...generated, "package.json": `{ "type": "module" }` }, freshFolder("artifact"));
  return { folder: out, files: generated };
}

describe("codegen/trainer", function () {
  this.timeout(20_000);

  it("writes the loop of the tutorial", async () => {
    const { files } = await generate();
    expectGolden("test/golden/trainer.ts.txt", files["trainer.ts"] ?? "");
  });

  it("type-checks under strict, and its types catch a result that is not there", async () => {
    const { folder, files } = await generate();
    assert.equal(typeErrors(folder), "");
    const wrong = (files["trainer.ts"] ?? "").replace("results.correct", "results.corect");
    writeFileSync(join(folder, "trainer.ts"), wrong);
    assert.include(typeErrors(folder), "corect");
  });

  it("imports only kilnjs/runtime, kilnjs/data and copied data modules", async () => {
    const { folder, files } = await generate(
      {},
      {
        "model.ts": `import { defineTraining } from "kilnjs";\nimport { data } from "./sub/data.ts";\nexport default defineTraining({ data });\n`,
        "sub/data.ts": `import { DataLoader, mnist } from "kilnjs/data";\nimport { size } from "../manifest.ts";\nexport const data = () => ({ train: new DataLoader(mnist({ split: "train" }), { batchSize: size as number }), validation: new DataLoader(mnist({ split: "test" })), test: new DataLoader(mnist({ split: "test" })) });\n`,
        "manifest.ts": `export const size: number = 64;\n`,
      },
    );
    assert.sameMembers(Object.keys(files), [
      "trainer.ts",
      "trainer.js",
      "program.d.ts",
      "data.ts",
      "data.js",
      "manifest-2.ts",
      "manifest-2.js",
    ]);
    const imports = [...(files["trainer.js"] ?? "").matchAll(/from "([^"]*)"/g)].map((match) => match[1]);
    assert.sameMembers(imports, ["kilnjs/runtime", "./data.js"]);
    assert.include(files["data.js"], `from "./manifest-2.js"`);
    assert.notInclude(files["data.js"], "as number");
    assert.equal(typeErrors(folder), "");
  });

  it("keeps names that hold quotes, line breaks and comment ends where they belong", async () => {
    const nasty = [
      'a"b',
      "c`d${1}",
      "e\nf",
      "g*/h",
      "i\\",
      "j'k",
      "__proto__",
      "class",
      "1st",
      "\u2028",
      "über",
      "session",
    ];
    const folders: string[] = [];
    for (const name of nasty) {
      const result = { name, dtype: "f32" } as const;
      const { folder } = await generate({
        manifest: manifest([entry("train", 64, [loss, result]), entry("evaluate", 64, [result])], {
          name,
          command: `kiln compile ${name}`,
          state: name,
        }),
        training: training(["train", name]),
      });
      folders.push(folder);
    }
    // The data() of this model has no loader of such a name, which is all that may be wrong.
    const errors = typeErrors(...folders)
      .split("\n")
      .filter((line) => line.includes("error") && !line.includes("TS2339"));
    assert.deepEqual(errors, []);
  });

  it("remembers by content, and sees a changed data module", async () => {
    const cache = freshFolder("cache");
    const folder = writeProject({
      "model.ts": `import { defineTraining } from "kilnjs";\nimport { data } from "./data.ts";\nexport default defineTraining({ data });\n`,
      "data.ts": `export const data = () => ({ train: 1 });\n`,
    });
    const request = {
      manifest: manifest([entry("train", 64, [loss])]),
      training: training(["train"]),
      modelFile: join(folder, "model.ts"),
      displayName: "model.ts",
      cache,
    };
    const first = await generateTrainer(request);
    assert.deepEqual(await generateTrainer(request), first);
    writeFileSync(join(folder, "data.ts"), `export const data = () => ({ train: 2 });\n`);
    const second = await generateTrainer(request);
    assert.include(second["data.js"], "train: 2");
  });

  it("refuses data modules that drag the compiler along, or are not there", async () => {
    const importing = `import { defineTraining } from "kilnjs";\nimport { data } from "./data.ts";\nexport default defineTraining({ data });\n`;
    await failsWithAsync("K4008", () =>
      generate({}, { "model.ts": importing, "data.ts": `import { nn } from "kilnjs";\nexport const data = nn;\n` }),
    );
    await failsWithAsync("K4010", () => generate({}, { "model.ts": importing }));
  });
});
