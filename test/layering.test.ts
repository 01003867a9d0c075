/**
 * The direction of imports, and what only named files may do, are lint rules. Each file of `fixtures/layering` breaks one
 * of them (or none) and names it in its first line; they are linted together in a tree of their own, laid out as ours.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../runtime/package-root.ts";

const root = packageRoot();
const planted = join(root, "test", "fixtures", "layering");

/** Rules that keep the architecture, as opposed to those of style. */
const rules: readonly string[] = [
  "no-restricted-imports",
  "no-restricted-properties",
  "no-cycle",
  "no-eval",
  "no-new-func",
];

/** What oxlint finds in a tree: the names of the broken rules of architecture by file. */
function lint(folder: string): ReadonlyMap<string, ReadonlySet<string>> {
  const oxlint = join(root, "node_modules", "oxlint", "bin", "oxlint");
  const { stdout, stderr } = spawnSync(process.execPath, [oxlint, "--format", "json", "."], {
    cwd: folder,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  expect(stderr).to.equal("");
  const report: unknown = JSON.parse(stdout);
  const found = new Map<string, Set<string>>();
  for (const [file, rule] of diagnosticsOf(report)) {
    if (!rules.includes(rule)) continue;
    const broken = found.get(file) ?? new Set();
    found.set(file, broken.add(rule));
  }
  return found;
}

/** File and rule of each diagnostic in a report of oxlint. */
function diagnosticsOf(report: unknown): readonly (readonly [file: string, rule: string])[] {
  // The shape is oxlint's own; a change of it makes the planted violations unfound, and so the test fail.
  const { diagnostics } = report as {
    readonly diagnostics: readonly { readonly code?: string; readonly filename: string }[];
  };
  return diagnostics.map(({ code = "", filename }) => [
    filename.split(sep).join("/").replace(/^\.\//, ""),
    code.replace(/^.*\((.*)\)$/, "$1"),
  ]);
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => name.split(sep).join("/"))
    .toSorted();
}

describe("layering", () => {
  let tree: string;
  let found: ReadonlyMap<string, ReadonlySet<string>>;

  before(() => {
    tree = mkdtempSync(join(tmpdir(), "kiln-layering-"));
    cpSync(planted, tree, { recursive: true });
    copyFileSync(join(root, ".oxlintrc.json"), join(tree, ".oxlintrc.json"));
    found = lint(tree);
  });

  after(() => rmSync(tree, { recursive: true, force: true }));

  for (const file of filesBelow(planted)) {
    const [, expected = ""] = /^\/\/ expects: (\S+)/.exec(readFileSync(join(planted, file), "utf8")) ?? [];
    it(`finds ${expected} in ${file}`, () => {
      expect([...(found.get(file) ?? [])]).to.deep.equal(expected === "nothing" ? [] : [expected]);
    });
  }

  it("is kept by the sources", () => {
    expect([...lint(root)].map(([file, broken]) => `${file}: ${[...broken].join(", ")}`)).to.deep.equal([]);
  });
});
