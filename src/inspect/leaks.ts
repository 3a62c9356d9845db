import { CHANNELS } from '../channels.ts';
import type { HolderFacts } from '../errors.ts';
import { Tally } from './tally.ts';

/** A line of code whose leases were still held when their scope had ended. They were revoked then. */
export interface LeakFacts {
  readonly pool: string;
  /** Of the last one. */
  readonly scope: string;
  /** Undefined for all that were not sampled. */
  readonly site: string | undefined;
  /** As that of a lease; of several ways to the line the one that was gone most often of late. */
  readonly stack: readonly string[];
  /** How many since somebody began to look. */
  readonly leaked: number;
  /** How many of them in the last 10 s, at most 100. */
  readonly grown: number;
  /** How long ago the last one was revoked, in milliseconds. */
  readonly lastMs: number;
}

/** What a pool publishes. */
interface Leaked {
  readonly holder: HolderFacts;
  readonly stack: readonly string[];
}

const leaked = new Tally<Pick<LeakFacts, 'pool' | 'scope' | 'site'>>();
let isWatching = false;

/** From the first call on every leak is noted. */
export function watchLeaks(): void {
  if (!isWatching) CHANNELS.leaseLeaked.subscribe((message) => note(message as Leaked));
  isWatching = true;
}

/** The line that has leaked last comes first. */
export function leaks(): LeakFacts[] {
  return leaked.all.map(({ facts, stack, count, grown, lastMs }) => ({ ...facts, stack, leaked: count, grown, lastMs }));
}

function note({ holder: { pool, scope, site }, stack }: Leaked): void {
  leaked.note(JSON.stringify([pool, site]), stack, { pool, scope, site });
}
