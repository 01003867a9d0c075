/**
 * The program of an exported page: opens the GPU, loads the artifact and its data, and lets the user train. `kiln` on the
 * console is the trainer with its losses and evaluations.
 */
import { DiagnosticError } from "../../ir/diagnostic/diagnostic.ts";
import { elementCount, dtypeBytes } from "../../ir/type.ts";
import { GpuProgram } from "../gpu/program.ts";
import { openWebGpu } from "../gpu/webgpu.ts";
import { LoadedProgram } from "../loaded-program.ts";
import { buttonById, byId, inputById, make, progressById, write } from "./elements.ts";
import { readArtifactFile, readManifest, readPage } from "./files.ts";
import { readArrays } from "./loaders.ts";
import { PageTrainer, type Settings } from "./trainer.ts";
import { showTrouble } from "./trouble.ts";
import { View } from "./view.ts";
import { countParameters, loadWeights, offerFile, saveWeights } from "./weights.ts";

async function main(): Promise<void> {
  const manifest = await readManifest();
  write("title", manifest.name);
  document.title = `${manifest.name} · Kiln`;
  const gpu = await openWebGpu();
  const device = byId("device");
  device.textContent = gpu.info.description;
  device.hidden = false;
  const page = await readPage();
  const total = page.arrays.reduce((sum, { dtype, shape }) => sum + elementCount(shape) * dtypeBytes[dtype], 0);
  write("loading-what", `Loading the data (${(total / 1e6).toFixed(0)} MB unpacked)…`);
  const arrays = await readArrays(page.arrays, (done) => {
    write("loading-what", `Loading the data: ${(done / 1e6).toFixed(1)} MB…`);
  });
  write("loading-what", "Compiling the kernels…");
  const executor = await GpuProgram.load(manifest, gpu, { read: (file) => readArtifactFile(manifest, file) });
  const program = new LoadedProgram(manifest, executor);
  const changes = { told: (): void => undefined };
  const trainer = new PageTrainer(program, { page, arrays }, () => changes.told());
  const view = new View(trainer);
  const controls = new Controls(trainer, view);
  changes.told = () => controls.changed();
  Object.assign(globalThis, { kiln: trainer });
  controls.connect();
  writeFacts(program);
  byId("loading").hidden = true;
  byId("app").hidden = false;
  byId("facts").hidden = false;
  view.update();
  await view.showSamples(false);
}

/** The buttons and fields. */
class Controls {
  readonly #trainer: PageTrainer;
  readonly #view: View;
  #isPredicting = false;

  constructor(trainer: PageTrainer, view: View) {
    this.#trainer = trainer;
    this.#view = view;
  }

  /** Draws what has changed; after an evaluation and at rest the samples are predicted anew. */
  changed(): void {
    const trainer = this.#trainer;
    this.#view.update();
    if (trainer.phase === "failed") return this.#fail(trainer.fault);
    const isResting = trainer.phase !== "training" && trainer.phase !== "evaluating";
    const isNewEpoch = trainer.phase === "training" && trainer.steps === 0;
    if (this.#isPredicting || !this.#view.isStale || !(isResting || isNewEpoch)) return;
    this.#isPredicting = true;
    this.#try(async () => {
      try {
        await this.#view.predict();
      } finally {
        this.#isPredicting = false;
      }
      this.changed();
    });
  }

  /** Makes the controls work. */
  connect(): void {
    const trainer = this.#trainer;
    const { seed, epochs } = trainer.settings;
    inputById("seed").value = String(seed);
    inputById("epochs").value = String(epochs);
    inputById("rate").value = trainer.rate === undefined ? "" : String(trainer.rate);
    if (trainer.rate === undefined) inputById("rate").closest("label")?.remove();
    this.#onClick("start", () => this.#toggle());
    this.#onClick("stop", () => trainer.stop());
    this.#onClick("reset", () => this.#reset());
    this.#onClick("others", () => this.#view.showSamples(true));
    this.#onClick("download", () => this.#download());
    for (const id of ["epochs", "rate", "seed"])
      inputById(id).addEventListener("change", () => this.#try(() => this.#settle()));
    const upload = inputById("upload");
    upload.addEventListener("change", () => {
      const [file] = upload.files ?? [];
      if (file !== undefined) this.#try(() => this.#upload(file));
      upload.value = "";
    });
  }

  #onClick(id: string, action: () => Promise<void>): void {
    buttonById(id).addEventListener("click", () => this.#try(action));
  }

  /** Runs an action; what goes wrong in it is shown. */
  #try(action: () => Promise<void>): void {
    action().catch((error: unknown) => this.#fail(error));
  }

  async #toggle(): Promise<void> {
    const { phase } = this.#trainer;
    if (phase === "training" || phase === "evaluating") return this.#trainer.pause();
    await this.#settle();
    this.#trainer.start();
  }

  async #reset(): Promise<void> {
    const settings = this.#settings();
    if (settings === undefined) return;
    note("As .safetensors, for PyTorch and for kiln.");
    await this.#trainer.reset(settings);
    byId("trouble").hidden = true;
    await this.#view.showSamples(false);
  }

  /** Takes over what stands in the fields; before the first step everything may change. */
  async #settle(): Promise<void> {
    const settings = this.#settings();
    if (settings === undefined) return;
    const now = this.#trainer.settings;
    const isFresh = this.#trainer.phase === "ready" && this.#trainer.totalSteps === 0;
    if (isFresh && settings.seed !== now.seed) {
      await this.#trainer.reset(settings);
      await this.#view.predict();
    } else this.#trainer.change(settings);
  }

  /** What stands in the fields; `undefined` while it makes no sense. */
  #settings(): Settings | undefined {
    const [seed, epochs, rate] = [inputById("seed"), inputById("epochs"), document.querySelector("#rate")];
    const hasRate = rate instanceof HTMLInputElement;
    if (![seed, epochs, ...(hasRate ? [rate] : [])].every((input) => input.reportValidity() && input.value !== ""))
      return undefined;
    return { seed: seed.valueAsNumber, epochs: epochs.valueAsNumber, rate: hasRate ? rate.valueAsNumber : undefined };
  }

  async #download(): Promise<void> {
    const { program, totalSteps } = this.#trainer;
    const name = `${program.manifest.name}-${totalSteps}.safetensors`;
    offerFile(await this.#trainer.beside(() => saveWeights(program)), name);
    note(`Saved ${name}.`);
  }

  async #upload(file: File): Promise<void> {
    const { program } = this.#trainer;
    try {
      await this.#trainer.beside(() => loadWeights(program, file));
    } catch (error) {
      if (!(error instanceof DiagnosticError) || !error.code.startsWith("K3")) throw error;
      return note(error.message, true);
    }
    note(`Loaded ${file.name}.`);
    await this.#trainer.evaluate();
    await this.#view.predict();
  }

  #fail(error: unknown): void {
    showTrouble(error);
    // A loss that is not finite leaves a program that can start over; a lost GPU does not.
    byId("app").hidden = error instanceof DiagnosticError && error.code.startsWith("K52");
  }
}

function note(text: string, isBad: boolean = false): void {
  write("weights-note", text);
  byId("weights-note").classList.toggle("bad", isBad);
}

function writeFacts(program: LoadedProgram): void {
  const { manifest } = program;
  const { values, bytes } = countParameters(program);
  const launches = manifest.entries.find(({ name }) => name === "train")?.launches?.length ?? 0;
  const facts = [
    `${values.toLocaleString("en")} parameters, ${(bytes / 1024).toFixed(0)} KiB`,
    `${launches} kernel launches a step`,
    `compiled by Kiln ${manifest.kiln}: ${manifest.command}`,
  ];
  byId("facts").replaceChildren(...facts.map((fact) => make("span", fact)));
}

progressById("loading-bar").removeAttribute("value");
main().catch(showTrouble);
