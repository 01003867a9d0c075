/**
 * Everything that a machine with an NVIDIA GPU can tell, in one call:
 *
 *   npm run build && KILN_PEER_PYTHON=venv/bin/python node dist/bench/gpu/run.js --out gpu.json
 *
 * 1. Checks every kernel of the training steps of W1 (the MLP) and W2 (the MNIST CNN), and of single operations, against
 *    the loop-IR interpreter, or, where that takes too long, against the same kernels emulated on the processor.
 * 2. Times each: microseconds, GFLOP/s, GB/s, and percent of the roofline that the driver's figures give. A kernel is run
 *    over and over on the same memory, so small ones have theirs in the cache.
 * 3. Trains W1 as a person does: its losses must be those on the processor.
 * 4. Times the steps as CUDA graphs, and PyTorch's: eager, compiled, and captured in a CUDA graph.
 *
 * Prints a table, and with --out writes the same as JSON. A part that cannot run says why, and the rest goes on. Exit code 1
 * if a kernel is wrong, 3 if there is no GPU. Options: --only LIST (W1, W2, training, operations, peers), --case TEXT (operations with
 * this in their name), --seconds S (of a block, 0.1 if left out), --peer-device cpu (to try the peers without a GPU).
 */
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openCuda, type CudaDevice } from "../../runtime/gpu/cuda.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { parseCommandLine, type CommandSpec } from "../../runtime/training/option-table.ts";
import { runMain } from "../main.ts";
import { printTable } from "../table.ts";
import {
  chosenOperations,
  modelPart,
  operationsPart,
  peersPart,
  reasonOf,
  trainingPart,
  type Bench,
  type Row,
} from "./parts.ts";
import { peaksOf } from "./roofline.ts";

const spec = {
  name: "node dist/bench/gpu/run.js",
  doc: "Checks and times compiled programs on an NVIDIA GPU, beside PyTorch.",
  arguments: [],
  options: {
    only: { kind: "text", value: "list", doc: "parts to run, of W1, W2, training, operations, peers; all if left out" },
    case: { kind: "text", value: "text", doc: "only operations with this text in their name" },
    seconds: { kind: "text", value: "s", doc: "seconds of a block of measuring; 0.1 if left out" },
    out: { kind: "text", value: "file", doc: "writes the result as JSON, too" },
    "peer-device": { kind: "text", value: "name", doc: "what PyTorch runs on; cuda if left out" },
  },
} as const satisfies CommandSpec;

await runMain(async (words) => {
  const parsed = parseCommandLine(spec, words);
  if (parsed.kind === "help") return void process.stdout.write(parsed.text);
  const { only = "W1,W2,training,operations,peers", seconds = "0.1", out } = parsed.options;
  const opened = await open();
  const bench: Bench = {
    device: opened.device,
    reference: opened.reference,
    block: Number(seconds) || 0.1,
    python: process.env["KILN_PEER_PYTHON"],
    peerDevice: parsed.options["peer-device"] ?? "cuda",
  };
  const parts: Readonly<Record<string, (bench: Bench) => Promise<readonly Row[]>>> = {
    W1: async (bench) => modelPart(bench, "W1"),
    W2: async (bench) => modelPart(bench, "W2"),
    training: trainingPart,
    operations: async (bench) => operationsPart(bench, chosenOperations(parsed.options.case ?? "")),
    peers: peersPart,
  };
  const rows: Row[] = [...opened.notes];
  for (const name of only.split(",").map((part) => part.trim())) {
    const run = parts[name];
    try {
      if (run === undefined) throw new Error(`there is no such part; there are ${Object.keys(parts).join(", ")}`);
      rows.push(...(await run(bench)));
    } catch (error) {
      rows.push({ part: name, name, note: reasonOf(error) });
    }
  }
  show(rows);
  if (out !== undefined) await writeFile(out, `${JSON.stringify({ device: opened.text, rows }, null, 1)}\n`);
  await opened.reference?.device.close();
  await opened.device?.close();
  if (rows.some(({ isRight }) => isRight === false)) process.exitCode = 1;
  else if (opened.device === undefined) process.exitCode = 3;
});

type Opened = {
  readonly device: CudaDevice | undefined;
  readonly text: string;
  readonly reference: Bench["reference"];
  readonly notes: readonly Row[];
};

/** The GPU, and the emulated one that it is compared with. */
async function open(): Promise<Opened> {
  const notes: Row[] = [];
  let device: CudaDevice | undefined;
  try {
    device = await openCuda();
    const { flops, bytes } = peaksOf(device.traits);
    const peaks = `peaks: ${(flops / 1e12).toFixed(1)} TFLOP/s in float32, ${(bytes / 1e9).toFixed(0)} GB/s`;
    notes.push({ part: "device", name: device.info.description, note: peaks });
  } catch (error) {
    notes.push({ part: "device", name: "cuda", note: reasonOf(error) });
  }
  let reference: Bench["reference"];
  try {
    reference = await openReference();
  } catch (error) {
    notes.push({ part: "device", name: "emulation", note: `large kernels are not checked: ${reasonOf(error)}` });
  }
  return { device, text: device?.info.description ?? "none", reference, notes };
}

/** The emulated driver of the tests, where they and a C++ compiler are there. */
async function openReference(): Promise<Bench["reference"]> {
  const file = join(packageRoot(), "dist", "test", "runtime", "gpu", "emulated-driver.js");
  if (!existsSync(file)) throw new Error("the tests are not part of this tree");
  const { EmulatedDriver, emulatedDriverMissing, emulatedImage } =
    await import("../../test/runtime/gpu/emulated-driver.ts");
  const missing = emulatedDriverMissing();
  if (missing !== undefined) throw new Error(missing);
  const driver = new EmulatedDriver();
  driver.reset({ memory: 2 ** 33 });
  try {
    return { device: await openCuda(), image: (text) => emulatedImage(text) };
  } finally {
    // What was opened stays; whoever opens the next device gets the real one.
    driver.close();
  }
}

function show(rows: readonly Row[]): void {
  const number = (value: number | undefined, digits: number): string => value?.toFixed(digits) ?? "-";
  printTable(
    ["part", "what", "by", "us", "GFLOP/s", "GB/s", "% of roof", "right", "checked by, worst error", "note"],
    rows.map((row) => [
      row.part,
      row.name,
      row.by ?? "-",
      number(row.microseconds, 2),
      number(row.gflops, 1),
      number(row.gigabytes, 1),
      number(row.roof, 1),
      row.isRight === undefined ? "-" : row.isRight ? "yes" : "NO",
      row.checked ?? "-",
      row.note ?? "",
    ]),
  );
}
