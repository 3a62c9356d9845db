import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from 'vitest';
import { currentScope, withRoot } from '../../src/index.ts';
import { published } from '../support/events.ts';
import { until } from '../support/until.ts';
import { type Connection, gate, poolOf, Server, turns } from './support.ts';

describe('a reset that takes time', () => {
  it('ends before the resource is lent on, and counts against max meanwhile', async () => {
    const server = new Server();
    const done = gate();
    const pool = poolOf(server, { max: 1, reset: () => done.promise });
    await withRoot(async () => {
      await pool.use(() => {});
      let isServed = false;
      const next = pool.use(({ id }) => {
        isServed = true;
        return id;
      });
      await turns();
      expect(isServed).toBe(false);
      expect(pool.tryAcquire()).toBeUndefined();
      expect(pool.stats()).toMatchObject({ open: 1, idle: 0, inUse: 0, pending: 1 });
      expect(pool.inspect().connections).toMatchObject([{ state: 'checking' }]);
      done.open();
      expect(await next).toBe(1);
    });
    expect(server.made).toHaveLength(1);
  });

  it('lends other resources meanwhile', async () => {
    const server = new Server();
    const done = gate();
    const pool = poolOf(server, { max: 2, validateTimeoutMs: 60_000, reset: ({ id }) => (id === 1 ? done.promise : true) });
    await withRoot(async () => {
      const [first, second] = [await pool.acquire(), await pool.acquire()];
      second.release();
      first.release();
      for (let n = 0; n < 3; n++) expect(await pool.use(({ id }) => id)).toBe(2);
      done.open();
    });
  });

  it.each<[string, Promise<unknown> | (() => Promise<unknown>), unknown]>([
    ['rejects', () => Promise.reject(new Error('still dirty')), { message: 'still dirty' }],
    ['says false', () => Promise.resolve(false), { message: 'reset said no' }],
    [
      'does not end',
      () => new Promise(() => {}),
      { code: 'ERR_FACTORY_TIMEOUT', message: expect.stringMatching(/reset did not end within 20 ms.*validateTimeoutMs/) },
    ],
  ])('replaces the resource when it %s, says why, and nothing goes unhandled', async (_, reset, error) => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, validateTimeoutMs: 20, reset: reset as () => Promise<unknown> });
    const closed = published('connectionClosed');
    await withRoot(async () => {
      await pool.use(() => {});
      expect(await pool.use(({ id }) => id)).toBe(2);
    });
    expect(closed[0]?.message).toMatchObject({ reason: 'destroyed', error });
    expect(server.open).toBe(0);
  });

  it('is not begun for what is replaced anyway, nor for shared leases', async () => {
    let resets = 0;
    const server = new Server();
    const pool = poolOf(server, { max: 1, maxSharers: 2, maxUses: 3, reset: async () => void resets++ });
    await withRoot(async () => {
      await pool.share(() => {});
      await pool.use(() => {});
      expect(resets).toBe(1);
      await pool.use(() => {});
      await pool.use((_, lease) => lease.destroy());
      expect(resets).toBe(1);
    });
  });

  it('holds up nobody who closes the pool, and its resource is closed', async () => {
    const server = new Server();
    const pool = poolOf(server, { reset: () => new Promise(() => {}), validateTimeoutMs: Number.POSITIVE_INFINITY });
    await withRoot(async () => {
      await pool.use(() => {});
      await until(() => pool.inspect().connections[0]?.state === 'checking');
    });
    expect(server.open).toBe(0);
  });

  it('replaces what dies meanwhile', async () => {
    const server = new Server();
    const done = gate();
    const pool = poolOf(server, { max: 1, reset: ({ id }) => (id === 1 ? done.promise : true) });
    await withRoot(async () => {
      await pool.use(() => {});
      await turns();
      server.last?.die();
      expect(await pool.use(({ id }) => id)).toBe(2);
      done.open();
    });
    expect(server.open).toBe(0);
  });

  it('runs in the root scope that owns the pool, without the stores of whoever released', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const reset = async (_: Connection) => {
      seen.push(storage.getStore(), currentScope().name);
    };
    const pool = poolOf(new Server(), { reset });
    await withRoot(() => storage.run('mine', () => pool.use(() => {})), { name: 'owner' });
    expect(seen).toEqual([undefined, 'owner']);
  });

  it('is no deadlock, however long it takes, for who waits inside', async () => {
    const done = gate();
    const pool = poolOf(new Server(), { max: 2, validateTimeoutMs: 60_000, reset: ({ id }) => (id === 2 ? done.promise : true) });
    await withRoot(async () => {
      await pool.use(async () => {
        await pool.use(() => {});
        const inside = pool.use(({ id }) => id);
        // A deadlock is one when it has stood for 100 ms; this stands for longer than twice that.
        await new Promise((resolve) => setTimeout(resolve, 250));
        done.open();
        expect(await inside).toBe(2);
      });
    });
  });
});
