/** What the page shows of a training: figures, curve, table of evaluations and samples, as they change. */
import type { PageTrainer, Phase, Scored } from "./trainer.ts";
import { Curve } from "./curve.ts";
import { buttonById, byId, inputById, make, progressById, write, writeValue } from "./elements.ts";
import { predict, predictionEntry, takeSamples, type Prediction, type Samples } from "./samples.ts";

const phases: Readonly<Record<Phase, string>> = {
  ready: "Ready",
  training: "Training",
  evaluating: "Evaluating",
  paused: "Paused",
  finished: "Finished",
  failed: "Stopped",
};

/** Samples that are shown. */
const shownSamples = 24;

/** The view of a trainer. */
export class View {
  readonly #trainer: PageTrainer;
  readonly #curve: Curve;
  #isDue = false;
  #samples: Samples | undefined;
  #firstSample = 0;
  /** How many evaluations the table has, and for how many steps samples were predicted. */
  #scores = -1;
  #predicted = -1;

  constructor(trainer: PageTrainer) {
    this.#trainer = trainer;
    const curve = byId("curve") as unknown;
    if (!(curve instanceof SVGSVGElement)) throw new Error("the page's curve is no SVG");
    this.#curve = new Curve(curve, byId("reading"));
  }

  /** Draws soon, once for all changes since the last time. */
  update(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  /** Takes the first or the next samples, and shows what the network says of them. */
  async showSamples(others: boolean): Promise<void> {
    const { loaders } = this.#trainer;
    const [, loader] = [...loaders].find(([name]) => name === "test") ?? [...loaders].at(-1) ?? [];
    if (loader === undefined || !("get" in loader.dataset)) return;
    const { length } = loader.dataset;
    if (others) this.#firstSample = (this.#firstSample + shownSamples) % length;
    const numbers = Array.from({ length: Math.min(shownSamples, length) }, (_, i) => (this.#firstSample + i) % length);
    this.#samples = takeSamples(loader, numbers);
    byId("samples-card").hidden = this.#samples === undefined;
    await this.predict();
  }

  /** Shows what the network says of the samples now. */
  async predict(): Promise<void> {
    const samples = this.#samples;
    if (samples === undefined) return;
    const { totalSteps, program, scores } = this.#trainer;
    this.#predicted = totalSteps;
    // Wrong answers of a network that has learned nothing are no mistakes.
    const isUntrained = totalSteps === 0 && scores.length === 0;
    const predictions = await this.#trainer.beside(() => predict(program, samples));
    if (samples !== this.#samples) return;
    byId("samples").replaceChildren(...samples.numbers.map((_, i) => tile(samples, i, predictions[i], isUntrained)));
    const right = predictions.filter(({ label }, i) => label === samples.labels[i]).length;
    write(
      "samples-note",
      predictionEntry(program) === undefined
        ? "Give the model a predictStep, and its predictions stand here."
        : `${right} of ${predictions.length} right${isUntrained ? " before any training, by chance" : ""}`,
    );
  }

  /** Whether training has gone on since the samples were predicted. */
  get isStale(): boolean {
    return this.#predicted !== this.#trainer.totalSteps;
  }

  #draw(): void {
    const trainer = this.#trainer;
    const { phase, history, settings, stepsPerEpoch } = trainer;
    const chip = byId("phase");
    write("phase", phases[phase]);
    chip.dataset["phase"] = phase;
    this.#drawFigures();
    this.#drawControls();
    if (trainer.scores.length !== this.#scores) this.#drawScores();
    byId("curve-empty").hidden = history.points.length > 0;
    const all = settings.epochs * stepsPerEpoch;
    // The axis grows with the epochs; a training that is far longer than what is done would be a line at its left end.
    const lastStep = Math.max(1, Math.ceil(trainer.totalSteps / stepsPerEpoch)) * stepsPerEpoch;
    this.#curve.show({ points: history.points, stride: history.stride, stepsPerEpoch, lastStep });
    progressById("progress").value = all === 0 ? 0 : Math.min(1, trainer.totalSteps / all);
    document.title = `${phase === "training" ? `${percent(trainer.totalSteps / all, 0)} ` : ""}${trainer.program.manifest.name} · Kiln`;
  }

  #drawFigures(): void {
    const { history, epoch, settings, steps, totalSteps, stepsPerEpoch, pace, scores } = this.#trainer;
    const recent = history.points.slice(-Math.max(1, Math.ceil(100 / history.stride)));
    const mean = recent.reduce((sum, value) => sum + value, 0) / recent.length;
    writeValue("loss", recent.length === 0 ? "–" : mean.toFixed(4));
    write(
      "loss-more",
      recent.length === 0 ? "\u00a0" : `mean of ${Math.min(history.points.length * history.stride, 100)} steps`,
    );
    writeValue("epoch", String(Math.min(epoch, settings.epochs)), `of ${settings.epochs}`);
    const isOver = epoch > settings.epochs;
    write("step", isOver ? `${grouped(totalSteps)} steps` : `step ${grouped(steps)} of ${grouped(stepsPerEpoch)}`);
    writeValue("speed", pace.samples === 0 ? "–" : grouped(round(pace.samples)), pace.samples === 0 ? "" : "samples/s");
    write("speed-more", pace.steps === 0 ? "\u00a0" : `${grouped(round(pace.steps))} steps/s`);
    const last = scores.at(-1);
    if (last === undefined) {
      writeValue("score", "–");
      write("score-more", "not evaluated yet");
      return;
    }
    const score = scoreOf(last);
    write("score-name", score.name);
    write("table-score", score.name);
    writeValue("score", score.value, score.unit);
    write("score-more", `${score.more} (${last.loader})`);
  }

  #drawControls(): void {
    const { phase, isRateFree, isUnfinished, totalSteps } = this.#trainer;
    const isRunning = phase === "training" || phase === "evaluating";
    write("start", phase === "training" || phase === "evaluating" ? "Pause" : totalSteps === 0 ? "Start" : "Continue");
    buttonById("start").disabled = phase === "failed" || (!isRunning && !isUnfinished);
    buttonById("stop").disabled = phase !== "training";
    buttonById("reset").disabled = phase === "evaluating" || (phase === "ready" && totalSteps === 0);
    buttonById("download").disabled = isRunning;
    inputById("upload").disabled = isRunning;
    byId("upload-label").toggleAttribute("aria-disabled", isRunning);
    write(
      "settings-hint",
      phase === "finished"
        ? "Raise the epochs to go on."
        : "The same seed gives the same training as on the command line.",
    );
    inputById("seed").disabled = totalSteps > 0 || isRunning;
    inputById("rate").disabled = (totalSteps > 0 || isRunning) && !isRateFree;
    buttonById("others").disabled = isRunning;
  }

  #drawScores(): void {
    const { scores } = this.#trainer;
    this.#scores = scores.length;
    byId("scores").replaceChildren(
      ...scores.toReversed().map((each) => {
        const { value, unit } = scoreOf(each);
        const row = make("tr");
        row.append(make("td", String(each.epoch)), make("td", each.loader), make("td", `${value} ${unit}`));
        return row;
      }),
    );
  }
}

/** What an evaluation comes to: the part that is correct, or else its first result. */
function scoreOf({ results, samples }: Scored): { name: string; value: string; unit: string; more: string } {
  const { correct } = results;
  if (correct !== undefined && Number.isInteger(correct))
    return {
      name: "Accuracy",
      value: ((100 * correct) / samples).toFixed(2),
      unit: "%",
      more: `${grouped(correct)} of ${grouped(samples)}`,
    };
  const [name, value] = Object.entries(results)[0] ?? ["result", Number.NaN];
  return { name, value: value.toFixed(4), unit: "", more: `${grouped(samples)} samples` };
}

/** A sample's picture, what the network says of it, and its label where that is another. */
function tile(samples: Samples, index: number, prediction: Prediction | undefined, isUntrained: boolean): HTMLElement {
  const picture = samples.pictures[index];
  const label = samples.labels[index];
  const figure = make("figure", "", "sample");
  const canvas = make("canvas");
  if (picture !== undefined) {
    [canvas.width, canvas.height] = [picture.width, picture.height];
    canvas.getContext("2d")?.putImageData(picture, 0, 0);
  }
  const isWrong = prediction !== undefined && label !== undefined && prediction.label !== label;
  figure.classList.toggle("wrong", isWrong && !isUntrained);
  figure.classList.toggle("unknown", prediction === undefined || isUntrained);
  const caption = make("figcaption", String(prediction?.label ?? label ?? ""));
  const confidence = prediction?.confidence;
  const note = isWrong ? `is ${label}` : confidence === undefined ? "" : percent(confidence, 0);
  if (note !== "") caption.append(make("small", note));
  canvas.setAttribute("role", "img");
  const said = prediction === undefined ? "" : `, the network says ${prediction.label}`;
  canvas.setAttribute("aria-label", `sample ${samples.numbers[index]}: ${label ?? "no label"}${said}`);
  figure.append(canvas, caption);
  return figure;
}

function percent(part: number, digits: number): string {
  return `${(100 * part).toFixed(digits)} %`;
}

function grouped(value: number): string {
  return value.toLocaleString("en");
}

/** Two or three digits that count, so that a speed does not flicker. */
function round(value: number): number {
  return Number(value.toPrecision(value < 1000 ? 2 : 3));
}
