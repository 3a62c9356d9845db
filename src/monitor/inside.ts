import type { OpeningFacts } from '../inspect/openings.ts';
import type { PoolReport, ProcessInspection } from '../inspect/process.ts';
import { printable, printablePlace } from '../printable.ts';
import { type PlaceRow, placesOf } from './places.ts';
import type { Answers } from './processes.ts';
import { mostTrodden } from './ways.ts';

/** A process that says what it has open. */
export type ProcessRow = Pick<ProcessInspection, 'pid' | 'thread' | 'script' | 'version' | 'uptimeMs'>;

/** A pool of a root scope, in one process. */
export interface PoolRow {
  readonly pid: number;
  readonly thread: number;
  readonly pool: string;
  readonly scope: string;
  readonly inUse: number;
  readonly idle: number;
  readonly creating: number;
  /** Null for no limit. */
  readonly max: number | null;
  readonly pending: number;
  readonly timeouts: number;
  readonly leaked: number;
  readonly health: PoolReport['health']['state'];
  /** Why the last connection could not be made. */
  readonly error: string | undefined;
}

/** A line of code that opens connections without a pool, in whichever process: the sum of all, and the last. */
export interface OpeningRow extends OpeningFacts {
  /** Of the process that did so last. */
  readonly pid: number;
}

/** What the processes that were asked have open. */
export interface Inside {
  readonly processes: readonly ProcessRow[];
  /** Those for which somebody waits first, then the fullest. */
  readonly pools: readonly PoolRow[];
  /** The one that is to be suspected first, if any, then those that hold the most. */
  readonly places: readonly PlaceRow[];
  /** Those that have opened the most of late first. */
  readonly openings: readonly OpeningRow[];
  /** Who could not be asked, and why. */
  readonly failures: readonly { readonly address: string; readonly reason: string }[];
}

/** Of no process. */
export const NOBODY: Inside = { processes: [], pools: [], places: [], openings: [], failures: [] };

/** Adds up what processes say. */
export function insideOf({ inspections, failures }: Answers): Inside {
  const reports = inspections.flatMap(({ pid, thread, roots }) =>
    roots.flatMap(({ pools }) => pools.map((report) => ({ pid, thread, report }))),
  );
  return {
    processes: inspections.map(({ pid, thread, script, version, uptimeMs }) => ({ pid, thread, script, version, uptimeMs })),
    pools: reports.map(poolRow).sort((a, b) => b.pending - a.pending || b.inUse - a.inUse || (a.pool < b.pool ? -1 : 1)),
    places: placesOf(inspections),
    openings: openingsOf(inspections),
    failures: [...failures].map(([address, reason]) => ({ address, reason })),
  };
}

function openingsOf(inspections: readonly ProcessInspection[]): readonly OpeningRow[] {
  const bySite = new Map<string, OpeningRow[]>();
  for (const opening of inspections.flatMap(({ pid, openings }) => openings.map((facts) => ({ ...facts, pid })))) {
    bySite.set(opening.site, [...(bySite.get(opening.site) ?? []), opening]);
  }
  return [...bySite.values()].map(openingRow).sort((a, b) => b.grown - a.grown || b.opened - a.opened);
}

/** Of one line, in all processes. */
function openingRow(rows: readonly OpeningRow[]): OpeningRow {
  const last = rows.reduce((a, b) => (b.lastMs < a.lastMs ? b : a));
  const stack = mostTrodden(rows.map(({ opened, ...way }) => ({ ...way, count: opened })));
  const sum = (of: (row: OpeningRow) => number) => rows.reduce((total, row) => total + of(row), 0);
  return { ...last, stack, opened: sum(({ opened }) => opened), grown: sum(({ grown }) => grown) };
}

const OF_PLACES = ['site', 'script', 'address'];

/** The same as it may reach a terminal: names, lines and messages are whatever a process has made them of. */
export function printableInside(inside: Inside): Inside {
  return JSON.parse(JSON.stringify(inside), function (this: unknown, key: string, value: unknown): unknown {
    if (typeof value !== 'string') return value;
    // An array of texts is a stack.
    return OF_PLACES.includes(key) || Array.isArray(this) ? printablePlace(value) : printable(value);
  });
}

/** A pool of a process. */
interface Report {
  readonly pid: number;
  readonly thread: number;
  readonly report: PoolReport;
}

function poolRow({ pid, thread, report: { pool, scope, stats, health } }: Report): PoolRow {
  const { inUse, idle, creating, max, pending, timeouts, leaked } = stats;
  return { pid, thread, pool, scope, inUse, idle, creating, max, pending, timeouts, leaked, health: health.state, error: health.error };
}
