/**
 * Names that could break out of what is generated: they come through a compilation and a training unchanged, or are refused
 * with a code. Generated C compiles, generated TypeScript parses, nothing that a name says is ever run.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { Project, ts } from "ts-morph";
import { compileModel } from "../../compiler/compile.ts";
import { readSafetensors } from "../../runtime/safetensors.ts";
import { kiln, runNode } from "../bin/kiln.ts";
import { check, compileMistakes, failure } from "./mistake.ts";
import { freshFolder, modelText, project, writeProject } from "./project.ts";

const hostile: readonly string[] = [
  "it's",
  'a "quoted" one',
  "*/ int main(void) { return 1; } /*",
  "line\nbreak",
  "carriage\rreturn",
  "backslash\\",
  "tri??/graph??'",
  "percent%s%n",
  "`tick` ${exit(9)}",
  "</script>",
  "🔥 émoji",
  "\u2028separator",
  "class",
  "toString",
  "#define x",
];

/** The names as keys of an object literal whose values are made by `value`. */
function keys(value: (i: number) => string, names: readonly string[] = hostile): string {
  return `{ ${names.map((name, i) => `[${JSON.stringify(name)}]: ${value(i)}`).join(", ")} }`;
}

const data = `import { DataLoader, TensorDataset } from "kilnjs/data";

const set = () => new TensorDataset({ data: new Float32Array(24), shape: [6, 4] }, { data: new BigInt64Array(6), shape: [6] });

export const data = () => ({
  train: new DataLoader(set(), { batchSize: 2 }),
  ...${keys(() => "new DataLoader(set(), { batchSize: 2 })")},
});
`;

const files = {
  "data.ts": data,
  "model.ts": modelText({
    net: `  parts = ${keys(() => "new nn.Linear(4, 2)")};
  forward(x: Tensor): Tensor {
    return Object.values(this.parts).reduce((sum, part) => sum.add(part.forward(x)), zeros([2, 2]));
  }`,
    trainStep: `    const loss = nn.functional.crossEntropy(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    const results = ${keys(() => "loss.mul(2)")};
    return { loss, ...results };`,
    more: `  evalStep({ model }, [x]) {
    const sum = model.forward(x).sum();
    return ${keys(() => "sum.mul(2)")};
  },`,
  }),
};

/** Asserts that generated TypeScript has no error of syntax. */
function assertParses(file: string): void {
  const source = new Project({ useInMemoryFileSystem: true, skipLoadingLibFiles: true }).createSourceFile(
    "/generated.ts",
    readFileSync(file, "utf8"),
  );
  const { diagnostics = [] } = ts.transpileModule(source.getFullText(), { reportDiagnostics: true });
  assert.deepEqual(
    diagnostics.map(({ messageText }) => messageText),
    [],
    file,
  );
}

describe("hostile names", () => {
  it("of states, results and loaders come through unchanged", () => {
    const folder = freshFolder("names");
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const compiled = kiln(["compile", "model.ts", "--no-check", "--out", "out"], folder);
    assert.equal(compiled.code, 0, compiled.talk);
    for (const name of ["trainer.ts", "program.d.ts"]) assertParses(join(folder, "out", name));
    const trained = runNode(["out/trainer.js", "--out", "run", "--json"], folder);
    assert.equal(trained.code, 0, trained.out + trained.talk);
    const evaluations = trained.json().filter(({ event }) => event === "evaluate");
    assert.deepEqual(
      evaluations.map(({ loader }) => loader),
      [...hostile],
    );
    for (const { results } of evaluations) assert.deepEqual(Object.keys(results as object), [...hostile]);
    const { tensors } = readSafetensors(join(folder, "run", "last.safetensors"));
    assert.includeMembers(
      [...tensors.keys()],
      hostile.map((name) => `parts.${name}.weight`),
    );
    const text = kiln(["train", "out", "--out", "again"], folder);
    assert.equal(text.code, 0, text.talk);
    const inspected = kiln(["inspect", "out"], folder);
    assert.equal(inspected.code, 0, inspected.talk);
    for (const [what, { out }] of Object.entries({ compiled, text, inspected }))
      assert.deepEqual(/.*[\u0000-\u0008\u000b-\u001f\u2028].*/.exec(out)?.[0] ?? "", "", what);
  });

  for (const name of [
    "it's",
    'say "a"',
    "a\nthrow new Error(1);\n",
    "* end",
    "🔥 `${1}`",
    "$(touch broken)",
    "%s %n",
  ]) {
    it(`of the model's folder: ${JSON.stringify(name)}`, () => {
      const above = freshFolder("named");
      const folder = join(above, name);
      mkdirSync(folder, { recursive: true });
      for (const [path, text] of Object.entries(project())) writeFileSync(join(folder, path), text);
      const compiled = kiln(["compile", name, "--no-check"], above);
      assert.equal(compiled.code, 0, compiled.talk);
      const out = join(above, "build", name);
      assertParses(join(out, "trainer.ts"));
      const trained = kiln(["train", join("build", name), "--json"], above);
      assert.equal(trained.code, 0, trained.out + trained.talk);
      assert.equal(trained.json()[0]?.["program"], name);
      assert.deepEqual(readdirSync(join(above, "runs")), [name]);
      assert.deepEqual(readdirSync(above).toSorted(), [name, "build", "runs"].toSorted());
    });
  }

  it("K1609: a folder with a backslash", async () => {
    const folder = writeProject(project(), join(freshFolder("named"), "end\\"));
    check(await failure(() => compileModel(join(folder, "model.ts"), { out: freshFolder("out") })), {
      code: "K1609",
      expected: "without backslashes",
      got: "end\\",
      hint: "Rename",
    });
  });

  compileMistakes([
    ...["__proto__", "constructor", "prototype", "a.b", ""].map((name) => ({
      mistake: `a layer named ${JSON.stringify(name)}`,
      files: project({
        net: `  fc = new nn.Linear(4, 2);
  parts = { [${JSON.stringify(name)}]: new nn.Linear(4, 2) };
  forward(x: Tensor): Tensor {
    return this.fc.forward(x);
  }`,
        setup: `    const model = new Net();
    const optimizer = new optim.SGD(model./*here*/parameters(), { lr: 0.1 });
    return { model, optimizer };`,
      }),
      error: {
        code: "K1202",
        what: "cannot name a part",
        expected: "__proto__",
        got: JSON.stringify(name),
        hint: "Rename",
      },
    })),
    {
      mistake: 'a result named "__proto__"',
      files: {
        ...project(),
        "model.ts": modelText({
          trainStep: '    optimizer.step();\n    return { loss: model.forward(x).sum(), ["__proto__"]: x.sum() };',
        }).replace("defineTraining({", "/*here*/defineTraining({"),
      },
      error: { code: "K1608", what: "__proto__", expected: "another name", got: "__proto__", hint: "Rename" },
    },
    {
      mistake: 'a loader named "__proto__"',
      files: {
        "model.ts": modelText().replace("defineTraining({", "/*here*/defineTraining({"),
        "data.ts": data.replace('["it\'s"]', '["__proto__"]'),
      },
      error: { code: "K1608", what: "__proto__", expected: "another name", got: "__proto__", hint: "Rename" },
    },
  ]);
});
