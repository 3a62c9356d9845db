import { describe, expect, it, vi } from 'vitest';
import { withRoot, withScope } from '../../src/index.ts';
import type { CloseReason } from '../../src/pool/slot.ts';
import { until } from '../support/until.ts';
import { poolOf, Server, turns } from './support.ts';

const clock = vi.hoisted(() => ({ aheadMs: 0 }));

// The wall clock of a machine that slept.
vi.mock('../../src/clock.ts', async (load) => ({ ...(await load<object>()), wallTime: () => Date.now() + clock.aheadMs }));

/** Lets nothing else run. */
function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe('stats().waitMs', () => {
  it('adds up how long those who were served had waited, and counts nobody else', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      await pool.use(() => {});
      const { waitMs: first } = pool.stats();
      const held = await pool.acquire();
      const waiting = [pool.acquire(), pool.acquire()];
      const late = pool.acquire({ acquireTimeoutMs: 30 });
      const begun = performance.now();
      await expect(late).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      expect(pool.stats().waitMs).toBe(first);
      held.release();
      (await waiting[0])?.release();
      (await waiting[1])?.release();
      const waited = pool.stats().waitMs - first;
      // Each of the two by the clock that is looked at every ten milliseconds or so, on a busy machine less often.
      expect(waited).toBeGreaterThanOrEqual(2 * 28);
      expect(waited).toBeLessThanOrEqual(2 * (performance.now() - begun + 500));
      expect(pool.stats()).toMatchObject({ acquired: 4, waited: 4, timeouts: 1 });
    });
  });
});

describe('stats().createMs', () => {
  it('adds up how long those took that were made, and counts none that failed', async () => {
    const server = new Server();
    server.onCreate = () => {
      block(10);
      return server.attempts === 1 ? Promise.reject(new Error('refused')) : undefined;
    };
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      const begun = performance.now();
      const first = pool.acquire();
      await until(() => pool.stats().createFailed === 1);
      expect(pool.stats()).toMatchObject({ created: 0, createMs: 0 });
      const leases = [await first, await pool.acquire()];
      const { created, createMs } = pool.stats();
      expect(created).toBe(2);
      expect(createMs).toBeGreaterThanOrEqual(20);
      expect(createMs).toBeLessThanOrEqual(performance.now() - begun);
      for (const lease of leases) lease.release();
    });
  });
});

describe('stats().shed', () => {
  it('counts who is refused under overload, with what is known of the pool', async () => {
    const pool = poolOf(new Server(), { max: 1, codelTargetMs: 5, codelIntervalMs: 5 });
    await withRoot(async () => {
      const outcomes = Array.from({ length: 6 }, () => pool.use(() => block(8)).catch((error: { code: string; facts: object }) => error));
      const refused = (await Promise.all(outcomes)).filter((outcome) => outcome !== undefined);
      expect(refused.length).toBeGreaterThan(0);
      for (const error of refused) expect(error).toMatchObject({ code: 'ERR_POOL_OVERLOADED', facts: { pool: pool.name, max: 1 } });
      expect(pool.stats()).toMatchObject({ shed: refused.length, pending: 0, timeouts: 0, acquired: 6 - refused.length });
    });
  });
});

type PoolOfServer = ReturnType<typeof poolOf>;

/** For each reason, what closes a connection for it. */
const CLOSING: Readonly<
  Record<CloseReason, (pool: (options: Parameters<typeof poolOf>[1]) => PoolOfServer, server: Server) => Promise<unknown>>
> = {
  idle: (pool) => pool({ idleTimeoutMs: 1 }).use(() => {}),
  lifetime: (pool) => pool({ maxLifetimeMs: 1 }).use(() => turns()),
  uses: (pool) => pool({ maxUses: 1 }).use(() => {}),
  refreshed: async (open) => {
    const pool = open({});
    await pool.use(() => {});
    await pool.refresh();
  },
  resized: async (open) => {
    const pool = open({ max: 2 });
    await pool.use(() => pool.use(() => {}));
    pool.resize(1);
  },
  dead: async (pool, server) => {
    await pool({}).use(() => {});
    server.last?.die();
  },
  invalid: async (open, server) => {
    const pool = open({ validateAfterIdleMs: 0, validate: (connection) => connection.id > 1 || server.made.length > 1 });
    await pool.use(() => {});
    await pool.use(() => {});
  },
  suspect: async (open) => {
    const pool = open({ max: 2, maxSharers: 2, validate: () => {} });
    const sharer = await pool.acquireShared();
    await pool.use(() => {});
    clock.aheadMs += 60_000;
    // Whoever takes an idle one sees that time has passed; the shared one cannot be checked.
    await pool.use(() => {});
    const other = await pool.acquireShared();
    sharer.release();
    other.release();
  },
  destroyed: async (pool) => (await pool({}).acquire()).destroy(),
  leaked: async (open) => {
    const pool = open({});
    await withScope(async () => void (await pool.acquire()));
  },
  closed: async (open) => {
    const pool = open({});
    await pool.use(() => {});
    await pool.close();
  },
};

describe('stats().closedBy', () => {
  it.each(Object.entries(CLOSING))('counts what was closed as %s, and as nothing else', async (reason, close) => {
    const server = new Server();
    let pool: PoolOfServer | undefined;
    const open = (options: Parameters<typeof poolOf>[1]) => {
      pool = poolOf(server, options);
      return pool;
    };
    await withRoot(
      async () => {
        await close(open, server);
        const stats = await until(() => ((pool?.stats().closed ?? 0) > 0 ? pool?.stats() : undefined));
        const others = Object.entries(stats?.closedBy ?? {}).filter(([name, count]) => name !== reason && count > 0);
        expect(others).toEqual([]);
        expect(stats?.closedBy).toMatchObject({ [reason]: stats?.closed });
      },
      { onSuppressed: () => {} },
    );
  });

  it('is a copy', async () => {
    const pool = poolOf(new Server());
    await withRoot(async () => {
      await pool.use(() => {});
      const { closedBy, closed } = pool.stats();
      (await pool.acquire()).destroy();
      await until(() => pool.stats().closedBy.destroyed === 1);
      expect({ closed, destroyed: closedBy.destroyed }).toEqual({ closed: 0, destroyed: 0 });
    });
  });
});
