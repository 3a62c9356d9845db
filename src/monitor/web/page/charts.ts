import type { Point } from './messages.ts';
import { element, numberText } from './text.ts';

/** A line of a chart. */
interface Curve {
  readonly label: string;
  /** Of the style sheet. */
  readonly colour: `--${string}`;
  readonly isDashed?: boolean;
  readonly value: (point: Point) => number | null;
}

const HEIGHT = 180;
const LEAST_TOP = 10;
/** In pixels, from the top on: half a time of day fits at the right. */
const PADDING: [number, number, number, number] = [8, 40, 0, 0];

/** A chart over time, and in words for who does not see it. */
class Chart {
  readonly #place: HTMLElement;
  readonly #curves: readonly Curve[];
  readonly #plot: uPlot;

  constructor(id: string, curves: readonly Curve[]) {
    this.#place = element(id);
    this.#curves = curves;
    const size = { width: this.#place.clientWidth, height: HEIGHT, padding: PADDING };
    const options = { ...size, legend: { show: false }, cursor: { show: false } };
    const scales = {
      y: { range: (_: uPlot, _least: number, most: number): [number, number] => [0, Math.max(LEAST_TOP, Math.ceil(most * 1.05))] },
    };
    const axes = [
      axis({ space: 90, size: 32, values: (_, ticks) => ticks.map(timeText) }),
      axis({ size: 56, values: (_, ticks) => ticks.map(numberText) }),
    ];
    const series = curves.map(({ colour, isDashed, label }) => ({
      label,
      width: 2,
      stroke: () => colourOf(colour),
      ...(isDashed && { dash: [6, 4] }),
      points: { show: false },
    }));
    this.#plot = new uPlot({ ...options, scales, axes, series: [{}, ...series] }, [[], ...curves.map(() => [])], this.#place);
    new ResizeObserver(() => this.#plot.setSize({ width: this.#place.clientWidth, height: HEIGHT })).observe(this.#place);
  }

  show(points: readonly Point[]): void {
    this.#plot.setData([points.map(([atMs]) => atMs / 1_000), ...this.#curves.map(({ value }) => points.map(value))]);
    this.#place.setAttribute('aria-label', this.#curves.map((curve) => inWords(curve, points)).join('; '));
  }

  redraw(): void {
    this.#plot.redraw();
  }
}

function inWords({ label, value }: Curve, points: readonly Point[]): string {
  const values = points.map(value).filter((value) => value !== null);
  const [first, last] = [values[0], values.at(-1)];
  if (first === undefined || last === undefined) return `${label}: no figures yet`;
  const most = values.reduce((a, b) => Math.max(a, b));
  return `${label}: ${numberText(last)} now, ${numberText(first)} at the beginning, ${numberText(most)} at the most`;
}

function axis(more: uPlot.Axis): uPlot.Axis {
  const line = { stroke: () => colourOf('--line'), width: 1 };
  return { stroke: () => colourOf('--soft'), font: '12px system-ui, sans-serif', grid: line, ticks: line, ...more };
}

function timeText(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleTimeString();
}

function colourOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}

/** Both charts. */
export class Charts {
  readonly #charts = [
    new Chart('opened-chart', [{ label: 'opened', colour: '--first', value: ([, opened]) => opened }]),
    new Chart('clients-chart', [
      { label: 'connected', colour: '--first', value: ([, , clients]) => clients },
      { label: 'blocked', colour: '--second', isDashed: true, value: ([, , , blocked]) => blocked },
    ]),
  ];

  constructor() {
    // What is drawn on a canvas does not change its colours by itself.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#charts.forEach((chart) => void chart.redraw()));
  }

  show(points: readonly Point[]): void {
    for (const chart of this.#charts) chart.show(points);
  }
}
