/** Weights out of a page and into it, as safetensors files that PyTorch and `kiln` read and write. */
import { dtypeBytes, elementCount } from "../../ir/type.ts";
import type { Tensorlike } from "../data/tensorlike.ts";
import type { LoadedProgram } from "../loaded-program.ts";
import { encodeSafetensors, parseSafetensors } from "../safetensors-bytes.ts";
import { bytesOf, typedArray } from "../typed-array.ts";

/** The program's parameters and buffers as the bytes of a safetensors file. */
export async function saveWeights(program: LoadedProgram): Promise<Blob> {
  await program.settle();
  const tensors = new Map(
    [...program.stateDict()].map(([name, { dtype, shape, data }]) => [name, { dtype, shape, bytes: bytesOf(data) }]),
  );
  // Without `kiln`, which would say that it is a checkpoint to resume from.
  const metadata = new Map([
    ["format", "pt"],
    ["program", program.manifest.name],
  ]);
  // A typed array here never lies in shared memory.
  return new Blob([...encodeSafetensors(tensors, metadata)] as Uint8Array<ArrayBuffer>[]);
}

/**
 * Gives the program the weights of a file; tensors that it does not know, such as an optimizer's, are left out.
 *
 * @throws UserError K3111 for a malformed file, K3009 for weights of another model; nothing has changed then.
 */
export async function loadWeights(program: LoadedProgram, file: File): Promise<void> {
  const { tensors } = parseSafetensors(new Uint8Array(await file.arrayBuffer()), file.name);
  const known = new Set(program.manifest.state.values.filter(({ role }) => role !== "slot").map(({ name }) => name));
  const weights = new Map<string, Tensorlike>();
  for (const [name, { dtype, shape, bytes }] of tensors)
    if (known.has(name)) weights.set(name, { dtype, shape, data: typedArray(dtype, bytes) });
  await program.settle();
  program.loadStateDict(weights);
}

/** Number of values in the program's parameters, and their bytes. */
export function countParameters({ manifest }: LoadedProgram): { readonly values: number; readonly bytes: number } {
  const parameters = manifest.state.values.filter(({ role }) => role === "parameter");
  return {
    values: parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    bytes: parameters.reduce((sum, { shape, dtype }) => sum + elementCount(shape) * dtypeBytes[dtype], 0),
  };
}

/** Lets the user save a file. */
export function offerFile(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
