import type { LeakFacts } from '../inspect/leaks.ts';
import type { PoolReport, ProcessInspection } from '../inspect/process.ts';
import type { LeaseFacts, WaiterFacts } from '../pool/report.ts';
import { compare } from './compare.ts';
import { mostTrodden } from './ways.ts';

/** One who holds a connection, or waits for one. */
export interface HolderRow {
  readonly scope: string;
  readonly pid: number;
  readonly ageMs: number;
  readonly waits: boolean;
  readonly exclusive: boolean;
}

/** A line of code that holds connections of a pool, waits for them or leaks them, in whichever process. */
export interface PlaceRow {
  readonly pool: string;
  /** Undefined for all that were not sampled. */
  readonly site: string | undefined;
  /** The calls that led there, the innermost first; of several ways those of most leases. */
  readonly stack: readonly string[];
  readonly leases: number;
  /** Begun within the last 10 s, and held still. */
  readonly grown: number;
  readonly waiting: number;
  /** Leases that their scope had to revoke when it ended, since somebody began to look, and in the last 10 s. */
  readonly leaked: number;
  readonly leakedLately: number;
  /** Of the oldest lease: its age, scope and process. Where nobody holds, of the one that has waited longest; else of the last leak. */
  readonly oldestMs: number;
  readonly scope: string;
  readonly pid: number;
  /** Those who hold, the oldest ten, then those who wait, likewise. */
  readonly holders: readonly HolderRow[];
  /** How long all leases together have been held. */
  readonly heldMs: number;
}

const GROWN_MS = 10_000;
const LONG_MS = 2_000;

/**
 * The place that is to be suspected first: the one that leaks most; else of those that hold connections for long the one that
 * takes most of them now, for what rightly keeps some for hours takes no more. One that is known by its line comes before
 * those that are not.
 */
export function worstOf(places: readonly PlaceRow[]): PlaceRow | undefined {
  const key = ({ site, leakedLately, grown, leases, heldMs }: PlaceRow) => [
    site === undefined ? 0 : 1,
    leakedLately,
    grown,
    leases,
    heldMs,
  ];
  const isSuspect = ({ leakedLately, leases, oldestMs }: PlaceRow) => leakedLately > 0 || (leases > 0 && oldestMs >= LONG_MS);
  return places.filter(isSuspect).sort((a, b) => compare(key(b), key(a)))[0];
}

/** One that holds or waits. */
interface Hold {
  readonly pid: number;
  readonly ageMs: number;
  readonly isWaiting: boolean;
  readonly facts: LeaseFacts | WaiterFacts;
}

/** What happens at one line. */
interface Place {
  readonly pool: string;
  readonly site: string | undefined;
  readonly holds: Hold[];
  readonly leaks: (LeakFacts & { readonly pid: number })[];
}

/** Those that hold the most first, but for the one that is to be suspected first, if any. */
export function placesOf(inspections: readonly ProcessInspection[]): readonly PlaceRow[] {
  const places = new Map<string, Place>();
  const placeOf = (pool: string, site: string | undefined) => {
    const key = JSON.stringify([pool, site]);
    const place = places.get(key) ?? { pool, site, holds: [], leaks: [] };
    places.set(key, place);
    return place;
  };
  for (const { pid, roots, leaks } of inspections) {
    for (const report of roots.flatMap(({ pools }) => pools)) {
      for (const hold of holdsOf(pid, report)) placeOf(report.pool, hold.facts.site).holds.push(hold);
    }
    for (const leak of leaks) placeOf(leak.pool, leak.site).leaks.push({ ...leak, pid });
  }
  const rows = [...places.values()].map(placeRow).sort((a, b) => b.heldMs - a.heldMs || b.waiting - a.waiting || b.leaked - a.leaked);
  const worst = worstOf(rows);
  // A leak that has just begun has held less than what rightly holds for hours, and there may be room for few rows.
  return worst ? [worst, ...rows.filter((row) => row !== worst)] : rows;
}

function holdsOf(pid: number, { connections, waiters }: PoolReport): readonly Hold[] {
  const leases = connections.flatMap((connection) => connection.leases);
  return [
    ...leases.map((facts) => ({ pid, ageMs: facts.heldMs, isWaiting: false, facts })),
    ...waiters.map((facts) => ({ pid, ageMs: facts.waitedMs, isWaiting: true, facts })),
  ];
}

function placeRow({ pool, site, holds, leaks }: Place): PlaceRow {
  const leases = oldestFirst(holds.filter(({ isWaiting }) => !isWaiting));
  const waiters = oldestFirst(holds.filter(({ isWaiting }) => isWaiting));
  const [oldest] = [...leases, ...waiters];
  const [last] = [...leaks].sort((a, b) => a.lastMs - b.lastMs);
  return {
    ...{ pool, site, stack: stackOf(leases.length > 0 ? leases : waiters, leaks) },
    leases: leases.length,
    grown: leases.filter(({ ageMs }) => ageMs < GROWN_MS).length,
    waiting: waiters.length,
    leaked: sum(leaks.map(({ leaked }) => leaked)),
    leakedLately: sum(leaks.map(({ grown }) => grown)),
    oldestMs: oldest?.ageMs ?? 0,
    scope: oldest?.facts.scope ?? last?.scope ?? '',
    pid: oldest?.pid ?? last?.pid ?? 0,
    holders: [...leases.slice(0, NAMED), ...waiters.slice(0, NAMED)].map(holderRow),
    heldMs: sum(leases.map(({ ageMs }) => ageMs)),
  };
}

function stackOf(holds: readonly Hold[], leaks: Place['leaks']): readonly string[] {
  const isLeaking = leaks.some(({ grown }) => grown > 0);
  if (isLeaking || holds.length === 0) return mostTrodden(leaks.map(({ leaked, ...way }) => ({ ...way, count: leaked })));
  return mostTrodden(holds.map(({ facts: { stack } }) => ({ stack, grown: 0, count: 1 })));
}

/** So many of those who hold at one line, and of those who wait there. */
const NAMED = 10;

function holderRow({ pid, ageMs, isWaiting: waits, facts: { scope, exclusive } }: Hold): HolderRow {
  return { scope, pid, ageMs, waits, exclusive };
}

function oldestFirst(holds: readonly Hold[]): readonly Hold[] {
  return [...holds].sort((a, b) => b.ageMs - a.ageMs);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
