import { describe, expect, test } from 'vitest';
import { Scope, withRoot } from '../../../src/index.ts';
import { until } from '../../support/until.ts';
import { gate, poolOf, Server, turns } from '../support.ts';

const forEver = { graceMs: Number.POSITIVE_INFINITY };
const closed = { code: 'ERR_POOL_CLOSED' };

/** Whether the promise has settled by now. */
function watched(promise: Promise<unknown>): { settled: boolean } {
  const state = { settled: false };
  const settle = () => {
    state.settled = true;
  };
  promise.then(settle, settle);
  return state;
}

describe('close()', () => {
  test('generic-pool d14, node-postgres#2328: it waits for holders and closes what they give back and what is idle', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 3 });
    await withRoot(async () => {
      const [held] = await Promise.all([pool.acquire(), pool.use(() => turns(2)), pool.use(() => turns(2))]);
      const closing = pool.close(forEver);
      const state = watched(closing);
      await until(() => server.open === 1);
      expect(held.resource.isOpen).toBe(true);
      expect(state.settled).toBe(false);
      held.release();
      await closing;
      expect(server.open).toBe(0);
      expect(pool.stats()).toMatchObject({ open: 0, idle: 0, closedBy: { closed: 3 } });
    });
  });

  test.each(['exclusive', 'shared'] as const)(
    'generic-pool d15, tarn, pg-pool, lightning-pool, node-postgres#2199: a leaked %s lease holds it up for graceMs, then its connection is closed',
    async (kind) => {
      const server = new Server();
      const pool = poolOf(server, { maxSharers: 4 });
      await withRoot(async () => {
        const leaked = await (kind === 'exclusive' ? pool.acquire() : pool.acquireShared());
        await pool.close({ graceMs: 10 });
        expect(server.open).toBe(0);
        expect(pool.stats()).toMatchObject({ open: 0, inUse: 0 });
        expect(leaked.ended).toBe(true);
        expect(() => leaked.resource).toThrow(expect.objectContaining({ code: 'ERR_LEASE_ENDED' }));
        // Its holder may come back to it, and nothing is closed twice.
        leaked.release();
        leaked.destroy();
      });
    },
  );

  test('generic-pool d16b, node-postgres#2648: it does not end while anything is held, whatever waited, timed out and came back meanwhile', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 3, maxSharers: 2 });
    await withRoot(async () => {
      const held = [await pool.acquire(), await pool.acquireShared(), await pool.acquireShared(), await pool.acquire()];
      const late = pool.acquire({ acquireTimeoutMs: 5 });
      const waiting = Promise.allSettled([pool.acquireShared({ acquireTimeoutMs: 60_000 }), pool.acquire({ acquireTimeoutMs: 60_000 })]);
      await expect(late).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      const closing = pool.close(forEver);
      const state = watched(closing);
      expect(await waiting).toMatchObject([{ reason: closed }, { reason: closed }]);
      for (const [left, lease] of held.entries()) {
        await turns();
        expect([left, state.settled, lease.resource.isOpen]).toEqual([left, false, true]);
        lease.release();
      }
      await closing;
      expect(server.open).toBe(0);
    });
  });

  test('generic-pool d17, d18, d19, node-pool#217: no connection is lent or destroyed after it was destroyed', async () => {
    const server = new Server();
    // The server throws when it is told to destroy one twice.
    const reported: unknown[] = [];
    const pool = poolOf(server, { max: 6 });
    await withRoot(
      async () => {
        const leases = await Promise.all(Array.from({ length: 6 }, () => pool.acquire()));
        const [held] = leases.splice(0, 1);
        for (const lease of leases) lease.release();
        const closings = [pool.close(forEver), pool.close(forEver)];
        await until(() => server.open === 1);
        expect(pool.stats()).toMatchObject({ open: 1, idle: 0, inUse: 1 });
        await expect(pool.acquire()).rejects.toMatchObject(closed);
        held?.release();
        await Promise.all(closings);
        await pool.close();
        await expect(pool.acquire()).rejects.toMatchObject(closed);
      },
      { onSuppressed: (error) => void reported.push(error) },
    );
    expect(server.open).toBe(0);
    expect(reported).toEqual([]);
  });

  test('generic-pool d20, d21, node-postgres#2648: it ends when the last destroy has ended, not before', async () => {
    const server = new Server();
    const gone = gate();
    server.onDestroy = () => gone.promise;
    const pool = poolOf(server);
    await withRoot(async () => {
      await pool.use(() => {});
      const closing = pool.close();
      const state = watched(closing);
      await until(() => server.open === 0);
      await turns();
      expect(state.settled).toBe(false);
      expect(pool.stats().open).toBe(1);
      gone.open();
      await closing;
      expect(pool.stats().open).toBe(0);
    });
  });

  test('generic-pool d21: a destroy that hangs holds it up for destroyTimeoutMs, and is reported', async () => {
    const reported: unknown[] = [];
    const pool = poolOf(new Server(), { destroy: () => new Promise(() => {}), destroyTimeoutMs: 10 });
    await withRoot(() => pool.use(() => {}), { onSuppressed: (error) => void reported.push(error) });
    expect(reported).toMatchObject([{ code: 'ERR_FACTORY_TIMEOUT' }]);
  });
});

describe('whoever comes when it is over', () => {
  test('tarn, lightning-pool, Vincit/tarn.js#81: acquire() after close() is refused at once, opens nothing and restarts nothing', async () => {
    const server = new Server();
    const pool = poolOf(server, { acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      await pool.use(() => {});
      const closing = pool.close();
      for (const way of [pool.acquire(), pool.acquireShared(), pool.use(() => {}), pool.share(() => {})])
        await expect(way).rejects.toMatchObject(closed);
      await closing;
      for (const way of [pool.acquire(), pool.acquireShared(), pool.use(() => {}), pool.share(() => {})])
        await expect(way).rejects.toMatchObject(closed);
    });
    expect(server.attempts).toBe(1);
  });

  test('Vincit/tarn.js#81: so it is after the end of its root', async () => {
    const server = new Server();
    const pool = poolOf(server);
    const root = new Scope({ parent: null });
    const late = root.bind(() => pool.acquire());
    await root.run(() => pool.use(() => {}));
    await root.close();
    await expect((async () => late())()).rejects.toMatchObject({ code: 'ERR_SCOPE_CLOSED' });
    expect(server.attempts).toBe(1);
  });

  test('pg-pool, porsager/postgres#861: who waits when it closes is refused at once, not served and not left to time out', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 4, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const waiting = Promise.allSettled([pool.acquire(), pool.acquireShared(), pool.use(() => {}), pool.share(() => {})]);
      const closing = pool.close(forEver);
      expect(await waiting).toMatchObject(Array.from({ length: 4 }, () => ({ reason: closed })));
      expect(pool.stats()).toMatchObject({ pending: 0, inUse: 1 });
      held.release();
      await closing;
    });
  });
});
