import type { NameFacts } from '../../src/monitor/client-list.ts';
import { type History, observe } from '../../src/monitor/history.ts';
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

/** Twelve seconds in each of which three connections were opened. */
export function leaking(): History {
  let history: History | undefined;
  for (let second = 0; second <= 12; second++) {
    const facts = { received: 100 + 3 * second, clients: 20 + 3 * second, blocked: 1, rejected: second > 6 ? 4 : 2, names: NAMES };
    history = observe(history, sampleAt(second * 1_000, { ...facts, arrived: 3 }), 10_000);
  }
  if (!history) throw new Error('no sample');
  return history;
}
