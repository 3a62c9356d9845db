import type { NameFacts } from './client-list.ts';
import { compare } from './compare.ts';
import { type Inside, NOBODY } from './inside.ts';
import type { Sample } from './sampler.ts';
import { judge, type Point, type Verdict } from './verdict.ts';

/** What was seen since the monitor connected. */
export interface History {
  readonly windowMs: number;
  readonly first: Point;
  /** The newest last; of a long time only the end. */
  readonly points: readonly Point[];
  readonly last: Sample;
  readonly inside: Inside;
  readonly rejectedAtFirst: number;
  /** What the server had counted when it was told to begin anew (`CONFIG RESETSTAT`); `last` and `points` have it in them. */
  readonly forgotten: Counts;
  readonly verdict: Verdict;
  /** Connections that were opened, and closed before a sample could see them, in the last 2 s; one number for each sample. */
  readonly unseen: readonly { readonly atMs: number; readonly count: number }[];
}

/** What a server counts since it started. */
type Counts = Pick<Sample, 'received' | 'rejected'>;

/** What can be shown of a history. */
export interface Facts {
  readonly version: string;
  readonly verdict: Verdict;
  readonly watchedMs: number;
  /** Connections opened since the watching began. */
  readonly opened: number;
  readonly openedPerSecond: number;
  /** Of these, per second, those that had closed again before they could be seen: no row shows them. */
  readonly unseenPerSecond: number;
  readonly clients: number;
  readonly maxclients: number | undefined;
  readonly blocked: number;
  /** Connections refused for want of room, since the server started; and since the watching began. */
  readonly rejected: number;
  readonly rejectedMeanwhile: number;
  readonly names: readonly NameFacts[];
  readonly inside: Inside;
}

const WINDOW_MS = 10_000;
const RATE_MS = 2_000;
/** More columns than these no terminal shows. */
const MOST_POINTS = 1_000;
/** A window has as many samples as parts, at the least. */
const LEAST_SAMPLES = 4;

/** What the verdict looks at: the last 10 s, or so much that it holds enough samples. */
export function windowMsOf(intervalMs: number): number {
  return Math.max(WINDOW_MS, LEAST_SAMPLES * intervalMs);
}

/** The history with one sample more; `undefined` is one that begins. */
export function observe(history: History | undefined, told: Sample, windowMs: number, inside: Inside = NOBODY): History {
  const forgotten = forgottenOf(history, told);
  const sample = { ...told, received: told.received + forgotten.received, rejected: told.rejected + forgotten.rejected };
  const point = { atMs: sample.atMs, received: sample.received, clients: sample.clients };
  const before = history?.points.at(-1);
  const points = [...(history?.points ?? []), point].slice(-MOST_POINTS);
  const rejected = sample.rejected - (history?.last.rejected ?? sample.rejected);
  const count = before ? Math.max(0, sample.received - before.received - rejected - sample.arrived) : 0;
  return {
    windowMs,
    first: history?.first ?? point,
    points,
    last: sample,
    inside,
    rejectedAtFirst: history?.rejectedAtFirst ?? sample.rejected,
    forgotten,
    verdict: judge(points, windowMs, history?.verdict.trend ?? 'watching'),
    unseen: [...(history?.unseen ?? []), { atMs: sample.atMs, count }].filter(({ atMs }) => atMs > sample.atMs - RATE_MS),
  };
}

/** Counts only fall when they begin anew: what was counted before is kept, so that ours go on. */
function forgottenOf(history: History | undefined, { received }: Sample): Counts {
  if (!history) return { received: 0, rejected: 0 };
  const { forgotten, last } = history;
  const isAnew = received + forgotten.received < last.received;
  return isAnew ? { received: last.received, rejected: last.rejected } : forgotten;
}

export function factsOf({ first, points, last, rejectedAtFirst, verdict, unseen, inside }: History): Facts {
  const { version, clients, maxclients, blocked, rejected, names } = last;
  const from = points.findLast(({ atMs }) => atMs <= last.atMs - RATE_MS) ?? points[0] ?? first;
  const perSecond = (count: number) => (last.atMs > from.atMs ? (count * 1_000) / (last.atMs - from.atMs) : 0);
  return {
    ...{ version, verdict, clients, maxclients, blocked, rejected, names, inside },
    watchedMs: last.atMs - first.atMs,
    opened: last.received - first.received,
    openedPerSecond: perSecond(last.received - from.received),
    unseenPerSecond: perSecond(unseen.reduce((sum, { count }) => sum + count, 0)),
    rejectedMeanwhile: rejected - rejectedAtFirst,
  };
}

/** By what the rows of names can be sorted: the highest first. */
export const ORDERS = ['growth', 'connections', 'age'] as const;
export type Order = (typeof ORDERS)[number];

const KEYS: Readonly<Record<Order, (row: NameFacts) => readonly number[]>> = {
  growth: ({ grown, fresh, connections }) => [grown, fresh, connections],
  connections: ({ connections, grown }) => [connections, grown],
  age: ({ oldestS, connections }) => [oldestS, connections],
};

/** The same rows in another order; equal ones by name. */
export function sorted(names: readonly NameFacts[], order: Order): readonly NameFacts[] {
  const key = KEYS[order];
  return [...names].sort((a, b) => compare(key(b), key(a)) || (a.name < b.name ? -1 : 1));
}
