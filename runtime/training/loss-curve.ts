/**
 * The loss curve as a picture: an SVG file, written as text. Takes the mean loss of equal stretches of a training; gives
 * axes with round marks, every stretch as a thin line and a moving mean as a thick one. The loss axis is logarithmic when
 * the losses span more than a decade and are all positive.
 */
import { escapeXml } from "./xml.ts";

/** What the curve shows. */
export type Curve = {
  readonly title: string;
  /** Mean losses, in order. */
  readonly points: readonly number[];
  /** Steps that a point stands for. */
  readonly stride: number;
  readonly stepsPerEpoch: number;
};

const width = 720;
const height = 400;
const margin = { left: 64, right: 20, top: 40, bottom: 48 };

/** The picture, as the text of an .svg file. */
export function drawCurve(curve: Curve): string {
  const points = curve.points.map((loss) => (Number.isFinite(loss) ? loss : Number.NaN));
  const finite = points.filter((loss) => !Number.isNaN(loss));
  const low = Math.min(...finite, Infinity);
  const high = Math.max(...finite, -Infinity);
  const epochs = (points.length * curve.stride) / curve.stepsPerEpoch;
  const scale = low > 0 && high / low > 10 ? logarithmic(low, high) : linear(low, high);
  const x = (epoch: number): number =>
    margin.left + (epoch / Math.max(epochs, 1e-9)) * (width - margin.left - margin.right);
  const y = (loss: number): number =>
    height - margin.bottom - scale.place(loss) * (height - margin.top - margin.bottom);
  const xOf = (i: number): number => x(((i + 1) * curve.stride) / curve.stepsPerEpoch);
  const line = (values: readonly number[]): string =>
    values.flatMap((loss, i) => (Number.isNaN(loss) ? [] : `${xOf(i).toFixed(1)},${y(loss).toFixed(1)}`)).join(" ");
  const marks = scale.marks.map((loss) => {
    const at = y(loss).toFixed(1);
    return (
      `  <line x1="${margin.left}" y1="${at}" x2="${width - margin.right}" y2="${at}" class="grid"/>\n` +
      `  <text x="${margin.left - 8}" y="${at}" dy="0.35em" text-anchor="end">${formatMark(loss)}</text>`
    );
  });
  const epochMarks = roundMarks(0, epochs, 10).map(
    (epoch) =>
      `  <text x="${x(epoch).toFixed(1)}" y="${height - margin.bottom + 20}" text-anchor="middle">${formatMark(epoch)}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `  <title>${escapeXml(curve.title)}</title>`,
    `  <style>text { font: 12px sans-serif; fill: #444 } .grid { stroke: #ddd } polyline { fill: none }</style>`,
    `  <rect width="${width}" height="${height}" fill="#fff"/>`,
    `  <text x="${margin.left}" y="24" style="font-size: 15px">${escapeXml(curve.title)}</text>`,
    ...marks,
    ...epochMarks,
    `  <text x="${width - margin.right}" y="${height - 10}" text-anchor="end">epoch</text>`,
    `  <polyline points="${line(points)}" stroke="#9dbfe3" stroke-width="1"/>`,
    `  <polyline points="${line(smoothed(points))}" stroke="#1f5fa8" stroke-width="2"/>`,
    "</svg>",
    "",
  ].join("\n");
}

/** Where a loss lies on its axis, from 0 to 1, and the losses to mark. */
type Scale = { readonly place: (loss: number) => number; readonly marks: readonly number[] };

function linear(low: number, high: number): Scale {
  const from = Math.min(low, 0);
  const span = high > from ? high - from : 1;
  return { place: (loss) => (loss - from) / span, marks: Number.isFinite(low) ? roundMarks(from, high, 6) : [] };
}

function logarithmic(low: number, high: number): Scale {
  const from = Math.log10(low);
  const span = Math.log10(high) - from;
  const marks: number[] = [];
  for (let power = Math.floor(from); power <= Math.ceil(from + span); power++) {
    for (const digit of span > 3 ? [1] : [1, 2, 5]) {
      const mark = digit * 10 ** power;
      if (mark >= low && mark <= high) marks.push(mark);
    }
  }
  return { place: (loss) => (Math.log10(loss) - from) / span, marks };
}

/** At most about `count` round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`. */
function roundMarks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((digit) => digit * power >= rough) ?? 10) * power;
  const marks: number[] = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-9); i++) marks.push(i * step);
  return marks;
}

function formatMark(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** Mean over a window of a fortieth of the curve, centred. */
function smoothed(points: readonly number[]): number[] {
  const reach = Math.floor(points.length / 80);
  return points.map((_, i) => {
    const window = points.slice(Math.max(0, i - reach), i + reach + 1).filter((loss) => !Number.isNaN(loss));
    return window.length === 0 ? Number.NaN : window.reduce((sum, loss) => sum + loss, 0) / window.length;
  });
}
