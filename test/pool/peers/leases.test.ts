import { describe, expect, test } from 'vitest';
import { type Lease, withRoot, withScope } from '../../../src/index.ts';
import { until } from '../../support/until.ts';
import { type Connection, poolOf, Server, turns } from '../support.ts';

const problem = new Error('of the job');

describe('use(fn)', () => {
  test.each([
    [
      'throws at once',
      true,
      () => {
        throw problem;
      },
    ],
    ['returns what is no promise', false, () => 1],
    ['returns nothing', false, () => {}],
    ['rejects', true, () => Promise.reject(problem)],
  ])('generic-pool d09: when fn %s, the connection is given back', async (_, fails, fn) => {
    const server = new Server();
    const pool = poolOf(server, { max: 1 });
    await withRoot(async () => {
      // Once with a connection that has to be opened, once with one that is lent at once.
      for (const acquired of [1, 2]) {
        const used = pool.use(fn as () => unknown);
        if (fails) await expect(used).rejects.toBe(problem);
        else expect(await used).toBe(fn());
        expect(pool.stats()).toMatchObject({ acquired, inUse: 0, idle: 1 });
      }
    });
    expect(server.made).toHaveLength(1);
  });

  test('generic-pool d10: an error of the job does not cost the connection, it is lent on', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1 });
    await withRoot(async () => {
      for (let job = 0; job < 5; job++) await expect(pool.use(() => Promise.reject(problem))).rejects.toBe(problem);
      await pool.use((connection) => expect(connection.id).toBe(1));
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    });
  });

  test('generic-pool d10: the job that knows its connection to be broken has it destroyed', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const job = pool.use((_, lease) => {
        lease.destroy();
        throw problem;
      });
      await expect(job).rejects.toBe(problem);
      await pool.use((connection) => expect(connection.id).toBe(2));
      expect(pool.stats().closedBy.destroyed).toBe(1);
    });
  });

  test('drizzle-orm#6341, medplum#8987, node-postgres#227: a first statement that throws leaks nothing, whoever comes next is served', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const begin = () => {
        throw new Error('BEGIN: connection terminated');
      };
      const transactions = Array.from({ length: 20 }, () => pool.use(async () => begin()));
      const ended = await Promise.allSettled(transactions);
      expect(ended.every(({ status }) => status === 'rejected')).toBe(true);
      expect(pool.stats()).toMatchObject({ inUse: 0, idle: 1, pending: 0, leaked: 0 });
    });
  });
});

describe('release', () => {
  test('generic-pool d11, pg-pool: twice does nothing: it throws nothing and rejects nothing', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const lease = await pool.acquire();
      lease.release();
      // Not a promise that could reject where nobody listens.
      expect(lease.release()).toBeUndefined();
      expect(lease.destroy()).toBeUndefined();
      expect(pool.stats()).toMatchObject({ idle: 1, open: 1, inUse: 0 });
    });
  });

  test.each(['release', 'destroy', 'dispose'] as const)(
    "generic-pool d12, tarn, lightning-pool, pg-pool: A gives back, B holds, A calls %s again: C does not get B's connection",
    async (again) => {
      const pool = poolOf(new Server(), { max: 1 });
      await withRoot(async () => {
        const a = await pool.acquire();
        a.release();
        const b = await pool.acquire();
        if (again === 'dispose') a[Symbol.dispose]();
        else a[again]();
        const c = pool.acquire();
        await turns();
        expect(pool.stats()).toMatchObject({ pending: 1, inUse: 1, exclusive: 1 });
        expect(b.ended).toBe(false);
        expect(b.resource.isOpen).toBe(true);
        b.release();
        (await c).release();
        expect(pool.stats()).toMatchObject({ inUse: 0, open: 1, created: 1 });
      });
    },
  );

  test("generic-pool d12: nor does A's stale lease show B's connection", async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const a = await pool.acquire();
      a.release();
      const b = await pool.acquire();
      expect(() => a.resource).toThrow(expect.objectContaining({ code: 'ERR_LEASE_ENDED' }));
      b.release();
    });
  });

  test('generic-pool d12: twice beside other sharers, only one of them has left', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 4 });
    await withRoot(async () => {
      const [a, b] = [await pool.acquireShared(), await pool.acquireShared()];
      a.release();
      a.release();
      const exclusive = pool.acquire();
      await turns();
      expect(pool.stats()).toMatchObject({ sharers: 1, pending: 1 });
      b.release();
      (await exclusive).release();
    });
  });

  test('generic-pool d28: when create gives the same object twice, each lease of it is its own', async () => {
    const only: Connection = { id: 1, isOpen: true, die: () => {} };
    const pool = poolOf(new Server(), { max: 2, create: () => only, destroy: () => {}, onDead: undefined });
    await withRoot(async () => {
      const [a, b] = await Promise.all([pool.acquire(), pool.acquire()]);
      expect([a.resource, b.resource]).toEqual([only, only]);
      a.release();
      a.release();
      expect(b.ended).toBe(false);
      expect(pool.stats()).toMatchObject({ inUse: 1, idle: 1, open: 2 });
      const c = await pool.acquire();
      const waiting = pool.acquire();
      await turns();
      expect(pool.stats()).toMatchObject({ inUse: 2, pending: 1 });
      b.release();
      (await waiting).release();
      c.release();
      expect(pool.stats()).toMatchObject({ inUse: 0, idle: 2 });
    });
  });
});

describe('a lease that nobody gives back', () => {
  test('HikariCP#626, #808: it is revoked when its scope ends, and reported with the line that acquired it', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1 });
    const reports: unknown[] = [];
    await withRoot(async () => {
      let leaked: Lease<Connection> | undefined;
      await withScope(
        async () => {
          leaked = await pool.acquire();
        },
        { name: 'job', onSuppressed: (error) => void reports.push(error) },
      );
      expect(reports).toMatchObject([{ code: 'ERR_LEASE_LEAKED', message: expect.stringMatching(/scope "job".*leases\.test\.ts:\d+/s) }]);
      expect(leaked?.ended).toBe(true);
      // The pool is not one connection smaller for ever.
      await pool.use((connection) => expect(connection.id).toBe(2));
    });
    expect(server.peak).toBe(1);
  });

  test('drizzle-orm#6032: when the job fails between acquire and release, the job fails with its own error', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const job = withScope(
        async () => {
          const lease = await pool.acquire();
          if (lease.resource.isOpen) throw problem;
          lease.release();
        },
        { onSuppressed: () => {} },
      );
      await expect(job).rejects.toBe(problem);
      await until(() => pool.stats().open === 0);
      expect(pool.stats()).toMatchObject({ leaked: 1, inUse: 0 });
    });
  });
});
