/** The version of this package. */
import { readFileSync } from "node:fs";
import * as path from "node:path";
import * as v from "valibot";
import { packageRoot } from "../runtime/package-root.ts";

/** Version of this package, as its description says. */
export function kilnVersion(): string {
  const description: unknown = JSON.parse(readFileSync(path.join(packageRoot(), "package.json"), "utf8"));
  return v.parse(v.object({ version: v.string() }), description).version;
}
