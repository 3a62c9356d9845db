import type { Redis } from 'ioredis';
import { Journal } from './journal.ts';

/** What the client was told of a command: nothing yet, done, not executed, or that nobody knows. */
type Told = 'pending' | 'confirmed' | 'failed' | 'unknown';

/** What a command does, as far as it can be found in Redis afterwards. */
export type Deed =
  | { readonly kind: 'count'; readonly key: string }
  | { readonly kind: 'push'; readonly key: string; readonly id: string }
  | { readonly kind: 'put'; readonly key: string }
  | { readonly kind: 'pop' }
  | { readonly kind: 'none' };

interface Entry {
  readonly deed: Deed;
  readonly told: Told;
  /** The id that a pop has taken. */
  readonly popped?: string | undefined;
}

/** What does not agree between what the client was told and what is in Redis; each but the ids is 0 when all is well. */
export interface Audit {
  confirmedMissing: number;
  executedTwice: number;
  /** Told that it was not executed, and it was. */
  failedButExecuted: number;
}

/** The list that is taken from while it is written. */
export const QUEUE = 'queue';

/** Keeps the books: every command, and what was said of it. */
export class Account {
  readonly #settled = new Journal<Entry>();
  readonly #pending = new Set<Deed>();
  readonly #counts = { confirmed: 0, failed: 0, unknown: 0 };
  /** Failures of which nothing says whether the command was executed. */
  readonly unexplained: unknown[] = [];
  /** Replies that belong to another command. */
  wrongReplies = 0;
  slowestMs = 0;

  /** @param isRight Whether the reply can be the one to this command. */
  async enter<R>(deed: Deed, sent: Promise<R>, isRight: (reply: R) => boolean = () => true): Promise<void> {
    this.#pending.add(deed);
    const begun = performance.now();
    try {
      const reply = await sent;
      if (!isRight(reply)) this.wrongReplies++;
      this.#settle(deed, 'confirmed', deed.kind === 'pop' && Array.isArray(reply) ? String(reply[1]) : undefined);
    } catch (error) {
      this.#settle(deed, this.#toldBy(error));
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - begun);
  }

  count(told: Told): number {
    return told === 'pending' ? this.#pending.size : this.#counts[told];
  }

  /** What nobody knows of whether it was executed. */
  unknown(): readonly Deed[] {
    return this.#entries().flatMap(({ told, deed }) => (told === 'unknown' ? [deed] : []));
  }

  async audit(redis: Redis): Promise<Audit> {
    const audit: Audit = { confirmedMissing: 0, executedTwice: 0, failedButExecuted: 0 };
    const entries = this.#entries();
    await auditCounters(redis, audit, of(entries, 'count'));
    await auditLists(redis, audit, of(entries, 'push'), of(entries, 'pop'));
    await auditKeys(redis, audit, of(entries, 'put'));
    return audit;
  }

  #settle(deed: Deed, told: Exclude<Told, 'pending'>, popped?: string): void {
    this.#pending.delete(deed);
    this.#counts[told]++;
    this.#settled.add({ deed, told, popped });
  }

  #entries(): readonly Entry[] {
    return [...this.#settled.read(), ...[...this.#pending].map((deed) => ({ deed, told: 'pending' as const }))];
  }

  #toldBy(error: unknown): 'failed' | 'unknown' {
    const { outcome, code, name } = error as { readonly outcome?: string; readonly code?: string; readonly name?: string };
    if (outcome === 'unknown') return 'unknown';
    // Without a lease nothing was sent, and of what the server has answered itself it has said why.
    if (outcome !== undefined || code === 'ERR_POOL_ACQUIRE_TIMEOUT' || code === 'ERR_POOL_UNAVAILABLE' || name === 'ReplyError')
      return 'failed';
    this.unexplained.push(error);
    return 'unknown';
  }
}

interface EntryOf<K extends Deed['kind']> extends Entry {
  readonly deed: Extract<Deed, { kind: K }>;
}

function of<K extends Deed['kind']>(entries: readonly Entry[], kind: K): readonly EntryOf<K>[] {
  return entries.filter(({ deed }) => deed.kind === kind) as never;
}

async function auditCounters(redis: Redis, audit: Audit, counts: readonly EntryOf<'count'>[]): Promise<void> {
  for (const [key, entries] of grouped(counts, ({ deed }) => deed.key)) {
    const told = (what: Told) => entries.filter((entry) => entry.told === what).length;
    const counted = Number(await redis.get(key));
    audit.confirmedMissing += Math.max(0, told('confirmed') - counted);
    audit.executedTwice += Math.max(0, counted - told('confirmed') - told('unknown') - told('pending'));
  }
}

async function auditLists(redis: Redis, audit: Audit, pushes: readonly EntryOf<'push'>[], pops: readonly EntryOf<'pop'>[]): Promise<void> {
  const popped = pops.flatMap((pop) => pop.popped ?? []);
  const unknownPops = pops.filter(({ told }) => told !== 'confirmed').length;
  for (const [key, entries] of grouped(pushes, ({ deed }) => deed.key)) {
    const found = [...(await redis.lrange(key, 0, -1)), ...(key === QUEUE ? popped : [])];
    const ids = new Set(found);
    const missing = entries.filter(({ deed, told }) => told === 'confirmed' && !ids.has(deed.id)).length;
    audit.executedTwice += found.length - ids.size;
    // What was taken and lost on its way back is no loss of what was written.
    audit.confirmedMissing += Math.max(0, missing - (key === QUEUE ? unknownPops : 0));
    audit.failedButExecuted += entries.filter(({ deed, told }) => told === 'failed' && ids.has(deed.id)).length;
  }
}

async function auditKeys(redis: Redis, audit: Audit, puts: readonly EntryOf<'put'>[]): Promise<void> {
  for (const { deed, told } of puts) {
    const isThere = (await redis.exists(deed.key)) === 1;
    if (told === 'confirmed' && !isThere) audit.confirmedMissing++;
    if (told === 'failed' && isThere) audit.failedButExecuted++;
  }
}

function grouped<T>(values: readonly T[], keyOf: (value: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group) group.push(value);
    else groups.set(keyOf(value), [value]);
  }
  return groups;
}
