/** The kernels planned for random graphs, each alone, on a device against the interpreter. */
import { expect } from "chai";
import { allStatements } from "../../../../ir/loop/walk.ts";
import { wgslMachine } from "../../../../codegen/targets/wgsl/limits.ts";
import { planTraced } from "../../../../compiler/pipeline.ts";
import { interpretKernel, loopArray, type LoopArray } from "../../../../ir/loop/interpret.ts";
import type { Kernel } from "../../../../ir/loop/loop.ts";
import { at } from "../../../../ir/type.ts";
import { programOf } from "../../../graph-program.ts";
import { randomGraph } from "../../../random-graph.ts";
import { randomNumbers } from "../../../random-numbers.ts";
import { requireDevice, runOnDevice } from "./device.ts";

/** Buffers of a kernel with numbers in [-2, 2), or from 0 to 2 where they are integers. */
function filled(kernel: Kernel, random: () => number): Record<string, LoopArray> {
  return Object.fromEntries(
    kernel.buffers.map(({ name, dtype, size, access }) => {
      const array = loopArray(dtype, size);
      if (access !== "read") return [name, array];
      for (let i = 0; i < size; i++) {
        const value = dtype === "f32" ? random() * 4 - 2 : Math.floor(random() * 3);
        if (array instanceof BigInt64Array) array[i] = BigInt(value);
        else array[i] = value;
      }
      return [name, array];
    }),
  );
}

/** The first element of a kernel's results that differs. */
function differenceOf(kernel: Kernel, got: Record<string, LoopArray>, want: Record<string, LoopArray>): string[] {
  return kernel.buffers.flatMap(({ name, access, size }) => {
    if (access === "read") return [];
    // Which of several failures is reported is left open.
    const isStatus = allStatements(kernel.body).some((stmt) => stmt.kind === "check" && stmt.status === name);
    for (let i = 0; i < (isStatus ? 1 : size); i++) {
      const [x, y] = [Number(got[name]?.[i]), Number(want[name]?.[i])];
      const close = Math.abs(x - y) <= 5e-5 * Math.max(1, Math.abs(y));
      if (!close && !Object.is(x, y) && !(Number.isNaN(x) && Number.isNaN(y)))
        return [`${kernel.name}: ${name}[${i}] is ${x}, not ${y} (${kernel.doc})`];
    }
    return [];
  });
}

describe("WGSL kernels of random graphs", () => {
  const first = Number(process.env["KILN_SEED"] ?? 0);
  const count = Number(process.env["KILN_PROGRAMS"] ?? 60);
  it(`compute on a device what the interpreter does, for ${count} graphs`, async function () {
    this.timeout(120_000);
    const device = await requireDevice(this);
    const random = randomNumbers(first);
    const kernels: Kernel[] = [];
    for (let seed = first; seed < first + count; seed++) {
      const { graph } = randomGraph(randomNumbers(seed));
      const { plan } = planTraced(programOf(graph), { machine: wgslMachine, name: "random" });
      for (const kernel of plan.program.kernels) kernels.push({ ...kernel, name: `${kernel.name}_of_${seed}` });
    }
    const want = kernels.map((kernel) => filled(kernel, random));
    const copyOf = (buffers: Record<string, LoopArray>): Record<string, LoopArray> =>
      Object.fromEntries(Object.entries(buffers).map(([name, array]) => [name, array.slice()]));
    const results = (["core", "chosen"] as const).map((texts) => ({ texts, got: want.map(copyOf) }));
    kernels.forEach((kernel, index) => interpretKernel(kernel, at(want, index)));
    for (const { texts, got } of results) {
      await runOnDevice(device, kernels, got, texts);
      const wrong = kernels.flatMap((kernel, index) => differenceOf(kernel, at(got, index), at(want, index)));
      expect(wrong.slice(0, 10), `${texts}: ${wrong.length} kernels of ${kernels.length}`).to.deep.equal([]);
    }
    await device.close();
  });
});
