import { describe, expect, it } from 'vitest';
import { definePool, NoScopeError, Scope, withRoot, withScope } from '../../src/index.ts';
import { poolOf, Server, turns } from './support.ts';

describe('tryAcquire', () => {
  it('gives an exclusive lease on an idle connection, at once', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1 });
    await withRoot(async (root) => {
      await pool.use(() => {});
      const lease = pool.tryAcquire();
      expect(lease?.resource).toBe(server.last);
      expect(lease).toMatchObject({ exclusive: true, ended: false });
      expect(pool.stats()).toMatchObject({ acquired: 2, waited: 1, exclusive: 1, idle: 0 });
      expect(root.tree().children).toMatchObject([{ name: pool.name, kind: 'lease', state: 'exclusive' }]);
      lease?.release();
      expect(lease?.ended).toBe(true);
      expect(pool.stats()).toMatchObject({ idle: 1, inUse: 0 });
    });
  });

  it('gives nothing, opens nothing and leaves nothing behind in a pool that nobody has used', async () => {
    const server = new Server();
    const pool = poolOf(server, { min: 1 });
    await withRoot(async (root) => {
      expect(pool.tryAcquire()).toBeUndefined();
      await turns();
      expect(server.attempts).toBe(0);
      expect(pool.stats()).toMatchObject({ acquired: 0, open: 0 });
      expect(root.tree().children).toEqual([]);
    });
  });

  it('gives nothing while all connections are held, though more could be opened', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2, maxSharers: 4 });
    await withRoot(async (root) => {
      const sharer = await pool.acquireShared();
      expect(pool.tryAcquire()).toBeUndefined();
      await turns();
      expect(server.attempts).toBe(1);
      expect(pool.stats()).toMatchObject({ acquired: 1, pending: 0 });
      expect(root.tree().children).toHaveLength(1);
      sharer.release();
      pool.tryAcquire()?.release();
      expect(pool.stats()).toMatchObject({ acquired: 2 });
    });
  });

  it('takes nothing from those who wait', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const waiting = pool.acquire({ priority: 'low' });
      held.release();
      expect(pool.tryAcquire()).toBeUndefined();
      (await waiting).release();
    });
  });

  it('gives no connection that is dead or would have to be checked first', async () => {
    const server = new Server();
    const dying = poolOf(server, { isUsable: (connection) => connection !== server.last || server.made.length > 1 });
    const stale = poolOf(new Server(), { validateAfterIdleMs: 0, validate: () => {} });
    let isDead = false;
    const pool = poolOf(new Server(), { isUsable: () => !isDead });
    await withRoot(async () => {
      await stale.use(() => {});
      expect(stale.tryAcquire()).toBeUndefined();
      await pool.use(() => {});
      isDead = true;
      expect(pool.tryAcquire()).toBeUndefined();
      await turns();
      expect(pool.stats()).toMatchObject({ open: 0, closedBy: { dead: 1 } });
      expect(dying.tryAcquire()).toBeUndefined();
    });
  });

  it('throws outside every scope, in a pool that is closed and in a scope in which nothing may begin', async () => {
    const pool = poolOf(new Server());
    expect(() => pool.tryAcquire()).toThrow(NoScopeError);
    await withRoot(async (root) => {
      await pool.use(() => {});
      const child = new Scope();
      await child.close();
      expect(() => child.run(() => pool.tryAcquire())).toThrow(expect.objectContaining({ code: 'ERR_SCOPE_CLOSED' }));
      await pool.close();
      expect(() => pool.tryAcquire()).toThrow(expect.objectContaining({ code: 'ERR_POOL_CLOSED' }));
      expect(root.tree().children).toEqual([]);
    });
  });

  it('gives a lease that is revoked and reported with its line when its scope ends first', async () => {
    const pool = poolOf(new Server());
    const reported: unknown[] = [];
    await withRoot(
      async () => {
        await pool.use(() => {});
        await withScope(() => void pool.tryAcquire(), { name: 'job' });
        expect(pool.stats()).toMatchObject({ leaked: 1, inUse: 0 });
      },
      { onSuppressed: (error) => void reported.push(error) },
    );
    expect(reported).toMatchObject([
      { code: 'ERR_LEASE_LEAKED', holder: { scope: 'job', site: expect.stringMatching(/try-acquire\.test\.ts:\d+:\d+$/) } },
    ]);
  });

  it('is part of a deadlock as every lease is', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      await pool.use(() => {});
      const lease = pool.tryAcquire();
      const waiting = pool.acquire({ acquireTimeoutMs: 5 });
      await expect(waiting).rejects.toMatchObject({ facts: { phase: 'waiting', inUse: 1, holders: [{ exclusive: true }] } });
      lease?.release();
    });
  });

  it('goes to the definition that has taken the name', async () => {
    const server = new Server();
    const old = poolOf(server, { max: 1 });
    const { create, destroy } = server;
    await withRoot(async () => {
      await old.use(() => {});
      const warned = new Promise((resolve) => process.once('warning', resolve));
      definePool(old.name, { create, destroy, max: 2 });
      await warned;
      await old.use(() => {});
      expect(old.inspect()).toMatchObject({ pool: old.name, stats: { max: 2, open: 1, acquired: 1 }, connections: { length: 1 } });
      const lease = old.tryAcquire();
      expect(lease?.resource).toMatchObject({ id: 2 });
      lease?.release();
      old.resize(3);
      expect(old.stats().max).toBe(3);
    });
  });
});
