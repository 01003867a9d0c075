/**
 * The messages as a whole: a code belongs to one message, every message to a user says what was expected, what was got and
 * what to do, and every code of theirs is asserted by some test, but for those listed here with the reason.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { packageRoot } from "../../runtime/package-root.ts";

/** Codes that no test can reach on every machine, and why. */
const unreachable: Readonly<Record<string, string>> = {
  K3114: "needs a file larger than memory",
  K5007: "needs an addon that compiles and does not load",
  K6054: "needs a Node that is too old to run the tests",
  K6055: "needs a processor without what compilers assume",
};

type Message = { readonly name: string; readonly code: string; readonly isInternal: boolean; readonly body: string };

function readMessages(): Message[] {
  const text = readFileSync(join(packageRoot(), "ir", "diagnostic", "messages.ts"), "utf8");
  const found = text.matchAll(/^export function (\w+)\([^]*?\): Diagnostic \{\n([^]*?)\n\}\n/gm);
  return [...found].map(([, name = "", body = ""]) => ({
    name,
    body,
    code: /"(K\d{4})"/.exec(body)?.[1] ?? "",
    isInternal: body.includes("internal("),
  }));
}

/** Everything that the tests say. */
function testText(): string {
  const folder = join(packageRoot(), "test");
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names
    .filter((name) => name.endsWith(".test.ts") && !name.endsWith("codes.test.ts"))
    .map((name) => readFileSync(join(folder, name), "utf8"))
    .join("\n");
}

/** Whether an object literal in `body` has the property, written out or in short. */
function gives(body: string, property: string): boolean {
  return new RegExp(`\\b${property}:|[{,]\\s*${property}\\s*[,}]`).test(body);
}

describe("messages", () => {
  const messages = readMessages();
  const forUsers = messages.filter(({ isInternal }) => !isInternal);

  it("are read whole", () => {
    assert.isAbove(messages.length, 150);
    assert.isEmpty(messages.filter(({ code }) => code === ""));
  });

  it("have a code each, of their own", () => {
    const codes = messages.map(({ code }) => code);
    assert.deepEqual(
      codes.filter((code, i) => codes.indexOf(code) !== i),
      [],
    );
  });

  it("to users say what was expected, what was got and what to do", () => {
    const lacking = forUsers.flatMap(({ name, code, body }) => {
      const missing = ["expected", "got", "hint"].filter((property) => !gives(body, property));
      return missing.length === 0 ? [] : [`${code} ${name}: ${missing.join(", ")}`];
    });
    assert.deepEqual(lacking, []);
  });

  it("to users are asserted by a test each", () => {
    const tests = testText();
    const untested = forUsers.filter(({ code }) => !tests.includes(code)).map(({ code, name }) => `${code} ${name}`);
    const known = forUsers.filter(({ code }) => code in unreachable).map(({ code, name }) => `${code} ${name}`);
    assert.deepEqual(untested, known);
    assert.lengthOf(known, Object.keys(unreachable).length);
  });
});
