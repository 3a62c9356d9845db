import { setTimeout as sleep } from 'node:timers/promises';
import { ahead, resume, withRoot } from 'scoped-pool';
import { redisStream, type StreamEntry } from 'scoped-pool/redis';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { uncaught } from '../../support/events.ts';
import { openRedis, useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { errorOf, poolOn } from '../support.ts';
import { addNumbers, killConnections } from './support.ts';

const redis = useRedis();
beforeEach(() => redis().empty());

/** Until the server keeps a reader waiting. */
const untilBlocked = () => until(async () => (await redis().clients('sp:test')).some(({ flags }) => flags?.includes('b')));
const numberOf = ({ fields }: StreamEntry) => Number(fields.n);

async function firstOf<T>(items: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of items) if (taken.push(item) === count) break;
  return taken;
}

describe('redisStream', () => {
  it('gives the entries of a stream in order, with id and fields, and those that are added meanwhile', async () => {
    await redis().observer.xadd('log', '1-1', 'a', '1', 'b', 'two');
    await withRoot(async () => {
      const entries = resume(redisStream(poolOn(redis()), 'log'), undefined);
      expect((await entries.next()).value).toEqual({ id: '1-1', fields: { a: '1', b: 'two' } });
      const next = entries.next();
      await untilBlocked();
      await redis().observer.xadd('log', '1-2', 'a', '2');
      expect((await next).value).toEqual({ id: '1-2', fields: { a: '2' } });
      expect(entries.checkpoint).toBe('1-2');
      await entries.return();
    });
  });

  it('gives fields of any name', async () => {
    await redis().observer.xadd('log', '*', '__proto__', 'a', 'constructor', 'b', '', 'c');
    await withRoot(async () => {
      const [entry] = await firstOf(resume(redisStream(poolOn(redis()), 'log'), undefined), 1);
      expect(Object.entries(entry?.fields ?? {})).toEqual([
        ['__proto__', 'a'],
        ['constructor', 'b'],
        ['', 'c'],
      ]);
    });
  });

  it('goes on behind the entry whose id it is given, by however many entries of a reply', async () => {
    await addNumbers(redis(), 'log', 25);
    await withRoot(async () => {
      const pool = poolOn(redis());
      const first = resume(redisStream(pool, 'log', { count: 10 }), undefined);
      await firstOf(first, 12);
      const rest = await firstOf(resume(redisStream(pool, 'log', { count: 3 }), first.checkpoint), 13);
      expect(rest.map(numberOf)).toEqual(Array.from({ length: 13 }, (_, at) => at + 12));
    });
  });

  it('begins where it is told: behind an id, or at the end as it is when the reading begins, whatever fails then', async () => {
    const ids = await Promise.all([1, 2, 3].map((n) => redis().observer.xadd('log', '*', 'n', n)));
    await withRoot(async () => {
      const pool = poolOn(redis());
      const [second] = await firstOf(resume(redisStream(pool, 'log', { from: ids[0] as string }), undefined), 1);
      expect(second).toEqual({ id: ids[1], fields: { n: '2' } });

      const onRestart = vi.fn();
      const fresh = resume(redisStream(pool, 'log', { from: '$' }), undefined, { onRestart });
      const next = fresh.next();
      await untilBlocked();
      await redis().observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await redis().observer.xadd('log', '*', 'n', 4);
      expect(numberOf((await next).value as StreamEntry)).toBe(4);
      expect(onRestart).toHaveBeenCalled();
      await fresh.return();
    });
  });

  it('begins at the end of the stream that the `keyPrefix` of its pool makes of the key', async () => {
    await redis().observer.xadd('app:log', '*', 'n', 1);
    await withRoot(async () => {
      const entries = resume(redisStream(poolOn(redis(), { keyPrefix: 'app:' }), 'log', { from: '$' }), undefined);
      const next = entries.next();
      await untilBlocked();
      await redis().observer.xadd('app:log', '*', 'n', 2);
      expect(numberOf((await next).value as StreamEntry)).toBe(2);
      await entries.return();
    });
  });

  it('waits for a stream that is not there yet', async () => {
    await withRoot(async () => {
      const entries = resume(redisStream(poolOn(redis()), 'log', { from: '$', blockMs: 20 }), undefined);
      const next = entries.next();
      await sleep(60);
      await redis().observer.xadd('log', '*', 'n', 1);
      expect(numberOf((await next).value as StreamEntry)).toBe(1);
      await entries.return();
    });
  });

  it('holds a connection only while it reads, not while an entry is worked on', async () => {
    await addNumbers(redis(), 'log', 2);
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      for await (const entry of resume(redisStream(pool, 'log', { count: 1 }), undefined)) {
        await pool.use((connection) => connection.set('last', numberOf(entry)));
        if (numberOf(entry) === 1) break;
      }
      expect(await pool.get('last')).toBe('1');
    });
  });

  it.each(['the signal', 'the scope'])('ends a read that blocks within 100 ms with %s, and gives its connection back', async (by) => {
    const unhandled = uncaught('unhandledRejection');
    const tookMs: number[] = [];
    for (let round = 0; round < 5; round++) {
      const abort = new AbortController();
      let closingAt = 0;
      await withRoot(async (scope) => {
        const pool = poolOn(redis());
        const entries = resume(
          redisStream(pool, 'log', { blockMs: 60_000 }),
          undefined,
          by === 'the signal' ? { signal: abort.signal } : {},
        );
        const reading = scope.spawn(() => errorOf(() => entries.next()), { background: true });
        await untilBlocked();
        closingAt = performance.now();
        if (by === 'the scope') return;
        const reason = new Error('enough');
        abort.abort(reason);
        expect(await reading).toBe(reason);
        tookMs.push(performance.now() - closingAt);
        await until(() => pool.stats().inUse === 0);
      });
      if (by === 'the scope') tookMs.push(performance.now() - closingAt);
      await until(async () => (await redis().clients('sp:test')).length === 0);
    }
    expect(Math.min(...tookMs)).toBeLessThan(100);
    expect(unhandled).toEqual([]);
  });

  it('waits for a connection no longer than until it is ended', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1, acquireTimeoutMs: 60_000 });
      const abort = new AbortController();
      const lease = await pool.acquire();
      const next = errorOf(() => resume(redisStream(pool, 'log'), undefined, { signal: abort.signal }).next());
      await until(() => pool.stats().pending === 1);
      abort.abort(new Error('enough'));
      expect((await next).message).toBe('enough');
      await until(() => pool.stats().pending === 0);
      lease.release();
    });
  });

  it('is given up with what the server refuses', async () => {
    await redis().observer.set('text', 1);
    await withRoot(async () => {
      const entries = resume(redisStream(poolOn(redis()), 'text'), '0', { minDelayMs: 0, maxRestarts: 2 });
      const error = await errorOf(() => entries.next());
      expect(error).toMatchObject({ code: 'ERR_GAVE_UP', state: '0', restarts: 2 });
      expect((error.cause as Error).message).toContain('WRONGTYPE');
    });
  });

  it('is given up within the time of its policy when the server is gone', async () => {
    const gone = await openRedis({ fresh: true });
    await withRoot(async () => {
      const pool = poolOn(gone, { connectTimeoutMs: 100, acquireTimeoutMs: 100 });
      await gone.stop();
      const error = await errorOf(() => resume(redisStream(pool, 'log'), '7', { minDelayMs: 1, maxRestarts: 2 }).next());
      expect(error).toMatchObject({ code: 'ERR_GAVE_UP', state: '7', restarts: 2 });
    });
  });

  it.each(['$', ''])('refuses a state that is no place in a stream: "%s"', async (state) => {
    await withRoot(async () => {
      const error = await errorOf(() => resume(redisStream(poolOn(redis()), 'log'), state, { maxRestarts: 0 }).next());
      expect(error.cause).toMatchObject({
        code: 'ERR_INVALID_OPTION',
        message: `redisStream(): its state must be the id of an entry, or "0"; got "${state}"`,
      });
    });
  });

  it.each<[string, () => unknown]>([
    ['its pool must be a pool of defineRedisPool() or defineRedisClusterPool(); got an object', () => redisStream({} as never, 'log')],
    ['its key must be a text that is not empty; got ""', () => redisStream(poolOn(redis()), '')],
    [
      'from must be an id such as "1526919030474-55", "0" or "$"; got "first"',
      () => redisStream(poolOn(redis()), 'log', { from: 'first' }),
    ],
    ['count must be an integer from 1; got 0', () => redisStream(poolOn(redis()), 'log', { count: 0 })],
    ['blockMs must be an integer from 1; got Infinity', () => redisStream(poolOn(redis()), 'log', { blockMs: Number.POSITIVE_INFINITY })],
  ])('refuses: %s', (said, wrong) => {
    expect(wrong).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: `redisStream(): ${said}` }));
  });
});

it.each([
  ['a log of 300,000 entries', 300_000, undefined],
  ['a log of 50,000 entries, read ahead by 1,024', 50_000, 1_024],
])(
  '%s is read whole, in order and each entry once, while its connections are killed and the server restarts',
  async (_, entries, capacity) => {
    const unhandled = uncaught('unhandledRejection');
    const server = await openRedis({ fresh: true, appendOnly: true });
    onTestFinished(() => server.stop());
    await addNumbers(server, 'log', entries);
    const onRestart = vi.fn();
    const stop = killConnections(server, 'sp:test', 40);
    let count = 0;
    let restarted: Promise<void> | undefined;
    await withRoot(async () => {
      const log = resume(redisStream(poolOn(server), 'log'), undefined, { maxRestarts: 50, minDelayMs: 5, onRestart });
      for await (const entry of capacity === undefined ? log : ahead(log, capacity)) {
        if (numberOf(entry) !== count) throw new Error(`${numberOf(entry)} came as number ${count}`);
        if (count === entries / 2) restarted = server.server.restart();
        if (++count === entries) break;
      }
    });
    await restarted;
    expect(count).toBe(entries);
    expect(stop()).toBeGreaterThan(2);
    expect(onRestart.mock.calls.length).toBeGreaterThan(2);
    expect(unhandled).toEqual([]);
  },
  120_000,
);
