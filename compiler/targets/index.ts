/** All targets by name. A further one is a folder in `codegen/targets/`, a file here, and a line below. */
import type { TargetName } from "../../ir/artifact/manifest.ts";
import { c } from "./c.ts";
import { cuda } from "./cuda.ts";
import type { Precision, Target } from "./target.ts";
import { wgsl } from "./wgsl.ts";

/** The targets. */
export const targets: Readonly<Record<TargetName, Target>> = { c, wgsl, cuda };

/** Names of the targets that can compute products with a precision. */
export function targetsWith(precision: Precision): readonly TargetName[] {
  return Object.values(targets).flatMap(({ name, precisions }) => (precisions.includes(precision) ? [name] : []));
}
