import type { NameFacts } from '../../src/monitor/client-list.ts';
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
