import { checkPlace, checkStream, type RedisStreamOptions } from './options.ts';
import { entryOf, read, type StreamEntry, type StreamPool } from './read.ts';

/** Reads a stream from a place on, the id of an entry; `undefined` where `from` says. */
export type RedisStream = (state: string | undefined, signal: AbortSignal) => AsyncGenerator<readonly [StreamEntry, string], never>;

/**
 * A Redis stream as the source of `resume`: its entries, each with its id as the state, one after another and for ever.
 * Each reply takes a connection of the pool for as long as the server waits for it.
 *
 * @throws InvalidOptionError
 */
export function redisStream(pool: StreamPool, key: string, options: RedisStreamOptions = {}): RedisStream {
  checkStream(pool, key, options);
  const { from = '0', count = 100, blockMs = 5_000 } = options;
  let begin: string | undefined = from === '$' ? undefined : from;
  return async function* stream(state, signal) {
    // Once: what comes between two attempts is behind the end, too.
    begin ??= await endOf(pool, key);
    for (let at = state === undefined ? begin : checkPlace(state); ; ) {
      const args = ['COUNT', count, 'BLOCK', blockMs, 'STREAMS', key, at];
      for (const raw of await read({ pool, key, method: 'xread', args }, signal)) {
        const entry = entryOf(raw);
        if (entry) yield [entry, entry.id];
        at = raw[0];
      }
    }
  };
}

/** The id of the last entry. By no subcommand: ioredis 5 puts no `keyPrefix` before the keys of those. */
async function endOf(pool: StreamPool, key: string): Promise<string> {
  const [last] = await pool.xrevrange(key, '+', '-', 'COUNT', 1);
  return last?.[0] ?? '0-0';
}
