import { describe, expect, it } from 'vitest';
import { definePool, InvalidOptionError, type Pool, type PoolOptions, withRoot } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { type Connection, gate, poolName, poolOf, Server, turns } from './support.ts';

/** Has that many connections opened at once, and given back. */
function open(pool: Pool<Connection>, count: number): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, () => pool.use(() => turns(2))));
}

describe('maxUses', () => {
  it('replaces a connection that was lent that often, and never has more than max open', async () => {
    const server = new Server();
    server.onDestroy = () => turns(2);
    const pool = poolOf(server, { max: 1, maxUses: 3 });
    await withRoot(async () => {
      const lent: number[] = [];
      for (let use = 0; use < 7; use++) await pool.use(({ id }) => void lent.push(id));
      expect(lent).toEqual([1, 1, 1, 2, 2, 2, 3]);
      expect(pool.stats()).toMatchObject({ created: 3, closedBy: { uses: 2 } });
    });
    expect(server.peak).toBe(1);
  });

  it('counts leases that were waited for, tried and shared like any other', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, maxSharers: 2, maxUses: 2 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const waiting = [pool.acquireShared(), pool.acquireShared()];
      held.release();
      // The second use of the first connection was its last: nobody joins it.
      const [first, second] = [await waiting[0], await Promise.race([waiting[1], turns()])];
      expect([first?.resource.id, second]).toEqual([1, undefined]);
      first?.release();
      const next = await waiting[1];
      expect(next?.resource.id).toBe(2);
      next?.release();
      const tried = pool.tryAcquire();
      expect(tried?.resource.id).toBe(2);
      tried?.release();
      expect(pool.tryAcquire()).toBeUndefined();
    });
  });

  it('lets all waiters have a connection of their own, one use each', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2, maxUses: 1 });
    await withRoot(async () => {
      const lent: number[] = [];
      await Promise.all(Array.from({ length: 10 }, () => pool.use(({ id }) => void lent.push(id))));
      expect(lent.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      await until(() => pool.stats().closedBy.uses === 10);
    });
    expect(server.peak).toBe(2);
  });

  it('lets who shares a connection share it again, inside, though it was lent often enough', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, maxSharers: 4, maxUses: 1 });
    await withRoot(() => pool.share(({ id: outer }) => pool.share(({ id }) => expect(id).toBe(outer))));
    expect(server.made).toHaveLength(1);
  });
});

describe('keepaliveMs', () => {
  it('needs validate', () => {
    const { create } = new Server();
    expect(() => definePool(poolName(), { create, keepaliveMs: 10 })).toThrow(InvalidOptionError);
    expect(() => definePool(poolName(), { create, keepaliveMs: 10 })).toThrow(/keepaliveMs.*validate/s);
    expect(() => definePool(poolName(), { create, validate: () => true, keepaliveMs: 10 })).not.toThrow();
  });

  it('checks idle connections where they lie, again and again, and none that is held', async () => {
    const checked: number[] = [];
    const pool = poolOf(new Server(), { max: 3, keepaliveMs: 10, validate: ({ id }) => void checked.push(id) });
    await withRoot(async () => {
      await open(pool, 3);
      const held = await pool.acquire();
      const idle = [1, 2, 3].filter((id) => id !== held.resource.id);
      await until(() => idle.every((id) => checked.filter((other) => other === id).length >= 3));
      expect(checked).not.toContain(held.resource.id);
      held.release();
      expect(pool.stats()).toMatchObject({ created: 3, closed: 0, acquired: 4 });
    });
  });

  it.each<[string, PoolOptions<Connection>['validate']]>([
    ['says no', ({ id }) => id !== 1],
    ['throws', ({ id }) => (id === 1 ? Promise.reject(new Error('gone')) : true)],
    ['hangs', ({ id }) => (id === 1 ? new Promise(() => {}) : true)],
  ])('ends one whose check %s before anybody gets it, and keeps min warm', async (_, validate) => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, min: 1, keepaliveMs: 10, validateTimeoutMs: 10, validateAfterIdleMs: 60_000, validate });
    await withRoot(async () => {
      await pool.use(() => {});
      await until(() => pool.stats().idle === 1 && server.last?.id === 2);
      expect(pool.stats()).toMatchObject({ acquired: 1, closedBy: { invalid: 1 } });
    });
  });

  it('lends what is being checked as soon as the check has ended, and opens no other for it', async () => {
    const server = new Server();
    const checking = gate();
    let checks = 0;
    const pool = poolOf(server, { max: 2, keepaliveMs: 10, validate: () => (checks++ === 0 ? checking.promise : true) });
    await withRoot(async () => {
      await pool.use(() => {});
      await until(() => checks === 1);
      expect(pool.tryAcquire()).toBeUndefined();
      const acquired = pool.acquire();
      await turns();
      checking.open();
      const lease = await acquired;
      expect(lease.resource.id).toBe(1);
      lease.release();
    });
    expect(server.attempts).toBe(1);
  });

  it.each<[string, (connection: Connection, pool: Pool<Connection>) => unknown]>([
    ['dies', (connection) => connection.die()],
    ['is refreshed', (_, pool) => void pool.refresh()],
    ['is closed with its pool', (_, pool) => pool.close()],
  ])('leaves alone what %s while it is checked', async (_, end) => {
    const server = new Server();
    const checking = gate<boolean>();
    let checks = 0;
    const pool = poolOf(server, { max: 1, keepaliveMs: 10, validate: () => (checks++ === 0 ? checking.promise : true) });
    await withRoot(async () => {
      await pool.use(() => {});
      await until(() => checks === 1);
      await end(server.last as Connection, pool);
      await until(() => server.made[0]?.isOpen === false);
      checking.open(false);
      await turns();
      expect(pool.stats()).toMatchObject({ closed: 1, closedBy: { invalid: 0 } });
    });
    expect(server.open).toBe(0);
  });

  it('lets connections that nobody needs grow idle, however often they are checked', async () => {
    const server = new Server();
    let checks = 0;
    const pool = poolOf(server, { max: 3, keepaliveMs: 5, idleTimeoutMs: 60, validate: () => void checks++ });
    await withRoot(async () => {
      await open(pool, 3);
      await until(() => pool.stats().closedBy.idle === 3);
      expect(checks).toBeGreaterThanOrEqual(9);
    });
  });

  it('does not put what it has checked before what was used: a light load keeps one connection, not all', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 3, keepaliveMs: 20, idleTimeoutMs: 100, validate: () => {} });
    await withRoot(async () => {
      await open(pool, 3);
      let last = 0;
      await until(async () => {
        await pool.use(({ id }) => {
          last = id;
        });
        return pool.stats().closedBy.idle === 2;
      });
      await pool.use(({ id }) => expect(id).toBe(last));
    });
  });
});

describe('refresh() and resize() together', () => {
  it('leave nobody to the timeout who waits inside the last lease, once nothing closes any more that could make room', async () => {
    const server = new Server();
    const closing = gate();
    server.onDestroy = ({ id }) => (id === 1 ? closing.promise : undefined);
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      const first = await pool.acquire();
      let refreshed: Promise<void> | undefined;
      await pool.use(async () => {
        refreshed = pool.refresh();
        const nested = pool.acquire();
        pool.resize(1);
        first.release();
        closing.open();
        await expect(nested).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      });
      await refreshed;
    });
  });
});

describe('closedBy', () => {
  it.each<[string, Partial<PoolOptions<Connection>>, (pool: Pool<Connection>, server: Server) => unknown]>([
    ['idle', { idleTimeoutMs: 10 }, (pool) => pool.use(() => {})],
    ['lifetime', { maxLifetimeMs: 10 }, (pool) => pool.use(() => {})],
    ['uses', { maxUses: 1 }, (pool) => pool.use(() => {})],
    ['refreshed', {}, (pool) => pool.use(() => void pool.refresh())],
    ['resized', {}, (pool) => open(pool, 2).then(() => pool.resize(1))],
    ['dead', {}, (pool) => pool.use((connection) => connection.die())],
    ['invalid', { keepaliveMs: 5, validate: () => false }, (pool) => pool.use(() => {})],
    ['destroyed', {}, (pool) => pool.use((_, lease) => lease.destroy())],
    ['destroyed', { reset: () => false }, (pool) => pool.use(() => {})],
    ['closed', {}, (pool) => pool.use(() => {}).then(() => pool.close())],
  ])('counts what was closed as %s (%o)', async (reason, options, work) => {
    const server = new Server();
    const pool = poolOf(server, { max: 2, ...options });
    await withRoot(async () => {
      await work(pool, server);
      await until(() => pool.stats().closed === 1);
      const { closedBy } = pool.stats();
      expect(closedBy[reason as keyof typeof closedBy]).toBe(1);
      expect(Object.values(closedBy).reduce((sum, count) => sum + count)).toBe(1);
    });
  });
});
