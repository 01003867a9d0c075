/** Artifacts that were damaged, changed, or made for another machine or version. */
import { cpSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileModel } from "../../compiler/compile.ts";
import { Program } from "../../runtime/program.ts";
import { check, failure, type Expected } from "./mistake.ts";
import { freshFolder, project, writeProject } from "./project.ts";

type Json = Record<string, unknown>;

/** What happened to an artifact, and the error that loading it must end in. */
type Damage = {
  readonly mistake: string;
  /** Changes the manifest. */
  readonly edit?: (manifest: Json) => void;
  /** Changes the folder. */
  readonly change?: (folder: string) => void;
  readonly error: Expected;
};

const manifestPath = (folder: string): string => join(folder, "manifest.json");

/** The list of records under a key of a manifest; the manifest was written by the compiler. */
const records = (manifest: Json, key: string): Json[] => manifest[key] as Json[];
const record = (manifest: Json, key: string): Json => manifest[key] as Json;
const targetOf = (manifest: Json): Json => records(manifest, "targets")[0] ?? {};

const damages: readonly Damage[] = [
  {
    mistake: "a byte of the kernels changed",
    change: (folder) => {
      const file = join(folder, "program.so");
      const bytes = readFileSync(file);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 255;
      writeFileSync(file, bytes);
    },
    error: {
      code: "K3003",
      what: "program.so",
      expected: "SHA-256",
      got: /[0-9a-f]{64}/,
      hint: "Compile the model again",
    },
  },
  {
    mistake: "kernels cut short",
    change: (folder) =>
      writeFileSync(join(folder, "program.so"), readFileSync(join(folder, "program.so")).subarray(0, 100)),
    error: { code: "K3003", what: "program.so", expected: "SHA-256", got: /[0-9a-f]{64}/, hint: "Compile" },
  },
  {
    mistake: "kernels deleted",
    change: (folder) => rmSync(join(folder, "program.so")),
    error: {
      code: "K3001",
      what: "artifact",
      expected: "manifest.json",
      got: "program.so",
      hint: "compile the model again",
    },
  },
  {
    mistake: "kernels that are a link to another folder",
    change: (folder) => {
      renameSync(join(folder, "program.so"), `${folder}.so`);
      symlinkSync(`${folder}.so`, join(folder, "program.so"));
    },
    error: { code: "K3004", what: "program.so", expected: "inside the artifact", got: /./, hint: "tampered" },
  },
  {
    mistake: "no manifest",
    change: (folder) => rmSync(manifestPath(folder)),
    error: { code: "K3001", what: "artifact", expected: "manifest.json", got: "ENOENT", hint: "Check the path" },
  },
  {
    mistake: "a manifest that is cut short",
    change: (folder) => writeFileSync(manifestPath(folder), readFileSync(manifestPath(folder)).subarray(0, 200)),
    error: { code: "K3002", what: "manifest", expected: "JSON", got: /./, hint: "compile the model again" },
  },
  {
    mistake: "a manifest of a newer version",
    edit: (manifest) => (manifest["schema"] = 3),
    error: { code: "K3002", what: "schema", expected: "2", got: "3", hint: "another version" },
  },
  {
    mistake: "a field left out",
    edit: (manifest) => delete targetOf(manifest)["entries"],
    error: { code: "K3002", what: "entries", expected: /./, got: "undefined", hint: "compile the model again" },
  },
  {
    mistake: "a state beyond the end of its memory",
    edit: (manifest) => (record(targetOf(manifest), "state")["bytes"] = 8),
    error: { code: "K3002", what: "state", expected: /./, got: /./, hint: "compile the model again" },
  },
  {
    mistake: "a file outside the folder",
    edit: (manifest) => (targetOf(manifest)["library"] = "../../program.so"),
    error: { code: "K3004", what: "../../program.so", expected: "inside the artifact", got: /./, hint: "tampered" },
  },
  {
    mistake: "an absolute path",
    edit: (manifest) => (targetOf(manifest)["library"] = "/lib/libc.so.6"),
    error: { code: "K3004", what: "/lib/libc.so.6", expected: "inside the artifact", got: /./, hint: "tampered" },
  },
  {
    mistake: "kernels for another processor",
    edit: (manifest) => (targetOf(manifest)["arch"] = process.arch === "arm64" ? "x64" : "arm64"),
    error: { code: "K5001", kind: "target", expected: /arm64|x64/, got: process.arch, hint: "on this machine" },
  },
  {
    mistake: "kernels for a newer processor",
    edit: (manifest) => (targetOf(manifest)["features"] = ["avx9000"]),
    error: { code: "K5002", kind: "target", expected: "avx9000", got: "without", hint: "--march" },
  },
  {
    mistake: "entries that the kernels do not have",
    edit: (manifest) => {
      for (const entry of records(targetOf(manifest), "entries")) entry["name"] = "training";
    },
    error: {
      code: "K5008",
      kind: "target",
      what: "training@2",
      expected: "buffers",
      got: "no such entry",
      hint: "Compile",
    },
  },
];

describe("mistakes: artifacts", () => {
  let whole = "";

  before(async () => {
    whole = freshFolder("artifact");
    await compileModel(join(writeProject(project()), "model.ts"), { out: whole });
    await (await Program.load(whole)).dispose();
  });

  for (const { mistake, edit, change, error } of damages) {
    it(`${error.code}: ${mistake}`, async () => {
      const folder = freshFolder("artifact");
      cpSync(whole, folder, { recursive: true });
      change?.(folder);
      if (edit !== undefined) {
        const manifest = JSON.parse(readFileSync(manifestPath(folder), "utf8")) as Json; // written by the compiler
        edit(manifest);
        writeFileSync(manifestPath(folder), JSON.stringify(manifest));
      }
      check(await failure(() => Program.load(folder)), error);
    });
  }

  it("K3006: a batch that was not compiled", async () => {
    await using program = await Program.load(whole, { seed: 0 });
    check(await failure(() => program.run({ entry: "train", batch: 3 })), {
      code: "K3006",
      what: "train",
      expected: "a batch of 2",
      got: "3",
      hint: "Compile with a loader",
    });
  });

  it("K3005: an entry that there is not", async () => {
    await using program = await Program.load(whole, { seed: 0 });
    check(await failure(() => program.call("predict", {})), {
      code: "K3005",
      what: "predict",
      expected: "one of train",
      got: "predict",
      hint: "compile a model",
    });
  });

  it("K3009: a state dict of another model", async () => {
    await using program = await Program.load(whole, { seed: 0 });
    const tensors = new Map(program.stateDict());
    tensors.set("fc.weight", { dtype: "f32", shape: [4, 2], data: new Float32Array(8) });
    check(await failure(() => program.loadStateDict(tensors)), {
      code: "K3009",
      expected: "the same tensors",
      got: "fc.weight",
      hint: "strict: false",
    });
  });

  it("K3010: a hyperparameter that there is not", async () => {
    await using program = await Program.load(whole, { seed: 0 });
    check(await failure(() => program.hyper.set("optimizer.0.rate", 1)), {
      code: "K3010",
      what: "optimizer.0.rate",
      expected: "optimizer.0.lr",
      got: "optimizer.0.rate",
      hint: "<optimizer>.<group>.<name>",
    });
  });

  it("K3012: a state read while a step runs; K3013: a program that was disposed of", async () => {
    const program = await Program.load(whole, { seed: 0 });
    const indices = new Int32Array(2000).map((_, i) => i % 6);
    const datasets = {
      x: { data: new Float32Array(24), rows: 6 },
      y: { data: new BigInt64Array(6), rows: 6 },
    };
    const running = program.run({ entry: "train", steps: 1000, indices, datasets });
    check(await failure(() => program.stateDict()), {
      code: "K3012",
      what: "read the state",
      expected: "no call under way",
      got: "not finished",
      hint: "Await",
    });
    await running;
    await program.dispose();
    check(await failure(() => program.stateDict()), {
      code: "K3013",
      what: "disposed",
      expected: "in use",
      got: "disposed",
      hint: "Program.load",
    });
  });
});
