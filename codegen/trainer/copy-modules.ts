/**
 * Copies the user's data modules into the artifact. Takes the relative modules that the data code imports and, through
 * them, everything they import relatively; gives for each the source with its imports rewritten and the same with types
 * stripped, under flat names that cannot lie outside the artifact or hide a file of ours.
 */
import { readFileSync, statSync } from "node:fs";
import * as path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Node, SyntaxKind, ts, type SourceFile } from "ts-morph";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { parsingProject } from "./read-data.ts";

/** The copied modules. */
export type CopiedModules = {
  /** Text by file name in the artifact. */
  readonly files: Readonly<Record<string, string>>;
  /** Absolute paths of the originals. */
  readonly originals: readonly string[];
  /** The specifier to import a module by from within the artifact, given the specifier in the model file. */
  readonly specifiers: ReadonlyMap<string, string>;
};

/** Whether a specifier names a file beside the importing one. */
export function isRelative(specifier: string): boolean {
  return specifier.startsWith("./") || specifier.startsWith("../") || specifier.startsWith("file:");
}

/** Copies the modules that `modelFile` imports by the given relative specifiers. Throws a `UserError` (K4008, K4010). */
export function copyModules(modelFile: string, specifiers: readonly string[]): CopiedModules {
  const names = new Map<string, string>();
  const files: Record<string, string> = {};
  const taken = new Set(["trainer", "program", "manifest"]);
  const queue: string[] = [];
  const nameOf = (importer: string, specifier: string): string => {
    const original = resolve(importer, specifier);
    const known = names.get(original);
    if (known !== undefined) return known;
    const stem = path
      .basename(original)
      .replace(/\.[^.]*$/, "")
      .replace(/[^A-Za-z0-9_.-]/g, "-");
    let name = stem;
    for (let count = 2; taken.has(name.toLowerCase()); count++) name = `${stem}-${count}`;
    taken.add(name.toLowerCase());
    const copied = `${name}${path.extname(original) === ".json" ? ".json" : ".js"}`;
    names.set(original, copied);
    queue.push(original);
    return copied;
  };
  const result = new Map(specifiers.map((specifier) => [specifier, `./${nameOf(modelFile, specifier)}`]));
  for (let original = queue.shift(); original !== undefined; original = queue.shift()) {
    Object.assign(files, copyModule(original, names.get(original) ?? "", nameOf));
  }
  return { files, originals: [...names.keys()], specifiers: result };
}

function copyModule(
  original: string,
  name: string,
  nameOf: (importer: string, specifier: string) => string,
): Record<string, string> {
  const text = readFileSync(original, "utf8");
  if (name.endsWith(".json")) return { [name]: text };
  const source = parsingProject().createSourceFile(`/module${path.extname(original)}`, text);
  const rewritten = rewriteImports(source, original, nameOf);
  if (!original.endsWith(".ts") && !original.endsWith(".mts")) return { [name]: rewritten };
  return { [name.replace(/\.js$/, ".ts")]: rewritten, [name]: stripTypes(rewritten) };
}

/** The same program as JavaScript: types removed, all else kept. */
export function stripTypes(text: string): string {
  return ts.transpileModule(text, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
    },
  }).outputText;
}

/** The module's text with relative specifiers replaced by those of the copies. */
function rewriteImports(
  source: SourceFile,
  original: string,
  nameOf: (importer: string, specifier: string) => string,
): string {
  const literals = [...source.getImportDeclarations(), ...source.getExportDeclarations()].flatMap(
    (declaration) => declaration.getModuleSpecifier() ?? [],
  );
  const dynamic = source.getDescendantsOfKind(SyntaxKind.CallExpression).flatMap((call) => {
    const argument = call.getExpression().getKind() === SyntaxKind.ImportKeyword ? call.getArguments()[0] : undefined;
    return Node.isStringLiteral(argument) ? [argument] : [];
  });
  let text = source.getFullText();
  for (const literal of [...literals, ...dynamic].toSorted((a, b) => b.getStart() - a.getStart())) {
    const specifier = literal.getLiteralText();
    if (isRelative(specifier)) {
      const replacement = JSON.stringify(`./${nameOf(original, specifier)}`);
      text = text.slice(0, literal.getStart()) + replacement + text.slice(literal.getEnd());
    } else if (/^kilnjs($|\/(?!data$|runtime$))/.test(specifier) && !isTypeOnly(literal.getParent())) {
      const { line, column } = source.getLineAndColumnAtPos(literal.getStart());
      const place = { file: original, line, column };
      throw fail(messages.dataCodeNotClosed(specifier, "is the compiler, which the trainer runs without"), place);
    }
  }
  return text;
}

function isTypeOnly(node: Node | undefined): boolean {
  if (Node.isImportDeclaration(node)) {
    const named = node.getNamedImports();
    return (
      node.isTypeOnly() || (named.length > 0 && !node.getDefaultImport() && named.every((name) => name.isTypeOnly()))
    );
  }
  return Node.isExportDeclaration(node) && node.isTypeOnly();
}

/** The file a relative specifier means; `./x.js` may be written for `./x.ts`. */
function resolve(importer: string, specifier: string): string {
  const file = fileURLToPath(new URL(specifier, pathToFileURL(importer)));
  for (const candidate of [file, file.replace(/\.([cm]?)js$/, ".$1ts")]) {
    if (statSync(candidate, { throwIfNoEntry: false })?.isFile() === true) return candidate;
  }
  throw fail(messages.dataModuleUnreadable(specifier, importer));
}
