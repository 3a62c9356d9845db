import { withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { errorOf, poolOn } from './support.ts';

const redis = useRedis();

/** Kills the connections of the tests, and leaves the event loop no time to hear of it before what comes next. */
function killUnheard(): void {
  // Written at once; the server has executed it when the time is over.
  void redis().observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  const until = performance.now() + 10;
  while (performance.now() < until);
}

describe('a connection that has died before the process could hear of it', () => {
  it('is not lent by use, and the command works at the first try', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1, retry: { maxAttempts: 1 } });
      for (let round = 1; round <= 20; round++) {
        await pool.use((connection) => connection.ping());
        killUnheard();
        expect(await pool.use((connection) => connection.incr('n'))).toBe(round);
      }
      expect(pool.stats()).toMatchObject({ created: 21, closedBy: { dead: 20 } });
    });
  });

  it('gets no plain command', async () => {
    await redis().observer.del('n');
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1, retry: { maxAttempts: 1 } });
      for (let round = 1; round <= 20; round++) {
        await pool.ping();
        killUnheard();
        expect(await pool.incr('n')).toBe(round);
      }
    });
  });

  it('ends honest when it dies under its holder', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      await pool.use((connection) => connection.ping());
      const error = await pool.use(async (connection) => {
        killUnheard();
        return errorOf(() => connection.incr('n'));
      });
      expect(error).toMatchObject({ code: 'ERR_REDIS_CONNECTION' });
    });
  });
});
