/** C compilers that are missing, broken or too slow, cache folders that cannot be used, and devices that are not there. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { kiln } from "../bin/kiln.ts";
import { commandMistakes } from "./command.ts";
import { project, writeProject } from "./project.ts";

describe("mistakes: devices", () => {
  let folder = "";

  before(() => {
    folder = writeProject(project());
    kiln(["compile", "model.ts", "--no-check", "--out", "only-c"], folder);
    kiln(["compile", "model.ts", "--no-check", "--out", "gpus", "--target", "wgsl,cuda"], folder, { KILN_NVCC: "" });
  });

  commandMistakes(
    () => folder,
    [
      {
        mistake: "training on a device that the artifact was not compiled for",
        words: ["train", "only-c", "--device", "wgpu"],
        exit: 3,
        error: {
          code: "K5230",
          kind: "target",
          what: "wgpu",
          expected: "wgsl",
          got: "c",
          hint: "--target c,wgsl",
        },
      },
      {
        mistake: "verifying a target that the artifact has not",
        words: ["verify", "only-c", "--target", "wgsl"],
        exit: 1,
        error: { code: "K3092", what: "target", expected: "c", got: "wgsl", hint: "kiln inspect" },
      },
      {
        mistake: "the processor, for an artifact for GPUs alone",
        words: ["train", "gpus", "--device", "cpu"],
        exit: 3,
        error: { code: "K5230", kind: "target", what: "cpu", expected: "c", got: "wgsl, cuda", hint: "wgsl,cuda,c" },
      },
      {
        mistake: "no wgpu-native",
        words: ["train", "gpus", "--device", "wgpu"],
        env: { WGPU_NATIVE_PATH: "no-such-library" },
        exit: 3,
        error: {
          code: "K5201",
          kind: "target",
          expected: "WGPU_NATIVE_PATH",
          got: "no-such-library",
          hint: "setup:wgpu",
        },
      },
      {
        mistake: "no CUDA driver",
        words: ["train", "gpus", "--device", "cuda"],
        env: { KILN_CUDA_DRIVER: "no-such-driver.so" },
        exit: 3,
        error: {
          code: "K5420",
          kind: "target",
          expected: "no-such-driver.so",
          got: "no-such-driver.so",
          hint: "--device",
        },
      },
      {
        mistake: "a device that there is not",
        words: ["train", "gpus", "--device", "tpu"],
        exit: 2,
        error: { code: "K6003", what: "--device", expected: "cuda", got: "tpu", hint: "--device" },
      },
    ],
  );
});

describe("mistakes: compilers and caches", () => {
  let folder = "";
  const compile = ["compile", "model.ts", "--no-check", "--out", "out"];

  before(() => {
    folder = writeProject(project());
    for (const [name, text] of Object.entries({
      refuses: "echo 'internal compiler error: in expand' >&2; exit 4",
      sleeps: "sleep 30",
      crashes: "kill -SEGV $$",
      full: 'case "$*" in *-c\\ -o*) echo "fatal error: error writing: No space left on device" >&2; exit 1;; *) exec cc "$@";; esac',
      silent: 'case "$*" in *-c\\ -o*) exit 0;; *) exec cc "$@";; esac',
    })) {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(folder, name), 0o755);
    }
  });

  const withCompiler = (name: string): Readonly<Record<string, string>> => ({
    KILN_CC: `./${name}`,
    KILN_CACHE: `cache-${name}`,
    KILN_CC_TIMEOUT: "2",
  });

  commandMistakes(
    () => folder,
    [
      {
        mistake: "a compiler that is not there",
        words: compile,
        env: { KILN_CC: "no-such-cc" },
        exit: 3,
        error: {
          code: "K5110",
          kind: "target",
          what: "KILN_CC=no-such-cc",
          expected: "gcc",
          got: "none",
          hint: "apt install gcc",
        },
      },
      {
        mistake: "no compiler at all",
        words: compile,
        env: { PATH: "/nowhere", KILN_CC: "", CC: "" },
        exit: 3,
        error: {
          code: "K5110",
          kind: "target",
          what: "cc, gcc, clang",
          expected: "gcc",
          got: "none",
          hint: "xcode-select",
        },
      },
      {
        mistake: "a compiler that refuses",
        words: compile,
        env: withCompiler("refuses"),
        exit: 3,
        error: {
          code: "K5111",
          kind: "target",
          what: "refuses --version",
          expected: "C11",
          got: "internal compiler error",
          hint: "KILN_CC",
        },
      },
      {
        mistake: "a compiler that crashes",
        words: compile,
        env: withCompiler("crashes"),
        exit: 3,
        error: {
          code: "K5111",
          kind: "target",
          what: "crashes --version",
          expected: "C11",
          got: "SIGSEGV",
          hint: "doctor",
        },
      },
      {
        mistake: "a compiler that writes nothing",
        words: compile,
        env: withCompiler("silent"),
        exit: 3,
        error: {
          code: "K5111",
          kind: "target",
          what: "silent",
          expected: "C11",
          got: "cannot be read",
          hint: "KILN_CC",
        },
      },
      {
        mistake: "a compiler that does not end",
        words: compile,
        env: withCompiler("sleeps"),
        exit: 3,
        error: {
          code: "K5112",
          kind: "target",
          what: "2 s",
          expected: "within 2 s",
          got: "none",
          hint: "KILN_CC_TIMEOUT",
        },
      },
      {
        mistake: "a full disk",
        words: compile,
        env: { ...withCompiler("full"), KILN_CC_TIMEOUT: "60" },
        exit: 3,
        error: { code: "K5113", kind: "target", expected: "room", got: "No space left", hint: "TMPDIR" },
      },
      {
        mistake: "a cache folder in the place of a file",
        make: () => writeFileSync(join(folder, "file"), ""),
        words: compile,
        env: { KILN_CACHE: "file" },
        exit: 3,
        error: {
          code: "K5113",
          kind: "target",
          what: "file",
          expected: "a folder",
          got: /EEXIST|ENOTDIR/,
          hint: "KILN_CACHE",
        },
      },
    ],
  );

  it("K5110 says the same in text, with exit code 3", () => {
    const { code, out, talk } = kiln(compile, folder, { KILN_CC: "no-such-cc" });
    assert.equal(code, 3);
    assert.equal(out, "");
    for (const part of ["error: No C compiler found", "[K5110]", "expected:", "got:", "hint:"])
      assert.include(talk, part);
  });
});
