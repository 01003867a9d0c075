/**
 * What `kiln doctor` looks for to run programs on GPUs: the WebGPU library and the GPUs it finds, the compilers of CUDA
 * and NVIDIA's GPUs. Each looks by itself and gives a line, or throws the `TargetError` that says what is missing. The
 * drivers are loaded only when they are looked for; nothing is downloaded.
 */
import { access, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { findNvcc } from "../compiler/build/cuda.ts";
import { runCommand } from "../compiler/build/run-command.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";

/** The library through which programs use WebGPU. @throws TargetError K5201. */
export async function wgpuLibrary(): Promise<string> {
  const { findWgpu } = await import("../runtime/gpu/find-wgpu.ts");
  const { path, source } = await findWgpu({ offline: true });
  return `${path}, from the ${source}`;
}

/** The GPUs that WebGPU programs can run on. @throws TargetError K5201, K6060. */
export async function wgpuAdapters(): Promise<string> {
  await wgpuLibrary();
  const { describeWgpu } = await import("../runtime/gpu/wgpu.ts");
  const { adapters, library } = await describeWgpu();
  if (adapters.length === 0) throw fail(messages.noWgpuAdapter(library));
  return adapters.join("; ");
}

/** The compiler that makes CUDA programs ready when they are compiled. @throws TargetError K5432, K6061. */
export async function nvcc(): Promise<string> {
  const file = await findNvcc();
  if (file === undefined) throw fail(messages.noNvcc());
  const result = await runCommand({ file, args: ["--version"], cwd: tmpdir(), seconds: 20 });
  const version = result.kind === "done" ? /release [^\n]*/.exec(result.stdout)?.[0] : undefined;
  return version === undefined ? file : `${file}, ${version}`;
}

/** The compiler that makes CUDA programs ready when they are loaded. @throws TargetError K6062. */
export async function nvrtc(): Promise<string> {
  const { nvrtcPlaces } = await import("../runtime/gpu/nvrtc.ts");
  for (const place of await nvrtcPlaces()) {
    const found = isAbsolute(place) ? await whereThere(place) : await inSystemFolders(place);
    if (found !== undefined) return found;
  }
  throw fail(messages.noNvrtc());
}

/** NVIDIA's GPU that CUDA programs run on. @throws TargetError K5420 to K5423. */
export async function cudaGpu(): Promise<string> {
  const { openCuda } = await import("../runtime/gpu/cuda.ts");
  const device = await openCuda();
  const { description } = device.info;
  await device.close();
  return description;
}

async function whereThere(path: string): Promise<string | undefined> {
  return access(path).then(
    () => path,
    () => undefined,
  );
}

/** A library that the system's linker finds by its name, looked for where it looks. */
async function inSystemFolders(name: string): Promise<string | undefined> {
  const named = (process.env["LD_LIBRARY_PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const folders = [...named, "/usr/local/lib", "/usr/lib64", "/usr/lib", "/lib64"];
  const deeper = await readdir("/usr/lib").catch(() => []);
  for (const folder of [
    ...folders,
    ...deeper.filter((each) => each.includes("-linux-")).map((each) => join("/usr/lib", each)),
  ]) {
    const found = await whereThere(join(folder, name));
    if (found !== undefined) return found;
  }
  return undefined;
}
