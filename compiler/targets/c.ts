/** The C target: a program for processors, compiled by the system's C compiler into a shared object. */
import { emitC } from "../../codegen/targets/c/emit.ts";
import { cTarget, libraryPath } from "../artifact.ts";
import { buildC } from "../build/c.ts";
import { cpuProfile } from "../build/features.ts";
import type { Target } from "./target.ts";

/** The C target. */
export const c: Target = {
  name: "c",
  doc: "processors, by the system's C compiler",
  precisions: ["f32"],
  machine: async ({ march, random = "torch" }) => ({ ...(await cpuProfile(march)), random }),
  build: async ({ traced, plan }, { march }, time) => {
    const source = await time("emit", () => emitC(plan.program));
    const { features } = await cpuProfile(march);
    const built = await time("compile", () => buildC(source, march === undefined ? {} : { march }));
    return {
      target: cTarget(traced, plan, features),
      files: new Map<string, Uint8Array | string>([
        [libraryPath, built.library],
        ...source.files.map(({ name, text }): [string, string] => [`kernels/c/${name}`, text]),
      ]),
      cached: built.cached,
    };
  },
};
