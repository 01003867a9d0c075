/** The C draws, built with the system's compiler and run, against those of `ir/random`: same bits, same state afterwards. */
import { assert } from "chai";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomFlags, randomHeader, randomSource } from "../../../../codegen/targets/c/random.ts";
import { fillBernoulli, fillNormal, fillUniform } from "../../../../ir/random/draw.ts";
import { Generator, stateLayout } from "../../../../ir/random/generator.ts";
import { bytesOf } from "../../../../runtime/typed-array.ts";

/** One draw of a script: which, how many, and its two numbers. */
type Draw = readonly [kind: "uniform" | "normal" | "bernoulliU8" | "bernoulliF32", count: number, a: number, b: number];

/**
 * A program that reads a generator's state and draws (kind, count and two float64 numbers each) from stdin, and writes
 * the results of each and the state after it to stdout.
 */
const driver = `
${randomHeader}
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  uint32_t state[630];
  double draw[4];
  if (fread(state, 4, 630, stdin) != 630) return 1;
  while (fread(draw, 8, 4, stdin) == 4) {
    long count = (long)draw[1];
    float *out = malloc(4 * (size_t)count + 1);
    size_t width = 4;
    if (draw[0] == 0) kiln_draw_uniform_f32(state, out, count, draw[2], draw[3]);
    else if (draw[0] == 1) kiln_draw_normal_f32(state, out, count, draw[2], draw[3]);
    else if (draw[0] == 2) { kiln_draw_bernoulli_u8(state, (unsigned char *)out, count, draw[2]); width = 1; }
    else kiln_draw_bernoulli_f32(state, out, count, draw[2]);
    fwrite(out, width, (size_t)count, stdout);
    fwrite(state, 4, 630, stdout);
    free(out);
  }
  return 0;
}
`;

const kindNumber = { uniform: 0, normal: 1, bernoulliU8: 2, bernoulliF32: 3 } as const;

/** What `ir/random` gives for a draw, as bytes. */
function expectedBytes(generator: Generator, [kind, count, a, b]: Draw): Uint8Array {
  const out = kind === "bernoulliU8" ? new Uint8Array(count) : new Float32Array(count);
  if (kind === "bernoulliU8" || kind === "bernoulliF32") fillBernoulli(generator, out, a);
  else if (out instanceof Float32Array && kind === "uniform") fillUniform(generator, out, a, b);
  else if (out instanceof Float32Array) fillNormal(generator, out, a, b);
  return bytesOf(out);
}

/** Runs the draws in C and in TypeScript from the same state, and compares after each. */
function compareRuns(program: string, generator: Generator, draws: readonly Draw[]): void {
  const script = Float64Array.from(draws.flatMap(([kind, count, a, b]) => [kindNumber[kind], count, a, b]));
  const input = Buffer.concat([bytesOf(generator.state), bytesOf(script)]);
  const output = execFileSync(program, { input, maxBuffer: 2 ** 28 });
  let at = 0;
  for (const draw of draws) {
    const expected = expectedBytes(generator, draw);
    const got = output.subarray(at, at + expected.length);
    assert.isTrue(got.equals(expected), `${draw.join(" ")}: other results`);
    at += expected.length;
    const state = new Generator(
      new Uint32Array(output.buffer.slice(output.byteOffset + at, output.byteOffset + at + 2520)),
    );
    at += 2520;
    compareStates(state, generator, draw.join(" "));
  }
  assert.equal(at, output.length);
}

/** States must be equal but for the last bit of the kept float64, which the C library's sine may round otherwise. */
function compareStates(got: Generator, expected: Generator, what: string): void {
  const { position, hasKept, keptLow, keptHigh } = stateLayout;
  assert.deepEqual([...got.state.subarray(0, hasKept + 1)], [...expected.state.subarray(0, hasKept + 1)], what);
  assert.isAtMost(got.state[position] ?? NaN, position);
  const kept = (generator: Generator): number =>
    Number((BigInt(generator.state[keptHigh] ?? 0) << 32n) | BigInt(generator.state[keptLow] ?? 0));
  assert.isAtMost(Math.abs(kept(got) - kept(expected)), 2048, `${what}: the kept value`);
}

describe("random draws in C", function () {
  this.timeout(60000);
  let folder = "";

  /** Builds the program with the given flags; the path of the executable. */
  function build(name: string, flags: readonly string[]): string {
    const program = join(folder, name);
    const sources = [join(folder, "random.c"), join(folder, "driver.c")];
    const warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
    execFileSync("cc", [...warnings, ...flags, ...randomFlags, ...sources, "-o", program, "-lm"]);
    return program;
  }

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "kiln-random-"));
    writeFileSync(join(folder, "random.c"), randomSource);
    writeFileSync(join(folder, "driver.c"), driver);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const draws: readonly Draw[] = [
    ["uniform", 1, 0, 1],
    ["uniform", 1000, -0.3, 0.7],
    ["normal", 3, 0, 1],
    ["bernoulliU8", 777, 0.3, 0],
    ["normal", 4, 1.5, 0.02],
    ["uniform", 1, 0, 1],
    ["bernoulliU8", 2048, 0.5, 0],
    ["normal", 16, 0, 1],
    ["normal", 17, 0, 1],
    ["normal", 31, -2, 3],
    ["normal", 1000, 0, 0.02],
    ["normal", 15, 0, 1],
    ["bernoulliF32", 999, 0.9, 0],
    ["bernoulliU8", 100, 0, 0],
    ["bernoulliU8", 100, 1, 0],
    ["bernoulliU8", 100, 1e-300, 0],
    ["uniform", 0, 0, 1],
    ["normal", 0, 0, 1],
    ["normal", 50021, 0, 1],
    ["uniform", 30011, -1e-3, 1e-3],
  ];

  it("give the bits of the TypeScript draws, with vector instructions", () => {
    const program = build("native", ["-O3", "-march=native"]);
    for (const seed of [0, 42, 2147483647, 8589934597n]) compareRuns(program, Generator.seeded(seed), draws);
  });

  it("give the same bits without optimisation, and where the processor has no fused instruction", () => {
    const program = build("plain", ["-O0"]);
    compareRuns(program, Generator.seeded(7), draws);
  });
});
