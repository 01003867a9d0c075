/**
 * Golden text: what a test makes is compared with a file under version control. `UPDATE_SNAPSHOTS=1` rewrites the files
 * instead, so that a change is reviewed as a diff.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../runtime/package-root.ts";

/** Whether the run rewrites golden files instead of comparing with them. */
export const updatesSnapshots = process.env["UPDATE_SNAPSHOTS"] === "1";

/** Compares text with the file at `path`, relative to the repository. */
export function expectGolden(path: string, text: string): void {
  const file = join(packageRoot(), path);
  if (updatesSnapshots) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  expect(text, `${path} (UPDATE_SNAPSHOTS=1 rewrites it)`).to.equal(readFileSync(file, "utf8"));
}
