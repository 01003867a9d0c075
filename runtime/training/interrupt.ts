/**
 * Ctrl-C and its relatives. The first SIGINT, SIGTERM or SIGHUP asks for a stop: the loop ends its current run of steps,
 * saves and leaves with 128 + the signal's number. The second ends the process at once; a checkpoint is whole at any time,
 * so nothing is lost but the steps since the last save.
 */

/** Exit codes of the signals that ask for a stop: 128 + number. */
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

type StopSignal = keyof typeof exitCodes;

/** Thrown when a stop was asked for and everything is saved. Not a fault: nothing but the exit code reports it. */
export class Interrupted extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super("interrupted");
    this.name = "Interrupted";
    this.exitCode = exitCode;
  }
}

/** Listens for stop signals until it is closed. */
export class StopListener {
  #exitCode: number | undefined = undefined;
  readonly #handlers: ReadonlyMap<StopSignal, () => void>;

  /** `onFirst` is called when the first signal comes. */
  constructor(onFirst: () => void) {
    const signals: readonly StopSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
    const handler = (signal: StopSignal) => () => {
      if (this.#exitCode !== undefined) process.exit(exitCodes[signal]);
      this.#exitCode = exitCodes[signal];
      onFirst();
    };
    this.#handlers = new Map(signals.map((signal) => [signal, handler(signal)]));
    for (const [signal, handle] of this.#handlers) process.on(signal, handle);
  }

  /** The exit code of the signal that came; `undefined` while none has. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** Stops listening. */
  close(): void {
    for (const [signal, handle] of this.#handlers) process.off(signal, handle);
  }
}
