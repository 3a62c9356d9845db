import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { withRoot } from '../../../src/index.ts';
import { until } from '../../support/until.ts';
import { poolOf, Server, turns } from '../support.ts';

/** Has that many connections opened at once, and given back. */
function open(pool: ReturnType<typeof poolOf>, count: number): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, () => pool.use(() => turns(2))));
}

describe('connections that are idle', () => {
  test('generic-pool d25: they are closed after idleTimeoutMs: that option is enough', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 4, idleTimeoutMs: 10 });
    await withRoot(async () => {
      await open(pool, 4);
      await until(() => server.open === 0);
      expect(pool.stats()).toMatchObject({ open: 0, closedBy: { idle: 4 } });
    });
  });

  test('generic-pool d26: they are never closed below min, and so never made anew to be closed again', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 6, min: 2, idleTimeoutMs: 10 });
    let least = 6;
    await withRoot(async () => {
      await open(pool, 6);
      server.onDestroy = () => {
        least = Math.min(least, server.open);
      };
      await until(() => pool.stats().closedBy.idle === 4);
      // Five more times as long as an idle one may live.
      const since = performance.now();
      await until(() => performance.now() - since > 50);
      expect(pool.stats()).toMatchObject({ open: 2, idle: 2, created: 6, closed: 4 });
      expect(least).toBe(2);
    });
  });

  test('generic-pool d40: those that a light load does not need go, for the newest is lent first', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 4, idleTimeoutMs: 50 });
    await withRoot(async () => {
      await open(pool, 4);
      const lent = new Set<number>();
      for (let use = 0; use < 20; use++) await pool.use(({ id }) => void lent.add(id));
      expect(lent.size).toBe(1);
      const held = await pool.acquire();
      expect(lent).toContain(held.resource.id);
      await until(() => pool.stats().closedBy.idle === 3);
      held.release();
    });
  });
});

describe('min', () => {
  test('generic-pool d03: it is filled again however often creation has failed, without anybody asking', async () => {
    const shortest = vi.spyOn(Math, 'random').mockReturnValue(0);
    onTestFinished(() => shortest.mockRestore());
    const server = new Server();
    server.onCreate = () => (server.attempts > 1 && server.attempts < 6 ? Promise.reject(new Error('down')) : undefined);
    const pool = poolOf(server, { max: 5, min: 3 });
    await withRoot(async () => {
      await pool.use(() => {});
      await until(() => pool.stats().idle === 3);
      expect(pool.stats().createFailed).toBe(4);
    });
  });

  test('generic-pool d03: it is kept while connections are held, and counts them', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 5, min: 3 });
    await withRoot(async () => {
      const held = await pool.acquire();
      await until(() => pool.stats().idle === 2);
      for (const connection of [...server.made]) connection.die();
      // The held one goes on until it is given back, and counts till then.
      await until(() => server.made.length === 5 && pool.stats().idle === 2);
      expect(held.resource.isOpen).toBe(true);
      held.release();
      await until(() => pool.stats().idle === 3);
      expect(server.made).toHaveLength(6);
    });
  });
});

describe('maxLifetimeMs', () => {
  test('node-pool#133, knex#5120: a connection is replaced at that age, though it is used all the time', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, maxLifetimeMs: 15 });
    await withRoot(async () => {
      await until(() => pool.use(({ id }) => id === 3));
      expect(pool.stats().closedBy).toMatchObject({ lifetime: 2, idle: 0 });
    });
    expect(server.peak).toBe(1);
  });

  test('node-pool#133: one that is held grows older, and goes when it comes back', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, maxLifetimeMs: 10 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const since = performance.now();
      await until(() => performance.now() - since > 15);
      await turns();
      expect(held.resource.isOpen).toBe(true);
      held.release();
      await until(() => pool.stats().closedBy.lifetime === 1);
      await pool.use(({ id }) => expect(id).toBe(2));
    });
  });
});
