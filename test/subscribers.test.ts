import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { withRoot, withScope } from '../src/index.ts';
import { expectNoLeaks } from '../src/testing/index.ts';
import { type Connection, poolOf, Server, turns } from './pool/support.ts';
import { channelsOf, listen, NAMES, type Published, provokeAll, published, uncaught } from './support/events.ts';
import { until } from './support/until.ts';

describe('While nobody listens', () => {
  it('nothing is published, and no message is made', async () => {
    const publishers = NAMES.flatMap((name) => channelsOf(name).map(([, channel]) => vi.spyOn(channel, 'publish')));
    onTestFinished(() => void vi.restoreAllMocks());
    await provokeAll();
    for (const publish of publishers) expect(publish).not.toHaveBeenCalled();
  });

  it('somebody who comes in the middle hears nothing of what has begun', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    const heard: Published[] = [];
    await withRoot(async () => {
      const held = await pool.acquire();
      const waiting = pool.acquire();
      heard.push(...(await new Promise<Published[]>((resolve) => resolve(published('acquire', 'lease', 'scope')))));
      held.release();
      (await waiting).destroy();
    });
    expect(heard).toEqual([]);
  });
});

describe('A subscriber', () => {
  it('that throws disturbs neither pools nor scopes; node reports each error as uncaught', async () => {
    const errors = uncaught('uncaughtException');
    const events: string[] = [];
    for (const name of NAMES) {
      listen(name, (_, event) => {
        events.push(event);
        throw new Error(event);
      });
    }
    await provokeAll();
    await turns();
    await expectNoLeaks();
    expect(events.length).toBeGreaterThan(30);
    expect(errors.map((error) => (error as Error).message)).toEqual(events);
  });

  it('may use the pool, whatever it is told', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1 });
    const leases: string[] = [];
    await withRoot(async (root) => {
      for (const name of ['lease', 'connectionReady'] as const) {
        listen(name, (_, event) => {
          if (leases.length >= 20) return;
          leases.push(event);
          root.run(() => pool.tryAcquire())?.release();
          root.spawn(() => pool.use(() => {}));
        });
      }
      await Promise.all(Array.from({ length: 3 }, () => pool.use(() => turns(1))));
    });
    expect(leases).toHaveLength(20);
    expect(server).toMatchObject({ open: 0, peak: 1 });
  });

  it('may close the pool when it is told of a new connection: that one, too, is closed, and not after a grace', async () => {
    const server = new Server();
    const pool = poolOf(server);
    await withRoot(async (root) => {
      const closed: Promise<void>[] = [];
      listen('connectionReady', () => void closed.push(root.run(() => pool.close({ graceMs: 60_000 }))));
      await expect(pool.acquire()).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
      await Promise.all(closed);
      expect(server).toMatchObject({ open: 0, attempts: 1 });
    });
  });

  it('that comes and goes while a lease is held gets no half of it later', async () => {
    const pool = poolOf(new Server());
    await withRoot(async () => {
      const lease = await pool.acquire();
      const all = published('lease');
      lease.release();
      expect(all).toEqual([]);
    });
  });
});

describe('Messages', () => {
  it('hold no resource and nothing that it knows, and are plain data but for an error', async () => {
    const server = new Server();
    const { create } = server;
    const known = Object.assign(server, {
      create: async (context: { signal: AbortSignal }): Promise<Connection> =>
        Object.assign(await create(context), { password: 'hunter2' }),
    });
    const all = published(...NAMES);
    await provokeAll(known);
    expect(known.last).toHaveProperty('password');
    expect(inspect(all, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true })).not.toContain('hunter2');
    for (const { said } of all) {
      const { error, ...data } = said;
      expect(structuredClone(data)).toEqual(data);
    }
  });

  it('keep no AsyncLocalStorage store of the job in which something happened', async () => {
    const store = new AsyncLocalStorage<object>();
    const server = new Server();
    const pool = poolOf(server, { leakAfterMs: 5 });
    // An error holds on to what its stack went through, as every error does.
    const all = published(...NAMES.filter((name) => name !== 'error'));
    const refs: WeakRef<object>[] = [];
    await withRoot(
      async () => {
        const job = async () => {
          const own = { of: 'the job' };
          refs.push(new WeakRef(own));
          await store.run(own, () =>
            withScope(async () => {
              await pool.use(() => until(() => pool.stats().overdue === refs.length));
              (await pool.acquire()).destroy();
              void (await pool.acquire());
            }),
          );
        };
        await job();
        await job();
        while (refs.some((ref) => ref.deref())) {
          await turn();
          global.gc?.();
        }
        expect(all.length).toBeGreaterThan(20);
      },
      { onSuppressed: () => {} },
    );
  });
});
