/**
 * Exported pages in headless Chromium: what the page of the MNIST example trains is what the C target and PyTorch's
 * reference train, its controls and weights work, as a folder on a server and as one file, and nothing complains.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { Program } from "../../runtime/program.ts";
import { readSafetensors } from "../../runtime/safetensors.ts";
import { encodeSafetensors } from "../../runtime/safetensors-bytes.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { DataLoader, mnist, transforms } from "../../runtime/data/index.ts";
import { Feed } from "../../runtime/training/feed.ts";
import { goldenDir, openTensors } from "../golden.ts";
import { kiln } from "../bin/kiln.ts";
import { Chromium, needsChromium, StaticServer, type Page } from "../web/chromium.ts";

const ready = "document.querySelector('.sample') !== null && !document.querySelector('#app').hidden";
const click = (id: string): string => `document.querySelector('#${id}').click()`;
const set = (id: string, value: number): string =>
  `{ const field = document.querySelector('#${id}'); field.value = ${value}; field.dispatchEvent(new Event('change')); }`;

/** Losses of the first steps on the C target. */
async function lossesOnC(artifact: string, steps: number): Promise<number[]> {
  const program = await Program.load(artifact, { device: "cpu" });
  try {
    program.seed(0);
    const dataset = mnist({ split: "train", transform: transforms.toTensor() });
    const loader = new DataLoader(dataset, { batchSize: 64, shuffle: true });
    program.initialize();
    const call = await new Feed(program, "train", "train", loader).begin().next(steps);
    if (call === undefined) throw new Error("no data");
    return Array.from((await program.run(call)).outputs["loss"] ?? [], Number);
  } finally {
    await program.dispose();
  }
}

describe("an exported page", function () {
  this.timeout(600_000);
  let path: string;
  let folder: string;
  let chromium: Chromium;
  let server: StaticServer;
  const artifact = (): string => join(folder, "artifact");
  const web = (): string => join(folder, "page");
  const single = (): string => join(folder, "page.html");

  before(async function () {
    path = needsChromium(this);
    folder = mkdtempSync(join(tmpdir(), "kiln-web-"));
    const model = join(packageRoot(), "examples", "mnist");
    const compiled = kiln(["compile", model, "--target", "c,wgsl", "--no-check", "--out", artifact()], folder);
    expect(compiled.code, compiled.talk).to.equal(0);
    const exported = kiln(["export", artifact(), "--web", web(), "--single-file", single()], folder);
    expect(exported.code, exported.talk).to.equal(0);
    server = await StaticServer.start(web());
    chromium = await Chromium.start(path);
  });
  after(async () => {
    await chromium?.close();
    await server?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  /** Opens the page; at the end nothing may have complained. */
  async function visit(url: string, look: (page: Page) => Promise<void>): Promise<void> {
    const page = await chromium.open(url);
    await page.until(ready);
    await look(page);
    expect(page.complaints).to.deep.equal([]);
    await page.close();
  }

  it("trains an epoch as the C target and PyTorch do, and its weights go out and in again", async () => {
    await visit(server.url, async (page) => {
      await page.evaluate(`${set("epochs", 1)} ${click("start")}`);
      await page.until("kiln.phase === 'finished' || kiln.phase === 'failed'", 400);
      const losses = await page.evaluate<number[]>("kiln.history.points");
      expect(losses.length).to.equal(938);
      const expected = await lossesOnC(artifact(), 10);
      for (const [i, loss] of expected.entries())
        expect(Math.abs((losses[i] ?? NaN) - loss) / loss, `loss ${i + 1}`).to.be.at.most(1e-5);
      inWindows(losses);
      const [score] = await page.evaluate<{ samples: number; results: { correct: number } }[]>("kiln.scores");
      expect(score?.samples).to.equal(10_000);
      expect(score?.results.correct).to.be.greaterThan(9300);
      await page.until("/2[0-4] of 24 right$/.test(document.querySelector('#samples-note').textContent)");
      expect(await page.text()).to.match(/Accuracy\s+9[3-9]\.\d\d\s?%/);

      const file = await chromium.download(folder, async () => page.evaluate(click("download")));
      await page.until("document.querySelector('#weights-note').textContent.startsWith('Saved')");
      const { tensors, metadata } = readSafetensors(file);
      expect([...tensors.keys()].toSorted()).to.deep.equal(["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"]);
      expect(metadata.get("format")).to.equal("pt");
      const evaluated = kiln(["eval", artifact(), "--checkpoint", file, "--json"], folder);
      expect(evaluated.json()[0]).to.have.nested.property("results.correct", score?.results.correct);

      await page.evaluate(click("reset"));
      await page.until("kiln.phase === 'ready' && kiln.scores.length === 0");
      await page.chooseFiles("#upload", [file]);
      await page.until("document.querySelector('#weights-note').textContent.startsWith('Loaded')");
      await page.until("kiln.scores.length === 1 && kiln.phase === 'ready'");
      const [again] = await page.evaluate<{ results: { correct: number } }[]>("kiln.scores");
      expect(again?.results).to.deep.equal(score?.results);

      const other = join(folder, "other.safetensors");
      const bytes = new Uint8Array(4);
      writeFileSync(
        other,
        Buffer.concat([...encodeSafetensors(new Map([["x", { dtype: "f32", shape: [1], bytes }]]))]),
      );
      await page.chooseFiles("#upload", [other]);
      await page.until("document.querySelector('#weights-note').textContent.includes('K3009')");
    });
  });

  it("is the same training when it is paused, stopped and goes on", async () => {
    await visit(server.url, async (page) => {
      await page.evaluate(`${set("seed", 7)} ${click("start")}`);
      await page.until("kiln.totalSteps >= 20");
      await page.evaluate(click("start"));
      await page.until("kiln.phase === 'paused'");
      const held = await page.evaluate<number>("kiln.totalSteps");
      await page.until("document.querySelector('#start').textContent === 'Continue'");
      await page.evaluate(click("start"));
      await page.until(`kiln.totalSteps >= ${held + 20} && !document.querySelector('#stop').disabled`);
      await page.evaluate(click("stop"));
      await page.until("kiln.phase === 'paused' && kiln.scores.length === 1");
      await page.evaluate(click("start"));
      await page.until("kiln.totalSteps >= 120");
      await page.evaluate("kiln.pause()");
      const parts = await page.evaluate<number[]>("kiln.history.points.slice(0, 120)");
      await page.evaluate(click("reset"));
      await page.until("kiln.phase === 'ready'");
      await page.evaluate(click("start"));
      await page.until("kiln.totalSteps >= 120");
      await page.evaluate("kiln.pause()");
      expect(await page.evaluate("kiln.settings.seed")).to.equal(7);
      expect(await page.evaluate("kiln.history.points.slice(0, 120)")).to.deep.equal(parts);
    });
  });

  it("takes another learning rate, and says why a training cannot go on", async () => {
    await visit(server.url, async (page) => {
      await page.evaluate(`${set("rate", 1e30)} ${click("start")}`);
      await page.until("!document.querySelector('#trouble').hidden");
      expect(await page.text()).to.match(/`loss` is .* at epoch 1, step \d+/);
      await page.evaluate(`${set("rate", 0.001)} ${click("reset")}`);
      await page.until("kiln.phase === 'ready' && document.querySelector('#trouble').hidden");
    });
  });

  for (const [what, url] of [
    ["a file", () => pathToFileURL(single()).href],
    ["a page of a server", () => `${server.url}one.html`],
  ] as const)
    it(`is one HTML file that trains as ${what}`, async () => {
      writeFileSync(join(web(), "one.html"), readFileSync(single()));
      await visit(url(), async (page) => {
        await page.evaluate(click("start"));
        await page.until("kiln.totalSteps >= 10");
        await page.evaluate("kiln.pause()");
        const expected = await lossesOnC(artifact(), 10);
        const losses = await page.evaluate<number[]>("kiln.history.points");
        for (const [i, loss] of expected.entries()) expect(losses[i]).to.be.closeTo(loss, 1e-5 * loss);
      });
    });

  it("says in plain words what is missing", async () => {
    const page = await chromium.open(pathToFileURL(join(web(), "index.html")).href);
    await page.until("!document.querySelector('#trouble').hidden");
    expect(await page.text()).to.match(/web server/);
    expect(await page.evaluate("document.querySelector('#trouble-details').textContent")).to.include("K5515");
    await page.close();
    const without = await Chromium.start(path, { gpu: false });
    try {
      const old = await without.open(server.url);
      await old.until("!document.querySelector('#trouble').hidden");
      expect(await old.text()).to.match(/cannot train here yet|No graphics processor/);
      const details = await old.evaluate("document.querySelector('#trouble-details').textContent");
      expect(details).to.match(/K5501|K5502/);
      expect(await old.evaluate("document.querySelector('#app').hidden")).to.equal(true);
    } finally {
      await without.close();
    }
  });

  it("says which of its files is damaged", async () => {
    const file = join(web(), "data", "0.bin");
    const whole = readFileSync(file);
    writeFileSync(file, whole.subarray(0, whole.length >> 1));
    try {
      const page = await chromium.open(server.url);
      await page.until("!document.querySelector('#trouble').hidden");
      const details = await page.evaluate("document.querySelector('#trouble-details').textContent");
      expect(details).to.include("K5516").and.include("data/0.bin");
      await page.close();
    } finally {
      writeFileSync(file, whole);
    }
  });

  it("is written again over itself, without what is no longer part of it", () => {
    const old = join(web(), "data", "99.bin");
    writeFileSync(old, "old");
    const exported = kiln(["export", artifact(), "--web", web(), "--json"], folder);
    expect(exported.code, exported.talk).to.equal(0);
    expect(existsSync(old)).to.equal(false);
    expect(existsSync(join(web(), "data", "0.bin"))).to.equal(true);
  });
});

/** Losses against the windows of the reference data, where it is there. */
function inWindows(losses: readonly number[]): void {
  const golden = goldenDir();
  if (golden === undefined) {
    process.stderr.write("SKIPPED without reference data (set KILN_GOLDEN): the page's losses in its windows\n");
    return;
  }
  const { judge } = JSON.parse(readFileSync(join(golden, "flagship", "seed0.json"), "utf8")) as {
    judge: { windows: { first: number; last: number; atol: number }[] }; // by format
  };
  const reference = openTensors("flagship/seed0.safetensors").get("losses")?.data ?? [];
  for (const { first, last, atol } of judge.windows)
    for (let step = first; step <= Math.min(last, losses.length); step++)
      expect(losses[step - 1], `loss ${step}`).to.be.closeTo(Number(reference[step - 1]), atol);
}
