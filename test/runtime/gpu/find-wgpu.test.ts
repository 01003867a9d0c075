/** Finding wgpu-native and obtaining it, with packages, hashes and a Python of the test's own. */
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { expect } from "chai";
import { findWgpu, type WgpuLibrary, type WgpuSearch } from "../../../runtime/gpu/find-wgpu.ts";
import { wgpuPins, type WgpuPin } from "../../../runtime/gpu/wgpu-pins.ts";
import { zipEntry } from "../../../runtime/gpu/zip-entry.ts";
import { failsWithAsync } from "../../fails-with-async.ts";
import { removeFolders, temporaryFolder } from "../tiny-artifact.ts";

const library = Buffer.from("a library ".repeat(1000));
const file = "libwgpu.so";

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A zip archive, with a comment behind it. */
function zip(entries: readonly (readonly [name: string, contents: Buffer, isPacked: boolean])[]): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, contents, isPacked] of entries) {
    const packed = isPacked ? deflateRawSync(contents) : contents;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(isPacked ? 8 : 0, 10);
    central.writeUInt32LE(packed.length, 20);
    central.writeUInt32LE(contents.length, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(at, 42);
    bodies.push(local, Buffer.from(name), packed);
    directory.push(central, Buffer.from(name));
    at += 30 + name.length + packed.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(at, 16);
  end.writeUInt16LE(5, 20);
  return Buffer.concat([...bodies, ...directory, end, Buffer.from("later")]);
}

const wheel = zip([
  ["wgpu/__init__.py", Buffer.from("pass"), false],
  [`wgpu/resources/${file}`, library, true],
]);
const pin: WgpuPin = { platform: "any", file, wheel: sha256(wheel), library: sha256(library) };

/** A Python that is a shell script: `$6` and so on are pip's words, `$#` their number; `-c` looks for a package. */
function fakePython(body: string): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "python3"), `#!/bin/sh\n${body}\n`);
  chmodSync(join(folder, "python3"), 0o755);
  return folder;
}

/** A Python without the package, whose pip downloads `contents`. */
function downloading(contents: Buffer): string {
  const source = join(temporaryFolder(), "wheel");
  writeFileSync(source, contents);
  return fakePython(
    `if [ "$1" = -c ]; then exit 0; fi\nfor word; do last="$word"; done\n/bin/cat ${source} > "$last/wgpu.whl"`,
  );
}

/** Runs `action` where these are all there is of what the search asks the environment for. */
async function where<T>(
  path: string,
  named: string | undefined,
  unpinned: string | undefined,
  action: () => Promise<T>,
): Promise<T> {
  const changes = { PATH: path, WGPU_NATIVE_PATH: named, WGPU_NATIVE_UNPINNED: unpinned };
  const before = Object.keys(changes).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(changes)) set(name, value);
  try {
    return await action();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}

async function search(path: string, options: WgpuSearch, named?: string, unpinned?: string): Promise<WgpuLibrary> {
  return where(path, named, unpinned, async () => findWgpu(options));
}

/** A cache folder that does not exist yet. */
function newCache(): string {
  return join(temporaryFolder(), "cache", "wgpu");
}

describe("finding wgpu-native", () => {
  before(function () {
    if (process.platform === "win32") this.skip();
  });
  after(removeFolders);

  it("pins a package and a library for six platforms", () => {
    const names = ["linux-x64", "linux-arm64", "darwin-arm64", "darwin-x64", "win32-x64", "win32-arm64"];
    expect(Object.keys(wgpuPins)).to.have.members(names);
    const hashes = Object.values(wgpuPins).flatMap((each) => [each.wheel, each.library]);
    expect(new Set(hashes).size).to.equal(12);
    for (const hash of hashes) expect(hash).to.match(/^[0-9a-f]{64}$/);
  });

  it("downloads once, and takes what it has from then on", async () => {
    const cache = newCache();
    const python = downloading(wheel);
    const first = await search(python, { pin, cache });
    expect(first).to.deep.equal({ path: join(cache, file), source: "download" });
    expect(readFileSync(first.path)).to.deep.equal(library);
    expect(readdirSync(cache)).to.deep.equal([file]);
    expect((await search("/nowhere", { pin, cache })).source).to.equal("cache");
  });

  it("may look any number of times at once", async () => {
    const cache = newCache();
    const python = downloading(wheel);
    const found = await where(python, undefined, undefined, async () =>
      Promise.all(Array.from({ length: 6 }, async () => findWgpu({ pin, cache }))),
    );
    expect(new Set(found.map(({ path }) => path)).size).to.equal(1);
    expect(readdirSync(cache)).to.deep.equal([file]);
  });

  it("replaces a damaged library in the cache, and does not use it", async () => {
    const cache = newCache();
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(cache, file), library.subarray(1));
    const error = await failsWithAsync("K5201", async () => search("/nowhere", { pin, cache }));
    expect(error.message).to.contain("damaged").and.to.contain("no Python");
    expect((await search(downloading(wheel), { pin, cache })).source).to.equal("download");
    expect(readFileSync(join(cache, file))).to.deep.equal(library);
  });

  it("takes nothing but what is pinned", async () => {
    const cache = newCache();
    const other = zip([[`wgpu/resources/${file}`, Buffer.from("another"), false]]);
    const refuse = async (contents: Buffer, expected: WgpuPin, text: string): Promise<void> => {
      const error = await failsWithAsync("K5201", async () => search(downloading(contents), { pin: expected, cache }));
      expect(error.message).to.contain(text);
      expect(existsSync(cache)).to.equal(false);
    };
    await refuse(other, pin, "not the package");
    await refuse(other, { ...pin, wheel: sha256(other) }, "another library");
    await refuse(Buffer.from("no zip"), { ...pin, wheel: sha256(Buffer.from("no zip")) }, "another library");
  });

  it("uses an installed package of the right version, and says if it is another", async () => {
    const folder = join(temporaryFolder(), "wgpu");
    mkdirSync(join(folder, "resources"), { recursive: true });
    const path = join(folder, "resources", file);
    writeFileSync(path, library);
    const python = fakePython(`if [ "$1" = -c ]; then echo ${folder}; else exit 1; fi`);
    expect(await search(python, { pin, cache: newCache() })).to.deep.equal({ path, source: "installed package" });
    writeFileSync(path, "older");
    const error = await failsWithAsync("K5201", async () => search(python, { pin, cache: newCache() }));
    expect(error.message).to.contain("installed package");
  });

  it("goes by WGPU_NATIVE_PATH alone where that is set", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "mine.so");
    const options = { pin, cache: newCache() };
    const missing = await failsWithAsync("K5201", async () => search(downloading(wheel), options, path));
    expect(missing.message).to.contain("cannot be read");
    writeFileSync(path, library);
    expect(await search("/nowhere", options, path)).to.deep.equal({ path, source: "WGPU_NATIVE_PATH" });
    writeFileSync(path, "built here");
    const error = await failsWithAsync("K5201", async () => search("/nowhere", options, path));
    expect(error.message).to.contain("WGPU_NATIVE_UNPINNED");
    expect((await search("/nowhere", options, path, "1")).path).to.equal(path);
    await failsWithAsync("K5201", async () => search("/nowhere", options, folder, "1"));
  });

  it("says in short what is missing: Python, pip, the network, a place to write, a platform", async () => {
    const messages = async (path: string, options: WgpuSearch): Promise<string> =>
      (await failsWithAsync("K5201", async () => search(path, options))).message;
    const begun = performance.now();
    const none = await messages("", { pin, cache: newCache() });
    expect(performance.now() - begun).to.be.lessThan(5_000);
    expect(none).to.contain("no Python").and.to.contain("WGPU_NATIVE_PATH");
    const noPip = fakePython(`if [ "$1" = -c ]; then exit 0; fi\necho 'No module named pip' >&2; exit 1`);
    expect(await messages(noPip, { pin, cache: newCache() })).to.contain("No module named pip");
    const nothing = fakePython("exit 0");
    expect(await messages(nothing, { pin, cache: newCache() })).to.contain("downloaded nothing");
    expect(await messages(downloading(wheel), { pin, cache: newCache(), offline: true })).to.contain("not been set up");
    expect(await messages("", { pin: undefined })).to.contain(process.platform);
    const blocked = join(temporaryFolder(), "file");
    writeFileSync(blocked, "");
    const unwritable = await messages(downloading(wheel), { pin, cache: join(blocked, "cache") });
    expect(unwritable.split("\n").find((line) => line.includes("got:"))).to.match(/ENOTDIR|EEXIST|K\d{4}/);
  });
});

describe("a zip's entry", () => {
  it("is read stored or packed, and is nothing where the archive is damaged", () => {
    expect(zipEntry(wheel, `wgpu/resources/${file}`)).to.deep.equal(library);
    expect(String(zipEntry(wheel, "wgpu/__init__.py"))).to.equal("pass");
    expect(zipEntry(wheel, "wgpu")).to.equal(undefined);
    expect(zipEntry(Buffer.alloc(0), "wgpu")).to.equal(undefined);
    for (let length = 0; length < wheel.length; length += 7)
      expect(zipEntry(wheel.subarray(0, length), `wgpu/resources/${file}`)).to.equal(undefined);
  });
});
