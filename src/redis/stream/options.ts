import { InvalidOptionError } from '../../errors.ts';
import { type Check, checkArgument, checkOptions, integer, text } from '../../options.ts';
import { CommandPool } from '../redis-pool.ts';

/** Settings of `redisStream`. */
export interface RedisStreamOptions {
  /** Where a reader begins that has no state yet: an id, to read what is behind it; `0` for the beginning; `$` for the end as it is when the first reading by this source begins. Default `0`. */
  readonly from?: string | undefined;
  /** Most entries of one reply. Default 100. */
  readonly count?: number | undefined;
  /** How long the server waits for new entries before it is asked again, in milliseconds. Default 5,000. */
  readonly blockMs?: number | undefined;
}

/** Settings of `consumerGroup`. */
export interface ConsumerGroupOptions {
  /** The name of the group, which is made if there is none. */
  readonly group: string;
  /** The name of this consumer, of which there is one at a time: under the same name it gets back what it had not consumed. */
  readonly consumer: string;
  /** Where a group begins that is made: an id, `0` for the beginning, `$` for the end. Default `0`. */
  readonly from?: string | undefined;
  /** Most entries of one reply. Default 10. */
  readonly count?: number | undefined;
  /** How long the server waits for new entries before it is asked again, in milliseconds. Default 5,000. */
  readonly blockMs?: number | undefined;
  /** After how long an entry that another consumer has got and not acknowledged is taken over, in milliseconds; longer than `count` entries may take. Default 60,000. */
  readonly claimAfterMs?: number | undefined;
}

const ID = /^(?:\d+(?:-\d+)?|\$)$/;
const id: Check = (value) => (typeof value === 'string' && ID.test(value) ? undefined : 'an id such as "1526919030474-55", "0" or "$"');
const READ = { from: id, count: integer(1), blockMs: integer(1) };

/** @throws InvalidOptionError */
export function checkStream(pool: unknown, key: unknown, options: RedisStreamOptions): void {
  checkReader('redisStream()', pool, key);
  checkOptions('redisStream()', options, READ);
}

/** @throws InvalidOptionError for what is no place in a stream: behind `$` each read would begin at another end, and miss what came before. */
export function checkPlace(state: string): string {
  checkArgument('redisStream()', 'its state', state, (value) => (value === '$' || id(value) ? 'the id of an entry, or "0"' : undefined));
  return state;
}

/** @throws InvalidOptionError */
export function checkGroup(pool: unknown, key: unknown, options: ConsumerGroupOptions): void {
  const where = 'consumerGroup()';
  checkReader(where, pool, key);
  checkOptions(where, options, { ...READ, group: text, consumer: text, claimAfterMs: integer(1) });
  checkArgument(where, 'group', options.group, text);
  checkArgument(where, 'consumer', options.consumer, text);
}

function checkReader(where: string, pool: unknown, key: unknown): void {
  if (!(pool instanceof CommandPool)) {
    throw new InvalidOptionError({
      where,
      option: 'its pool',
      expected: 'a pool of defineRedisPool() or defineRedisClusterPool()',
      actual: pool,
    });
  }
  checkArgument(where, 'its key', key, text);
}
