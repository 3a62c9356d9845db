import type { NameFacts } from './client-list.ts';
import { type Facts, factsOf, type History, type Order, sorted } from './history.ts';
import { sparkline } from './sparkline.ts';
import type { Point, Trend } from './verdict.ts';
import { ageText, clientsText, openedText, verdictText } from './wording.ts';

/** A line of a picture, and how it is painted. */
export interface Line {
  readonly text: string;
  readonly style?: 'bold' | 'dim' | 'red' | 'green' | 'yellow';
}

/** What the user, the terminal and the connection are at. */
export interface Setting {
  readonly address: string;
  readonly columns: number;
  readonly rows: number;
  readonly order: Order;
  readonly isPaused: boolean;
  /** What is to be said beside the facts: that the connection is lost. */
  readonly note: string;
}

const STYLES = { growing: 'red', plateau: 'green', watching: 'yellow' } as const satisfies Record<Trend, Line['style']>;
const CHART_HEIGHT = 4;
const LABEL = 8;
/** Fewer rows than these hold the table alone. */
const ROWS_WITH_CHART = 18;

/** Draws what was seen into so many columns and rows. */
export function picture(history: History, setting: Setting): readonly Line[] {
  const { columns, rows, address, isPaused, order, note } = setting;
  const facts = factsOf(history);
  const verdict = `${isPaused ? 'PAUSED  ' : ''}${verdictText(facts.verdict)}  ${openedText(facts)}`;
  const head: readonly Line[] = [
    { text: title(facts, address), style: 'bold' },
    { text: verdict, style: STYLES[facts.verdict.trend] },
    { text: clientsText(facts) },
    { text: `p ${isPaused ? 'goes on' : 'pauses'}  s sorts (${order})  q quits`, style: 'dim' },
    { text: note, style: 'yellow' },
  ];
  const chart = rows < ROWS_WITH_CHART ? [] : [...chartOf(history.points, columns), { text: '' }];
  const left = rows - head.length - chart.length;
  return [...head, ...chart, ...tableOf(sorted(facts.names, order), columns, left)].slice(0, rows).map((line) => cut(line, columns));
}

/** The same of one sample, for which there is no verdict, as long as it is. */
export function still(history: History, { address, columns, order }: Pick<Setting, 'address' | 'columns' | 'order'>): readonly Line[] {
  const facts = factsOf(history);
  const head = [{ text: title(facts, address) }, { text: clientsText(facts) }, { text: '' }];
  return [...head, ...tableOf(sorted(facts.names, order), columns, Number.POSITIVE_INFINITY)].map((line) => cut(line, columns));
}

function title({ version, watchedMs }: Facts, address: string): string {
  const watched = watchedMs > 0 ? `  ${ageText(watchedMs / 1_000)}` : '';
  return `scoped-pool monitor  ${address}  redis ${version}${watched}`;
}

/** What was opened while the chart was drawn, and below it how many at a time; a column for each sample. */
function chartOf(points: readonly Point[], columns: number): readonly Line[] {
  const shown = points.slice(-Math.max(2, columns - LABEL));
  const first = shown[0]?.received ?? 0;
  const opened = shown.map(({ received }) => received - first);
  const steps = shown.map(({ received }, index) => received - (shown[index - 1]?.received ?? received));
  const top = Math.max(...opened);
  const label = (text: string | number) => `${text}`.padStart(LABEL - 1).concat(' ');
  const lines = sparkline(opened, { height: CHART_HEIGHT, top: 0 });
  return [
    ...lines.map((text, line) => ({ text: label(line === 0 ? `+${top}` : line === lines.length - 1 ? 'opened' : '') + text })),
    { text: label('rate') + (sparkline(steps, { height: 1, top: 0 })[0] ?? ''), style: 'dim' },
  ];
}

/** Right of the name: the head of each column, its width and what stands in it. */
const COLUMNS: readonly (readonly [string, number, (row: NameFacts) => string | number])[] = [
  ['conns', 5, ({ connections }) => connections],
  ['+10s', 5, ({ grown }) => grown],
  ['+2s', 4, ({ fresh }) => fresh],
  ['idle', 5, ({ idle }) => idle],
  ['oldest', 6, ({ oldestS }) => ageText(oldestS)],
  ['blocked', 7, ({ blocked }) => blocked],
  ['sub', 4, ({ subscribed }) => subscribed],
];
const LAST_COMMAND = 14;
const LEAST_NAME = 18;
const GAP = '  ';

function tableOf(names: readonly NameFacts[], columns: number, rows: number): readonly Line[] {
  const others = COLUMNS.reduce((sum, [, width]) => sum + width + GAP.length, 0) + GAP.length + LAST_COMMAND;
  const width = Math.max(LEAST_NAME, columns - others);
  const row = (name: string, cells: readonly (string | number)[], last: string) =>
    [shortened(name, width), ...cells.map((cell, index) => `${cell}`.padStart(COLUMNS[index]?.[1] ?? 0)), last].join(GAP);
  const head = {
    text: row(
      'name',
      COLUMNS.map(([text]) => text),
      'last command',
    ),
    style: 'bold',
  } as const;
  const fitting = names.length < rows ? names : names.slice(0, Math.max(0, rows - 2));
  const body = fitting.map((facts) => ({
    text: row(
      facts.name,
      COLUMNS.map(([, , cell]) => cell(facts)),
      facts.lastCommand,
    ),
  }));
  const more = names.length - fitting.length;
  return more === 0 ? [head, ...body] : [head, ...body, { text: `and ${more} names more`, style: 'dim' }];
}

/** Of a name that is too long the beginning and the end, by which they are told apart. */
function shortened(name: string, width: number): string {
  if (name.length <= width) return name.padEnd(width);
  const end = Math.floor((width - 1) / 2);
  return `${name.slice(0, width - 1 - end)}…${name.slice(name.length - end)}`;
}

function cut({ text, ...line }: Line, columns: number): Line {
  return { ...line, text: text.slice(0, columns).trimEnd() };
}
