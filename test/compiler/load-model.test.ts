/** Model files: read as they are, with exact places, and every mistake at its line. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "chai";
import { loadModel } from "../../compiler/load-model.ts";
import { traceTraining } from "../../compiler/trace/training.ts";
import type { FieldDescription } from "../../ir/data/description.ts";
import { UserError } from "../../ir/diagnostic/diagnostic.ts";

const models = fileURLToPath(new URL("../../../test/fixtures/models", import.meta.url));

async function failure(name: string): Promise<UserError> {
  try {
    await loadModel(join(models, name));
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  return assert.fail(`${name} was read`);
}

/** Whether this Node strips types itself; its own messages and places then stand in errors of syntax. */
const isNative = Boolean(Reflect.get(process.features, "typescript"));

describe("model files", () => {
  it("keep lines and columns", async () => {
    const { definition, root } = await loadModel(join(models, "good.ts"));
    assert.equal(definition.seed, 3);
    const field = (...shape: number[]): FieldDescription => ({ dtype: "f32", shape, resident: true, transforms: [] });
    const loader = { samples: 10, batchSize: 4, dropLast: false, fields: [field(3), field(2)] };
    const { entries } = traceTraining(definition, { train: loader }, { root });
    assert.deepEqual(
      entries.map(({ name, batch }) => `${name}@${batch}`),
      ["train@4", "train@2"],
    );
    const nodes = entries[0]?.graph.nodes ?? [];
    const dot = nodes.find(({ op }) => op === "dot");
    assert.deepEqual(dot?.source, { file: "good.ts", line: 13, column: 20, module: "fc" });
    const square = nodes.find(({ op, inputs }) => op === "mul" && inputs[0] === inputs[1]);
    assert.deepEqual(square?.source, { file: "good.ts", line: 25, column: 53 });
    assert.deepEqual(
      entries[0]?.inputs.map(({ kind, name }) => `${kind} ${name}`),
      ["feed inputs", "feed targets"],
    );
  });

  it("may stand in a folder", async () => {
    const { file, definition } = await loadModel(join(models, "folder"));
    assert.match(file, /folder[\\/]model\.ts$/);
    assert.equal(definition.seed, 3);
  });

  it("K1308: is not there", async () => {
    assert.equal((await failure("nothing.ts")).code, "K1308");
    assert.equal((await failure(".")).code, "K1308");
  });

  it("K1309: does not parse", async () => {
    const error = await failure("syntax.ts");
    assert.equal(error.code, "K1309");
    if (!isNative) assert.deepEqual(error.source, { file: "syntax.ts", line: 2, column: 26 });
  });

  it("K1309: uses what cannot be stripped", async () => {
    const error = await failure("enum.ts");
    assert.equal(error.code, "K1309");
    if (isNative) return;
    assert.deepEqual(error.source, { file: "enum.ts", line: 2, column: 3 });
    assert.include(error.message, "enum");
  });

  it("K1310: imports what is not there", async () => {
    const error = await failure("missing-import.ts");
    assert.equal(error.code, "K1310");
    assert.include(error.source, { file: "missing-import.ts", line: 3 });
    assert.equal((await failure("missing-name.ts")).code, "K1310");
  });

  it("K1311: fails on its own", async () => {
    const error = await failure("throws.ts");
    assert.equal(error.code, "K1311");
    assert.include(error.source, { file: "throws.ts", line: 3 });
  });

  it("K1101: makes a module outside setup", async () => {
    const error = await failure("outside.ts");
    assert.equal(error.code, "K1101");
    assert.equal(error.source?.line, 3);
  });

  it("K1312: exports no definition", async () => {
    assert.equal((await failure("no-default.ts")).code, "K1312");
    assert.equal((await failure("plain-object.ts")).code, "K1312");
  });

  it("K1107: exports one of another copy of the library", async () => {
    assert.equal((await failure("foreign.ts")).code, "K1107");
  });
});
