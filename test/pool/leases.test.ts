import { describe, expect, it } from 'vitest';
import { withRoot } from '../../src/index.ts';
import type * as definition from '../../src/pool/pool.ts';
import { until } from '../support/until.ts';
import { type Connection, gate, poolOf, Server, turns } from './support.ts';

describe('Rule 2: leases', () => {
  it('lends to use(fn) alone, and gives back what fn returned', async () => {
    const server = new Server();
    const pool = poolOf(server, { maxSharers: 8 });
    await withRoot(async () => {
      const value = await pool.use(async (connection, lease) => {
        expect(lease).toMatchObject({ exclusive: true, ended: false, kind: 'user' });
        expect(pool.stats()).toMatchObject({ open: 1, inUse: 1, exclusive: 1, sharers: 0, idle: 0 });
        return connection.id;
      });
      expect(value).toBe(1);
      expect(pool.stats()).toMatchObject({ open: 1, inUse: 0, exclusive: 0, idle: 1, acquired: 1 });
    });
  });

  it('opens nothing when it is defined, nor for stats()', async () => {
    const server = new Server();
    const pool = poolOf(server, { min: 2 });
    await withRoot(() => expect(pool.stats()).toMatchObject({ open: 0, max: 10 }));
    expect(server.attempts).toBe(0);
  });

  it('opens one connection for 100 cold sharers where maxSharers is Infinity', async () => {
    const server = new Server();
    const pool = poolOf(server, { maxSharers: Number.POSITIVE_INFINITY });
    await withRoot(async () => {
      await Promise.all(Array.from({ length: 100 }, () => pool.share(() => turns(1))));
    });
    expect(server.made).toHaveLength(1);
  });

  it('opens max connections at once for 50 exclusive holders', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 7 });
    await withRoot(async () => {
      const all = Array.from({ length: 50 }, () => pool.use(() => turns(1)));
      await Promise.resolve();
      expect(pool.stats()).toMatchObject({ creating: 7, pending: 50 });
      await Promise.all(all);
    });
    expect(server.peak).toBe(7);
  });

  it('lets sharers of other slots go on while one is held exclusively, and exclusive waiters wait', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2, maxSharers: Number.POSITIVE_INFINITY });
    await withRoot(async () => {
      const exclusive = await pool.acquire();
      const sharer = await pool.acquireShared();
      const next = pool.acquire();
      for (let round = 0; round < 20; round++) {
        const sharing = pool.share((connection) => expect(connection).toBe(sharer.resource));
        // Only the exclusive one waits.
        expect(pool.stats()).toMatchObject({ pending: 1, sharers: 2 });
        await sharing;
      }
      exclusive.release();
      (await next).release();
      sharer.release();
    });
  });

  it('lends what the definition guards, and not the resource itself', async () => {
    const server = new Server();
    const pool = poolOf(server) as definition.Pool<Connection>;
    const guarded = Object.assign(pool.settings, { guard: (resource: object) => Object.create(resource) });
    await withRoot(async () => {
      pool.replaceIn((await import('../../src/index.ts')).currentScope(), guarded);
      await pool.use((connection, lease) => {
        expect(connection).not.toBe(server.last);
        expect(Object.getPrototypeOf(connection)).toBe(server.last);
        expect(lease.resource).toBe(connection);
      });
    });
  });

  it('ends the wait on an AbortSignal with a real error, whose cause is the reason as it was given', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const controller = new AbortController();
      const waiting = pool.acquire({ signal: controller.signal });
      controller.abort('enough');
      const error = await waiting.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(Error);
      expect(error).toMatchObject({ code: 'ERR_ACQUIRE_ABORTED', cause: 'enough' });
      await expect(pool.acquire({ signal: AbortSignal.abort('before') })).rejects.toMatchObject({ cause: 'before' });
      expect(pool.stats()).toMatchObject({ pending: 0, aborted: 1 });
      held.release();
    });
  });

  it('leaves no listener on the signal of an acquire that was served', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    const { signal } = new AbortController();
    const listeners = new Set<unknown>();
    const add = signal.addEventListener.bind(signal);
    signal.addEventListener = (type: string, listener: never, options: never) => {
      listeners.add(listener);
      add(type, listener, options);
    };
    signal.removeEventListener = (_type: string, listener: unknown) => void listeners.delete(listener);
    await withRoot(async () => {
      const held = await pool.acquire();
      const waiting = pool.acquire({ signal });
      expect(listeners.size).toBe(1);
      held.release();
      (await waiting).release();
    });
    expect(listeners.size).toBe(0);
  });

  it('lets sharers on again when the exclusive waiter they made room for is aborted', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 4 });
    await withRoot(async () => {
      const sharer = await pool.acquireShared();
      const controller = new AbortController();
      const exclusive = pool.acquire({ signal: controller.signal });
      const second = pool.acquireShared();
      await turns();
      expect(pool.stats()).toMatchObject({ pending: 2, sharers: 1 });
      controller.abort();
      await expect(exclusive).rejects.toMatchObject({ code: 'ERR_ACQUIRE_ABORTED' });
      (await second).release();
      sharer.release();
    });
  });
});

describe('Rule 2: leases inside leases', () => {
  it('forgets ended leases, however long the chain of timers that began in them', async () => {
    const pool = poolOf(new Server(), { max: 2 });
    const leases: WeakRef<object>[] = [];
    const areForgotten = async () => {
      await turns(1);
      globalThis.gc?.();
      return leases.slice(0, 40).every((lease) => lease.deref() === undefined);
    };
    await withRoot(async () => {
      const last = gate();
      const next = (left: number): Promise<void> =>
        pool.use(async (_, lease) => {
          leases.push(new WeakRef(lease));
          // The last one still goes on, and is linked to what is around it.
          if (left === 0) return void (await until(areForgotten));
          const begun = gate();
          // The next lease begins before this one ends, in its frame.
          setImmediate(() => {
            const following = next(left - 1);
            if (left === 1) following.then(last.open, last.fail);
            begun.open();
          });
          await begun.promise;
        });
      await next(50);
      await last.promise;
    });
  });
});

describe('Rule 7: an ended lease is stale', () => {
  it('ends with use(fn), whether fn returns, throws or rejects', async () => {
    const server = new Server();
    const pool = poolOf(server);
    await withRoot(async () => {
      const kept = await pool.use((_, lease) => lease);
      expect(kept.ended).toBe(true);
      const problem = new Error('of the job');
      const sync = () => {
        throw problem;
      };
      await expect(pool.use(sync)).rejects.toBe(problem);
      await expect(pool.share(async () => sync())).rejects.toBe(problem);
      expect(pool.stats()).toMatchObject({ inUse: 0, idle: 1 });
    });
    // An error of fn says nothing about the connection.
    expect(server.made).toHaveLength(1);
  });

  it('ends at the end of a using block', async () => {
    const pool = poolOf(new Server());
    await withRoot(async () => {
      {
        using lease = await pool.acquire();
        expect(lease.resource.isOpen).toBe(true);
        expect(pool.stats().inUse).toBe(1);
      }
      expect(pool.stats().inUse).toBe(0);
      const lease = await pool.acquire();
      lease[Symbol.dispose]();
      expect(lease.ended).toBe(true);
    });
  });

  it('ends with its resource when destroyed; whoever waits gets a new one', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1 });
    await withRoot(async () => {
      const lease = await pool.acquire();
      const { resource } = lease;
      const next = pool.acquire();
      lease.destroy();
      expect((await next).resource).not.toBe(resource);
      expect(resource.isOpen).toBe(false);
      (await next).release();
      expect(pool.stats().closedBy.destroyed).toBe(1);
    });
    expect(server.peak).toBe(1);
  });

  it('does not cut off other sharers when destroyed', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2, maxSharers: 4 });
    await withRoot(async () => {
      const [a, b] = [await pool.acquireShared(), await pool.acquireShared()];
      a.destroy();
      await turns();
      expect(b.resource.isOpen).toBe(true);
      const c = await pool.acquireShared();
      expect(c.resource).not.toBe(b.resource);
      const old = b.resource;
      b.release();
      await until(() => !old.isOpen);
      c.release();
    });
  });
});
