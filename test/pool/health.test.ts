import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { definePool, withRoot } from '../../src/index.ts';
import { published } from '../support/events.ts';
import { until } from '../support/until.ts';
import { poolOf, Server } from './support.ts';

/** A server that can be down: then nothing can be opened, and what is open dies. */
class Downable extends Server {
  readonly refused = new Error('ECONNREFUSED');

  down(): void {
    this.refuse();
    for (const connection of this.made) connection.die();
  }

  refuse(): void {
    this.onCreate = () => Promise.reject(this.refused);
  }

  up(): void {
    this.onCreate = () => {};
  }
}

const failing = (promise: Promise<unknown>) => expect(promise).rejects.toThrow();

describe('health()', () => {
  it('knows nothing before anything was tried, and opens nothing', async () => {
    const server = new Server();
    const pool = poolOf(server);
    await withRoot(() => {
      expect(pool.health()).toEqual({ state: 'unknown', open: 0, downMs: 0, failures: 0, retryInMs: 0, error: undefined });
    });
    expect(server.attempts).toBe(0);
  });

  it('needs a scope', () => {
    expect(() => poolOf(new Server()).health()).toThrow(expect.objectContaining({ code: 'ERR_NO_SCOPE' }));
  });

  it('says up, down with the reason and the next attempt, and up again', async () => {
    const server = new Downable();
    const pool = poolOf(server);
    await withRoot(async () => {
      await pool.use(() => expect(pool.health()).toMatchObject({ state: 'up', open: 1, failures: 0 }));
      server.down();
      await failing(pool.use(() => {}, { acquireTimeoutMs: 200 }));
      const health = pool.health();
      expect(health).toMatchObject({ state: 'down', open: 0, error: server.refused });
      expect(health.failures).toBeGreaterThan(1);
      expect(health.downMs).toBeGreaterThan(0);
      // Nothing, while an attempt is due or on its way.
      await until(() => pool.health().retryInMs > 0);
      server.up();
      await pool.use(() => {});
      expect(pool.health()).toEqual({ state: 'up', open: 1, downMs: 0, failures: 0, retryInMs: 0, error: undefined });
    });
  });

  it('hears, when it is asked now and then, that it is up again, though nobody else asks for anything', async () => {
    const server = new Downable();
    const all = published('poolUp');
    const pool = poolOf(server);
    await withRoot(async () => {
      server.refuse();
      await failing(pool.use(() => {}, { acquireTimeoutMs: 20 }));
      const { attempts } = server;
      await sleep(150);
      expect(server.attempts).toBe(attempts);
      pool.health();
      await until(() => server.attempts === attempts + 1);
      for (let n = 0; n < 10; n++) pool.health();
      expect(server.attempts).toBe(attempts + 1);
      server.up();
      await until(() => pool.health().state === 'up');
      expect(all).toHaveLength(1);
    });
  });

  it('does not try again what is of no use', async () => {
    const server = new Downable();
    const pool = poolOf(server, { isFinal: () => true });
    await withRoot(async () => {
      server.refuse();
      await failing(pool.use(() => {}));
      await sleep(150);
      expect(pool.health().state).toBe('down');
      await sleep(5);
      expect(server.attempts).toBe(1);
    });
  });

  it('says down when somebody has waited in vain for an attempt that does not end', async () => {
    const server = new Server();
    server.onCreate = (signal) => new Promise((_, reject) => signal.addEventListener('abort', reject));
    const all = published('poolDown');
    const pool = poolOf(server);
    await withRoot(async () => {
      await failing(pool.use(() => {}, { acquireTimeoutMs: 20 }));
      expect(pool.health()).toMatchObject({ state: 'down', failures: 0, error: { code: 'ERR_POOL_ACQUIRE_TIMEOUT' } });
      expect(all).toHaveLength(1);
    });
  });

  it('says degraded while some are open and no more can be made', async () => {
    const server = new Downable();
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      await pool.use(async () => {
        server.refuse();
        await failing(pool.use(() => {}, { acquireTimeoutMs: 20 }));
        expect(pool.health()).toMatchObject({ state: 'degraded', open: 1, downMs: 0, error: server.refused });
      });
    });
  });

  it('is of the pool that another definition has put in its place', async () => {
    const server = new Server();
    const pool = poolOf(server);
    await withRoot(async () => {
      await pool.use(() => {});
      definePool(pool.name, { create: server.create, max: 3 });
      expect(pool.health()).toMatchObject({ state: 'unknown' });
    });
  });
});

describe('poolDown and poolUp', () => {
  it('come once for each time, with the reason and how long it took', async () => {
    const server = new Downable();
    const all = published('poolDown', 'poolUp');
    const pool = poolOf(server);
    await withRoot(
      async () => {
        for (let n = 0; n < 2; n++) {
          await pool.use(() => {});
          server.down();
          await failing(pool.use(() => {}, { acquireTimeoutMs: 200 }));
          server.up();
        }
        await pool.use(() => {});
      },
      { name: 'root' },
    );
    const of = { pool: pool.name, scope: 'root' };
    const down = { event: 'poolDown', message: { ...of, error: server.refused } };
    const up = { event: 'poolUp', message: { ...of, downMs: expect.any(Number) } };
    expect(all).toMatchObject([down, up, down, up]);
    expect(all[1]?.message.downMs).toBeGreaterThan(0);
  });

  it('come when the last open one dies, where none can be made already', async () => {
    const server = new Downable();
    const all = published('poolDown', 'poolUp');
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      await pool.use(async (connection) => {
        server.refuse();
        await failing(pool.use(() => {}, { acquireTimeoutMs: 20 }));
        expect(all).toEqual([]);
        connection.die();
      });
      await until(() => all.length === 1);
      expect(pool.health().state).toBe('down');
    });
    expect(all).toMatchObject([{ event: 'poolDown' }]);
  });

  it('do not come for a pool that closes', async () => {
    const server = new Downable();
    const all = published('poolDown', 'poolUp');
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      await pool.use(() => failing(pool.use(() => {}, { acquireTimeoutMs: 20, signal: AbortSignal.abort() })));
      server.refuse();
    });
    expect(all).toEqual([]);
  });
});
