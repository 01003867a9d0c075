/** The type check beside a compilation: with the user's own TypeScript, or none. */
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { typeCheck } from "../../bin/type-check.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { project, writeProject } from "../errors/project.ts";

/** A project that has packages of its own. */
function withPackages(top: string, packages: readonly string[]): string {
  const folder = writeProject(project({ top }));
  for (const name of packages) {
    const link = join(folder, "node_modules", name);
    mkdirSync(join(link, ".."), { recursive: true });
    symlinkSync(name === "kilnjs" ? packageRoot() : join(packageRoot(), "node_modules", name), link, "dir");
  }
  return folder;
}

const all = ["kilnjs", "typescript", "@types/node"];
const never = new AbortController().signal;

describe("the type check of a model", () => {
  it("finds nothing in a model that is right", async () => {
    assert.equal(await typeCheck(withPackages("", all), never), "");
  });

  it("knows Node's own modules", async () => {
    const top = 'import { existsSync } from "node:fs";\nexport const there: boolean = existsSync("x");';
    assert.equal(await typeCheck(withPackages(top, all), never), "");
  });

  it("names file, line and fault", async () => {
    const folder = withPackages('export const wrong: number = "text";', all);
    assert.match((await typeCheck(join(folder, "model.ts"), never)) ?? "", /model\.ts\(\d+,\d+\): error TS2322/);
  });

  it("is left out where there is no TypeScript, or no model", async () => {
    assert.isUndefined(await typeCheck(withPackages("", ["kilnjs"]), never));
    assert.isUndefined(await typeCheck(join(packageRoot(), "no-such-model.ts"), never));
  });

  it("is given up when told so", async () => {
    assert.isUndefined(await typeCheck(withPackages("", all), AbortSignal.abort()));
  });
});
