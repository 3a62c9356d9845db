import type { NameFacts } from '../../src/monitor/client-list.ts';
import { type History, observe } from '../../src/monitor/history.ts';
import { type Inside, NOBODY, type PoolRow } from '../../src/monitor/inside.ts';
import type { PlaceRow } from '../../src/monitor/places.ts';
import type { Sample } from '../../src/monitor/sampler.ts';

/** A row of which nothing is known but this. */
export function nameFacts(facts: Partial<NameFacts>): NameFacts {
  const none = { connections: 0, grown: 0, fresh: 0, idle: 0, oldestS: 0, blocked: 0, subscribed: 0 };
  return { name: 'app', ...none, lastCommand: 'get', ...facts };
}

/** What a quiet server says, but for this. */
export function sampleAt(atMs: number, facts: Partial<Sample>): Sample {
  const quiet = { clients: 1, maxclients: 10_000, blocked: 0, rejected: 0, received: 0, arrived: 0, names: [] };
  return { atMs, runId: 'a', version: '7.0.15', ...quiet, ...facts };
}

export const NAMES = [
  nameFacts({ name: 'sp:shop-api:jobs', connections: 10, idle: 2, oldestS: 900, blocked: 1, lastCommand: 'bzpopmin' }),
  nameFacts({ name: 'sp:shop-api:leaky', connections: 38, grown: 30, fresh: 6, idle: 5, oldestS: 12, lastCommand: 'get' }),
  nameFacts({ name: 'sp:monitor:host', connections: 1, grown: 1, oldestS: 9, subscribed: 1, lastCommand: 'client|list' }),
];

/** A place of which nothing is known but this. */
export function placeRow(facts: Partial<PlaceRow>): PlaceRow {
  const none = { leases: 0, grown: 0, waiting: 0, leaked: 0, leakedLately: 0, oldestMs: 0, heldMs: 0 };
  return { pool: 'redis', site: undefined, stack: [], holders: [], ...none, scope: 'app', pid: 4711, ...facts };
}

/** A pool of which nothing is known but this. */
export function poolRow(facts: Partial<PoolRow>): PoolRow {
  const none = { inUse: 0, idle: 0, creating: 0, max: 10, pending: 0, timeouts: 0, leaked: 0 };
  return { pid: 4711, thread: 0, pool: 'redis', scope: 'app', ...none, health: 'up', error: undefined, ...facts };
}

const MAIL = { leases: 38, grown: 30, oldestMs: 12_400, heldMs: 228_000, waiting: 2, scope: 'worker:mails' };

/** What the process says that leaks. */
export const INSIDE: Inside = {
  ...NOBODY,
  processes: [{ pid: 4711, thread: 0, script: '/app/main.js', version: '0.1.0', uptimeMs: 900_100 }],
  places: [
    placeRow({ pool: 'leaky', site: 'file:///app/src/mail.js:42:31', stack: ['sendMail (file:///app/src/mail.js:42:31)'], ...MAIL }),
    placeRow({ pool: 'jobs', leases: 1, oldestMs: 200, heldMs: 200, scope: 'worker:mails' }),
  ],
  pools: [
    poolRow({ pool: 'leaky', scope: 'worker:mails', inUse: 38, max: null, pending: 2, timeouts: 1 }),
    poolRow({ pool: 'jobs', scope: 'worker:mails', inUse: 1, idle: 9 }),
  ],
};

/** Twelve seconds in each of which three connections were opened. */
export function leaking(inside: Inside = NOBODY): History {
  let history: History | undefined;
  for (let second = 0; second <= 12; second++) {
    const facts = { received: 100 + 3 * second, clients: 20 + 3 * second, blocked: 1, rejected: second > 6 ? 4 : 2, names: NAMES };
    history = observe(history, sampleAt(second * 1_000, { ...facts, arrived: 3 }), 10_000, inside);
  }
  if (!history) throw new Error('no sample');
  return history;
}
