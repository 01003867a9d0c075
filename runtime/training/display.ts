/**
 * What a trainer shows. Log lines go to stdout, talk (notices, the progress bar, the curve in characters) to stderr; bars
 * only on a terminal. With `json`, stdout has one JSON object a line instead, and there is no talk.
 */
import type { LossHistory } from "./loss-history.ts";
import type { Numbers } from "./results.ts";

/** Something that happened, as `--json` prints it. */
export type TrainingEvent =
  | {
      readonly event: "start";
      readonly program: string;
      readonly seed: number;
      readonly epoch: number;
      readonly steps: number;
      readonly resumed: string | null;
    }
  | {
      readonly event: "step";
      readonly epoch: number;
      readonly step: number;
      readonly steps: number;
      readonly results: Numbers;
    }
  | {
      readonly event: "evaluate";
      readonly epoch: number;
      readonly loader: string;
      readonly samples: number;
      readonly results: Numbers;
    }
  | { readonly event: "save"; readonly file: string; readonly epoch: number; readonly step: number }
  | { readonly event: "end"; readonly steps: number; readonly checkpoint: string; readonly curve: string | null };

/** The streams to write to; the process's own if left out. */
export type Streams = { readonly out: NodeJS.WriteStream; readonly talk: NodeJS.WriteStream };

/** Writes what a training says. */
export class Display {
  readonly #json: boolean;
  readonly #streams: Streams;
  #bar: Bar | undefined = undefined;

  constructor(json: boolean, streams: Streams = { out: process.stdout, talk: process.stderr }) {
    this.#json = json;
    this.#streams = streams;
  }

  /** One line of the log. */
  log(text: string): void {
    if (this.#json) return;
    this.#around(() => this.#streams.out.write(`${text}\n`));
  }

  /** A notice beside the log. */
  note(text: string): void {
    if (this.#json) return;
    this.#around(() => this.#streams.talk.write(`${text}\n`));
  }

  /** An event, printed only with `json`. */
  event(event: TrainingEvent): void {
    if (this.#json) this.#streams.out.write(`${JSON.stringify(event, jsonNumber)}\n`);
  }

  /** Shows how far an epoch is, on a terminal. */
  async progress(epoch: number, epochs: number, step: number, steps: number, loss: number): Promise<void> {
    if (this.#json || !this.#streams.talk.isTTY) return;
    this.#bar ??= await openBar(this.#streams.talk);
    const payload = { label: `Epoch ${epoch}/${epochs}`, loss: loss.toFixed(4) };
    this.#bar.show(step, steps, payload);
  }

  /** Takes the bar away. */
  endProgress(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  /** The loss curve in characters. */
  async curve(history: LossHistory): Promise<void> {
    const points = history.sampled(72).filter(Number.isFinite);
    if (this.#json || points.length < 2) return;
    const { default: asciichart } = await import("asciichart");
    const chart = asciichart.plot(points, { height: 10, format: (value) => value.toFixed(4).padStart(9) });
    this.note(`\nLoss\n${chart}`);
  }

  /** Writes a line without the bar in its way. */
  #around(write: () => void): void {
    this.#bar?.hide();
    write();
    this.#bar?.showAgain();
  }
}

/** JSON has no NaN and no infinities: their names stand for them. */
function jsonNumber(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

type Bar = {
  show(step: number, steps: number, payload: object): void;
  hide(): void;
  showAgain(): void;
  stop(): void;
};

async function openBar(stream: NodeJS.WriteStream): Promise<Bar> {
  const { default: cliProgress } = await import("cli-progress");
  const bar = new cliProgress.SingleBar({
    format: "{label} [{bar}] {value}/{total}  loss {loss}  eta {eta_formatted}",
    barCompleteChar: "=",
    barIncompleteChar: " ",
    stream,
    clearOnComplete: true,
    hideCursor: true,
    linewrap: false,
    fps: 10,
  });
  let last: { step: number; steps: number; payload: object } | undefined;
  const begin = (): void => {
    if (last !== undefined) bar.start(last.steps, last.step, last.payload);
  };
  return {
    show(step, steps, payload) {
      const isNew = last === undefined || step < last.step;
      last = { step, steps, payload };
      if (isNew) {
        bar.stop();
        begin();
      } else bar.update(step, payload);
    },
    hide() {
      stream.cursorTo(0);
      stream.clearLine(0);
    },
    showAgain() {
      bar.render(true);
    },
    stop: () => bar.stop(),
  };
}
