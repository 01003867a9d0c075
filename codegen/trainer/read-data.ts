/**
 * Finds the data code of a model file: the `data` property of the `defineTraining` call, as text, with what it uses.
 * Takes the model file's text; gives a declaration of `data`, the imports it needs and the relative modules to copy. What
 * it uses must come from a module or be a plain constant, since the trainer runs without the model file; anything else is
 * a `UserError` (K4008) at its place. Nothing is run, and only this file is parsed.
 */
import {
  Node,
  Project,
  SyntaxKind,
  VariableDeclarationKind,
  type Identifier,
  type ObjectLiteralExpression,
  type SourceFile,
} from "ts-morph";
import { fail, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";

/** One import declaration of the data code. */
export type DataImport = {
  /** The specifier as written. */
  readonly module: string;
  /** `import name from`. */
  readonly defaultName: string | undefined;
  /** `import * as name from`. */
  readonly namespaceName: string | undefined;
  /** `import { name as alias } from`. */
  readonly named: readonly { readonly name: string; readonly alias: string | undefined }[];
  /** Whether only types come from it, so that nothing is loaded at run time. */
  readonly typeOnly: boolean;
};

/** The data code of a model file. */
export type DataSource = {
  /** Statements in order, constants first; the last declares `data`. Empty where `data` itself is imported. */
  readonly statements: readonly string[];
  readonly imports: readonly DataImport[];
};

/** A project that only parses: no library, no other file is read. */
export function parsingProject(): Project {
  return new Project({
    useInMemoryFileSystem: true,
    skipLoadingLibFiles: true,
    compilerOptions: { noLib: true, noResolve: true, types: [], allowJs: true },
  });
}

/** The data code in the model file `text`; `file` is its name in messages. Throws a `UserError` (K4008, K4009). */
export function readData(file: string, text: string): DataSource {
  const source = parsingProject().createSourceFile("/model.ts", text);
  const definition = findDefinition(source);
  const property = definition?.getProperty("data");
  if (property === undefined) throw fail(messages.dataCodeNotFound(file));
  const reader = new DataReader(source, file);
  reader.readProperty(property);
  return reader.finish();
}

/** The object given to `defineTraining`. */
function findDefinition(source: SourceFile): ObjectLiteralExpression | undefined {
  for (const call of source.getDescendantsOfKind(SyntaxKind.CallExpression)) {
    const callee = call.getExpression();
    const names = callee.getSymbol()?.getDeclarations() ?? [];
    const isDefinition =
      names.some((name) => Node.isImportSpecifier(name) && name.getName() === "defineTraining") ||
      (Node.isPropertyAccessExpression(callee) && callee.getName() === "defineTraining");
    if (!isDefinition) continue;
    return objectOf(call.getArguments()[0]);
  }
  return undefined;
}

function objectOf(node: Node | undefined): ObjectLiteralExpression | undefined {
  if (Node.isObjectLiteralExpression(node)) return node;
  if (Node.isSatisfiesExpression(node) || Node.isAsExpression(node) || Node.isParenthesizedExpression(node)) {
    return objectOf(node.getExpression());
  }
  if (!Node.isIdentifier(node)) return undefined;
  const declaration = node.getSymbol()?.getDeclarations()[0];
  return Node.isVariableDeclaration(declaration) ? objectOf(declaration.getInitializer()) : undefined;
}

/** Gathers the text of the data code and, by following every name in it, what must come along. */
class DataReader {
  readonly #source: SourceFile;
  readonly #file: string;
  readonly #constants = new Map<Node, string>();
  readonly #uses = new Map<Node, { value: boolean }>();
  #main: string[] = [];

  constructor(source: SourceFile, file: string) {
    this.#source = source;
    this.#file = file;
  }

  /** Reads `data: …`, `data() { … }` or `data`. */
  readProperty(property: Node): void {
    if (Node.isMethodDeclaration(property)) {
      this.#follow(property);
      const returns = property.getReturnTypeNode();
      const head = `${property.isAsync() ? "async " : ""}function data()${returns ? `: ${returns.getText()}` : ""}`;
      this.#main = [`${head} ${property.getBodyOrThrow().getText()}`];
    } else if (Node.isShorthandPropertyAssignment(property)) {
      this.#readNamed(property.getNameNode(), property.getValueSymbol()?.getDeclarations()[0]);
    } else if (Node.isPropertyAssignment(property)) {
      const value = property.getInitializerOrThrow();
      if (Node.isIdentifier(value)) {
        this.#readNamed(value, value.getSymbol()?.getDeclarations()[0]);
      } else {
        this.#follow(value);
        this.#main = [`const data = ${value.getText()};`];
      }
    } else {
      throw fail(messages.dataCodeNotFound(this.#file), this.#place(property));
    }
  }

  /** `data` is a name: of an import, or of a function in the model file. */
  #readNamed(name: Identifier, declaration: Node | undefined): void {
    if (Node.isFunctionDeclaration(declaration)) {
      this.#follow(declaration);
      const text = declaration.getText().replace(/^export\s+(default\s+)?/, "");
      this.#main = name.getText() === "data" ? [text] : [text, `const data = ${name.getText()};`];
    } else if (Node.isVariableDeclaration(declaration)) {
      const value = declaration.getInitializer();
      if (value === undefined) throw this.#notClosed(name, "has no value");
      this.#follow(value);
      this.#main = [`const data = ${value.getText()};`];
    } else {
      this.#useName(name, declaration, false);
      this.#main = name.getText() === "data" ? [] : [`const data = ${name.getText()};`];
    }
  }

  /** Notes every name in `node` that is declared outside it. */
  #follow(node: Node): void {
    const names = [node, ...node.getDescendants()].filter(Node.isIdentifier);
    for (const name of names) {
      const parent = name.getParent();
      const symbol = Node.isShorthandPropertyAssignment(parent) ? parent.getValueSymbol() : name.getSymbol();
      const declaration = symbol?.getDeclarations()[0];
      if (
        declaration === undefined ||
        (node.getPos() <= declaration.getPos() && declaration.getEnd() <= node.getEnd())
      ) {
        continue;
      }
      this.#useName(name, declaration, isInType(name));
    }
  }

  #useName(name: Identifier, declaration: Node | undefined, inType: boolean): void {
    if (
      Node.isImportSpecifier(declaration) ||
      Node.isImportClause(declaration) ||
      Node.isNamespaceImport(declaration)
    ) {
      const module = declaration.getFirstAncestorByKindOrThrow(SyntaxKind.ImportDeclaration).getModuleSpecifierValue();
      if (!inType && /^kilnjs($|\/(?!data$|runtime$))/.test(module)) {
        throw this.#notClosed(name, `comes from "${module}", the compiler`);
      }
      const use = this.#uses.get(declaration) ?? { value: false };
      this.#uses.set(declaration, { value: use.value || !inType });
      return;
    }
    const isVariable = Node.isVariableDeclaration(declaration);
    if (isVariable && declaration.getVariableStatement()?.getDeclarationKind() !== VariableDeclarationKind.Const)
      throw this.#notClosed(name, "is a variable of the model file");
    if (isVariable && isConstant(declaration.getInitializer())) {
      this.#constants.set(declaration, `const ${declaration.getText()};`);
      return;
    }
    throw this.#notClosed(name, "is defined in the model file");
  }

  /** What was gathered. */
  finish(): DataSource {
    const imports: DataImport[] = [];
    for (const declaration of this.#source.getImportDeclarations()) {
      const clause = declaration.getImportClause();
      const usesOf = (value: boolean): DataImport => {
        const used = (node: Node | undefined): boolean => node !== undefined && this.#uses.get(node)?.value === value;
        const namespace = clause?.getNamedBindings();
        return {
          module: declaration.getModuleSpecifierValue(),
          defaultName: used(clause) ? clause?.getDefaultImport()?.getText() : undefined,
          namespaceName: Node.isNamespaceImport(namespace) && used(namespace) ? namespace.getName() : undefined,
          named: declaration
            .getNamedImports()
            .filter(used)
            .map((name) => ({ name: name.getName(), alias: name.getAliasNode()?.getText() })),
          typeOnly: !value,
        };
      };
      imports.push(...[usesOf(true), usesOf(false)].filter(isUsed));
    }
    const constants = [...this.#constants].toSorted(([a], [b]) => a.getPos() - b.getPos()).map(([, text]) => text);
    return { statements: [...constants, ...this.#main], imports };
  }

  #notClosed(name: Node, reason: string): Error {
    return fail(messages.dataCodeNotClosed(name.getText(), reason), this.#place(name));
  }

  #place(node: Node): SourceLocation {
    const { line, column } = this.#source.getLineAndColumnAtPos(node.getStart());
    return { file: this.#file, line, column };
  }
}

function isUsed(declaration: DataImport): boolean {
  return (
    declaration.defaultName !== undefined || declaration.namespaceName !== undefined || declaration.named.length > 0
  );
}

function isInType(name: Identifier): boolean {
  return name
    .getAncestors()
    .some((ancestor) => Node.isTypeNode(ancestor) && !Node.isExpressionWithTypeArguments(ancestor));
}

/** Whether an expression is made of literals alone. */
function isConstant(node: Node | undefined): boolean {
  if (node === undefined) return false;
  if (Node.isLiteralExpression(node) || Node.isTrueLiteral(node) || Node.isFalseLiteral(node)) return true;
  if (Node.isPrefixUnaryExpression(node)) return isConstant(node.getOperand());
  if (Node.isBinaryExpression(node)) return isConstant(node.getLeft()) && isConstant(node.getRight());
  if (Node.isParenthesizedExpression(node) || Node.isAsExpression(node)) return isConstant(node.getExpression());
  if (Node.isArrayLiteralExpression(node)) return node.getElements().every(isConstant);
  return (
    Node.isObjectLiteralExpression(node) &&
    node
      .getProperties()
      .every((property) => Node.isPropertyAssignment(property) && isConstant(property.getInitializer()))
  );
}
