import { describe, expect, it } from 'vitest';
import { currentScope, type Pool, withRoot, withScope } from '../../src/index.ts';
import type { Lease } from '../../src/pool/lease.ts';
import { until } from '../support/until.ts';
import { type Connection, gate, poolOf, Server, turns } from './support.ts';

/** A deadlock is one when it has stood for 100 ms; here nothing is one, for longer than twice that. */
async function forLong(): Promise<void> {
  const end = performance.now() + 250;
  await until(() => performance.now() >= end);
}

function poolOfOne(server = new Server()): Pool<Connection> {
  return poolOf(server, { max: 1, acquireTimeoutMs: 60_000 });
}

describe('no deadlock', () => {
  it('is it when many use two pools in the same order', async () => {
    const [a, b] = [poolOf(new Server(), { max: 3 }), poolOf(new Server(), { max: 2 })];
    await withRoot(async () => {
      const loop = async () => {
        for (let round = 0; round < 4; round++) await a.use(() => b.use(() => turns(1)));
      };
      await Promise.all(Array.from({ length: 50 }, loop));
      expect(b.stats().acquired).toBe(200);
    });
  });

  it('is it when all wait for a pool that is merely busy', async () => {
    const [a, b] = [poolOfOne(), poolOfOne()];
    await withRoot(async () => {
      const busy = await b.acquire();
      const users = Array.from({ length: 5 }, () => a.use(() => b.use(() => 'served')));
      await until(() => b.stats().pending === 1);
      await forLong();
      busy.release();
      expect(await Promise.all(users)).toEqual(users.map(() => 'served'));
    });
  });

  it('is it where one waits for who holds all, and of those one waits for a pool that is merely busy', async () => {
    const [a, b] = [poolOf(new Server(), { max: 2, acquireTimeoutMs: 60_000 }), poolOfOne()];
    await withRoot(async () => {
      const busy = await b.acquire();
      const first = a.use(() => b.use(() => 'first'));
      const second = a.use(() => a.use(() => 'second'));
      await until(() => a.stats().pending + b.stats().pending === 2);
      await forLong();
      busy.release();
      expect(await Promise.all([first, second])).toEqual(['first', 'second']);
    });
  });

  it('is it while another branch of the same code gives back later', async () => {
    const [a, b] = [poolOfOne(), poolOfOne()];
    await withRoot(async () => {
      const first = gate();
      const both = a.use(() => Promise.all([b.use(() => first.promise), b.use(() => 'second')]));
      await until(() => b.stats().pending === 1);
      await forLong();
      first.open();
      expect(await both).toEqual([undefined, 'second']);
    });
  });

  it('is it while a connection is created, checked or closed', async () => {
    const [server, created, closed] = [new Server(), gate(), gate()];
    server.onCreate = () => (server.attempts === 1 ? undefined : created.promise);
    server.onDestroy = () => closed.promise;
    const [a, b] = [poolOfOne(), poolOfOne(server)];
    await withRoot(async () => {
      (await b.acquire()).destroy();
      const users = [a.use(() => b.use(() => a.name)), a.use(() => b.use(() => b.name))];
      await forLong();
      closed.open();
      await until(() => server.attempts === 2);
      await forLong();
      created.open();
      expect(await Promise.all(users)).toEqual([a.name, b.name]);
    });
  });

  it('is it when the code that held has ended before who waits in it', async () => {
    const [a, b] = [poolOfOne(), poolOfOne()];
    await withRoot(async () => {
      const held = await b.acquire();
      const waiting: Promise<unknown>[] = [];
      await a.use(() => void waiting.push(b.use(() => 'late')));
      // The connection it was begun in is lent on, to who waits for the same.
      const next = a.use(() => b.use(() => 'next'));
      await until(() => b.stats().pending === 2);
      await forLong();
      expect(a.inspect().connections).toMatchObject([{ leases: [{ waitsFor: [{ pool: b.name }] }] }]);
      held.release();
      expect(await Promise.all([...waiting, next])).toEqual(['late', 'next']);
    });
  });

  it('is it when a task of the scope waits, which the code that holds does not await', async () => {
    const a = poolOfOne();
    await withRoot(async () => {
      const [scope, goOn] = [currentScope(), gate()];
      const tasks: Promise<string>[] = [];
      const around = a.use(() => {
        tasks.push(scope.spawn(() => a.use(() => 'task')));
        return goOn.promise;
      });
      await until(() => a.stats().pending === 1);
      await forLong();
      goOn.open();
      await around;
      expect(await Promise.all(tasks)).toEqual(['task']);
    });
  });

  it('is left by a waiter that its scope ends: nothing waits inside any more', async () => {
    const [a, b] = [poolOfOne(), poolOfOne()];
    await withRoot(async () => {
      const held = await b.acquire();
      await a.use(async () => {
        const cancelled = withScope(async (scope) => {
          const waiting = b.acquire();
          scope.cancel(new Error('enough'));
          await waiting;
        });
        await expect(cancelled).rejects.toThrow();
        expect(a.inspect().connections).toMatchObject([{ leases: [{ waitsFor: [] }] }]);
      });
      held.release();
    });
  });

  it('but one it is when a command of the library waits in code that holds all', async () => {
    const pool = poolOfOne() as Pool<Connection> & { lend(exclusive: boolean, kind: string): Promise<Lease<Connection>> };
    await withRoot(async () => {
      const inside = pool.use(() => pool.lend(false, 'library'));
      await expect(inside).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK', facts: { exclusive: false } });
      expect(pool.stats()).toMatchObject({ pending: 0, inUse: 0 });
    });
  });
});
