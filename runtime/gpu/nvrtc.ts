/**
 * Where NVRTC, the compiler in a library that CUDA kernels without compiled code need, may be: `NVRTC_PATH`, what the
 * system's linker knows, a CUDA toolkit, and the Python environments into which `pip install nvidia-cuda-nvrtc` (or
 * PyTorch) has put it. Gives paths and names to try, best first; whether one can be opened is for the addon to say.
 */
import { readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/** Versions that are known to work, newest first. */
const versions = [13, 12] as const;

/** Paths and names to try, best first. Only the one in `NVRTC_PATH`, if that is set. */
export async function nvrtcPlaces(env: NodeJS.ProcessEnv = process.env): Promise<readonly string[]> {
  const named = env["NVRTC_PATH"];
  if (named !== undefined && named !== "") return [named];
  const files = versions.map(libraryName);
  const toolkits = [env["CUDA_HOME"], env["CUDA_PATH"], "/usr/local/cuda", "/opt/cuda"].filter(isSet);
  const conda = [env["CONDA_PREFIX"]].filter(isSet).map((folder) => join(folder, "lib"));
  const folders = [...toolkits.map((folder) => join(folder, "lib64")), ...conda, ...(await wheelFolders(env))];
  const present = await Promise.all(folders.map(async (folder) => found(folder, files)));
  return [...files, ...present.flat()];
}

function libraryName(version: number): string {
  return process.platform === "win32" ? `nvrtc64_${version}0_0.dll` : `libnvrtc.so.${version}`;
}

/** Folders of the wheel in the environments that a user is likely to have. */
async function wheelFolders(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const bases = [env["VIRTUAL_ENV"], env["CONDA_PREFIX"], join(homedir(), ".local"), "/usr/local", "/usr"]
    .filter(isSet)
    .flatMap((folder) => [join(folder, "lib"), join(folder, "lib64")]);
  // A Python that someone names for PyTorch has NVRTC beside it.
  const python = env["KILN_PEER_PYTHON"];
  if (isSet(python)) bases.push(join(python, "..", "..", "lib"));
  const folders: string[] = [];
  for (const base of bases) {
    for (const name of (await namesIn(base)).filter((name) => /^python3(\.\d+)?$/.test(name))) {
      for (const packages of ["site-packages", "dist-packages"]) {
        const nvidia = join(base, name, packages, "nvidia");
        folders.push(join(nvidia, "cu13", "lib"), join(nvidia, "cuda_nvrtc", "lib"));
      }
    }
  }
  return folders;
}

async function found(folder: string, files: readonly string[]): Promise<readonly string[]> {
  const names = new Set(await namesIn(folder));
  return files.filter((file) => names.has(file)).map((file) => join(folder, file));
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch {
    // A folder that is not there or not ours to read holds nothing for us.
    return [];
  }
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== "";
}
