import type { Redis } from 'ioredis';
import { withRoot } from 'scoped-pool';
import type { UseOptions } from 'scoped-pool/redis';
import { beforeEach, describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { errorOf, poolOn } from './support.ts';

const redis = useRedis({ fresh: true });
beforeEach(() => redis().observer.flushall());

/** The connection breaks, as the server sees it. */
const kill = () => redis().observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');

/** Runs `fn` in use(), and breaks the connection the first time, after `before`. @returns how often it ran, and what came of it. */
async function ran(before: (connection: Redis) => unknown, options: UseOptions = { retry: true }) {
  let runs = 0;
  let result: unknown;
  await withRoot(async () => {
    const pool = poolOn(redis(), { retry: { delaysMs: [0, 1] } });
    const once = async (connection: Redis) => {
      runs++;
      if (runs > 1) return connection.get('a');
      await before(connection);
      const read = connection.get('a');
      await Promise.all([read, kill()]);
      // Whatever the race between the two gave, the connection is gone now.
      return connection.get('a');
    };
    result = await pool.use(once, options).catch((error: unknown) => error);
  });
  return { runs, result };
}

describe('use(fn, { retry: true })', () => {
  beforeEach(() => redis().observer.set('a', 'x'));

  it.each<[string, (connection: Redis) => unknown]>([
    ['nothing was sent', () => {}],
    ['it has only read', (connection) => connection.mget('a', 'b')],
    ['it has read in a pipeline', (connection) => connection.pipeline().get('a').exists('a').exec()],
  ])('runs again when the connection breaks and %s', async (_, before) => {
    expect(await ran(before)).toEqual({ runs: 2, result: 'x' });
  });

  it.each<[string, (connection: Redis) => unknown]>([
    ['a write was answered', (connection) => connection.incr('n')],
    ['a transaction was executed', (connection) => connection.multi().incr('n').exec()],
    ['a key is watched', (connection) => connection.watch('a')],
    ['a transaction is open', (connection) => connection.multi({ pipeline: false })],
    ['a script ran', (connection) => connection.eval('return redis.call("INCR", "n")', 0)],
    ['it has chosen another database', (connection) => connection.select(1)],
  ])('does not run again when %s', async (_, before) => {
    const { runs, result } = await ran(before);
    expect(runs).toBe(1);
    expect(result).toMatchObject({ code: 'ERR_REDIS_CONNECTION' });
    expect(await redis().observer.get('n')).not.toBe('2');
  });

  it('does not run again when a write got no answer', async () => {
    await withRoot(async () => {
      let runs = 0;
      const error = await errorOf(() =>
        poolOn(redis()).use(
          async (connection) => {
            runs++;
            await Promise.all([connection.blpop('list', 0), kill()]);
          },
          { retry: true },
        ),
      );
      expect(runs).toBe(1);
      expect(error).toMatchObject({ outcome: 'unknown' });
    });
  });

  it('runs again when the server refused the first write, as often as the pool tries', async () => {
    await redis().observer.replicaof('127.0.0.1', 1);
    let runs = 0;
    const pool = poolOn(redis(), { retry: { delaysMs: [1, 1] } });
    const error = await withRoot(() =>
      errorOf(() =>
        pool.use(
          (connection) => {
            runs++;
            return connection.set('a', 1);
          },
          { retry: true },
        ),
      ),
    );
    await redis().observer.replicaof('NO', 'ONE');
    expect(error).toMatchObject({ outcome: 'rejected' });
    expect(runs).toBe(3);
  });

  it('does not run again for an error that is not of the connection', async () => {
    let runs = 0;
    const mine = new Error('mine');
    const fail = () => {
      runs++;
      throw mine;
    };
    await withRoot(() => expect(poolOn(redis()).use(fail, { retry: true })).rejects.toBe(mine));
    expect(runs).toBe(1);
  });

  it.each([{}, { retry: undefined }, { retry: false }])('is not the default: %j', async (options) => {
    expect(await ran(() => {}, options)).toMatchObject({ runs: 1, result: { code: 'ERR_REDIS_CONNECTION' } });
  });

  it('takes the options of acquire beside it, and no other value', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      await pool.use(async () => {
        const options = { retry: true, acquireTimeoutMs: 10 };
        expect(await errorOf(() => pool.use(() => {}, options))).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      });
      const error = await errorOf(() => pool.use(() => {}, { retry: 'yes' as unknown as boolean }));
      expect(error).toMatchObject({
        code: 'ERR_INVALID_OPTION',
        message: expect.stringContaining('retry must be true or false; got "yes"'),
      });
    });
  });
});
