/**
 * Runs emitted kernels natively, without the addon: compiles them with the flags of real builds into one program that
 * reads all buffers from its standard input, runs every kernel over all its tasks, and writes all buffers back.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emitC } from "../../../../codegen/targets/c/emit.ts";
import { cName, elementType, kernelSymbol } from "../../../../codegen/targets/c/spelling.ts";
import { commonFlags } from "../../../../compiler/build/c.ts";
import { closeCache, openCache } from "../../../../compiler/build/cache.ts";
import { findCompiler } from "../../../../compiler/build/c-compiler.ts";
import type { LoopArray } from "../../../../ir/loop/interpret.ts";
import type { Kernel } from "../../../../ir/loop/loop.ts";

/** The buffers of one kernel, by name. */
export type Buffers = Readonly<Record<string, LoopArray>>;

/** Runs each kernel on its buffers, which are changed in place. `march`: the CPU level to compile for. */
export async function runNative(
  kernels: readonly Kernel[],
  buffers: readonly Buffers[],
  march = "native",
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "kiln-test-"));
  const cache = await openCache();
  try {
    const compiler = await findCompiler(cache, march);
    const { files } = emitC({ name: "test", kernels, entries: [] }, { files: 1 });
    for (const { name, text } of files) writeFileSync(join(folder, name), text);
    writeFileSync(join(folder, "main.c"), mainText(kernels));
    const sources = files.filter(({ kind }) => kind === "source").map(({ name }) => name);
    const args = [...compiler.leading, ...commonFlags(compiler), "-o", "main", "main.c", ...sources, "-lm"];
    const compiled = spawnSync(compiler.file, args, { cwd: folder, encoding: "utf8" });
    if (compiled.status !== 0) throw new Error(compiled.stderr);
    const arrays = kernels.flatMap((kernel, index) => kernel.buffers.map(({ name }) => arrayOf(buffers[index], name)));
    const input = Buffer.concat(
      arrays.map((array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)),
    );
    const run = spawnSync(join(folder, "main"), [], { input, maxBuffer: input.length + 1024 });
    if (run.status !== 0 || run.stdout.length !== input.length) {
      throw new Error(`the kernels ended with ${run.status ?? run.signal ?? "no status"}: ${run.stderr.toString()}`);
    }
    let offset = 0;
    for (const array of arrays) {
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(
        run.stdout.subarray(offset, (offset += array.byteLength)),
      );
    }
  } finally {
    await closeCache(cache);
    rmSync(folder, { recursive: true, force: true });
  }
}

function arrayOf(buffers: Buffers | undefined, name: string): LoopArray {
  const array = buffers?.[name];
  if (array === undefined) throw new Error(`no buffer ${name}`);
  return array;
}

function mainText(kernels: readonly Kernel[]): string {
  const blocks = kernels.map((kernel, number) => {
    const names = kernel.buffers.map((buffer) => `${cName(buffer.name).text}_${number}`);
    const allocate = kernel.buffers.map(({ dtype, size }, index) => {
      const bytes = `${size} * sizeof(${elementType(dtype).text})`;
      const name = names[index];
      // Guard bytes behind each buffer would hide nothing here: the interpreter has checked every index already.
      return `  void *${name} = aligned_alloc(64, (${bytes} + 63) / 64 * 64);\n  if (fread(${name}, 1, ${bytes}, stdin) != ${bytes}) return 2;`;
    });
    const write = kernel.buffers.map(
      ({ dtype, size }, index) => `  fwrite(${names[index]}, sizeof(${elementType(dtype).text}), ${size}, stdout);`,
    );
    return {
      read: allocate.join("\n"),
      call: `  ${kernelSymbol(kernel.name).text}(${[...names, 0, kernel.tasks].join(", ")});`,
      write: write.join("\n"),
    };
  });
  const parts = [blocks.map(({ read }) => read), blocks.map(({ call }) => call), blocks.map(({ write }) => write)];
  return `#include <stdio.h>\n#include <stdlib.h>\n#include "kernels.h"\nint main(void) {\n${parts.flat().join("\n")}\n  return 0;\n}\n`;
}
