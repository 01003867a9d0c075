/** Finding the data code of a model file: what comes along, and what is refused. */
import { assert } from "chai";
import { readData } from "../../../codegen/trainer/read-data.ts";
import { failsWith } from "../../fails-with.ts";

const head = `import { nn, defineTraining, type Tensor } from "kilnjs";
import { DataLoader, mnist as digits, transforms } from "kilnjs/data";
import { load, type Options } from "./data.ts";
`;

function read(property: string, top = ""): ReturnType<typeof readData> {
  return readData("model.ts", `${head}${top}\nexport default defineTraining({ seed: 1, ${property}, setup() {} });\n`);
}

describe("codegen/trainer/read-data", () => {
  it("takes an arrow function with only the imports it uses, aliases kept", () => {
    const { statements, imports } = read(`data: () => ({ train: new DataLoader(digits({ split: "train" }), {}) })`);
    assert.deepEqual(statements, [`const data = () => ({ train: new DataLoader(digits({ split: "train" }), {}) });`]);
    assert.lengthOf(imports, 1);
    assert.equal(imports[0]?.module, "kilnjs/data");
    assert.deepEqual(imports[0]?.named, [
      { name: "DataLoader", alias: undefined },
      { name: "mnist", alias: "digits" },
    ]);
  });

  it("takes methods, async ones too, named functions and imported names", () => {
    assert.deepEqual(read(`async data() { return { train: load() }; }`).statements, [
      `async function data() { return { train: load() }; }`,
    ]);
    assert.deepEqual(read(`data: make`, `function make() { return { train: load() }; }`).statements, [
      `function make() { return { train: load() }; }`,
      `const data = make;`,
    ]);
    const imported = read(`data: load`);
    assert.deepEqual(imported.statements, ["const data = load;"]);
    assert.deepEqual(
      imported.imports.map(({ module }) => module),
      ["./data.ts"],
    );
  });

  it("brings plain constants along, but nothing that is only a type at run time", () => {
    const { statements, imports } = read(
      `data: () => ({ train: load(batchSize, (x: Tensor, o: Options) => x) })`,
      `const batchSize = 2 * 32;`,
    );
    assert.equal(statements[0], "const batchSize = 2 * 32;");
    const tensor = imports.find(({ module }) => module === "kilnjs");
    assert.isTrue(tensor?.typeOnly);
  });

  it("tells a local name from an imported one", () => {
    const { imports } = read(`data: () => { const transforms = load(); return { train: transforms }; }`);
    assert.deepEqual(
      imports.flatMap(({ named }) => named.map(({ name }) => name)),
      ["load"],
    );
  });

  it("refuses what only the model file has, at its place", () => {
    const error = failsWith("K4008", () => read(`data: () => ({ train: new Mine() })`, `class Mine {}`));
    assert.equal(error.source?.file, "model.ts");
    assert.equal(error.source?.line, 5);
    assert.include(error.message, "Mine");
  });

  it("refuses values of the compiler", () => {
    failsWith("K4008", () => read(`data: () => ({ train: nn })`));
  });

  it("says when there is no data", () => {
    failsWith("K4009", () => readData("model.ts", `${head}export default defineTraining({ setup() {} });`));
    failsWith("K4009", () => readData("model.ts", `export const nothing = 1;`));
  });
});
