/**
 * Documentation that a machine can check: every source file opens with a comment, every exported name has a doc comment
 * (an op: its `doc`), and the codes of errors are unique, stable and tested.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { expect } from "chai";
import { Node, Project, type ExportableNode, type SourceFile, type Statement } from "ts-morph";
import * as ops from "../ir/ops/index.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { expectGolden } from "./golden-text.ts";

const root = packageRoot();
const sourceFolders = ["ir", "codegen", "compiler", "runtime", "bin"];
const folders = [...sourceFolders, "examples", "bench", "test"];

const texts: ReadonlyMap<string, string> = new Map(
  folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
    )
    .filter((name) => name.endsWith(".ts") && !name.startsWith(join("test", "fixtures")))
    .map((name) => [name.split(sep).join("/"), readFileSync(join(root, name), "utf8")] as const),
);

/** The names that a statement exports under a doc comment, and those it exports without one. */
function exportsOf(statement: Statement): { readonly names: readonly string[]; readonly documented: boolean } {
  if (Node.isVariableStatement(statement)) {
    const names = statement.isExported() ? statement.getDeclarations().map((declaration) => declaration.getName()) : [];
    return { names, documented: statement.getJsDocs().length > 0 };
  }
  if (!isNamed(statement) || !statement.isExported()) return { names: [], documented: true };
  const overloads = Node.isFunctionDeclaration(statement) ? statement.getOverloads() : [];
  const documented = [statement, ...overloads].some((each) => Node.isJSDocable(each) && each.getJsDocs().length > 0);
  return { names: [statement.getName() ?? "default"], documented: documented || isInferred(statement) };
}

function isNamed(statement: Statement): statement is Statement & ExportableNode & { getName(): string | undefined } {
  return (
    Node.isFunctionDeclaration(statement) ||
    Node.isClassDeclaration(statement) ||
    Node.isTypeAliasDeclaration(statement) ||
    Node.isInterfaceDeclaration(statement)
  );
}

/** Whether a type is that of a schema, which says what it is. */
function isInferred(statement: Statement): boolean {
  return (
    Node.isTypeAliasDeclaration(statement) && /^v\.Infer\w+<typeof \w+>$/.test(statement.getTypeNode()?.getText() ?? "")
  );
}

function undocumented(file: SourceFile, path: string): readonly string[] {
  const isOp = (name: string): boolean => path.startsWith("ir/ops/") && docOfOp(name).length > 0;
  return file.getStatements().flatMap((statement) => {
    const { names, documented } = exportsOf(statement);
    return documented ? [] : names.filter((name) => !isOp(name)).map((name) => `${path}: ${name}`);
  });
}

function docOfOp(name: string): string {
  const op: unknown = Reflect.get(ops, name);
  return typeof op === "object" && op !== null && "doc" in op && typeof op.doc === "string" ? op.doc : "";
}

/** A code of an error, and the message function (or file) that makes it. */
type Code = { readonly code: string; readonly maker: string };

/** All codes, in order: what message functions pass to `user`, `target` and `internal`, and what is made in place. */
function codes(): readonly Code[] {
  const found: Code[] = [];
  for (const [path, text] of texts) {
    if (!sourceFolders.some((folder) => path.startsWith(`${folder}/`))) continue;
    let maker = path;
    for (const match of text.matchAll(
      /^export function (\w+)|(?:\b(?:user|target|internal)\(|\bcode: )\s*"(K\d{4})"/gm,
    )) {
      if (match[1] !== undefined && path === "ir/diagnostic/messages.ts") [, maker] = match;
      if (match[2] !== undefined) found.push({ code: match[2], maker });
    }
  }
  return found.toSorted((x, y) => x.code.localeCompare(y.code) || x.maker.localeCompare(y.maker));
}

describe("documentation", () => {
  it("opens every file", () => {
    const bare = [...texts].filter(([, text]) => !/^(#!.*\n)?\s*\/[*/]/.test(text)).map(([path]) => path);
    expect(bare).to.deep.equal([]);
  });

  it("stands above every exported name", () => {
    const project = new Project({ useInMemoryFileSystem: true, compilerOptions: { noLib: true, noResolve: true } });
    const missing = [...texts]
      .filter(([path]) => sourceFolders.some((folder) => path.startsWith(`${folder}/`)))
      .flatMap(([path, text]) => undocumented(project.createSourceFile(path, text), path));
    expect(missing).to.deep.equal([]);
  });

  it("says what each op does", () => {
    expect(Object.keys(ops).filter((name) => docOfOp(name) === "")).to.deep.equal([]);
  });
});

describe("codes of errors", () => {
  const all = codes();

  it("belong to one message each", () => {
    const twice = all.filter(({ code, maker }) => all.some((other) => other.code === code && other.maker !== maker));
    expect(twice.map(({ code, maker }) => `${code} ${maker}`)).to.deep.equal([]);
  });

  it("stay as they are, and are tested unless the list says that they are not", () => {
    const tests = [...texts].filter(([path]) => path.startsWith("test/")).map(([, text]) => text);
    const tested = new Set(tests.flatMap((text) => text.match(/\bK\d{4}\b/g) ?? []));
    const lines = all.map(({ code, maker }) => `${code} ${maker}${tested.has(code) ? "" : " (untested)"}\n`);
    expectGolden("test/golden/codes.txt", lines.join(""));
  });
});
