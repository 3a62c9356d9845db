import { describe, expect, it } from 'vitest';
import { type Lease, withRoot, withScope } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { type Connection, gate, poolOf, Server, turns } from './support.ts';

describe('Rule 2: nested acquires', () => {
  it('serves a nested acquire while it can be served', async () => {
    const pool = poolOf(new Server(), { max: 2 });
    await withRoot(() => pool.use((outer) => pool.use((inner) => expect(inner).not.toBe(outer))));
  });

  it('keeps a nested share on the connection that the code shares already', async () => {
    const pool = poolOf(new Server(), { max: 3, maxSharers: 8 });
    await withRoot(async () => {
      await pool.share((outer) => withScope(() => pool.share((inner) => expect(inner).toBe(outer))));
    });
  });

  it('lets a nested share pass while its connection drains for somebody else', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 8 });
    await withRoot(async () => {
      const begun = gate();
      const sharing = pool.share(async () => {
        await begun.promise;
        await pool.share(() => {});
      });
      await until(() => pool.stats().sharers === 1);
      const exclusive = pool.use(() => {});
      begun.open();
      await Promise.all([sharing, exclusive]);
    });
  });
});

describe('a deadlock in one pool', () => {
  it('refuses the newest of those who wait for each other, names the holders, and serves the others', async () => {
    const pool = poolOf(new Server(), { max: 2, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const both = gate();
      let begun = 0;
      const holdTwo = () =>
        pool.use(async () => {
          if (++begun === 2) both.open();
          await both.promise;
          await pool.use(() => {});
        });
      const [first, second] = await Promise.allSettled([holdTwo(), holdTwo()]);
      expect(first).toMatchObject({ status: 'fulfilled' });
      expect(second).toMatchObject({ reason: { code: 'ERR_POOL_DEADLOCK', facts: { max: 2, inUse: 2 } } });
      const { facts, message } = (second as PromiseRejectedResult).reason;
      expect(facts.holders).toHaveLength(2);
      expect(facts.holders[0]).toMatchObject({ exclusive: true, site: expect.stringContaining('deadlock.test.ts') });
      expect(message).toContain('deadlock.test.ts');
    });
  });

  it('refuses who wants alone the only connection it shares', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 8, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const other = await pool.acquireShared();
      await expect(pool.share(() => pool.use(() => {}))).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      other.release();
    });
  });

  it('looks again when somebody was released meanwhile', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 2, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const other = await pool.acquireShared();
      const failing = pool.share(async () => {
        const mine = pool.acquire();
        await turns();
        other.release();
        return mine;
      });
      await expect(failing).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
    });
  });

  it('raises no false alarm for 100 parallel loops in one scope', async () => {
    const server = new Server();
    server.onCreate = () => turns(1);
    const pool = poolOf(server, { max: 3 });
    await withRoot(async () => {
      const loop = async () => {
        for (let round = 0; round < 5; round++) await pool.use(() => turns(1));
      };
      await Promise.all(Array.from({ length: 100 }, loop));
    });
    expect(server.peak).toBe(3);
  });

  it('raises no false alarm for 100 parallel loops inside one lease', async () => {
    const pool = poolOf(new Server(), { max: 3 });
    await withRoot(() =>
      pool.use(() =>
        Promise.all(
          Array.from({ length: 100 }, async () => {
            for (let round = 0; round < 5; round++) await pool.use(() => turns(1));
          }),
        ),
      ),
    );
  });

  it('serves 5 users with a nested share inside use on limits of 3, where connections arrive one after the other', async () => {
    const server = new Server();
    server.onCreate = () => turns(server.attempts * 5);
    const pool = poolOf(server, { maxSharers: Number.POSITIVE_INFINITY, acquireTimeoutMs: 60_000 });
    await withRoot(() => Promise.all(Array.from({ length: 5 }, () => pool.use(() => pool.share(() => turns(1))))), {
      limits: { [pool.name]: 3 },
    });
    expect(server.peak).toBeLessThanOrEqual(3);
  });

  it('refuses one of them, not all, where all 3 connections are held before anybody shares', async () => {
    const pool = poolOf(new Server(), { maxSharers: Number.POSITIVE_INFINITY, acquireTimeoutMs: 60_000 });
    await withRoot(
      async () => {
        const three = gate();
        let begun = 0;
        const user = () =>
          pool.use(async () => {
            if (++begun === 3) three.open();
            await three.promise;
            await pool.share(() => turns(1));
          });
        const ends = await Promise.allSettled(Array.from({ length: 5 }, user));
        const refused = ends.filter(({ status }) => status === 'rejected');
        expect(refused).toMatchObject([{ reason: { code: 'ERR_POOL_DEADLOCK' } }]);
      },
      { limits: { [pool.name]: 3 } },
    );
  });

  it('raises no alarm for what only looked like a deadlock for a moment', async () => {
    const pool = poolOf(new Server(), { max: 2, acquireTimeoutMs: 60_000 });
    const stuck = poolOf(new Server(), { max: 1, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const [both, first, second] = [gate(), gate(), gate()];
      const nested: Promise<Lease<Connection>>[] = [];
      const user = (end: Promise<void>) =>
        pool.use(async () => {
          await both.promise;
          // Not awaited: the code goes on, and gives back what it holds.
          nested.push(pool.acquire());
          await end;
        });
      const users = [user(first.promise), user(second.promise)];
      await until(() => pool.stats().exclusive === 2);
      both.open();
      await until(() => pool.stats().pending === 2);
      second.open();
      await until(() => pool.stats().pending === 1);
      // A deadlock that begins later, elsewhere, is broken later: by then the other one has been looked at again.
      await expect(stuck.use(() => stuck.use(() => {}))).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      expect(pool.stats().pending).toBe(1);
      first.open();
      for (const lease of nested) (await lease).release();
      await Promise.all(users);
    });
  });

  it('refuses one after the other, and the next ones sooner, where many wait in one frame', async () => {
    const pool = poolOf(new Server(), { max: 1, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const begun = performance.now();
      const at: number[] = [];
      const ends = await pool.use(() =>
        Promise.allSettled(Array.from({ length: 10 }, () => pool.use(() => {}).finally(() => at.push(performance.now() - begun)))),
      );
      for (const end of ends) expect(end).toMatchObject({ reason: { code: 'ERR_POOL_DEADLOCK' } });
      const [first = 0, last = 0] = [at[0], at.at(-1)];
      expect((last - first) / 9).toBeLessThan(first * 0.75);
      expect(pool.stats()).toMatchObject({ pending: 0, inUse: 0 });
    });
  });

  it('is seen when it begins because the limit sinks under what others held', async () => {
    const pool = poolOf(new Server(), { max: 2, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const other = await pool.acquire();
      const refused = expect(pool.use(() => pool.use(() => {}))).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      await until(() => pool.stats().pending === 1);
      pool.resize(1);
      await turns();
      other.release();
      await refused;
    });
  });

  it('is seen when it begins because the limit sinks while a connection closes', async () => {
    const server = new Server();
    const closing = gate();
    server.onDestroy = () => closing.promise;
    const pool = poolOf(server, { max: 2, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const other = await pool.acquire();
      const refused = expect(pool.use(() => pool.use(() => {}))).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      await until(() => pool.stats().pending === 1);
      other.destroy();
      await turns();
      pool.resize(1);
      await refused;
      closing.open();
    });
  });

  it('is seen also after all who waited were refused because no connection can be made', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, acquireTimeoutMs: 60_000, isFinal: () => true });
    await withRoot(() =>
      pool.use(async () => {
        const first = pool.acquire();
        await until(() => pool.stats().pending === 1);
        server.onCreate = () => {
          throw new Error('no more');
        };
        // What is held is of no use any more, and nothing else is open.
        server.last?.die();
        pool.resize(2);
        await expect(first).rejects.toMatchObject({ code: 'ERR_POOL_UNAVAILABLE' });
        pool.resize(1);
        await expect(pool.acquire()).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      }),
    );
  });
});
