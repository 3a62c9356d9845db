import type { OpeningFacts } from '../inspect/openings.ts';
import type { PoolReport, ProcessInspection } from '../inspect/process.ts';
import type { LeaseFacts, WaiterFacts } from '../pool/report.ts';
import { printable, printablePlace } from '../printable.ts';
import { compare } from './compare.ts';
import type { Answers } from './processes.ts';

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

/** One who holds a connection, or waits for one. */
export interface HolderRow {
  readonly scope: string;
  readonly pid: number;
  readonly ageMs: number;
  readonly waits: boolean;
  readonly exclusive: boolean;
}

/** A line of code that holds connections of a pool or waits for them, in whichever process. */
export interface PlaceRow {
  readonly pool: string;
  /** Undefined for all that were not sampled. */
  readonly site: string | undefined;
  /** Of the oldest lease, the innermost first. */
  readonly stack: readonly string[];
  readonly leases: number;
  /** Begun within the last 10 s, and held still. */
  readonly grown: number;
  readonly waiting: number;
  /** Of the oldest lease: its age, scope and process. Where nobody holds, of the one that has waited longest. */
  readonly oldestMs: number;
  readonly scope: string;
  readonly pid: number;
  /** Those who hold, the oldest ten, then those who wait, likewise. */
  readonly holders: readonly HolderRow[];
  /** How long all leases together have been held. */
  readonly heldMs: number;
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

const GROWN_MS = 10_000;

/** Adds up what processes say. */
export function insideOf({ inspections, failures }: Answers): Inside {
  const reports = inspections.flatMap(({ pid, thread, roots }) =>
    roots.flatMap(({ pools }) => pools.map((report) => ({ pid, thread, report }))),
  );
  return {
    processes: inspections.map(({ pid, thread, script, version, uptimeMs }) => ({ pid, thread, script, version, uptimeMs })),
    pools: reports.map(poolRow).sort((a, b) => b.pending - a.pending || b.inUse - a.inUse || (a.pool < b.pool ? -1 : 1)),
    places: placesOf(reports),
    openings: openingsOf(inspections),
    failures: [...failures].map(([address, reason]) => ({ address, reason })),
  };
}

function openingsOf(inspections: readonly ProcessInspection[]): readonly OpeningRow[] {
  const rows = new Map<string, OpeningRow>();
  for (const { pid, openings } of inspections) {
    for (const opening of openings) {
      const other = rows.get(opening.site);
      const latest = other && other.lastMs < opening.lastMs ? other : { ...opening, pid };
      const sum = (of: (facts: OpeningFacts) => number) => of(opening) + (other ? of(other) : 0);
      rows.set(opening.site, { ...latest, opened: sum(({ opened }) => opened), grown: sum(({ grown }) => grown) });
    }
  }
  return [...rows.values()].sort((a, b) => b.grown - a.grown || b.opened - a.opened);
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

const LONG_MS = 2_000;

/**
 * The place that is to be suspected first: of those that hold connections for long, the one that takes most of them now, for
 * what rightly keeps some for hours takes no more. One that is known by its line comes before those that are not.
 */
export function worstOf(places: readonly PlaceRow[]): PlaceRow | undefined {
  const key = ({ site, grown, leases, heldMs }: PlaceRow) => [site === undefined ? 0 : 1, grown, leases, heldMs];
  return places.filter(({ leases, oldestMs }) => leases > 0 && oldestMs >= LONG_MS).sort((a, b) => compare(key(b), key(a)))[0];
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

/** One that holds or waits. */
interface Hold {
  readonly pid: number;
  readonly pool: string;
  readonly ageMs: number;
  readonly isWaiting: boolean;
  readonly facts: LeaseFacts | WaiterFacts;
}

function placesOf(reports: readonly Report[]): readonly PlaceRow[] {
  const places = new Map<string, Hold[]>();
  for (const { pid, report } of reports) {
    for (const hold of holdsOf(pid, report)) {
      const key = JSON.stringify([hold.pool, hold.facts.site]);
      const known = places.get(key);
      if (known) known.push(hold);
      else places.set(key, [hold]);
    }
  }
  const rows = [...places.values()].map(placeRow).sort((a, b) => b.heldMs - a.heldMs || b.waiting - a.waiting);
  const worst = worstOf(rows);
  // A leak that has just begun has held less than what rightly holds for hours, and there may be room for few rows.
  return worst ? [worst, ...rows.filter((row) => row !== worst)] : rows;
}

function holdsOf(pid: number, { pool, connections, waiters }: PoolReport): readonly Hold[] {
  const leases = connections.flatMap((connection) => connection.leases);
  return [
    ...leases.map((facts) => ({ pid, pool, ageMs: facts.heldMs, isWaiting: false, facts })),
    ...waiters.map((facts) => ({ pid, pool, ageMs: facts.waitedMs, isWaiting: true, facts })),
  ];
}

function placeRow(holds: readonly Hold[]): PlaceRow {
  const leases = holds.filter(({ isWaiting }) => !isWaiting);
  const oldest = (leases.length > 0 ? leases : holds).reduce((a, b) => (b.ageMs > a.ageMs ? b : a));
  return {
    pool: oldest.pool,
    site: oldest.facts.site,
    stack: oldest.facts.stack,
    leases: leases.length,
    grown: leases.filter(({ ageMs }) => ageMs < GROWN_MS).length,
    waiting: holds.length - leases.length,
    ...{ oldestMs: oldest.ageMs, scope: oldest.facts.scope, pid: oldest.pid },
    holders: holdersOf(holds),
    heldMs: leases.reduce((sum, { ageMs }) => sum + ageMs, 0),
  };
}

/** So many of those who hold at one line, and of those who wait there. */
const NAMED = 10;

function holdersOf(holds: readonly Hold[]): readonly HolderRow[] {
  const oldest = (waits: boolean) =>
    holds
      .filter(({ isWaiting }) => isWaiting === waits)
      .sort((a, b) => b.ageMs - a.ageMs)
      .slice(0, NAMED);
  return [...oldest(false), ...oldest(true)].map(({ pid, ageMs, isWaiting: waits, facts: { scope, exclusive } }) => ({
    ...{ scope, pid, ageMs, waits, exclusive },
  }));
}
