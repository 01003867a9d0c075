/** Several targets in one manifest: which one is chosen, and every fault of a GPU's launches as a coded error. */
import { expect } from "chai";
import type { Manifest, WgslTarget } from "../../../ir/artifact/manifest.ts";
import { at } from "../../../ir/type.ts";
import { programHash } from "../../../runtime/checkpoint.ts";
import { parseManifest } from "../../../runtime/manifest-check.ts";
import { selectTarget } from "../../../runtime/select-target.ts";
import { failsWith } from "../../fails-with.ts";
import { tinyManifest, tinyTarget } from "../tiny-artifact.ts";
import { tinyGpuTarget } from "./tiny-gpu.ts";

const library = new Uint8Array([1]);

function manifestOf(target: WgslTarget): Manifest {
  const whole = tinyManifest(library);
  const files = Object.fromEntries(target.kernels.map(({ file }) => [file, "0".repeat(64)]));
  return { ...whole, files, targets: [target], init: [] };
}

/** A valid manifest, changed. */
function changed(change: (target: WgslTarget) => void): unknown {
  const manifest = structuredClone(manifestOf(tinyGpuTarget()));
  const target = at(manifest.targets, 0);
  if (target.name === "wgsl") change(target);
  return manifest;
}

describe("runtime/select-target", () => {
  const gpu = manifestOf(tinyGpuTarget());

  it("takes the processor's target, else what there is", () => {
    expect(selectTarget(tinyManifest(library)).target.name).to.equal("c");
    expect(selectTarget(gpu).target.name).to.equal("wgsl");
    expect(selectTarget(gpu, "wgpu").entries.map(({ name }) => name)).to.deep.equal(["add", "rows", "types", "noise"]);
    expect(selectTarget(gpu)).not.to.have.property("targets");
    const both = { ...gpu, targets: [tinyGpuTarget(), tinyTarget()] };
    expect(selectTarget(both).target.name).to.equal("c");
    expect(selectTarget(both, "wgpu").state.bytes).to.equal(512);
  });

  it("says what an artifact was compiled for", () => {
    expect(failsWith("K5230", () => selectTarget(gpu, "cpu")).message).to.match(/--target wgsl,c/);
    expect(failsWith("K5230", () => selectTarget(gpu, "cuda")).message).to.match(/got: +one with wgsl/);
  });
});

describe("manifests with GPU targets", () => {
  const launch = (target: WgslTarget, entry = 0, index = 0): NonNullable<WgslTarget["entries"][0]["launches"]>[0] =>
    at(at(target.entries, entry).launches ?? [], index);

  it("reads a valid one", () => {
    expect(parseManifest(changed(() => undefined)).targets.length).to.equal(1);
  });

  const faults: readonly [string, (target: WgslTarget) => void][] = [
    ["a kernel that is not there", (target) => (launch(target).kernel = 6)],
    ["no work-groups", (target) => (launch(target).groups = 0)],
    ["too many work-groups", (target) => (launch(target).groups = 2 ** 31)],
    ["a missing binding", (target) => launch(target).bindings.pop()],
    ["a binding of no buffer", (target) => (at(launch(target).bindings, 0).buffer = 5)],
    ["a binding past the arena", (target) => (at(launch(target).bindings, 1).bytes = 36)],
    ["a binding past the state", (target) => (at(launch(target, 2).bindings, 4).offset = 512)],
    ["an offset that is not aligned", (target) => (at(launch(target, 2).bindings, 4).offset = 128)],
    ["an empty binding", (target) => (at(launch(target).bindings, 0).bytes = 0)],
    ["a binding of half a word", (target) => (at(launch(target).bindings, 0).bytes = 22)],
    ["a part of a data set", (target) => (at(launch(target, 1).bindings, 0).offset = 256)],
    ["a data set that is written", (target) => (at(target.kernels, 3).bindings[0] = "readwrite")],
    ["an entry without launches", (target) => delete at(target.entries, 0).launches],
    ["two kernels of one name", (target) => (at(target.kernels, 1).name = "square")],
    ["a kernel's name that is none", (target) => (at(target.kernels, 1).name = "a b")],
    ["a kernel without threads", (target) => (at(target.kernels, 1).threads = 0)],
    ["a kernel's file that is not there", (target) => (at(target.kernels, 1).file = "kernels/none.wgsl")],
    ["floats as integers", (target) => (at(target.state.values, 0).stored = "i32")],
    ["bytes as floats", (target) => (at(at(target.entries, 2).buffers, 0).stored = "f32")],
    ["draws of nothing", (target) => delete at(at(target.entries, 3).buffers, 0).draw],
    ["a key that is too short", (target) => (at(at(target.entries, 3).buffers, 1).shape = [3])],
    ["the generator's state", (target) => (at(at(target.entries, 3).buffers, 1).role = "generator")],
  ];
  for (const [what, change] of faults)
    it(`refuses ${what}`, () => {
      failsWith("K3002", () => parseManifest(changed(change)));
    });

  it("refuses targets that are not the same program, or not there", () => {
    const one = manifestOf(tinyGpuTarget());
    const refused = (targets: unknown): string => failsWith("K3002", () => parseManifest({ ...one, targets })).message;
    expect(refused([])).to.include("at least one target");
    expect(refused([tinyGpuTarget(), tinyGpuTarget()])).to.include("twice");
    const second = { ...tinyGpuTarget(), name: "cuda" as const, image: null };
    expect(parseManifest({ ...one, targets: [tinyGpuTarget(), second] }).targets.length).to.equal(2);
    // CUDA binds bytes as they are.
    const odd = structuredClone(second);
    at(at(at(odd.entries, 0).launches ?? [], 0).bindings, 0).bytes = 22;
    expect(parseManifest({ ...one, targets: [odd] }).targets.length).to.equal(1);
    const rest = second.entries.slice(1);
    expect(refused([tinyGpuTarget(), { ...second, entries: rest }])).to.include("the entries of the target wgsl");
    const values = second.state.values.map((value) => ({ ...value, shape: value.name === "seen" ? [1] : [] }));
    const state = { ...second.state, values };
    expect(refused([tinyGpuTarget(), { ...second, state }])).to.include("the values of the target wgsl");
  });

  it("are one program to a checkpoint, whatever the target", () => {
    const one = manifestOf(tinyGpuTarget());
    const other = { ...tinyGpuTarget(), name: "cuda" as const, image: null };
    // Laid out, stored and computed in another way.
    other.state = {
      ...other.state,
      bytes: 1024,
      values: other.state.values.map((v) => ({ ...v, offset: 8, stored: v.dtype })),
    };
    other.entries = other.entries.map((entry) => ({ ...entry, arenaBytes: 4096, launches: [], scalars: [] }));
    const hash = (targets: Manifest["targets"], device: "wgpu" | "cuda"): string =>
      programHash(selectTarget({ ...one, targets }, device), "none");
    expect(hash([other], "cuda")).to.equal(hash([tinyGpuTarget()], "wgpu"));
    const renamed = other.entries.map((entry) => ({ ...entry, name: `${entry.name}2` }));
    expect(hash([{ ...other, entries: renamed }], "cuda")).not.to.equal(hash([other], "cuda"));
  });
});
