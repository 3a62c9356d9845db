import { describe, expect, it } from 'vitest';
import { NoScopeError, type Pool, withRoot } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { type Connection, gate, poolOf, Server, turns } from './support.ts';

/** Has that many connections opened at once, and given back. */
function open(pool: Pool<Connection>, count: number): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, () => pool.use(() => turns(2))));
}

const refused = new Error('connect ECONNREFUSED');

describe('refresh()', () => {
  it('replaces whatever is idle, and resolves when it is done', async () => {
    const server = new Server();
    server.onCreate = () => turns(1);
    server.onDestroy = () => turns(1);
    const pool = poolOf(server, { max: 3 });
    await withRoot(async () => {
      await open(pool, 3);
      await pool.refresh();
      expect(server.made.map(({ isOpen }) => isOpen)).toEqual([false, false, false, true, true, true]);
      expect(pool.stats()).toMatchObject({ open: 3, idle: 3, closedBy: { refreshed: 3 } });
    });
    expect(server.peak).toBe(3);
  });

  it('takes one idle connection at a time where the pool is full: the others can be acquired meanwhile', async () => {
    const server = new Server();
    let least = 3;
    server.onDestroy = () => {
      least = Math.min(least, server.open);
      return turns(2);
    };
    const pool = poolOf(server, { max: 3 });
    await withRoot(async () => {
      await open(pool, 3);
      server.onCreate = () => turns(2);
      let isDone = false;
      const refreshed = pool.refresh().then(() => {
        isDone = true;
      });
      while (!isDone) {
        const lease = pool.tryAcquire();
        expect(lease).toBeDefined();
        lease?.release();
        await turns(1);
      }
      await refreshed;
      expect(least).toBe(2);
    });
    expect(server.peak).toBe(3);
  });

  it('opens the new one first where max leaves room for it, so that there is always one to be had', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      await pool.use(() => {});
      const creating = gate();
      server.onCreate = () => creating.promise;
      const refreshed = pool.refresh();
      await until(() => server.attempts === 2);
      expect(pool.stats()).toMatchObject({ open: 2, idle: 1 });
      creating.open();
      await refreshed;
      expect(pool.stats()).toMatchObject({ open: 1, idle: 1, closedBy: { refreshed: 1 } });
      await pool.use(({ id }) => expect(id).toBe(2));
    });
  });

  it('lets holders finish, exclusive and shared ones, and resolves after them', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2, maxSharers: 2 });
    await withRoot(async () => {
      const [alone, shared] = [await pool.acquire(), await pool.acquireShared()];
      let isDone = false;
      const refreshed = pool.refresh().then(() => {
        isDone = true;
      });
      const next = pool.acquireShared();
      alone.release();
      expect((await next).resource.id).toBe(3);
      expect([shared.resource.isOpen, isDone]).toEqual([true, false]);
      shared.release();
      await refreshed;
      expect(pool.stats().closedBy.refreshed).toBe(2);
      (await next).release();
    });
    expect(server.peak).toBe(2);
  });

  it('lets who shares a connection already share it again, inside, while it drains', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, maxSharers: 4 });
    await withRoot(async () => {
      let refreshed: Promise<void> | undefined;
      await pool.share(async () => {
        refreshed = pool.refresh();
        await pool.share(({ id }) => expect(id).toBe(1));
      });
      await refreshed;
      await pool.use(({ id }) => expect(id).toBe(2));
    });
  });

  it('replaces one that was taken before its turn when it comes back', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      await open(pool, 2);
      const closing = gate();
      server.onDestroy = () => closing.promise;
      const refreshed = pool.refresh();
      await until(() => server.open === 1);
      const held = await pool.acquire();
      closing.open();
      await until(() => server.made.length === 3);
      expect(held.resource.isOpen).toBe(true);
      held.release();
      await refreshed;
      expect(server.made.map(({ isOpen }) => isOpen).slice(0, 2)).toEqual([false, false]);
      expect(pool.stats().closedBy.refreshed).toBe(2);
    });
  });

  it.each([
    ['full', 3, 2],
    ['not full', 4, 3],
  ])('stops where one cannot be created, throws why, and keeps the rest, in a pool that is %s', async (_, max, left) => {
    const server = new Server();
    const pool = poolOf(server, { max });
    await withRoot(async () => {
      await open(pool, 3);
      server.onCreate = () => Promise.reject(refused);
      await expect(pool.refresh()).rejects.toBe(refused);
      expect(server.open).toBe(left);
      // Nor does the next one take what cannot be replaced now.
      await expect(pool.refresh()).rejects.toBe(refused);
      expect(server.open).toBe(left);
      expect(pool.stats().idle).toBe(left);
    });
  });

  it('takes nothing idle while creation has failed and is not tried again yet', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      await open(pool, 1);
      const held = await pool.acquire();
      server.onCreate = () => Promise.reject(refused);
      const waiting = pool.acquire();
      await until(() => pool.stats().createFailed === 1);
      held.release();
      (await waiting).release();
      await expect(pool.refresh()).rejects.toBe(refused);
      expect(pool.stats()).toMatchObject({ idle: 1, closed: 0 });
    });
  });

  it('does not wait for a check that goes on when the new one has come', async () => {
    const server = new Server();
    const [creating, checking] = [gate(), gate()];
    const pool = poolOf(server, { max: 2, validateAfterIdleMs: 0, validate: () => checking.promise });
    await withRoot(async () => {
      await open(pool, 2);
      server.onCreate = () => creating.promise;
      const refreshed = pool.refresh();
      await until(() => pool.stats().creating === 1);
      // One waits for what is being created, the other for a check.
      const acquired = [pool.acquire(), pool.acquire()];
      expect(pool.stats()).toMatchObject({ idle: 0, pending: 2 });
      creating.open();
      await refreshed;
      expect(pool.stats().closedBy.refreshed).toBe(2);
      checking.open();
      for (const lease of acquired) (await lease).release();
    });
  });

  it('replaces all once when two go on at once, and still takes one idle connection at a time', async () => {
    const server = new Server();
    let least = 3;
    const pool = poolOf(server, { max: 3 });
    await withRoot(async () => {
      await open(pool, 3);
      server.onCreate = () => turns(2);
      server.onDestroy = () => {
        least = Math.min(least, server.open);
        return turns(2);
      };
      await Promise.all([pool.refresh(), pool.refresh()]);
      expect(pool.stats()).toMatchObject({ open: 3, idle: 3, closedBy: { refreshed: 3 } });
      expect(least).toBe(2);
    });
  });

  it('goes on after one before it has failed', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      await open(pool, 2);
      server.onCreate = () => (server.attempts === 3 ? Promise.reject(refused) : undefined);
      await expect(pool.refresh()).rejects.toBe(refused);
      await until(() => pool.refresh().then(() => true));
      expect(server.made.slice(0, 2).map(({ isOpen }) => isOpen)).toEqual([false, false]);
    });
  });

  it('leaves alone what is opened after it was called', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const refreshed = pool.refresh();
      await pool.use(({ id }) => expect(id).toBe(2));
      held.release();
      await refreshed;
      await pool.use(({ id }) => expect(id).toBe(2));
    });
  });

  it('ends with the pool when that is closed meanwhile, whatever it waits for, and throws nothing', async () => {
    for (const hangs of ['onCreate', 'onDestroy'] as const) {
      const server = new Server();
      const pool = poolOf(server, { max: 2 });
      await withRoot(async () => {
        await open(pool, 2);
        const hanging = gate();
        server[hangs] = () => hanging.promise;
        const refreshed = pool.refresh();
        await until(() => (hangs === 'onCreate' ? server.attempts === 3 : server.open === 1));
        const closed = pool.close();
        hanging.open();
        await Promise.all([refreshed, closed]);
        expect(pool.stats().open).toBe(0);
        await pool.refresh();
      });
      expect(server.open).toBe(0);
    }
  });

  it('does nothing where nothing is open, and throws outside every scope', async () => {
    const server = new Server();
    const pool = poolOf(server, { min: 1 });
    await withRoot(() => pool.refresh());
    expect(server.attempts).toBe(0);
    await expect(pool.refresh()).rejects.toBeInstanceOf(NoScopeError);
  });
});
