import { describe, expect, it } from 'vitest';
import { type Lease, Scope, withRoot, withScope } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { type Connection, poolOf, Server, turns } from './support.ts';

describe('pool.close()', () => {
  it('refuses what waits and what comes, waits for holders, and closes everything', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2, maxSharers: 4 });
    await withRoot(async () => {
      const exclusive = await pool.acquire();
      const sharer = await pool.acquireShared();
      const waiting = Promise.allSettled([pool.acquire(), pool.acquire()]);
      const closing = pool.close({ graceMs: Number.POSITIVE_INFINITY });
      expect(await waiting).toMatchObject([{ reason: { code: 'ERR_POOL_CLOSED' } }, { reason: { code: 'ERR_POOL_CLOSED' } }]);
      await expect(pool.use(() => {})).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
      expect(server.open).toBe(2);
      exclusive.release();
      expect(sharer.resource.isOpen).toBe(true);
      sharer.release();
      await closing;
      expect(server.open).toBe(0);
      await expect(pool.acquireShared()).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
    });
  });

  it('refuses every waiter, also the one that would get what another one leaves', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 4 });
    await withRoot(async () => {
      const sharer = await pool.acquireShared();
      const waiting = Promise.allSettled([pool.acquire(), pool.acquireShared()]);
      await turns();
      const closing = pool.close({ graceMs: Number.POSITIVE_INFINITY });
      expect(await waiting).toMatchObject([{ reason: { code: 'ERR_POOL_CLOSED' } }, { reason: { code: 'ERR_POOL_CLOSED' } }]);
      sharer.release();
      await closing;
    });
  });

  it('is hurried by a later close with graceMs 0, and by the end of its root', async () => {
    const server = new Server();
    const pool = poolOf(server);
    await withRoot(async () => {
      const lease = await pool.acquire();
      const closing = pool.close({ graceMs: Number.POSITIVE_INFINITY });
      await pool.close({ graceMs: 0 });
      await closing;
      expect(lease.ended).toBe(true);
      lease.release();
    });
    await withRoot(
      async () => {
        await pool.acquire();
        void pool.close({ graceMs: Number.POSITIVE_INFINITY });
      },
      { onSuppressed: () => {} },
    );
    expect(server.open).toBe(0);
  });

  it('ends while a connection is being created: its signal aborts, nothing stays open', async () => {
    const server = new Server();
    let reason: unknown;
    server.onCreate = (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason;
          reject(signal.reason);
        });
      });
    const pool = poolOf(server);
    await withRoot(async () => {
      const waiting = pool.acquire().catch((error: unknown) => error);
      await until(() => server.attempts === 1);
      await pool.close();
      expect(reason).toMatchObject({ code: 'ERR_POOL_CLOSED' });
      expect(await waiting).toMatchObject({ code: 'ERR_POOL_CLOSED' });
    });
    expect(server.open).toBe(0);
  });

  it('begins no creation that was only asked for', async () => {
    const server = new Server();
    const pool = poolOf(server);
    await withRoot(async () => {
      const waiting = pool.acquire().catch(() => {});
      await pool.close();
      await waiting;
    });
    expect(server.attempts).toBe(0);
  });

  it('gives every caller the same end', async () => {
    const server = new Server();
    const pool = poolOf(server);
    await withRoot(async () => {
      await pool.use(() => {});
      await Promise.all([pool.close(), pool.close()]);
      await pool.close();
      expect(server.open).toBe(0);
    });
  });

  it('opens again in a new root', async () => {
    const server = new Server();
    const pool = poolOf(server);
    await withRoot(() => pool.close());
    await withRoot(() => pool.use(() => {}));
    expect(server.made).toHaveLength(1);
  });

  it('needs a scope', async () => {
    await expect(poolOf(new Server()).close()).rejects.toMatchObject({ code: 'ERR_NO_SCOPE' });
  });
});

describe('the end of a root scope', () => {
  it('closes every connection that was opened in it, when it ends and not before', async () => {
    const server = new Server();
    const pool = poolOf(server);
    const root = new Scope({ parent: null });
    await root.run(() => withScope(() => pool.use(() => {})));
    expect(server.open).toBe(1);
    await root.close();
    expect(server.open).toBe(0);
    expect(() => root.run(() => pool.use(() => {}))).toThrow(expect.objectContaining({ code: 'ERR_SCOPE_CLOSED' }));
  });

  it('waits for a slow destroy', async () => {
    const server = new Server();
    server.onDestroy = () => turns(10);
    const closed: number[] = [];
    const destroy = async (connection: Connection) => {
      await server.destroy(connection);
      closed.push(connection.id);
    };
    await withRoot(() => poolOf(server, { destroy }).use(() => {}));
    expect(closed).toEqual([1]);
  });
});

describe('Rule 8 of a scope: what is still held when the scope has ended', () => {
  const reports: unknown[] = [];
  const onSuppressed = (error: unknown) => void reports.push(error);

  it('destroys the connection of an exclusive lease and reports it with the stack that acquired it', async () => {
    const server = new Server();
    const pool = poolOf(server);
    reports.length = 0;
    await withRoot(async () => {
      let leaked: Lease<Connection> | undefined;
      await withScope(
        async () => {
          leaked = await pool.acquire();
        },
        { name: 'job', onSuppressed },
      );
      expect(reports).toMatchObject([{ code: 'ERR_LEASE_LEAKED', holder: { scope: 'job', exclusive: true } }]);
      expect((reports[0] as Error).message).toContain('closing.test.ts');
      expect(((reports[0] as Error).cause as Error).stack).toContain('closing.test.ts');
      expect(leaked?.ended).toBe(true);
      await until(() => server.open === 0);
      leaked?.release();
      await pool.use(() => {});
      expect(pool.stats()).toMatchObject({ leaked: 1, closedBy: { leaked: 1 }, open: 1 });
    });
  });

  it('takes no new sharers on the connection of a shared lease, and closes it when the last other holder has left', async () => {
    const server = new Server();
    const pool = poolOf(server, { maxSharers: Number.POSITIVE_INFINITY });
    reports.length = 0;
    await withRoot(async () => {
      const other = await pool.acquireShared();
      const { resource } = other;
      await withScope(() => pool.acquireShared(), { name: 'job', onSuppressed });
      expect(reports).toMatchObject([{ code: 'ERR_LEASE_LEAKED', holder: { exclusive: false } }]);
      await turns();
      expect(resource.isOpen).toBe(true);
      expect(other.ended).toBe(false);
      await pool.share((connection) => expect(connection).not.toBe(resource));
      other.release();
      await until(() => !resource.isOpen);
    });
  });

  it('rejects what waits when its scope is cancelled', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async (root) => {
      const held = await pool.acquire();
      const child = new Scope({ parent: root, name: 'job' });
      const waiting = child.run(() => pool.acquire()).catch((error: unknown) => error);
      await turns();
      child.cancel();
      expect(await waiting).toMatchObject({ code: 'ERR_SCOPE_CANCELLED' });
      expect(pool.stats().pending).toBe(0);
      await child.close();
      held.release();
    });
  });

  it('rejects what waits when its scope has closed', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      let waiting: Promise<unknown> | undefined;
      await withScope(() => {
        waiting = pool.acquire().catch((error: unknown) => error);
      });
      expect(await waiting).toMatchObject({ code: expect.stringMatching(/^ERR_SCOPE_(CLOSED|CANCELLED)$/) });
      expect(pool.stats().pending).toBe(0);
      held.release();
    });
  });

  it('samples every lease once a leak was seen', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      for (let lease = 0; lease < 150; lease++) await pool.use(() => {});
      await withScope(() => pool.acquire(), { onSuppressed: () => {} });
      await withScope(() => pool.acquire(), { onSuppressed });
      expect((reports.at(-1) as Error).message).toContain('closing.test.ts');
    });
  });
});

describe('Rule 9 of a scope: outside any scope', () => {
  it('every way to a lease throws ERR_NO_SCOPE with the ways to fix it', async () => {
    const server = new Server();
    const pool = poolOf(server);
    const ways = [pool.use(() => {}), pool.share(() => {}), pool.acquire(), pool.acquireShared()];
    for (const way of ways)
      await expect(way).rejects.toMatchObject({ code: 'ERR_NO_SCOPE', message: expect.stringContaining('withRoot()') });
    expect(server.attempts).toBe(0);
  });

  it('stats() throws it, too', () => {
    expect(() => poolOf(new Server()).stats()).toThrow(expect.objectContaining({ code: 'ERR_NO_SCOPE' }));
  });
});

describe('limits', () => {
  it('replace max, each root its own', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 10, min: 3 });
    const fill = () => Promise.all(Array.from({ length: 12 }, () => pool.use(() => turns(1))));
    await withRoot(
      async () => {
        await fill();
        expect(pool.stats()).toMatchObject({ max: 2, created: 2 });
      },
      { limits: { [pool.name]: 2 } },
    );
    await withRoot(
      async () => {
        await fill();
        expect(pool.stats()).toMatchObject({ max: 5, created: 5 });
      },
      { limits: { [pool.name]: { max: 5 } } },
    );
    await withRoot(() => expect(pool.stats().max).toBe(10));
  });

  it('give an isolated scope a pool of its own, closed with it', async () => {
    const server = new Server();
    const pool = poolOf(server);
    await withRoot(async () => {
      await pool.use((outer) =>
        withScope(
          async () => {
            await pool.use((inner) => expect(inner).not.toBe(outer));
            expect(pool.stats().max).toBe(1);
          },
          { isolate: true, limits: { [pool.name]: 1 } },
        ),
      );
      expect(server.open).toBe(1);
      expect(pool.stats()).toMatchObject({ max: 10, created: 1 });
    });
  });
});
