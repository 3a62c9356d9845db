import { now } from '../../clock.ts';
import { type ConsumerGroupOptions, checkGroup } from './options.ts';
import { entryOf, type RawEntry, read, type StreamEntry, type StreamPool, subcommandKey, useAlone } from './read.ts';

/** An entry that was given to a consumer of a group. */
export interface GroupEntry extends StreamEntry {
  /** How often it was given to a consumer: more than once after a crash, and each time for what crashes its consumers. */
  readonly deliveries: number;
}

/** Reads what a group has not consumed. The state, an id, is for errors: the server knows where the group is. */
export type ConsumerGroup = (state: string | undefined, signal: AbortSignal) => AsyncGenerator<readonly [GroupEntry, string], void>;

/**
 * The entries of a Redis stream that this consumer of a group gets, as the source of `resume`. An entry is acknowledged
 * when it was consumed, that is, when the next one is asked for. What was given to a consumer that crashed, or that has
 * not acknowledged it for `claimAfterMs`, is given again: each entry comes at least once, but not behind `ahead()`, which
 * asks for the next one before. Redis 6.2 or newer.
 *
 * @throws InvalidOptionError
 */
export function consumerGroup(pool: StreamPool, key: string, options: ConsumerGroupOptions): ConsumerGroup {
  checkGroup(pool, key, options);
  // Outlives failures of the source: what was consumed is not given again for an acknowledgement that did not arrive.
  const member = new Member(pool, key, options);
  return (_, signal) => member.entries(signal);
}

/** Entries of one reply. */
interface Batch {
  readonly entries: readonly RawEntry[];
  /** Nobody has got them before. */
  readonly isNew: boolean;
}

/** A consumer of a group. */
class Member {
  readonly #pool: StreamPool;
  readonly #key: string;
  readonly #options: ConsumerGroupOptions;
  /** Consumed, and not known to be acknowledged. */
  readonly #consumed = new Set<string>();
  #acknowledging: Promise<void> | undefined;

  constructor(pool: StreamPool, key: string, options: ConsumerGroupOptions) {
    this.#pool = pool;
    this.#key = key;
    this.#options = options;
  }

  async *entries(signal: AbortSignal): AsyncGenerator<readonly [GroupEntry, string], void> {
    await this.#makeGroup(signal);
    try {
      for await (const { entries, isNew } of this.#batches(signal)) {
        const deliveries = isNew ? NONE : await this.#deliveriesOf(entries);
        for (const raw of entries) {
          const [id] = raw;
          const entry = entryOf(raw);
          if (entry) yield [{ ...entry, deliveries: deliveries.get(id) ?? 1 }, id];
          this.#consumed.add(id);
          // What fails is sent again before more is read.
          this.#acknowledge().catch(() => {});
        }
      }
    } finally {
      // What is not acknowledged comes again.
      await this.#acknowledge().catch(() => {});
    }
  }

  /** One after another, each when those before it are consumed and acknowledged. */
  async *#batches(signal: AbortSignal): AsyncGenerator<Batch, void> {
    const { blockMs = 5_000, claimAfterMs = 60_000 } = this.#options;
    await this.#acknowledge();
    // What this consumer has got and not consumed, before a crash or when its connection broke.
    for (let behind: string | undefined = '0'; behind !== undefined; ) {
      const entries = await this.#read(behind, signal);
      if (entries.length > 0) yield { entries, isNew: false };
      await this.#acknowledge();
      behind = entries.at(-1)?.[0];
    }
    for (let claimedAt = Number.NEGATIVE_INFINITY; ; ) {
      if (now() - claimedAt > claimAfterMs / 2) {
        claimedAt = now();
        yield* this.#claims(claimAfterMs);
      }
      yield { entries: await this.#read('>', signal, Math.min(blockMs, claimAfterMs)), isNew: true };
      await this.#acknowledge();
    }
  }

  /** What others have kept for too long. */
  async *#claims(claimAfterMs: number): AsyncGenerator<Batch, void> {
    const { group, consumer, count = 10 } = this.#options;
    for (let cursor = '0-0'; ; ) {
      const reply = await this.#pool.xautoclaim(this.#key, group, consumer, claimAfterMs, cursor, 'COUNT', count);
      const [next, entries] = reply as [string, RawEntry[]];
      if (entries.length > 0) yield { entries, isNew: false };
      await this.#acknowledge();
      if (next === '0-0') return;
      cursor = next;
    }
  }

  /** @param behind An id, for what this consumer has got behind it, or `>` for what nobody has got. */
  #read(behind: string, signal: AbortSignal, blockMs?: number): Promise<readonly RawEntry[]> {
    const { group, consumer, count = 10 } = this.#options;
    const block = blockMs === undefined ? [] : ['BLOCK', blockMs];
    const args = ['GROUP', group, consumer, 'COUNT', count, ...block, 'STREAMS', this.#key, behind];
    return read({ pool: this.#pool, key: this.#key, method: 'xreadgroup', args }, signal);
  }

  async #deliveriesOf(entries: readonly RawEntry[]): Promise<ReadonlyMap<string, number>> {
    const { group, consumer } = this.#options;
    const [first, last] = [entries[0]?.[0] ?? '-', entries.at(-1)?.[0] ?? '+'];
    const pending = await this.#pool.xpending(this.#key, group, first, last, entries.length, consumer);
    return new Map((pending as [string, string, number, number][]).map(([id, , , deliveries]) => [id, Number(deliveries)]));
  }

  async #makeGroup(signal: AbortSignal): Promise<void> {
    const { group, from = '0' } = this.#options;
    try {
      await useAlone(this.#pool, this.#key, signal, (connection) =>
        connection.xgroup('CREATE', subcommandKey(connection, this.#key), group, from, 'MKSTREAM'),
      );
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('BUSYGROUP'))) throw error;
    }
  }

  /** Acknowledges all that is consumed: in one command what was consumed while the one before it was on its way. */
  #acknowledge(): Promise<void> {
    this.#acknowledging ??= this.#sendAcknowledgements().finally(() => {
      this.#acknowledging = undefined;
    });
    return this.#acknowledging;
  }

  async #sendAcknowledgements(): Promise<void> {
    while (this.#consumed.size > 0) {
      const ids = [...this.#consumed];
      await this.#pool.idempotent.xack(this.#key, this.#options.group, ...ids);
      for (const id of ids) this.#consumed.delete(id);
    }
  }
}

const NONE: ReadonlyMap<string, number> = new Map();
