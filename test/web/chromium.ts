/**
 * Headless Chromium for tests: starts it with WebGPU on SwiftShader, serves folders from loopback, drives pages through
 * the DevTools protocol over a pipe, and collects everything that a page complains about. `runJobs` runs kernels there
 * through `runtime/gpu/webgpu.ts`. Where Chromium is absent, `findChromium` says so and its tests skip.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, extname, join, normalize, sep } from "node:path";
import type { Readable, Writable } from "node:stream";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/** Path of Chromium: `KILN_CHROMIUM`, or the first one in PATH; `undefined` where there is none. */
export function findChromium(): string | undefined {
  const given = process.env["KILN_CHROMIUM"];
  if (given !== undefined) return given;
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Skips the tests of a suite, saying why, unless there is a Chromium. For `before` hooks. */
export function needsChromium(context: Mocha.Context): string {
  const path = findChromium();
  if (path !== undefined) return path;
  process.stderr.write("SKIPPED: no Chromium in PATH (Debian: apt install chromium; or set KILN_CHROMIUM)\n");
  return context.skip();
}

/** Flags under which Debian's Chromium has WebGPU without a display or a GPU. */
const flags = [
  "--headless=new",
  "--no-sandbox",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--mute-audio",
  "--hide-scrollbars",
  "--remote-debugging-pipe",
];

/** Flags that give it a GPU in software. */
const gpuFlags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

type Message = {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
};

type Waiting = { readonly resolve: (result: unknown) => void; readonly reject: (error: Error) => void };

/** A running Chromium. */
export class Chromium {
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #input: Writable;
  readonly #waiting = new Map<number, Waiting>();
  readonly #pages = new Map<string, Page>();
  readonly #ended: Promise<void>;
  /** Takes events of the browser itself. */
  #receiveOwn: (method: string, params: unknown) => void = () => undefined;
  #next = 1;
  #log = "";

  private constructor(path: string, more: readonly string[]) {
    this.#profile = mkdtempSync(join(tmpdir(), "kiln-chromium-"));
    this.#process = spawn(path, [...flags, ...more, `--user-data-dir=${this.#profile}`], {
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
    });
    const [, , errors, input, output] = this.#process.stdio;
    // The places of stdio are those just asked for.
    this.#input = input as Writable;
    (errors as Readable).on("data", (text: Buffer) => (this.#log = (this.#log + text.toString()).slice(-4000)));
    this.#input.on("error", () => undefined); // its end is told below
    let rest = "";
    (output as Readable).setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\0");
      rest = parts.pop() ?? "";
      for (const part of parts) this.#receive(JSON.parse(part) as Message); // by protocol
    });
    this.#ended = new Promise((resolve) => {
      this.#process.once("error", () => resolve());
      this.#process.once("exit", () => resolve());
    });
    void this.#ended.then(() => {
      const error = new Error(`Chromium has ended:\n${this.#log}`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  /** Starts Chromium; without `gpu`, WebGPU finds no adapter in it. */
  static async start(path: string, { gpu = true }: { readonly gpu?: boolean } = {}): Promise<Chromium> {
    const chromium = new Chromium(path, gpu ? gpuFlags : []);
    await chromium.send("Browser.getVersion");
    return chromium;
  }

  /** Opens a page at `url`, `width` × `height` CSS pixels, and waits until it has loaded. */
  async open(url: string, options: { readonly width?: number; readonly height?: number } = {}): Promise<Page> {
    const { targetId } = (await this.send("Target.createTarget", { url: "about:blank" })) as { targetId: string };
    const attach = { targetId, flatten: true };
    const { sessionId } = (await this.send("Target.attachToTarget", attach)) as { sessionId: string };
    const page = new Page((method, params) => this.send(method, params, sessionId), targetId);
    this.#pages.set(sessionId, page);
    for (const domain of ["Page", "Runtime", "Log", "DOM"]) await page.send(`${domain}.enable`);
    const { width = 1280, height = 900 } = options;
    await page.resize(width, height);
    await page.navigate(url);
    return page;
  }

  /** Does what makes a page save a file, into `folder`; the file's path, once it is whole. */
  async download(folder: string, action: () => Promise<void>): Promise<string> {
    await this.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder, eventsEnabled: true });
    const saved = new Promise<string>((resolve, reject) => {
      let name = "";
      this.#receiveOwn = (method, params) => {
        const { suggestedFilename, state } = params as { suggestedFilename?: string; state?: string };
        if (method === "Browser.downloadWillBegin") name = suggestedFilename ?? name;
        if (method !== "Browser.downloadProgress" || state === "inProgress") return;
        if (state === "completed") resolve(join(folder, name));
        else reject(new Error(`${name} was not saved: ${state}`));
      };
      void this.#ended.then(() => reject(new Error("Chromium has ended")));
    });
    const [path] = await Promise.all([saved, action()]);
    return path;
  }

  /** A call of the DevTools protocol. */
  async send(method: string, params: object = {}, sessionId?: string): Promise<unknown> {
    const id = this.#next++;
    const result = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#input.write(`${JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) })}\0`);
    return result;
  }

  /** Ends Chromium. */
  async close(): Promise<void> {
    void this.send("Browser.close").catch(() => undefined);
    const patience = setTimeout(() => this.#process.kill("SIGKILL"), 5000);
    await this.#ended;
    clearTimeout(patience);
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #receive({ id, sessionId, method = "", params, result, error }: Message): void {
    if (id === undefined) {
      if (sessionId === undefined) this.#receiveOwn(method, params);
      else this.#pages.get(sessionId)?.receive(method, params);
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error.message));
  }
}

type Send = (method: string, params?: object) => Promise<unknown>;

/** A page of a Chromium. */
export class Page {
  readonly send: Send;
  /** Errors and warnings on the console, uncaught errors, requests that failed. */
  readonly complaints: string[] = [];
  readonly targetId: string;
  #loaded: (() => void) | undefined;

  constructor(send: Send, targetId: string) {
    this.send = send;
    this.targetId = targetId;
  }

  /** Goes to `url` and waits until it has loaded. */
  async navigate(url: string): Promise<void> {
    const loaded = new Promise<void>((resolve) => (this.#loaded = resolve));
    const { errorText } = (await this.send("Page.navigate", { url })) as { errorText?: string };
    if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
    await loaded;
  }

  /** Changes the size of the page, in CSS pixels. */
  async resize(width: number, height: number, scale: number = 1): Promise<void> {
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: scale, mobile: false });
  }

  /** The value of an expression, which may be a promise; JSON data. Throws what it throws. */
  async evaluate<T>(expression: string): Promise<T> {
    const options = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
    const { result, exceptionDetails } = (await this.send("Runtime.evaluate", options)) as {
      result: { value: T };
      exceptionDetails?: Exception;
    };
    if (exceptionDetails !== undefined) throw new Error(textOf(exceptionDetails));
    return result.value;
  }

  /** Waits until an expression is true, asking it at every frame. */
  async until(expression: string, seconds: number = 60): Promise<void> {
    const met = await this.evaluate<boolean>(`new Promise((resolve) => {
      const end = performance.now() + ${seconds * 1000};
      const ask = () => {
        if (${expression}) resolve(true);
        else if (performance.now() > end) resolve(false);
        else setTimeout(ask, 20);
      };
      ask();
    })`);
    if (!met)
      throw new Error(
        `not true after ${seconds} s: ${expression}\n${this.complaints.join("\n")}\n${await this.text()}`,
      );
  }

  /** Closes the page. */
  async close(): Promise<void> {
    await this.send("Page.close");
  }

  /** The text that the page shows. */
  async text(): Promise<string> {
    return this.evaluate("document.body.innerText");
  }

  /** A picture of the whole page, or of what is in view, as PNG. */
  async screenshot(whole: boolean = true): Promise<Buffer> {
    const options = { format: "png", captureBeyondViewport: whole };
    const { data } = (await this.send("Page.captureScreenshot", options)) as { data: string };
    return Buffer.from(data, "base64");
  }

  /** Gives files to an `<input type=file>`. */
  async chooseFiles(selector: string, files: readonly string[]): Promise<void> {
    const { root } = (await this.send("DOM.getDocument")) as { root: { nodeId: number } };
    const query = { nodeId: root.nodeId, selector };
    const { nodeId } = (await this.send("DOM.querySelector", query)) as { nodeId: number };
    await this.send("DOM.setFileInputFiles", { nodeId, files });
  }

  /** Takes an event of the protocol. */
  receive(method: string, params: unknown): void {
    if (method === "Page.loadEventFired") this.#loaded?.();
    else if (method === "Runtime.exceptionThrown")
      this.complaints.push(`uncaught: ${textOf((params as { exceptionDetails: Exception }).exceptionDetails)}`);
    else if (method === "Runtime.consoleAPICalled") {
      const { type, args } = params as { type: string; args: readonly { value?: unknown; description?: string }[] };
      if (type === "error" || type === "warning" || type === "assert")
        this.complaints.push(`${type}: ${args.map((arg) => arg.description ?? String(arg.value)).join(" ")}`);
    } else if (method === "Log.entryAdded") {
      const { entry } = params as { entry: { level: string; text: string; url?: string } };
      if (entry.level === "error" || entry.level === "warning")
        this.complaints.push(`${entry.level}: ${entry.text} ${entry.url ?? ""}`);
    }
  }
}

type Exception = { readonly text: string; readonly exception?: { readonly description?: string } };

function textOf({ text, exception }: Exception): string {
  return exception?.description ?? text;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wgsl": "text/plain; charset=utf-8",
};

/** Serves the files of a folder from loopback, as any static server does. */
export class StaticServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Starts to serve `folder`. */
  static async start(folder: string): Promise<StaticServer> {
    const server = createServer((request, response) => {
      const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname));
      const file = join(folder, path.endsWith(sep) ? join(path, "index.html") : path);
      stat(file)
        .then(async (found) => {
          if (!found.isFile()) throw new Error("no file");
          const bytes = await readFile(file);
          response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" });
          response.end(bytes);
        })
        .catch(() => response.writeHead(404).end());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new StaticServer(server);
  }

  /** Where it serves; ends with a slash. */
  get url(): string {
    // It listens on a port of TCP, so its address has this form.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /** Stops serving. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
