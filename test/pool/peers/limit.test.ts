import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { definePool, withRoot } from '../../../src/index.ts';
import { until } from '../../support/until.ts';
import { gate, poolOf, Server, turns } from '../support.ts';

describe('max', () => {
  test('generic-pool d22, n, tarn, lightning-pool: 20 users, of whom every tenth destroys and destroy is slow, never have more than 4 open', async () => {
    const server = new Server();
    server.onCreate = () => turns(1);
    server.onDestroy = () => turns(4);
    const pool = poolOf(server, { max: 4 });
    let uses = 0;
    await withRoot(async () => {
      const user = async () => {
        for (let round = 0; round < 20; round++) {
          await pool.use(async (_, lease) => {
            await turns(1);
            if (++uses % 10 === 0) lease.destroy();
          });
        }
      };
      await Promise.all(Array.from({ length: 20 }, user));
      await until(() => pool.stats().closedBy.destroyed === 40);
    });
    expect(server.peak).toBe(4);
    expect(server.open).toBe(0);
  });

  test('generic-pool d22: all 20 destroy at once: no place is given free before its connection is gone', async () => {
    const server = new Server();
    const closing = gate();
    server.onDestroy = () => closing.promise;
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      const users = Array.from({ length: 20 }, () => pool.use((_, lease) => lease.destroy()));
      await Promise.all(users.slice(0, 2));
      await turns();
      expect(pool.stats()).toMatchObject({ open: 2, pending: 18 });
      expect(server.attempts).toBe(2);
      closing.open();
      await Promise.all(users);
    });
    expect(server.peak).toBe(2);
  });

  test('async-pool#23, dask/distributed#3001, ioredis#1959: 100 who come while nothing is open yet open no more than max', async () => {
    const server = new Server();
    server.onCreate = () => turns(3);
    const pool = poolOf(server, { max: 10 });
    await withRoot(() => Promise.all(Array.from({ length: 100 }, () => pool.use(() => turns(1)))));
    expect(server.peak).toBe(10);
    expect(server.made).toHaveLength(10);
  });

  test('async-pool#23: nor do creations that fail beside those that succeed', async () => {
    const server = new Server();
    server.onCreate = async () => {
      const { attempts } = server;
      await turns(attempts % 3);
      if (attempts % 3 === 0 && attempts < 12) throw new Error('ERR max number of clients reached');
    };
    const pool = poolOf(server, { max: 5 });
    await withRoot(() => Promise.all(Array.from({ length: 40 }, () => pool.use(() => turns(1)))));
    expect(server.peak).toBeLessThanOrEqual(5);
  });

  test('generic-pool d35, tarn#55, typeorm#8174: it can be changed while the program runs: the newest definition serves, the old one drains', async () => {
    const server = new Server();
    const small = poolOf(server, { max: 1 });
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    onTestFinished(() => warned.mockRestore());
    await withRoot(async () => {
      const held = await small.acquire();
      const { create, destroy } = server;
      const large = definePool(small.name, { create, destroy, max: 3 });
      expect(warned).toHaveBeenCalledOnce();
      // Who has kept the old definition is served, too.
      const leases = await Promise.all([large.acquire(), large.acquire(), small.acquire()]);
      expect(large.stats()).toMatchObject({ max: 3, inUse: 3 });
      expect(held.resource.isOpen).toBe(true);
      held.release();
      await turns();
      expect(server.open).toBe(3);
      for (const lease of leases) lease.release();
    });
    expect(server.open).toBe(0);
  });
});

describe('destroy', () => {
  test.each([
    [
      'd20: throws',
      () => {
        throw new Error('stuck');
      },
      'stuck',
    ],
    ['d21: rejects', () => Promise.reject(new Error('stuck')), 'stuck'],
    ['d21: hangs', () => new Promise(() => {}), 'destroy did not end'],
  ])('generic-pool %s: who gave back hears nothing of it, the place is given free, and it is reported', async (_, fail, message) => {
    const server = new Server();
    const destroy = (connection: { id: number }) => (connection.id === 1 ? fail() : undefined);
    const pool = poolOf(server, { max: 1, destroy, destroyTimeoutMs: 10 });
    const reported: unknown[] = [];
    await withRoot(
      async () => {
        (await pool.acquire()).destroy();
        await pool.use(({ id }) => expect(id).toBe(2));
        expect(pool.stats()).toMatchObject({ open: 1, closedBy: { destroyed: 1 } });
      },
      { onSuppressed: (error) => void reported.push(error) },
    );
    expect(reported).toMatchObject([{ message: expect.stringContaining(message) }]);
  });

  test('generic-pool d20: one that fails does not keep the others open when the pool closes', async () => {
    const server = new Server();
    server.onDestroy = ({ id }) => (id === 2 ? Promise.reject(new Error('stuck')) : turns(2));
    const pool = poolOf(server, { max: 3 });
    const reported: unknown[] = [];
    await withRoot(
      async () => {
        await Promise.all(Array.from({ length: 3 }, () => pool.use(() => turns(2))));
        await pool.close();
        expect(server.open).toBe(0);
        expect(pool.stats()).toMatchObject({ open: 0, closed: 3 });
      },
      { onSuppressed: (error) => void reported.push(error) },
    );
    expect(reported).toMatchObject([{ message: 'stuck' }]);
  });
});
