/**
 * How long the main thread is kept from its own work while a program trains on a GPU: `node dist/bench/event-loop.js
 * [seconds]` trains the seed MLP on WebGPU and prints the gaps of a timer of 1 ms. The bar is 10 ms.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileModel } from "../compiler/compile.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { Program } from "../runtime/program.ts";
import { mnistSteps } from "./ours.ts";

const seconds = Number(process.argv[2] ?? 5);
const folder = await mkdtemp(join(tmpdir(), "kiln-loop-"));
try {
  await compileModel(join(packageRoot(), "bench", "models", "mlp.ts"), { out: folder, targets: ["wgsl"] });
  const program = await Program.load(folder, { device: "wgpu", seed: 0 });
  const train = mnistSteps(program);
  // The data set is uploaded once, before anything is measured.
  await train(100);
  const gaps: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }, 1);
  const end = performance.now() + 1000 * seconds;
  let steps = 0;
  last = performance.now();
  while (performance.now() < end) steps += (await train(100)).length;
  clearInterval(timer);
  await program.dispose();
  const sorted = gaps.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? NaN).toFixed(1);
  process.stdout.write(
    `${steps} steps in ${seconds} s on ${program.description}; gaps of the timer: median ${at(0.5)} ms, 99 % ${at(0.99)} ms, longest ${at(1)} ms\n`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
