/**
 * A hand-written program and its artifact, to test what runs programs without the compiler. The library is compiled
 * once for each process and set of flags.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CTarget, Manifest, ManifestEntry, ManifestState } from "../../ir/artifact/manifest.ts";
import { packageRoot } from "../../runtime/package-root.ts";

/**
 * Entries of the program. `add@4`, `add@2`: y = sum of x in a fixed order + scalars[0], total += y, over three phases with
 * a partial sum for each element in the arena. `gather@2`: rows of a data set. `flush`: a product that is a denormal.
 * `slow`: 2 ms a step. `draw`: the first word of the generator, which it increments. `fail`: a failed check.
 */
const source = `
#include "program.h"
#include <stdint.h>
#include <string.h>
#include <time.h>

static void square(void *const *b, long t, long n, long count) {
  const float *x = b[0]; float *arena = b[1];
  for (long i = t; i < count; i += n) arena[i] = x[i] * x[i];
}
static void square4(void *const *b, long t, long n) { square(b, t, n, 4); }
static void square2(void *const *b, long t, long n) { square(b, t, n, 2); }
static void sum(void *const *b, long t, long n, long count) {
  float *arena = b[1]; float *y = b[3]; const float *scalars = b[4];
  if (t != n - 1) return;
  float s = 0;
  for (long i = 0; i < count; i++) s += arena[i];
  y[0] = s + scalars[0];
  y[1] = scalars[1];
}
static void sum4(void *const *b, long t, long n) { sum(b, t, n, 4); }
static void sum2(void *const *b, long t, long n) { sum(b, t, n, 2); }
static void keep(void *const *b, long t, long n) {
  (void)n;
  if (t == 0) ((float *)b[2])[0] += ((float *)b[3])[0];
}
static void gather(void *const *b, long t, long n) {
  const float *rows = b[0]; const int32_t *indices = b[1]; float *y = b[2];
  for (long i = t; i < 2; i += n) memcpy(y + 3 * i, rows + 3 * indices[i], 12);
}
static void flush(void *const *b, long t, long n) {
  float *y = b[0]; volatile float tiny = 1e-30f; volatile float small = 1e-10f;
  if (t == n - 1) y[0] = tiny * small;
}
static void slow(void *const *b, long t, long n) {
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do clock_gettime(CLOCK_MONOTONIC, &end);
  while ((end.tv_sec - start.tv_sec) * 1000000000L + (end.tv_nsec - start.tv_nsec) < 2000000L);
  if (t == n - 1) ((int32_t *)b[0])[0] = 7;
}
static void draw(void *const *b, long t, long n) {
  uint32_t *state = b[0]; int32_t *y = b[1];
  (void)n;
  if (t == 0) y[0] = (int32_t)(state[0]++ & 0xffff);
}
static void check(void *const *b, long t, long n) {
  int32_t *status = b[1]; const int32_t *index = b[0];
  (void)n;
  if (t == 0 && (index[0] < 0 || index[0] >= 10)) { status[0] = 1; status[1] = index[0]; status[2] = 10; }
}

static kiln_phase *const add4[] = {square4, sum4, keep};
static kiln_phase *const add2[] = {square2, sum2, keep};
static kiln_phase *const gathers[] = {gather};
static kiln_phase *const flushes[] = {flush};
static kiln_phase *const slows[] = {slow};
static kiln_phase *const draws[] = {draw};
static kiln_phase *const checks[] = {check};
static const struct kiln_entry entries[] = {
  {"add@4", 5, 3, add4}, {"add@2", 5, 3, add2}, {"gather@2", 3, 1, gathers}, {"flush", 1, 1, flushes},
  {"slow", 1, 1, slows}, {"draw", 2, 1, draws}, {"check", 2, 1, checks},
};
#ifndef ABI
#define ABI KILN_PROGRAM_ABI
#endif
const struct kiln_program kiln_program = {ABI, sizeof entries / sizeof entries[0], entries};
`;

const folders: string[] = [];

/** A folder that `removeFolders` removes. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "kiln-test-"));
  folders.push(folder);
  return folder;
}

/** Removes all temporary folders. */
export function removeFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

const libraries = new Map<string, Uint8Array>();

/** The library's bytes, compiled with further flags. */
export function tinyLibrary(...flags: readonly string[]): Uint8Array {
  const key = flags.join(" ");
  const known = libraries.get(key);
  if (known !== undefined) return known;
  const folder = mkdtempSync(join(tmpdir(), "kiln-test-"));
  const path = join(folder, "program.so");
  const include = join(packageRoot(), "runtime", "native");
  const args = ["-x", "c", "-", "-O1", "-shared", "-fPIC", "-I", include, ...flags, "-o", path];
  const { status, stderr, error } = spawnSync("cc", args, { input: source, encoding: "utf8" });
  if (status !== 0) throw new Error(`cc: ${error?.message ?? stderr}`);
  const bytes = readFileSync(path);
  rmSync(folder, { recursive: true });
  libraries.set(key, bytes);
  return bytes;
}

type Buffer = ManifestEntry["buffers"][number];

const buffer = (role: Buffer["role"], name: string, dtype: Buffer["dtype"], shape: number[]): Buffer => ({
  role,
  name,
  dtype,
  stored: dtype,
  shape,
});

function entry(
  name: string,
  batch: number,
  phases: number,
  buffers: Buffer[],
  more: Partial<ManifestEntry> = {},
): ManifestEntry {
  return { name, batch, phases, arenaBytes: 0, buffers, scalars: [], increments: {}, ...more };
}

function add(batch: number): ManifestEntry {
  return entry(
    "add",
    batch,
    3,
    [
      buffer("input", "x", "f32", [batch]),
      buffer("arena", "arena", "f32", [batch]),
      buffer("state", "state", "f32", [1]),
      buffer("output", "y", "f32", [2]),
      buffer("scalars", "scalars", "f32", [2]),
    ],
    {
      arenaBytes: 4 * batch,
      scalars: [
        ["hyper", "bias"],
        ["sub", 1, ["pow", 0.5, ["add", ["counter", "step"], 1]]],
      ],
      increments: { step: 1 },
    },
  );
}

/** The target of the program. */
export function tinyTarget(): CTarget {
  return {
    name: "c",
    library: "program.so",
    features: [],
    arch: process.arch,
    state: { bytes: 512, values: tinyState.map((value) => ({ ...value, stored: value.dtype })) },
    entries: [
      add(4),
      add(2),
      entry("gather", 2, 1, [
        buffer("dataset", "rows", "f32", [0, 3]),
        buffer("indices", "indices", "i32", [2]),
        buffer("output", "y", "f32", [2, 3]),
      ]),
      entry("flush", 0, 1, [buffer("output", "y", "f32", [])]),
      entry("slow", 0, 1, [buffer("output", "y", "i32", [])]),
      entry("draw", 0, 1, [buffer("generator", "generator", "i32", [630]), buffer("output", "y", "i32", [])]),
      entry("check", 0, 1, [buffer("input", "index", "i32", [1]), buffer("status", "status", "i32", [4])]),
    ],
  };
}

const tinyState: readonly Omit<ManifestState, "stored">[] = [
  { name: "total", role: "buffer", dtype: "f32", shape: [], offset: 0, strides: [] },
  // Transposed, and padded to 4 along its contiguous axis.
  { name: "fc.weight", role: "parameter", dtype: "f32", shape: [3, 2], offset: 64, strides: [1, 4] },
  { name: "fc.count", role: "buffer", dtype: "i64", shape: [], offset: 128, strides: [] },
  // Two halves that lie between each other's elements.
  { name: "adam.even.fc.weight", role: "slot", dtype: "f32", shape: [3, 2], offset: 192, strides: [4, 2] },
  { name: "adam.odd.fc.weight", role: "slot", dtype: "f32", shape: [3, 2], offset: 196, strides: [4, 2] },
];

/** The manifest of the program. */
export function tinyManifest(library: Uint8Array, target: CTarget = tinyTarget()): Manifest {
  return {
    schema: 2,
    kiln: "0.0.0",
    name: "tiny",
    command: "by hand",
    files: { "program.so": createHash("sha256").update(library).digest("hex") },
    targets: [target],
    hyper: { bias: 0.25 },
    counters: ["step"],
    init: [
      { kind: "uniform", state: "fc.weight", low: -1, high: 1 },
      { kind: "constant", state: "total", value: 2 },
    ],
    training: null,
  };
}

/** Writes an artifact and returns its folder. */
export function writeArtifact(manifest?: unknown, library: Uint8Array = tinyLibrary()): string {
  const folder = join(temporaryFolder(), "tiny");
  mkdirSync(folder);
  writeFileSync(join(folder, "program.so"), library);
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest ?? tinyManifest(library)));
  return folder;
}
