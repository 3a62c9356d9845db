import { describe, expect, it } from 'vitest';
import { withRoot, withScope } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { gate, poolOf, Server, turns } from './support.ts';

describe('Rule 8: a timeout says what happened', () => {
  it('says pool, scope, phase, how long, how full, who holds what for how long and since which line', async () => {
    const pool = poolOf(new Server(), { max: 2, maxSharers: 2 });
    await withRoot(
      async () => {
        const exclusive = await pool.acquire();
        const sharers = [await pool.acquireShared(), await pool.acquireShared()];
        const error = await withScope(() => pool.acquire({ acquireTimeoutMs: 20 }), { name: 'job' }).catch((reason: unknown) => reason);
        expect(error).toMatchObject({
          code: 'ERR_POOL_ACQUIRE_TIMEOUT',
          facts: {
            pool: pool.name,
            scope: 'emails',
            phase: 'waiting',
            exclusive: true,
            max: 2,
            inUse: 2,
            idle: 0,
            pending: 1,
            holders: [{ scope: 'emails', exclusive: true }, { exclusive: false }, { exclusive: false }],
          },
        });
        const { facts, message } = error as { facts: { waitedMs: number; holders: { heldMs: number; site: string }[] }; message: string };
        expect(facts.waitedMs).toBeGreaterThanOrEqual(19);
        for (const { heldMs, site } of facts.holders) {
          expect(heldMs).toBeGreaterThanOrEqual(19);
          expect(site).toMatch(/report\.test\.ts:\d+:\d+$/);
        }
        expect(message).toMatch(
          /^pool "pool-\d+" of scope "emails": no exclusive lease within \d+ ms, stopped while waiting \(max 2, in use 2, idle 0, pending 1\)\./,
        );
        expect(message).toMatch(/\n {4}held exclusively by scope "emails" for \d+ ms, since .*report\.test\.ts:\d+:\d+/);
        expect(message).toMatch(/\n {4}held shared by scope "emails"/);
        expect((error as Error).cause).toBeUndefined();
        for (const lease of [exclusive, ...sharers]) lease.release();
      },
      { name: 'emails' },
    );
  });

  it('says so when connections could not be made in time', async () => {
    const server = new Server();
    server.onCreate = (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const pool = poolOf(server, { acquireTimeoutMs: 10 });
    await withRoot(async () => {
      const error = await pool.acquireShared().catch((reason: unknown) => reason);
      expect(error).toMatchObject({ facts: { phase: 'creating', exclusive: false } });
      expect(error).not.toHaveProperty('cause');
    });
  });

  it('says so when idle connections did not answer their check in time', async () => {
    const pool = poolOf(new Server(), { max: 1, acquireTimeoutMs: 10, validateAfterIdleMs: 0, validate: () => new Promise(() => {}) });
    await withRoot(async () => {
      await pool.use(() => {});
      await expect(pool.acquire()).rejects.toMatchObject({ facts: { phase: 'validating' } });
    });
  });

  it('no longer gives the cause of a failure that is over', async () => {
    const server = new Server();
    server.onCreate = () => (server.attempts === 1 ? Promise.reject(new Error('refused')) : undefined);
    const pool = poolOf(server, { max: 1 });
    await withRoot(async () => {
      const lease = await pool.acquire();
      const error = await pool.acquire({ acquireTimeoutMs: 5 }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ facts: { phase: 'waiting' } });
      expect(error).not.toHaveProperty('cause');
      lease.release();
    });
  });

  it('does not blame a creation that failed where there is no room for another one', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      const lease = await pool.acquire();
      server.onCreate = () => Promise.reject(new Error('refused'));
      await expect(pool.acquire({ acquireTimeoutMs: 5 })).rejects.toMatchObject({ cause: { message: 'refused' } });
      pool.resize(1);
      const error = await pool.acquire({ acquireTimeoutMs: 5 }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ facts: { phase: 'waiting' } });
      expect(error).not.toHaveProperty('cause');
      lease.release();
    });
  });

  it('times out every waiter at its own time, also the last one, whatever became of the others', async () => {
    const pool = poolOf(new Server(), { max: 1, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const served = pool.acquire();
      const last = pool.acquire({ acquireTimeoutMs: 15 });
      held.release();
      const second = await served;
      await expect(last).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      second.release();
    });
  });

  it('counts waiters that time out together once each, and serves who is let go by one of them', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 4 });
    await withRoot(async () => {
      const sharer = await pool.acquireShared();
      const exclusive = pool.acquire({ acquireTimeoutMs: 10 });
      // Both are late when the timer fires; with the exclusive one gone, the sharer is served.
      const second = pool.acquireShared({ acquireTimeoutMs: 10 });
      const end = performance.now() + 15;
      while (performance.now() < end);
      await expect(exclusive).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      const lease = await second;
      expect(pool.stats()).toMatchObject({ timeouts: 1, sharers: 2, pending: 0 });
      lease.release();
      sharer.release();
      await pool.use(() => {});
    });
  });

  it('takes the time to wait from the call, the limit of the root, or the definition', async () => {
    const pool = poolOf(new Server(), { max: 1, acquireTimeoutMs: 60_000 });
    await withRoot(
      () => pool.use(() => withScope(() => expect(pool.acquire()).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' }))),
      { limits: { [pool.name]: { acquireTimeoutMs: 10 } } },
    );
  });

  it('names at most ten holders', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 20 });
    await withRoot(async () => {
      const leases = await Promise.all(Array.from({ length: 15 }, () => pool.acquireShared()));
      await expect(pool.acquire({ acquireTimeoutMs: 5 })).rejects.toMatchObject({ facts: { holders: { length: 10 } } });
      for (const lease of leases) lease.release();
    });
  });

  it('shows holders and waiters in scope.tree()', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async (scope) => {
      const held = await pool.acquire();
      const waiting = pool.acquire();
      expect(scope.tree().children).toMatchObject([
        { name: pool.name, kind: 'lease', state: 'exclusive' },
        { name: pool.name, kind: 'waiter', state: 'exclusive, waiting' },
      ]);
      held.release();
      (await waiting).release();
    });
  });

  it('counts what happened in stats()', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2, maxSharers: 4 });
    await withRoot(async () => {
      const exclusive = await pool.acquire();
      const sharers = [await pool.acquireShared(), await pool.acquireShared()];
      const waiting = pool.acquire();
      expect(pool.stats()).toMatchObject({
        max: 2,
        open: 2,
        creating: 0,
        idle: 0,
        inUse: 2,
        exclusive: 1,
        sharers: 2,
        pending: 1,
        acquired: 3,
        waited: 3,
      });
      exclusive.release();
      (await waiting).release();
      for (const lease of sharers) lease.release();
      expect(pool.stats()).toMatchObject({ idle: 2, inUse: 0, created: 2, closed: 0, acquired: 4 });
      const closing = gate();
      server.onDestroy = () => closing.promise;
      server.last?.die();
      expect(pool.stats()).toMatchObject({ open: 2, idle: 1, closed: 0 });
      closing.open();
      await until(() => pool.stats().closed === 1);
      await turns();
    });
  });
});
