import { ageText } from '../inspect/age.ts';
import type { NameFacts } from './client-list.ts';
import { type Facts, factsOf, type History, type Order, sorted } from './history.ts';
import { openingsTable, placesTable, poolsTable, stacksOf } from './inside-tables.ts';
import { sparkline } from './sparkline.ts';
import { type Column, figures, type Line, type Room, tableOf, texts } from './table.ts';
import type { Point, Trend } from './verdict.ts';
import { clientsText, failureTexts, howToText, openedText, verdictText } from './wording.ts';

/** What the user, the terminal and the connection are at. */
export interface Setting {
  readonly address: string;
  readonly columns: number;
  readonly rows: number;
  readonly order: Order;
  readonly isPaused: boolean;
  /** Whether the lines of code that hold connections are shown with what led there, in place of the tables. */
  readonly isTraced: boolean;
  /** What is to be said beside the facts: that the connection is lost. */
  readonly note: string;
}

const STYLES = { growing: 'red', plateau: 'green', watching: 'yellow' } as const satisfies Record<Trend, Line['style']>;
const CHART_HEIGHT = 4;
const LABEL = 8;
/** Fewer rows than these hold tables alone: one of names, or those of processes, too. */
const ROWS_WITH_CHART = { names: 18, processes: 30 };
const EMPTY: Line = { text: '' };

/** Draws what was seen into so many columns and rows. */
export function picture(history: History, setting: Setting): readonly Line[] {
  const { columns, rows, order, isTraced } = setting;
  const facts = factsOf(history);
  const { inside } = facts;
  const head = headOf(facts, setting);
  const least = inside.processes.length > 0 ? ROWS_WITH_CHART.processes : ROWS_WITH_CHART.names;
  const chart = rows < least ? [] : [...chartOf(history.points, columns), EMPTY];
  const room = { columns, rows: rows - head.length - chart.length };
  const body = isTraced && inside.processes.length > 0 ? stacksOf(inside) : tablesOf(facts, order, room);
  return [...head, ...chart, ...body].slice(0, rows).map((line) => cut(line, columns));
}

function headOf(facts: Facts, { address, isPaused, isTraced, order, note }: Setting): readonly Line[] {
  const { verdict, inside } = facts;
  const processes = inside.processes.length > 0 ? `  processes ${inside.processes.length}` : '';
  const [failure = verdict.trend === 'growing' ? howToText(inside) : '', ...more] = failureTexts(inside);
  const keys = [`p ${isPaused ? 'goes on' : 'pauses'}`, `s sorts (${order})`];
  if (inside.processes.length > 0) keys.push(`l shows ${isTraced ? 'tables' : 'lines of code'}`);
  return [
    { text: title(facts, address), style: 'bold' },
    { text: `${isPaused ? 'PAUSED  ' : ''}${verdictText(verdict)}  ${openedText(facts)}`, style: STYLES[verdict.trend] },
    { text: clientsText(facts) + processes },
    { text: [...keys, 'q quits'].join('  '), style: 'dim' },
    { text: note || failure + (more.length > 0 ? `, and ${more.length} more` : ''), style: 'yellow' },
  ];
}

/** The same of one sample, for which there is no verdict, as long as it is. */
export function still(history: History, { address, columns, order }: Pick<Setting, 'address' | 'columns' | 'order'>): readonly Line[] {
  const facts = factsOf(history);
  const { inside } = facts;
  const head = [{ text: title(facts, address) }, { text: clientsText(facts) }, EMPTY];
  const stacks = stacksOf(inside);
  const howTo = howToText(inside);
  // As long as they are: what is cut off a stack is the line.
  return [
    ...[...head, ...tablesOf(facts, order, { columns, rows: Number.POSITIVE_INFINITY })].map((line) => cut(line, columns)),
    ...(stacks.length > 0 ? [EMPTY, ...stacks] : []),
    ...(howTo === '' ? [] : [EMPTY, { text: howTo }]),
  ];
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

const NAMES: readonly Column<NameFacts>[] = [
  texts('name', -18, ({ name }) => name),
  figures('conns', 5, ({ connections }) => connections),
  figures('+10s', 5, ({ grown }) => grown),
  figures('+2s', 4, ({ fresh }) => fresh),
  figures('idle', 5, ({ idle }) => idle),
  figures('oldest', 6, ({ oldestS }) => ageText(oldestS)),
  figures('blocked', 7, ({ blocked }) => blocked),
  figures('sub', 4, ({ subscribed }) => subscribed),
  { head: 'last command', width: 14, cell: ({ lastCommand }) => lastCommand },
];
/** Fewer lines than these hold one table, or two. */
const LINES_FOR = { two: 8, three: 14 };
/** An empty line, and the head. */
const AROUND = 2;

/** Who is connected; below it, where processes say so, which lines of code hold connections, and from which pools. */
function tablesOf({ names, inside }: Facts, order: Order, { columns, rows }: Room): readonly Line[] {
  const lines = rows < LINES_FOR.two ? [0, 0] : [wants(inside.places), wants(inside.openings)];
  const wanted = [names.length + 1, ...lines, rows < LINES_FOR.three ? 0 : wants(inside.pools)];
  // What leaks is found by its line of code.
  const [ofNames = 0, ofPlaces = 0, ofOpenings = 0, ofPools = 0] = shareOut(rows, wanted, [1, 2, 0, 3]);
  return [
    ...tableOf(sorted(names, order), NAMES, { columns, rows: ofNames }, 'names'),
    ...(ofPlaces === 0 ? [] : [EMPTY, ...placesTable(inside, { columns, rows: ofPlaces - 1 })]),
    ...(ofOpenings === 0 ? [] : [EMPTY, ...openingsTable(inside, { columns, rows: ofOpenings - 1 })]),
    ...(ofPools === 0 ? [] : [EMPTY, ...poolsTable(inside, { columns, rows: ofPools - 1 })]),
  ];
}

function wants(rows: readonly unknown[]): number {
  return rows.length === 0 ? 0 : rows.length + AROUND;
}

/** How many lines each table gets: its part or what it needs; what others leave over goes to those that `favoured` names first. */
function shareOut(rows: number, wanted: readonly number[], favoured: readonly number[]): readonly number[] {
  const part = Math.floor(rows / wanted.filter((want) => want > 0).length);
  const given = wanted.map((want) => Math.min(want, part));
  for (const index of favoured) {
    const spare = rows - given.reduce((sum, each) => sum + each, 0);
    given[index] = Math.min(wanted[index] ?? 0, (given[index] ?? 0) + spare);
  }
  return given;
}

function cut({ text, ...line }: Line, columns: number): Line {
  return { ...line, text: text.slice(0, columns).trimEnd() };
}
