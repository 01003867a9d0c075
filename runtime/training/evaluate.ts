/** One pass over a loader with the program's weights as they are: what `kiln eval` and a session's evaluation share. */
import type { DataLoader } from "../data/loader.ts";
import { Feed } from "./feed.ts";
import { Combination, type Numbers } from "./results.ts";
import type { StepsCall, StepsResult, TrainedProgram } from "./trained-program.ts";

/** The number of samples of a pass, and the results combined over it. */
export type Evaluation = { readonly samples: number; readonly results: Numbers };

/** Name of the entry that evaluates the loader `name`: its own where its fields differ from the others', else the shared one. */
export function evaluationEntry(program: TrainedProgram, name: string): string {
  const own = `evaluate.${name}`;
  return program.manifest.entries.some((entry) => entry.name === own) ? own : "evaluate";
}

/** Evaluates `loader`. `run` runs steps, `limit` tells how many may be run at once; by default all that there are. */
export async function evaluateLoader(
  program: TrainedProgram,
  name: string,
  loader: DataLoader,
  run: (call: StepsCall) => Promise<StepsResult> = (call) => program.run(call),
  limit: () => number = () => Infinity,
): Promise<Evaluation> {
  const pass = new Feed(program, evaluationEntry(program, name), name, loader).begin();
  const { entries, training } = program.manifest;
  let combination: Combination | undefined;
  try {
    for (let call = await pass.next(limit()); call !== undefined; call = await pass.next(limit())) {
      const { entry: label, batch } = call;
      const entry = entries.find((each) => each.name === label && each.batch === batch);
      if (entry !== undefined) combination ??= new Combination(entry, training?.metrics ?? []);
      combination?.add(call, await run(call));
    }
  } finally {
    await pass.close();
  }
  return { samples: combination?.samples ?? 0, results: combination?.results() ?? {} };
}
