import { setTimeout as sleep } from 'node:timers/promises';
import { resume, withRoot } from 'scoped-pool';
import { type ConsumerGroupOptions, consumerGroup, type GroupEntry, type RedisPool } from 'scoped-pool/redis';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { uncaught } from '../../support/events.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { poolOn } from '../support.ts';
import { addNumbers, killConnections } from './support.ts';

const redis = useRedis();
beforeEach(() => redis().empty());

const numberOf = ({ fields }: GroupEntry) => Number(fields.n);
const range = (end: number, first = 0) => Array.from({ length: end - first }, (_, at) => at + first);

function entriesOf(pool: RedisPool, consumer: string, options: Partial<ConsumerGroupOptions> = {}) {
  const group = consumerGroup(pool, 'log', { group: 'group', consumer, blockMs: 50, ...options });
  return resume(group, undefined, { maxRestarts: 50, minDelayMs: 1 });
}

/** How many entries are given to somebody and not acknowledged. */
const pending = async () => Number(((await redis().observer.xpending('log', 'group')) as unknown[])[0]);

async function take(entries: AsyncIterator<GroupEntry>, count: number): Promise<GroupEntry[]> {
  const taken: GroupEntry[] = [];
  while (taken.length < count) taken.push((await entries.next()).value);
  return taken;
}

describe('consumerGroup', () => {
  it('makes the group and the stream, and acknowledges an entry when the next one is asked for', async () => {
    await withRoot(async () => {
      const entries = entriesOf(poolOn(redis()), 'a');
      const first = entries.next();
      await until(
        async () =>
          (await redis()
            .observer.xinfo('GROUPS', 'log')
            .catch(() => [])) as unknown[],
      );
      await addNumbers(redis(), 'log', 3);
      expect((await first).value).toMatchObject({ fields: { n: '0' }, deliveries: 1 });
      await sleep(20);
      expect(await pending()).toBeGreaterThan(0);
      await take(entries, 2);
      // While the last of the batch is worked on.
      await until(async () => (await pending()) === 1);
      const next = entries.next();
      await until(async () => (await pending()) === 0);
      await entries.return();
      expect((await next).done).toBe(true);
    });
  });

  it('does not acknowledge the entry in whose work the consumer stops, which comes again', async () => {
    await addNumbers(redis(), 'log', 5);
    await withRoot(async () => {
      const pool = poolOn(redis());
      for await (const entry of entriesOf(pool, 'a')) if (numberOf(entry) === 2) break;
      expect(await pending()).toBe(3);
      const again = await take(entriesOf(pool, 'a'), 3);
      expect(again.map(numberOf)).toEqual([2, 3, 4]);
      expect(again.map(({ deliveries }) => deliveries)).toEqual([2, 2, 2]);
    });
  });

  it('shares the entries among its consumers, each to one', async () => {
    await addNumbers(redis(), 'log', 200);
    await withRoot(async (scope) => {
      const pool = poolOn(redis());
      const taken: number[] = [];
      for (const consumer of ['a', 'b', 'c']) {
        scope.spawn(
          async () => {
            for await (const entry of entriesOf(pool, consumer, { count: 7 })) {
              taken.push(numberOf(entry));
              await sleep(1);
            }
          },
          { background: true },
        );
      }
      await until(() => taken.length === 200);
      expect(taken.toSorted((one, other) => one - other)).toEqual(range(200));
      await until(async () => (await pending()) === 0);
    });
  });

  it('takes over what a consumer that crashed has left, and says how often it was given', async () => {
    await addNumbers(redis(), 'log', 30);
    await withRoot(async () => {
      const pool = poolOn(redis());
      // It reads ten, acknowledges none and is never seen again.
      await redis().observer.xgroup('CREATE', 'log', 'group', '0');
      await redis().observer.xreadgroup('GROUP', 'group', 'crashed', 'COUNT', 10, 'STREAMS', 'log', '>');
      const entries = entriesOf(pool, 'b', { claimAfterMs: 100, count: 4, blockMs: 60_000 });
      const taken = await take(entries, 30);
      expect(taken.map(numberOf).toSorted((one, other) => one - other)).toEqual(range(30));
      expect(taken.filter(({ deliveries }) => deliveries === 2).map(numberOf)).toEqual(range(10));
      await entries.return();
      await redis().observer.xack('log', 'group', taken.at(-1)?.id as string);
      expect(await pending()).toBe(0);
    });
  });

  it('leaves what another consumer is working on', async () => {
    await addNumbers(redis(), 'log', 10);
    await withRoot(async () => {
      const pool = poolOn(redis());
      const slow = entriesOf(pool, 'slow');
      await slow.next();
      const other = entriesOf(pool, 'other', { claimAfterMs: 60_000 });
      const next = other.next();
      await addNumbers(redis(), 'log', 1, 10);
      expect(numberOf((await next).value as GroupEntry)).toBe(10);
      await Promise.all([slow.return(), other.return()]);
    });
  });

  it('passes over an entry that was deleted before it was consumed', async () => {
    await addNumbers(redis(), 'log', 3);
    await withRoot(async () => {
      const pool = poolOn(redis());
      await entriesOf(pool, 'a').next();
      const [first] = await redis().observer.xrange('log', '-', '+', 'COUNT', 1);
      await redis().observer.xdel('log', first?.[0] as string);
      const entries = entriesOf(pool, 'a');
      expect((await take(entries, 2)).map(numberOf)).toEqual([1, 2]);
      void entries.next();
      await until(async () => (await pending()) === 0);
      await entries.return();
    });
  });

  it('gives 20,000 entries in order and each once while its connections are killed: also what it was given and could not read', async () => {
    const unhandled = uncaught('unhandledRejection');
    const entries = await addNumbers(redis(), 'log', 20_000);
    const stop = killConnections(redis(), 'sp:test', 40);
    await withRoot(async () => {
      const taken = await take(entriesOf(poolOn(redis()), 'a', { count: 20 }), entries);
      expect(taken.map(numberOf)).toEqual(range(entries));
    });
    expect(stop()).toBeGreaterThan(5);
    expect(unhandled).toEqual([]);
  });

  it('does not give again what was consumed, though the server did not take the acknowledgement', async () => {
    await addNumbers(redis(), 'log', 8);
    await redis().observer.acl('SETUSER', 'default', '-xack');
    await withRoot(async () => {
      const group = consumerGroup(poolOn(redis()), 'log', { group: 'group', consumer: 'a', count: 4 });
      const onRestart = vi.fn(() => void redis().observer.acl('SETUSER', 'default', '+xack'));
      const entries = resume(group, undefined, { maxRestarts: 50, onRestart });
      expect((await take(entries, 8)).map(numberOf)).toEqual(range(8));
      expect(onRestart).toHaveBeenCalled();
      await entries.return();
    });
  });

  it('makes the group anew when the server has lost it', async () => {
    await addNumbers(redis(), 'log', 1);
    await withRoot(async () => {
      const entries = entriesOf(poolOn(redis()), 'a');
      await take(entries, 1);
      const next = entries.next();
      await until(async () => (await pending()) === 0);
      await redis().empty();
      await addNumbers(redis(), 'log', 1, 7);
      expect(numberOf((await next).value as GroupEntry)).toBe(7);
      await entries.return();
    });
  });

  it('makes the group of the stream that the `keyPrefix` of its pool makes of the key', async () => {
    await addNumbers(redis(), 'app:log', 1);
    await withRoot(async () => {
      const entries = entriesOf(poolOn(redis(), { keyPrefix: 'app:' }), 'a');
      expect((await take(entries, 1)).map(numberOf)).toEqual([0]);
      await entries.return();
    });
    expect(await redis().observer.keys('*')).toEqual(['app:log']);
  });

  it('counts deliveries in numbers, also where the pool has those of replies given as texts', async () => {
    await addNumbers(redis(), 'log', 1);
    await withRoot(async () => {
      const pool = poolOn(redis(), { stringNumbers: true });
      await entriesOf(pool, 'a').next();
      const entries = entriesOf(pool, 'a');
      expect((await take(entries, 1)).map(({ deliveries }) => deliveries)).toEqual([2]);
      await entries.return();
    });
  });

  it.each<[string, object]>([
    ['group must be a text that is not empty; got undefined', { consumer: 'a' }],
    ['consumer must be a text that is not empty; got ""', { group: 'g', consumer: '' }],
    ['claimAfterMs must be an integer from 1; got 0', { group: 'g', consumer: 'a', claimAfterMs: 0 }],
    ['from must be an id such as "1526919030474-55", "0" or "$"; got 0', { group: 'g', consumer: 'a', from: 0 }],
  ])('refuses: %s', (said, options) => {
    expect(() => consumerGroup(poolOn(redis()), 'log', options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: `consumerGroup(): ${said}` }),
    );
  });
});
