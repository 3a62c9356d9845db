import { describe, expect, it } from 'vitest';
import { type Lease, type Pool, withRoot } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { type Connection, gate, poolOf, Server, turns } from './support.ts';

describe('Rule 6: failing creation', () => {
  const refused = new Error('connect ECONNREFUSED');

  it('counts creations that fail together as one step', async () => {
    const server = new Server();
    server.onCreate = () => (server.attempts <= 10 ? Promise.reject(refused) : undefined);
    // Ten steps would be two seconds long.
    const pool = poolOf(server, { max: 10, acquireTimeoutMs: 900 });
    await withRoot(async () => {
      await Promise.all(Array.from({ length: 10 }, () => pool.use(() => turns(1))));
    });
  });

  it.each([
    ['whose message is no text', Object.assign(new Error(), { message: { code: 7 } }), '[object Object]'],
    ['that has no text', Object.assign(new Error(), { message: Object.create(null) }), 'an error that cannot be shown'],
  ])('says that no connection could be made also of an error %s', async (_, error, said) => {
    const server = new Server();
    server.onCreate = () => Promise.reject(error);
    const pool = poolOf(server, { acquireTimeoutMs: 20 });
    await withRoot(() =>
      expect(pool.acquire()).rejects.toMatchObject({
        ...{ code: 'ERR_POOL_ACQUIRE_TIMEOUT', cause: error, message: expect.stringContaining(`could not be made: ${said}`) },
      }),
    );
  });

  it('grows without restraint again as soon as one creation succeeds', async () => {
    const server = new Server();
    server.onCreate = () => (server.attempts === 1 ? Promise.reject(refused) : turns(1));
    const pool = poolOf(server, { max: 4 });
    await withRoot(async () => {
      const all = gate();
      let begun = 0;
      await Promise.all(
        Array.from({ length: 4 }, () =>
          pool.use(() => {
            if (++begun === 4) all.open();
            return all.promise;
          }),
        ),
      );
      expect(pool.stats()).toMatchObject({ created: 4, createFailed: 1 });
    });
  });

  it('keeps no restraint of a failure that is over: the next step of its backoff does not come', async () => {
    const server = new Server();
    const [second, all] = [gate(), gate()];
    server.onCreate = () => (server.attempts === 1 ? Promise.reject(refused) : server.attempts === 2 ? second.promise : all.promise);
    const pool = poolOf(server, { max: 5 });
    await withRoot(async () => {
      const leases = [pool.acquire(), pool.acquire()];
      while (pool.stats().createFailed === 0) await turns(1);
      second.open();
      await leases[0];
      // Longer than the first step takes.
      await new Promise((resolve) => setTimeout(resolve, 60));
      leases.push(pool.acquire(), pool.acquire(), pool.acquire());
      await turns(3);
      expect(pool.stats()).toMatchObject({ created: 1, creating: 4 });
      all.open();
      for (const lease of leases) (await lease).release();
    });
  });

  it('refuses all who wait at once, and tries on for those who come, after an error that is final', async () => {
    const wrong = new Error('wrong password');
    const server = new Server();
    server.onCreate = () => Promise.reject(server.attempts > 2 ? refused : wrong);
    const pool = poolOf(server, { max: 1, acquireTimeoutMs: 60_000, isFinal: (error) => error === wrong });
    await withRoot(async () => {
      const errors = await Promise.all([1, 2, 3].map(() => pool.acquire().catch((error: unknown) => error)));
      expect(errors).toMatchObject([1, 2, 3].map(() => ({ code: 'ERR_POOL_UNAVAILABLE', cause: wrong, facts: { pool: pool.name } })));
      expect(server.attempts).toBe(1);
      await expect(pool.acquire()).rejects.toMatchObject({ code: 'ERR_POOL_UNAVAILABLE' });
      await expect(pool.acquire({ acquireTimeoutMs: 20 })).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
    });
  });

  it('lets those wait who a connection will come back to, whatever error is final', async () => {
    const server = new Server();
    server.onCreate = () => (server.attempts > 1 ? Promise.reject(refused) : undefined);
    const pool = poolOf(server, { max: 2, isFinal: () => true });
    await withRoot(async () => {
      const lease = await pool.acquire();
      const waiting = pool.acquire();
      await until(() => pool.stats().createFailed > 0);
      lease.release();
      (await waiting).release();
    });
  });

  it('reports it when a late arrival cannot be destroyed', async () => {
    const server = new Server();
    const late = gate();
    server.onCreate = () => (server.attempts > 1 ? undefined : late.promise);
    server.onDestroy = ({ id }) => (id === 2 ? Promise.reject(new Error('of the late one')) : undefined);
    const pool = poolOf(server, { max: 1, createTimeoutMs: 15 });
    const reported: unknown[] = [];
    await withRoot(
      async () => {
        await pool.use(() => {});
        late.open();
        await until(() => reported.length > 0);
      },
      { onSuppressed: (error) => void reported.push(error) },
    );
    expect(reported).toMatchObject([{ message: 'of the late one' }]);
  });

  it('treats a resource that is unusable or dead when it arrives as a failure: backoff, not replacement without end', async () => {
    for (const broken of [{ isUsable: () => false }, { onDead: (_: unknown, report: () => void) => report() }]) {
      const server = new Server();
      const pool = poolOf(server, { max: 2, acquireTimeoutMs: 40, ...broken });
      await withRoot(async () => {
        await expect(pool.acquire()).rejects.toMatchObject({ cause: { message: expect.stringContaining('cannot be used') } });
      });
      expect(server.attempts).toBeLessThanOrEqual(3);
      expect(server.open).toBe(0);
    }
  });

  it.each([
    ['on arrival', 1],
    ['on its way to whoever waits', 2],
    ['when it was idle', 3],
  ])('does not lend what reports its death while it is asked whether it is usable, and then says yes: %s', async (_, ask) => {
    const server = new Server();
    const reported: unknown[] = [];
    let asks = 0;
    const isUsable = (connection: Connection) => {
      if (++asks === ask) connection.die();
      return true;
    };
    const pool = poolOf(server, { isUsable });
    const twice = async () => {
      await pool.use(() => {});
      await pool.use(({ id }) => expect(id).toBe(2));
    };
    await withRoot(twice, { onSuppressed: (error) => void reported.push(error) });
    expect(reported).toEqual([]);
  });

  it('lends to one what is acquired while it is asked whether it is usable', async () => {
    let inner: Lease<Connection> | undefined;
    let asks = 0;
    const isUsable = () => {
      // The first two are of its arrival.
      if (++asks === 3) inner = pool.tryAcquire();
      return true;
    };
    const pool: Pool<Connection> = poolOf(new Server(), { isUsable });
    await withRoot(async () => {
      await pool.use(() => {});
      await pool.use((connection) => expect(connection).not.toBe(inner?.resource));
      inner?.release();
    });
    expect(inner).toBeDefined();
  });

  it('lends a resource whose onDead throws, and reports that', async () => {
    const reported: unknown[] = [];
    const onDead = () => {
      throw new Error('cannot listen');
    };
    await withRoot(() => poolOf(new Server(), { onDead }).use(() => {}), { onSuppressed: (error) => void reported.push(error) });
    expect(reported).toMatchObject([{ message: 'cannot listen' }]);
  });
});

describe('what a definition says of its resources', () => {
  const alwaysStale = { max: 1, validateAfterIdleMs: 0 };

  it('ends a resource by its own dispose method where there is no destroy', async () => {
    const disposed: string[] = [];
    const make = () => ({
      id: 1,
      isOpen: true,
      die: () => {},
      [Symbol.asyncDispose]: async () => void disposed.push('async'),
      [Symbol.dispose]: () => void disposed.push('sync'),
    });
    const pool = poolOf(new Server(), { create: make, destroy: undefined, onDead: undefined });
    await withRoot(() => pool.use(() => {}));
    expect(disposed).toEqual(['async']);
  });

  it('validates what was idle, not what is handed on', async () => {
    let asked = 0;
    const pool = poolOf(new Server(), { ...alwaysStale, validate: () => void asked++ });
    await withRoot(async () => {
      const held = await pool.acquire();
      const next = pool.acquire();
      held.release();
      (await next).release();
      expect(asked).toBe(0);
      await pool.use(() => {});
      expect(asked).toBe(1);
    });
  });

  it('does not validate what was idle for less than validateAfterIdleMs', async () => {
    const validate = () => false;
    const pool = poolOf(new Server(), { max: 1, validate, validateAfterIdleMs: 60_000 });
    await withRoot(async () => {
      await pool.use(() => {});
      await pool.use((connection) => expect(connection.id).toBe(1));
    });
  });

  it.each([
    ['is false', () => false],
    [
      'throws',
      () => {
        throw new Error('odd');
      },
    ],
  ])('replaces a connection whose isUsable %s', async (_, answer) => {
    const server = new Server();
    let broken = false;
    const pool = poolOf(server, { max: 1, isUsable: (connection) => !(broken && connection.id === 1) || answer() });
    await withRoot(async () => {
      await pool.use(() => {});
      broken = true;
      await pool.use((connection) => expect(connection.id).toBe(2));
      expect(pool.stats().closedBy.dead).toBe(1);
    });
  });

  it.each([
    ['is false', () => false],
    [
      'throws',
      () => {
        throw new Error('odd');
      },
    ],
  ])('replaces a connection whose reset %s, after exclusive leases alone', async (_, reset) => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, maxSharers: 2, reset });
    await withRoot(async () => {
      await pool.share(() => {});
      await pool.share((connection) => expect(connection.id).toBe(1));
      await pool.use((connection) => expect(connection.id).toBe(1));
      await pool.use((connection) => expect(connection.id).toBe(2));
      await until(() => pool.stats().closedBy.destroyed === 2);
    });
  });

  it('opens min connections once it is used, and fills up again', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 5, min: 3 });
    await withRoot(async () => {
      await pool.use(() => {});
      await until(() => pool.stats().idle === 3);
      for (const connection of [...server.made]) connection.die();
      await until(() => server.made.length === 6 && pool.stats().idle === 3);
    });
  });

  it('closes a connection at maxLifetimeMs, never while it is held, and also one that is never idle', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, maxSharers: 2, maxLifetimeMs: 15 });
    await withRoot(async () => {
      // Always one sharer on it: the next comes before the last has left.
      let lease = await pool.acquireShared();
      const first = lease.resource;
      await until(async () => {
        if (pool.stats().pending > 0) return true;
        const next = pool.acquireShared();
        await turns(1);
        if (pool.stats().pending > 0) {
          expect(first.isOpen).toBe(true);
          lease.release();
          lease = await next;
          return true;
        }
        lease.release();
        lease = await next;
        return false;
      });
      expect(lease.resource).not.toBe(first);
      expect(first.isOpen).toBe(false);
      lease.release();
      await until(() => pool.stats().closedBy.lifetime >= 2);
    });
  });

  it('keeps no timer that would keep the process alive for idle connections', async () => {
    const pool = poolOf(new Server(), { idleTimeoutMs: 60_000 });
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    await withRoot(async () => {
      const before = timers();
      await pool.use(() => {});
      expect(pool.stats().idle).toBe(1);
      expect(timers()).toBe(before);
    });
  });

  it('keeps no timer for waiters once nobody waits', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    await withRoot(async () => {
      await pool.use(() => {});
      const before = timers();
      const held = await pool.acquire();
      const waiting = [pool.acquire(), pool.acquire()];
      expect(timers()).toBe(before + 1);
      held.release();
      for (const lease of waiting) (await lease).release();
      expect(timers()).toBe(before);
    });
  });
});
