/**
 * Between a program's tensors and a checkpoint's: the same elements, once as typed arrays, once as bytes.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { Tensorlike } from "../data/tensorlike.ts";
import type { StoredTensor } from "../safetensors-bytes.ts";
import { bytesOf, typedArray } from "../typed-array.ts";
import type { TrainedProgram } from "./trained-program.ts";

/** All states of a program: parameters, buffers and optimizer slots. */
export function collectTensors(program: TrainedProgram): Map<string, StoredTensor> {
  const all = [...program.stateDict(), ...program.optimizerState()];
  return new Map(all.map(([name, { dtype, shape, data }]) => [name, { dtype, shape, bytes: bytesOf(data) }]));
}

/** Gives the program's states the values of `tensors`, which fit them; states not named keep theirs. */
export function loadTensors(program: TrainedProgram, tensors: ReadonlyMap<string, StoredTensor>): void {
  const weights = new Map<string, Tensorlike>();
  const slots = new Map<string, Tensorlike>();
  for (const { name, role } of program.manifest.state.values) {
    const tensor = tensors.get(name);
    if (tensor === undefined) continue;
    const { dtype, shape, bytes } = tensor;
    (role === "slot" ? slots : weights).set(name, { dtype, shape, data: typedArray(dtype, bytes) });
  }
  program.loadStateDict(weights);
  if (slots.size > 0) program.loadOptimizerState(slots);
}

/** A generator's state as text. */
export function packGenerator(words: Uint32Array): string {
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, i) => bytes.writeUInt32LE(word, i * 4));
  return bytes.toString("base64");
}

/** A generator's state from the text in the checkpoint `file`. Throws a `UserError` (K3202) if it is none. */
export function unpackGenerator(text: string, file: string): Uint32Array {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length % 4 !== 0) throw fail(messages.checkpointDamaged(file, "its generator state is cut short"));
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(i * 4));
}
