import type { Redis } from 'ioredis';

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
  told: Told;
}

/** What does not agree between what the client was told and what is in Redis; each but the ids is 0 when all is well. */
export interface Audit {
  confirmedMissing: number;
  executedTwice: number;
  /** Told that it was not executed, and it was. */
  failedButExecuted: number;
}

/** The list that is taken from while it is written; what was taken is remembered here. */
export const QUEUE = 'queue';

/** Keeps the books: every command, and what was said of it. */
export class Account {
  readonly #entries: Entry[] = [];
  readonly #popped: string[] = [];
  /** Failures of which nothing says whether the command was executed. */
  readonly unexplained: unknown[] = [];
  /** Replies that belong to another command. */
  wrongReplies = 0;
  slowestMs = 0;

  /** @param isRight Whether the reply can be the one to this command. */
  async enter<R>(deed: Deed, sent: Promise<R>, isRight: (reply: R) => boolean = () => true): Promise<void> {
    const entry: Entry = { deed, told: 'pending' };
    this.#entries.push(entry);
    const begun = performance.now();
    try {
      const reply = await sent;
      entry.told = 'confirmed';
      if (!isRight(reply)) this.wrongReplies++;
      if (deed.kind === 'pop' && Array.isArray(reply)) this.#popped.push(String(reply[1]));
    } catch (error) {
      entry.told = this.#toldBy(error);
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - begun);
  }

  count(told?: Told): number {
    return told === undefined ? this.#entries.length : this.#entries.filter((entry) => entry.told === told).length;
  }

  async audit(redis: Redis): Promise<Audit> {
    const audit: Audit = { confirmedMissing: 0, executedTwice: 0, failedButExecuted: 0 };
    await this.#auditCounters(redis, audit);
    await this.#auditLists(redis, audit);
    await this.#auditKeys(redis, audit);
    return audit;
  }

  #toldBy(error: unknown): Told {
    const { outcome, code, name } = error as { readonly outcome?: string; readonly code?: string; readonly name?: string };
    if (outcome === 'unknown') return 'unknown';
    // Without a lease nothing was sent, and of what the server has answered itself it has said why.
    if (outcome !== undefined || code === 'ERR_POOL_ACQUIRE_TIMEOUT' || code === 'ERR_POOL_UNAVAILABLE' || name === 'ReplyError')
      return 'failed';
    this.unexplained.push(error);
    return 'unknown';
  }

  #of<K extends Deed['kind']>(kind: K): readonly { readonly deed: Extract<Deed, { kind: K }>; readonly told: Told }[] {
    return this.#entries.filter(({ deed }) => deed.kind === kind) as never;
  }

  async #auditCounters(redis: Redis, audit: Audit): Promise<void> {
    for (const [key, entries] of grouped(this.#of('count'), ({ deed }) => deed.key)) {
      const told = (what: Told) => entries.filter((entry) => entry.told === what).length;
      const counted = Number(await redis.get(key));
      audit.confirmedMissing += Math.max(0, told('confirmed') - counted);
      audit.executedTwice += Math.max(0, counted - told('confirmed') - told('unknown') - told('pending'));
    }
  }

  async #auditLists(redis: Redis, audit: Audit): Promise<void> {
    const unknownPops = this.#of('pop').filter(({ told }) => told !== 'confirmed').length;
    for (const [key, entries] of grouped(this.#of('push'), ({ deed }) => deed.key)) {
      const found = [...(await redis.lrange(key, 0, -1)), ...(key === QUEUE ? this.#popped : [])];
      const ids = new Set(found);
      const missing = entries.filter(({ deed, told }) => told === 'confirmed' && !ids.has(deed.id)).length;
      audit.executedTwice += found.length - ids.size;
      // What was taken and lost on its way back is no loss of what was written.
      audit.confirmedMissing += Math.max(0, missing - (key === QUEUE ? unknownPops : 0));
      audit.failedButExecuted += entries.filter(({ deed, told }) => told === 'failed' && ids.has(deed.id)).length;
    }
  }

  async #auditKeys(redis: Redis, audit: Audit): Promise<void> {
    for (const { deed, told } of this.#of('put')) {
      const isThere = (await redis.exists(deed.key)) === 1;
      if (told === 'confirmed' && !isThere) audit.confirmedMissing++;
      if (told === 'failed' && isThere) audit.failedButExecuted++;
    }
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
