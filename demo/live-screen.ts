import type { WriteStream } from 'node:tty';
import { styleText } from 'node:util';
import { sparkline } from '../src/monitor/sparkline.ts';
import { columnsOf } from './columns.ts';
import type { Progress } from './experiment.ts';
import { type Figures, type Sample, type Verdict, verdictOf } from './judge.ts';
import type { Phase } from './phases.ts';
import { status } from './status.ts';

const WIDTH = 80;
const INDENT = '     ';
const CHART = { width: 60, height: 3 };

const ESCAPE = '\x1b[';
const HIDE_CURSOR = `${ESCAPE}?25l`;
const SHOW_CURSOR = `${ESCAPE}?25h`;
const CLEAR_BELOW = `${ESCAPE}J`;

/** A line and how it is painted. */
interface Line {
  readonly text: string;
  readonly style?: Parameters<typeof styleText>[0];
}

const STYLES = { growing: 'red', plateau: 'green' } as const satisfies Record<Verdict, string>;

/** Draws a phase in place while it runs; its last picture stays above those that follow. */
export class LiveScreen {
  readonly #stream: WriteStream;
  readonly #durationMs: number;
  /** How long each line of the picture is, which the next one is drawn over. */
  #drawn: readonly number[] = [];
  #head: readonly Line[] = [];
  #limit: number | null = null;
  #samples: readonly Sample[] = [];

  constructor(stream: WriteStream, seconds: number) {
    this.#stream = stream;
    this.#durationMs = seconds * 1_000;
    stream.write(HIDE_CURSOR);
  }

  begin({ name, does, limit, workers }: Phase, number: string): void {
    this.#head = [{ text: '' }, { text: ` ${number} ${name}`, style: 'bold' }, { text: INDENT + does }];
    this.#limit = limit === undefined ? null : limit * workers;
    this.#samples = [];
    this.#drawn = [];
    this.#draw(this.#head);
  }

  progress({ samples, ...facts }: Progress): void {
    this.#samples = samples;
    this.#picture({ ...facts, opened: samples.at(-1)?.opened ?? 0, limit: this.#limit, verdict: verdictOf(samples) });
  }

  end(figures: Figures): void {
    this.#picture(figures);
  }

  say(...lines: readonly string[]): void {
    this.#drawn = [];
    this.#stream.write(lines.map((line) => `${line}\n`).join(''));
  }

  close(): void {
    this.#stream.write(SHOW_CURSOR);
  }

  #picture(facts: Parameters<typeof status>[0] & { readonly verdict: Verdict }): void {
    const style = STYLES[facts.verdict];
    const columns = columnsOf(this.#samples, this.#durationMs, CHART.width);
    // A limit is as high as the picture, so that one sees how much of it is used.
    const chart = sparkline(columns, { height: CHART.height, top: this.#limit ?? 0 });
    this.#draw([
      ...this.#head,
      ...chart.map((text) => ({ text: INDENT + text, style })),
      { text: `${INDENT}${status(facts)} ${facts.verdict}` },
    ]);
  }

  #draw(lines: readonly Line[]): void {
    const { columns } = this.#stream;
    const fitting = lines.map(({ text, style }) => ({ text: text.slice(0, Math.min(WIDTH, columns - 1)), style }));
    this.#stream.write(`${this.#overDrawn(columns)}${fitting.map((line) => `${this.#paint(line)}\n`).join('')}`);
    this.#drawn = fitting.map(({ text }) => text.length);
  }

  /** Goes back to where the last picture began. If the terminal is narrower by now, its lines have become more. */
  #overDrawn(columns: number): string {
    const rows = this.#drawn.reduce((sum, length) => sum + Math.max(1, Math.ceil(length / columns)), 0);
    return rows === 0 ? '' : `${ESCAPE}${rows}A\r${CLEAR_BELOW}`;
  }

  #paint({ text, style }: Line): string {
    return style !== undefined && this.#stream.hasColors() ? styleText(style, text) : text;
  }
}
