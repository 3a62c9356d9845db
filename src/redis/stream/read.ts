import type { RedisPool } from '../api.ts';
import type { RedisClusterPool } from '../cluster/api.ts';
import { ClusterPool } from '../cluster/cluster-pool.ts';
import { Command, type Redis } from '../ioredis.ts';

/** An entry of a stream. */
export interface StreamEntry {
  /** Its place in the stream, such as `1526919030474-55`. */
  readonly id: string;
  /** As texts, in UTF-8; of fields of the same name the last. */
  readonly fields: Readonly<Record<string, string>>;
}

/** The pools that streams can be read of. */
export type StreamPool = RedisPool | RedisClusterPool;

/** An entry as the server gives it: without fields when it was deleted. */
export type RawEntry = readonly [id: string, fields: readonly string[] | null];

type Method = (...args: readonly (string | number)[]) => Promise<unknown>;

/** What is to be read of one stream. */
export interface Reading {
  readonly pool: StreamPool;
  readonly key: string;
  readonly method: 'xread' | 'xreadgroup';
  readonly args: readonly (string | number)[];
}

/** Reads on a connection of its own, for as long as that takes; it is closed when the signal aborts. @throws what the pool and the server say. */
export async function read({ pool, key, method, args }: Reading, signal: AbortSignal): Promise<readonly RawEntry[]> {
  const reply = await useAlone(pool, key, signal, (connection) => (connection as unknown as Record<string, Method>)[method]?.(...args));
  // Of one stream, hence one pair of its key and its entries.
  return (reply as readonly [key: string, entries: readonly RawEntry[]][] | null)?.[0]?.[1] ?? [];
}

/** Runs `fn` with a connection of its own to the server of the key; it is closed when the signal aborts. */
export function useAlone(pool: StreamPool, key: string, signal: AbortSignal, fn: (connection: Redis) => unknown): Promise<unknown> {
  const use: Parameters<RedisPool['use']>[0] = async (connection, lease) => {
    const onAbort = () => lease.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await fn(connection);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  };
  return pool instanceof ClusterPool
    ? (pool as unknown as RedisClusterPool).use(use, { key, signal })
    : (pool as RedisPool).use(use, { signal });
}

/** The key as it is to be written behind a subcommand: ioredis 5 does not know it there, and puts no `keyPrefix` before it. */
export function subcommandKey({ options: { keyPrefix = '' } }: Redis, key: string): string {
  const isKnown = new Command('xgroup', ['CREATE', key]).getKeys().length > 0;
  return isKnown ? key : `${keyPrefix}${key}`;
}

/** @returns nothing for one that was deleted. */
export function entryOf([id, fields]: RawEntry): StreamEntry | undefined {
  if (!fields) return undefined;
  const pairs = Array.from({ length: fields.length / 2 }, (_, pair) => [fields[2 * pair], fields[2 * pair + 1]]);
  return { id, fields: Object.fromEntries(pairs) };
}
