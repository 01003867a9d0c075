// Types of what is used of two libraries that carry none.

declare module "asciichart" {
  type PlotOptions = { readonly height?: number; readonly format?: (value: number) => string };
  const asciichart: { plot(series: readonly number[], options?: PlotOptions): string };
  // The library has no named exports.
  export = asciichart;
}

declare module "cli-progress" {
  type BarOptions = {
    readonly format?: string;
    readonly stream?: NodeJS.WritableStream;
    readonly clearOnComplete?: boolean;
    readonly hideCursor?: boolean;
    readonly linewrap?: boolean;
    readonly fps?: number;
    readonly barCompleteChar?: string;
    readonly barIncompleteChar?: string;
  };
  class SingleBar {
    constructor(options: BarOptions);
    start(total: number, value: number, payload?: object): void;
    update(value: number, payload?: object): void;
    setTotal(total: number): void;
    render(force?: boolean): void;
    stop(): void;
  }
  const cliProgress: { SingleBar: typeof SingleBar };
  export = cliProgress;
}
