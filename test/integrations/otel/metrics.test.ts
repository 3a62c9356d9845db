import { definePool, type Lease, Scope, withRoot, withScope } from 'scoped-pool';
import { describe, expect, it, vi } from 'vitest';
import { type Connection, gate, poolName, poolOf, Server, turns } from '../../pool/support.ts';
import { until } from '../../support/until.ts';
import { asStats, at, countOf, expected, observed, POOL, type Sdk } from './support.ts';

type Pool = ReturnType<typeof poolOf>;

/** @returns what the pool is, when metrics have said the same. */
async function equal({ say }: Sdk, pool: Pool) {
  const stats = pool.stats();
  expect(asStats(await say(), pool.name)).toEqual(expected(stats));
  return stats;
}

describe('Metrics of a pool equal its stats() at the same moment', () => {
  it('idle, held by one, shared, waited for', async () => {
    const sdk = observed();
    const pool = poolOf(new Server(), { max: 2, maxSharers: 10 });
    await withRoot(async () => {
      await pool.use(() => {});
      expect(await equal(sdk, pool)).toMatchObject({ idle: 1, inUse: 0, open: 1, max: 2 });
      const held = await pool.acquire();
      const shared = [await pool.acquireShared(), await pool.acquireShared()];
      expect(await equal(sdk, pool)).toMatchObject({ idle: 0, inUse: 2, exclusive: 1, sharers: 2 });
      const waiting = [pool.acquire(), pool.acquire()];
      expect(await equal(sdk, pool)).toMatchObject({ pending: 2, acquired: 4 });
      held.release();
      for (const lease of shared) lease.release();
      for (const lease of waiting) (await lease).release();
      expect(await equal(sdk, pool)).toMatchObject({ idle: 2, pending: 0, acquired: 6, waited: 4, created: 2 });
    });
  });

  it('being created, not to be created, and timed out', async () => {
    const sdk = observed();
    const server = new Server();
    const creating = gate();
    server.onCreate = () => creating.promise;
    const pool = poolOf(server, { max: 1 });
    await withRoot(async () => {
      const late = pool.acquire({ acquireTimeoutMs: 20 }).catch((error: unknown) => error);
      await until(() => server.attempts === 1);
      expect(await equal(sdk, pool)).toMatchObject({ creating: 1, open: 1, idle: 0, inUse: 0, pending: 1 });
      expect(await late).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      creating.fail(new Error('refused'));
      await until(() => pool.stats().createFailed === 1);
      expect(await equal(sdk, pool)).toMatchObject({ timeouts: 1, createFailed: 1, created: 0, open: 0 });
    });
  });

  it('being closed, closed for several reasons, leaked and overdue', async () => {
    const sdk = observed();
    const server = new Server();
    const closing = gate();
    server.onDestroy = () => closing.promise;
    const pool = poolOf(server, { leakAfterMs: 1 });
    await withRoot(
      async () => {
        (await pool.acquire()).destroy();
        await until(() => server.open === 0);
        expect(await equal(sdk, pool)).toMatchObject({ open: 1, idle: 0, inUse: 0, closed: 0 });
        closing.open();
        await withScope(async () => {
          await pool.acquire();
          await until(() => pool.stats().overdue === 1);
        });
        await pool.use(() => {});
        server.last?.die();
        await until(() => pool.stats().closed === 3);
        const { closedBy } = await equal(sdk, pool);
        expect(closedBy).toMatchObject({ destroyed: 1, leaked: 1, dead: 1 });
      },
      { onSuppressed: () => {} },
    );
  });

  it('resized, with its minimum', async () => {
    const sdk = observed();
    const pool = poolOf(new Server(), { max: 5, min: 3 });
    await withRoot(async () => {
      await pool.use(() => {});
      await until(() => pool.stats().open === 3);
      await equal(sdk, pool);
      expect(at(await sdk.say(), 'db.client.connection.idle.min', { [POOL]: pool.name })).toBe(3);
      pool.resize(2);
      await until(() => pool.stats().open === 2);
      await equal(sdk, pool);
      expect(at(await sdk.say(), 'db.client.connection.idle.min', { [POOL]: pool.name })).toBe(2);
    });
  });
});

describe('Times', () => {
  it('are told in seconds, in buckets that fit', async () => {
    const { say } = observed();
    const server = new Server();
    const pool = poolOf(server, { max: 1 });
    const ms = 30;
    const pause = () => new Promise((resolve) => setTimeout(resolve, ms));
    server.onCreate = pause;
    await withRoot(async () => {
      const waiting = pool.use(pause);
      await Promise.all([waiting, pool.use(() => {})]);
      const said = await say();
      for (const [metric, least, count] of [
        ['create_time', ms, 1],
        // The first for the connection, the second for that and for the first.
        ['wait_time', 3 * ms, 2],
        ['use_time', ms, 2],
      ] as const) {
        const value = at(said, `db.client.connection.${metric}`, { [POOL]: pool.name });
        if (typeof value !== 'object' || !('buckets' in value)) throw new Error(`${metric} is no histogram with bounds`);
        expect(value.buckets.boundaries).toEqual([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]);
        expect(value.count).toBe(count);
        expect(value.sum).toBeGreaterThan((0.9 * least) / 1_000);
        // Not milliseconds.
        expect(value.sum).toBeLessThan(least);
      }
    });
  });

  it('of waiting are 0 for who was served at once, and are not told of who was refused', async () => {
    const { say } = observed();
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      await pool.use(() => {});
      const before = at(await say(), 'db.client.connection.wait_time', { [POOL]: pool.name });
      const held = await pool.acquire();
      await expect(pool.acquire({ acquireTimeoutMs: 1 })).rejects.toThrow();
      await expect(pool.acquire({ signal: AbortSignal.abort() })).rejects.toThrow();
      held.release();
      const after = at(await say(), 'db.client.connection.wait_time', { [POOL]: pool.name });
      expect(after).toMatchObject({ count: countOf(before) + 1, sum: (before as { sum?: number }).sum });
    });
  });
});

describe('Metrics of several scopes', () => {
  it('are summed up by the name of the pool, isolated scopes and those below a resource included', async () => {
    const { say } = observed();
    const pool = poolOf(new Server(), { max: 3 });
    const held: Lease<Connection>[] = [];
    const take = async () => void held.push(await pool.acquire());
    const first = new Scope({ parent: null, limits: { [pool.name]: 5 } });
    const second = new Scope({ parent: null });
    const isolated = new Scope({ parent: first, isolate: true, limits: { [pool.name]: 7 } });
    let below!: Scope;
    await second.open((scope) => {
      below = new Scope({ parent: scope, isolate: true });
    });
    for (const scope of [first, second, isolated, below]) await scope.run(take);
    expect(asStats(await say(), pool.name)).toMatchObject({ inUse: 4, max: 5 + 3 + 7 + 3, created: 4 });
    for (const lease of held) lease.release();
    await below.close();
    expect(asStats(await say(), pool.name)).toMatchObject({ inUse: 0, idle: 3, max: 15, closedBy: { closed: 1 } });
    await first.close();
    expect(asStats(await say(), pool.name)).toMatchObject({ idle: 1, max: 3, created: 4, closedBy: { closed: 3 } });
    await second.close();
  });

  it('are 0 once the last has closed, but never fall where they count', async () => {
    const { say } = observed();
    const pool = poolOf(new Server());
    await withRoot(() => pool.use(() => {}));
    const after = asStats(await say(), pool.name);
    expect(after).toMatchObject({ max: 0, open: 0, idle: 0, created: 1, closedBy: { closed: 1 }, ended: 1 });
    await withRoot(async () => {
      await pool.use(() => {});
      expect(asStats(await say(), pool.name)).toMatchObject({ max: 10, open: 1, created: 2 });
    });
    // What was seen once is told of as 0: an SDK would go on saying what it was told last.
    expect(asStats(await say(), pool.name)).toMatchObject({ max: 0, open: 0, idle: 0, created: 2, closedBy: { closed: 2 } });
  });

  it('begin with 0, so that the first that is counted is an increase', async () => {
    const { say } = observed();
    const pool = poolOf(new Server());
    await withRoot(async () => {
      await pool.use(() => {});
      const said = await say();
      const names = [
        'db.client.connection.timeouts',
        'scoped_pool.connection.failed',
        'scoped_pool.lease.leaked',
        'scoped_pool.lease.overdue',
      ];
      expect(names.map((metric) => at(said, metric, { [POOL]: pool.name }))).toEqual([0, 0, 0, 0]);
    });
  });

  it('say nothing of a pool that was never used', async () => {
    const { say } = observed();
    const pool = poolOf(new Server());
    await withRoot(async () => {
      expect(pool.stats().max).toBe(10);
      const points = [...(await say()).values()].flat();
      expect(points.filter(({ attributes }) => attributes[POOL] === pool.name)).toEqual([]);
    });
  });

  it('go on when a pool is defined again while the old one drains', async () => {
    const { say } = observed();
    const server = new Server();
    const name = poolName();
    const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    await withRoot(async () => {
      const old = definePool(name, { create: server.create, max: 3 });
      const held = await old.acquire();
      const newer = definePool(name, { create: server.create, max: 5 });
      const lease = await newer.acquire();
      expect(asStats(await say(), name)).toMatchObject({ inUse: 2, max: 8, created: 2 });
      held.release();
      lease.release();
      await until(async () => asStats(await say(), name).max === 5);
      expect(asStats(await say(), name)).toMatchObject({ inUse: 0, idle: 1, closedBy: { closed: 1 } });
    });
    expect(warnings).toHaveBeenCalledOnce();
    warnings.mockRestore();
  });

  it('count those of another copy of the library', async () => {
    const { say } = observed();
    vi.resetModules();
    const copy = await import('../../../src/index.ts');
    expect(copy.Scope).not.toBe(Scope);
    const server = new Server();
    const pool = copy.definePool<Connection>(poolName(), { create: server.create, max: 1 });
    await copy.withRoot(async () => {
      const held = await pool.acquire();
      await expect(pool.acquire({ acquireTimeoutMs: 1 })).rejects.toThrow();
      expect(asStats(await say(), pool.name)).toEqual(expected(pool.stats()));
      expect(pool.stats()).toMatchObject({ timeouts: 1, inUse: 1 });
      held.release();
    });
    vi.resetModules();
  });

  it('tell how many are open, by root or not', async () => {
    const { say } = observed();
    const scopes = async () => {
      const said = await say();
      return ['root', 'scope'].map((kind) => at(said, 'scoped_pool.scope.active', { 'scoped_pool.scope.kind': kind }));
    };
    expect(await scopes()).toEqual([0, 0]);
    await withRoot(
      async (root) => {
        await root.open(async (scope) => {
          new Scope({ parent: scope, name: 'request' });
        });
        await withScope(async () => expect(await scopes()).toEqual([1, 2]));
        expect(await scopes()).toEqual([1, 1]);
        await turns();
      },
      { graceMs: 0 },
    );
    expect(await scopes()).toEqual([0, 0]);
  });
});
