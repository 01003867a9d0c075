/**
 * The loss curve: an SVG with the losses as they came, thin, and smoothed over them; the axes, the ends of the epochs,
 * and a reading where the pointer is. It is drawn anew for every change, in the size that it has on the page.
 */

/** What a curve shows. */
export type CurveData = {
  /** Mean losses of `stride` steps each. */
  readonly points: readonly number[];
  readonly stride: number;
  readonly stepsPerEpoch: number;
  /** Steps up to which the axis goes, at least. */
  readonly lastStep: number;
};

/** Most epochs whose ends are marked. */
const mostEpochs = 40;

const space = { left: 52, right: 18, top: 14, bottom: 34 };
const svg = "http://www.w3.org/2000/svg";

/** A curve in an element. */
export class Curve {
  readonly #host: SVGSVGElement;
  readonly #reading: HTMLElement;
  #data: CurveData = { points: [], stride: 1, stepsPerEpoch: 1, lastStep: 1 };
  #smooth: readonly number[] = [];
  #pointer: number | undefined;

  /** `host`: where it is drawn; `reading`: where what is under the pointer is written. */
  constructor(host: SVGSVGElement, reading: HTMLElement) {
    this.#host = host;
    this.#reading = reading;
    host.addEventListener("pointermove", (event) => {
      this.#pointer = event.clientX - host.getBoundingClientRect().left;
      this.#draw();
    });
    host.addEventListener("pointerleave", () => {
      this.#pointer = undefined;
      this.#draw();
    });
    new ResizeObserver(() => this.#draw()).observe(host);
  }

  /** Shows other data. */
  show(data: CurveData): void {
    this.#data = data;
    this.#smooth = smoothed(data.points);
    this.#draw();
  }

  #draw(): void {
    const { width, height } = this.#host.getBoundingClientRect();
    if (width === 0 || height === 0) return;
    const { points, stride, lastStep, stepsPerEpoch } = this.#data;
    const [right, bottom] = [width - space.right, height - space.bottom];
    const steps = Math.max(lastStep, points.length * stride, 10);
    // A few first losses may be far above all others; the curve is about those.
    const top = points.length === 0 ? 2.5 : niceTop(Math.max(...this.#smooth, quantile(points, 0.98)));
    const x = (step: number): number => space.left + (step / steps) * (right - space.left);
    const y = (loss: number): number => bottom - (Math.min(Math.max(loss, 0), top) / top) * (bottom - space.top);
    const parts: SVGElement[] = [];
    for (const tick of ticks(top, height < 220 ? 3 : 5)) {
      parts.push(element("line", { class: "grid", x1: space.left, x2: right, y1: y(tick), y2: y(tick) }));
      parts.push(label("tick end", space.left - 10, y(tick) + 4, decimal(tick)));
    }
    for (const tick of ticks(steps, width < 520 ? 3 : 6))
      parts.push(label("tick middle", x(tick), bottom + 20, tick.toLocaleString("en")));
    // More of them than a reader could count would be a hatching.
    const ends = Math.ceil(steps / stepsPerEpoch) - 1;
    for (let epoch = 1; epoch <= (ends < mostEpochs ? ends : 0); epoch++) {
      const end = x(epoch * stepsPerEpoch);
      parts.push(element("line", { class: "epoch", x1: end, x2: end, y1: space.top, y2: bottom }));
    }
    const place = (loss: number, i: number): string => `${x((i + 0.5) * stride).toFixed(1)} ${y(loss).toFixed(1)}`;
    if (points.length > 0) {
      parts.push(element("path", { class: "raw", d: `M${points.map(place).join("L")}` }));
      const area = `${x((points.length - 0.5) * stride).toFixed(1)} ${bottom}L${x(0.5 * stride).toFixed(1)} ${bottom}Z`;
      parts.push(element("path", { class: "area", d: `M${this.#smooth.map(place).join("L")}L${area}` }));
      parts.push(element("path", { class: "smooth", d: `M${this.#smooth.map(place).join("L")}` }));
    }
    parts.push(element("line", { class: "axis", x1: space.left, x2: right, y1: bottom, y2: bottom }));
    parts.push(...this.#read(x, y, bottom));
    this.#host.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#host.replaceChildren(...parts);
  }

  /** The mark at the pointer, or at the newest point; says what stands there. */
  #read(x: (step: number) => number, y: (loss: number) => number, bottom: number): SVGElement[] {
    const { points, stride, stepsPerEpoch } = this.#data;
    const last = points.length - 1;
    if (last < 0) {
      this.#reading.textContent = "";
      return [];
    }
    const pointer = this.#pointer;
    const width = x(stride) - x(0);
    const index =
      pointer === undefined ? last : Math.min(last, Math.max(0, Math.floor((pointer - space.left) / width)));
    const loss = this.#smooth[index] ?? 0;
    const step = (index + 1) * stride;
    const epoch = Math.floor((step - 1) / stepsPerEpoch) + 1;
    this.#reading.textContent =
      pointer === undefined ? "" : `step ${step.toLocaleString("en")} · epoch ${epoch} · loss ${loss.toFixed(4)}`;
    const at = x((index + 0.5) * stride);
    const mark = element("circle", { class: "mark", cx: at, cy: y(loss), r: 4 });
    if (pointer === undefined) return [mark];
    return [element("line", { class: "cursor", x1: at, x2: at, y1: space.top, y2: bottom }), mark];
  }
}

/** Means over a window around each point, which narrows towards the first one, where losses fall fastest. */
function smoothed(points: readonly number[]): number[] {
  const reach = Math.min(24, Math.floor(points.length / 8));
  const sums = [0];
  for (const point of points) sums.push((sums.at(-1) ?? 0) + point);
  return points.map((_, i) => {
    const left = Math.max(0, i - reach);
    const right = Math.min(points.length, i + Math.min(reach, i) + 1);
    return ((sums[right] ?? 0) - (sums[left] ?? 0)) / (right - left);
  });
}

function quantile(points: readonly number[], part: number): number {
  const sorted = points.toSorted((a, b) => a - b);
  return sorted[Math.floor(part * (sorted.length - 1))] ?? 0;
}

/** A round number that is a little above `value`. */
function niceTop(value: number): number {
  const step = niceStep(Math.max(value, 1e-6) / 5);
  return Math.ceil((value * 1.04) / step) * step;
}

function niceStep(raw: number): number {
  const unit = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 2.5, 5, 10].find((each) => each * unit >= raw * 0.999) ?? 10;
  return factor * unit;
}

/** Round numbers from 0 to `end`, about `count` of them. */
function ticks(end: number, count: number): number[] {
  const step = niceStep(end / count);
  return Array.from({ length: Math.floor(end / step + 1e-6) + 1 }, (_, i) => i * step);
}

function decimal(value: number): string {
  return value === 0 ? "0" : String(Number(value.toPrecision(3)));
}

function element(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const made = document.createElementNS(svg, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

function label(kind: string, x: number, y: number, text: string): SVGElement {
  const made = element("text", { class: kind, x, y });
  made.textContent = text;
  return made;
}
