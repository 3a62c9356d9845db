import { describe, expect, it } from 'vitest';
import type { PoolDeadlockError } from '../../src/errors.ts';
import { currentScope, type Pool, withRoot, withScope } from '../../src/index.ts';
import type { PoolOptions } from '../../src/pool/index.ts';
import { type Connection, gate, poolOf, Server } from './support.ts';

const DEADLOCK = { code: 'ERR_POOL_DEADLOCK' };

/** A pool of one connection, for which nobody stops waiting by itself. */
function poolOfOne(options: Partial<PoolOptions<Connection>> = {}): Pool<Connection> {
  return poolOf(new Server(), { max: 1, acquireTimeoutMs: 60_000, ...options });
}

/** Resolves for all who come when so many have come. */
function meeting(count: number): () => Promise<void> {
  const all = gate();
  let come = 0;
  return () => {
    if (++come === count) all.open();
    return all.promise;
  };
}

/** What each ended with, and why those that failed did. */
async function endsOf(users: readonly Promise<unknown>[]): Promise<{ served: number; errors: PoolDeadlockError[] }> {
  const ends = await Promise.allSettled(users);
  const errors = ends.filter((end) => end.status === 'rejected').map(({ reason }) => reason as PoolDeadlockError);
  return { served: ends.length - errors.length, errors };
}

describe('a deadlock across pools', () => {
  it('of two that are held crosswise ends: the newest is refused, the other one is served', async () => {
    const [a, b] = [poolOfOne(), poolOfOne()];
    await withRoot(async () => {
      const met = meeting(2);
      const first = a.use(() => met().then(() => b.use(() => 'first')));
      const second = b.use(() => met().then(() => a.use(() => 'second')));
      await expect(second).rejects.toMatchObject({ ...DEADLOCK, facts: { pool: a.name } });
      expect(await first).toBe('first');
      for (const pool of [a, b]) expect(pool.stats()).toMatchObject({ pending: 0, inUse: 0, idle: 1, timeouts: 0 });
    });
  });

  it('is told with the holders of all pools, what they wait for, and the lines of both', async () => {
    const [a, b] = [poolOfOne(), poolOfOne()];
    await withRoot(async () => {
      const met = meeting(2);
      const users = [a.use(() => met().then(() => b.use(() => {}))), b.use(() => met().then(() => a.share(() => {})))];
      const { errors } = await endsOf(users);
      const [error] = errors;
      const here = expect.stringMatching(/crosswise\.test\.ts:\d+:\d+$/);
      const wait = (pool: Pool<Connection>, exclusive: boolean) => [
        { pool: pool.name, exclusive, site: here, waitedMs: expect.any(Number) },
      ];
      expect(error?.facts.holders).toMatchObject([
        { pool: a.name, exclusive: true, site: here, waitsFor: wait(b, true) },
        { pool: b.name, exclusive: true, site: here, waitsFor: wait(a, false) },
      ]);
      expect(error?.message).toContain(`code that waits for one more holds all connections of the pools "${a.name}", "${b.name}"`);
      expect(error?.message).toContain('in the same order everywhere');
      expect(error?.message).toMatch(
        new RegExp(`pool "${b.name}" held .*crosswise.test.ts:\\d+:\\d+, waits for pool "${a.name}" at .*crosswise.test.ts`),
      );
    });
  });

  it('names the line of who waits, also when leases are no longer sampled', async () => {
    const a = poolOfOne();
    await withRoot(async () => {
      for (let use = 0; use < 110; use++) await a.use(() => {});
      const { errors } = await endsOf([a.use(() => a.use(() => {}))]);
      const waitsFor = [{ site: expect.stringContaining('crosswise.test.ts') }];
      expect(errors[0]?.facts.holders).toMatchObject([{ site: undefined, waitsFor }]);
    });
  });

  it('of three in a circle ends with one refusal', async () => {
    const pools = [poolOfOne(), poolOfOne(), poolOfOne()] as const;
    await withRoot(async () => {
      const met = meeting(3);
      const user = (from: Pool<Connection>, to: Pool<Connection>) => from.use(() => met().then(() => to.use(() => {})));
      const [a, b, c] = pools;
      const { served, errors } = await endsOf([user(a, b), user(b, c), user(c, a)]);
      expect(served).toBe(2);
      expect(errors).toMatchObject([DEADLOCK]);
      expect(new Set(errors[0]?.facts.holders.map(({ pool }) => pool))).toEqual(new Set(pools.map(({ name }) => name)));
    });
  });

  it('of a shared connection and an exclusive one ends, too', async () => {
    const [a, b] = [poolOfOne({ maxSharers: 4 }), poolOfOne()];
    await withRoot(async () => {
      const met = meeting(2);
      const sharer = a.share(() => met().then(() => b.use(() => {})));
      const alone = b.use(() => met().then(() => a.use(() => {})));
      const { served, errors } = await endsOf([sharer, alone]);
      expect(served).toBe(1);
      expect(errors).toMatchObject([DEADLOCK]);
      expect(errors[0]?.facts.holders.map(({ exclusive }) => exclusive).toSorted()).toEqual([false, true]);
    });
  });

  it('of one frame that holds both, and wants one again, ends in it', async () => {
    const [a, b] = [poolOfOne(), poolOfOne()];
    await withRoot(async () => {
      await a.use(() => b.use(() => expect(a.use(() => {})).rejects.toMatchObject({ ...DEADLOCK, facts: { pool: a.name } })));
      await a.use(() => b.use(() => {}));
    });
  });

  it('of several connections each ends with as few refusals as it can', async () => {
    const [a, b] = [poolOfOne({ max: 2 }), poolOfOne({ max: 2 })];
    await withRoot(async () => {
      const met = meeting(4);
      const user = (from: Pool<Connection>, to: Pool<Connection>) => from.use(() => met().then(() => to.use(() => {})));
      const { served, errors } = await endsOf([user(a, b), user(a, b), user(b, a), user(b, a)]);
      expect(served).toBe(3);
      expect(errors).toMatchObject([DEADLOCK]);
    });
  });

  it('also holds up who waits behind it, who is served and not refused', async () => {
    const [a, b] = [poolOfOne(), poolOfOne()];
    await withRoot(async () => {
      const met = meeting(2);
      const users = [a.use(() => met().then(() => b.use(() => {}))), b.use(() => met().then(() => a.use(() => {})))];
      await met;
      const innocent = [a.use(() => 'a'), b.use(() => 'b'), a.use(() => 'a')];
      const { served } = await endsOf(users);
      expect(served).toBe(1);
      expect(await Promise.all(innocent)).toEqual(['a', 'b', 'a']);
    });
  });

  it('refuses nobody who holds nothing of what the others wait for, however late he came', async () => {
    const [a, b, c] = [poolOfOne(), poolOfOne(), poolOfOne()];
    await withRoot(async () => {
      const met = meeting(3);
      const users = [a.use(() => met().then(() => b.use(() => {}))), b.use(() => met().then(() => a.use(() => {})))];
      // It waits for the dead ones, and holds what nobody wants.
      const late = c.use(() => met().then(() => b.use(() => 'late')));
      const { served } = await endsOf(users);
      expect(served).toBe(1);
      expect(await late).toBe('late');
    });
  });

  it('goes across root scopes', async () => {
    const pool = poolOfOne();
    await withRoot(async (one) =>
      withRoot(async (two) => {
        const met = meeting(2);
        const users = [one.run(() => pool.use(() => met().then(() => two.run(() => pool.use(() => {})))))];
        users.push(two.run(() => pool.use(() => met().then(() => one.run(() => pool.use(() => {}))))));
        const { served, errors } = await endsOf(users);
        expect(served).toBe(1);
        expect(errors).toMatchObject([DEADLOCK]);
        expect(errors[0]?.facts.holders).toHaveLength(2);
      }),
    );
  });

  it('ends with its scope: who is cancelled waits no more, and who is served by that is not refused', async () => {
    const [a, b] = [poolOfOne(), poolOfOne()];
    await withRoot(async () => {
      const met = meeting(2);
      const cancelled = withScope(
        () => {
          const scope = currentScope();
          return a.use(async () => {
            await met();
            const waiting = b.use(() => {});
            scope.cancel(new Error('no longer'));
            await waiting;
          });
        },
        { name: 'cancelled' },
      );
      const other = b.use(() => met().then(() => a.use(() => 'served')));
      await expect(cancelled).rejects.toThrow();
      expect(await other).toBe('served');
    });
  });
});
