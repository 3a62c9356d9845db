import { describe, expect, it } from 'vitest';
import { withRoot, withScope } from '../../src/index.ts';
import { type Connection, gate, poolOf, Server, turns } from './support.ts';

describe('maxWaiters', () => {
  const none = { max: 1, maxWaiters: 0, maxSharers: 4, validate: () => true, validateAfterIdleMs: 0 };

  it('lets in at 0 for whom an idle connection is checked: nobody holds it', async () => {
    const pool = poolOf(new Server(), none);
    await withRoot(async () => {
      await pool.use(() => {});
      await expect(pool.use(() => 'served')).resolves.toBe('served');
      await expect(pool.share(() => 'served')).resolves.toBe('served');
      const held = await pool.acquire();
      await expect(pool.use(() => {})).rejects.toMatchObject({ code: 'ERR_POOL_TOO_MANY_WAITERS' });
      held.release();
    });
  });

  it('lets in at 0 for whom a connection is closed to make room: nobody holds it', async () => {
    const server = new Server();
    const closing = gate();
    server.onDestroy = () => closing.promise;
    const pool = poolOf(server, { ...none, max: 2 });
    await withRoot(async () => {
      const [gone, held] = [await pool.acquire(), await pool.acquire()];
      gone.destroy();
      const next = pool.acquire();
      await expect(pool.acquire()).rejects.toMatchObject({ code: 'ERR_POOL_TOO_MANY_WAITERS' });
      closing.open();
      (await next).release();
      held.release();
    });
  });

  it('lets in at 0 as many sharers and such as want one alone as fit on what can be opened, and no more', async () => {
    const pool = poolOf(new Server(), { ...none, max: 3 });
    await withRoot(async () => {
      const all: Promise<Connection>[] = [];
      const served = (connection: Connection) => turns(1).then(() => connection);
      for (let sharer = 0; sharer < 8; sharer++) all.push(pool.share(served));
      all.push(pool.use(served));
      const full = { code: 'ERR_POOL_TOO_MANY_WAITERS', facts: { pending: 9 } };
      await expect(pool.use(() => {})).rejects.toMatchObject(full);
      await expect(withScope(() => pool.share(() => {}))).rejects.toMatchObject(full);
      await Promise.all(all);
    });
  });
});

describe('a waiter that goes', () => {
  it('leaves what the code around it holds to be drained for others, at once', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 4, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const [controller, end] = [new AbortController(), gate()];
      const refused = gate();
      const around = pool.share(async () => {
        await expect(pool.acquire({ signal: controller.signal })).rejects.toMatchObject({ code: 'ERR_ACQUIRE_ABORTED' });
        refused.open();
        await end.promise;
      });
      const sharer = await pool.acquireShared();
      const alone = pool.acquire();
      controller.abort();
      await refused.promise;
      // Now it drains, and takes nobody else.
      expect(pool.inspect().connections).toMatchObject([{ state: 'reserved', holders: 2 }]);
      end.open();
      sharer.release();
      await around;
      (await alone).release();
    });
  });
});
