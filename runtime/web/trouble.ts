/** What the page says when it cannot go on: in words for whoever opened it, with the error itself behind them. */
import { DiagnosticError } from "../../ir/diagnostic/diagnostic.ts";
import { byId, make, write } from "./elements.ts";

type Words = { readonly title: string; readonly text: string; readonly ways: readonly string[] };

const noWebGpu: Words = {
  title: "This browser cannot train here yet",
  text: "The page trains a neural network on your graphics processor through WebGPU, which this browser does not offer, or has not switched on.",
  ways: [
    "Open it in a current Chrome or Edge (113 and later), Safari (26 and later) or Firefox (141 and later).",
    "On Linux, Chrome may ask for the flag chrome://flags/#enable-unsafe-webgpu.",
    "Open it over https, from localhost, or as a file: elsewhere browsers hide WebGPU.",
  ],
};

const noGpu: Words = {
  title: "No graphics processor was found",
  text: "The browser has WebGPU, but no graphics processor that it may use for it.",
  ways: [
    "Switch hardware acceleration on in the browser's settings, and restart it.",
    "Update the driver of the graphics processor.",
    "On Linux, Chrome may ask for the flag chrome://flags/#enable-unsafe-webgpu.",
  ],
};

const lost: Words = {
  title: "The graphics processor was lost",
  text: "The browser or the driver took it away, which happens after sleep, an update, or a hang.",
  ways: ["Reload the page to start again; weights that you downloaded can be uploaded."],
};

const byCode: Readonly<Record<string, Words>> = { K5501: noWebGpu, K5502: noGpu, K5205: lost };

/** Shows an error in place of the page's contents. */
export function showTrouble(error: unknown): void {
  const { title, text, ways } = wordsFor(error);
  write("trouble-title", title);
  write("trouble-text", text);
  byId("trouble-ways").replaceChildren(...ways.map((way) => make("li", way)));
  write("trouble-details", error instanceof Error ? error.message : String(error));
  byId("loading").hidden = true;
  byId("trouble").hidden = false;
  const phase = byId("phase");
  phase.textContent = "Stopped";
  phase.dataset["phase"] = "failed";
}

function wordsFor(error: unknown): Words {
  if (!(error instanceof DiagnosticError))
    return { title: "Something went wrong", text: "The page's program has failed.", ways: ["Reload the page."] };
  const { what, hint } = error.diagnostic;
  const general = { title: "The training cannot go on", text: `${what}.`, ways: hint === undefined ? [] : [hint] };
  return byCode[error.code] ?? general;
}
