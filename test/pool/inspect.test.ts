import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { NoScopeError, withRoot, withScope } from '../../src/index.ts';
import type { Lease } from '../../src/pool/lease.ts';
import { Pool } from '../../src/pool/pool.ts';
import { until } from '../support/until.ts';
import { gate, poolName, poolOf, Server, turns } from './support.ts';

const time = expect.any(Number);
const here = expect.stringMatching(/inspect\.test\.ts:\d+:\d+$/);
const stack = expect.arrayContaining([expect.stringMatching(/inspect\.test\.ts:\d+:\d+\)?$/)]);

describe('inspect', () => {
  it('needs a scope', () => {
    expect(() => poolOf(new Server()).inspect()).toThrow(NoScopeError);
  });

  it('says of a pool that nobody has used that it is empty, with the limit of its root, and opens nothing', async () => {
    const server = new Server();
    const pool = poolOf(server, { min: 1 });
    await withRoot(
      async () => {
        const inspection = pool.inspect();
        expect(inspection).toEqual({ pool: pool.name, scope: 'root', stats: pool.stats(), connections: [], waiters: [] });
        expect(inspection.stats.max).toBe(3);
        await pool.use(() => {});
        // One that was used has the same members.
        expect(Object.keys(pool.inspect().stats).sort()).toEqual(Object.keys(inspection.stats).sort());
        expect(Object.keys(pool.inspect().stats.closedBy)).toEqual(Object.keys(inspection.stats.closedBy));
      },
      { name: 'root', limits: { [pool.name]: 3 } },
    );
    await withRoot(async () => {
      pool.inspect();
      pool.stats();
      await turns();
    });
    expect(server.attempts).toBe(1);
  });

  it('names who holds what, since when and since which line', async () => {
    const pool = poolOf(new Server(), { max: 3, maxSharers: 2 });
    await withRoot(
      async () => {
        const exclusive = await pool.acquire();
        const sharers = await withScope(
          async () => {
            const leases = [await pool.acquireShared(), await pool.acquireShared()];
            const { connections } = pool.inspect();
            for (const lease of leases) lease.release();
            return connections;
          },
          { name: 'job' },
        );
        const holder = { pool: pool.name, heldMs: time, site: here, waitsFor: [], stack };
        const connection = { ageMs: time, idleMs: 0 };
        expect(sharers).toEqual([
          { ...connection, state: 'exclusive', uses: 1, holders: 1, leases: [{ ...holder, scope: 'root', exclusive: true }] },
          {
            ...connection,
            ...{ state: 'shared', uses: 2, holders: 2 },
            leases: [
              { ...holder, scope: 'job', exclusive: false },
              { ...holder, scope: 'job', exclusive: false },
            ],
          },
        ]);
        exclusive.release();
      },
      { name: 'root' },
    );
  });

  it('names who waits, by priority, and what holders wait for', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(
      async () => {
        await pool.use(() => {});
        const done = gate();
        const outer = pool.use(async () => {
          const nested = pool.acquire({ acquireTimeoutMs: 50 }).catch((error: { code: string }) => error.code);
          await done.promise;
          return nested;
        });
        const others = (['low', 'normal', 'high'] as const).map((priority) =>
          withScope(() => pool.use(() => {}, { priority }), { name: priority }),
        );
        const { connections, waiters } = pool.inspect();
        expect(waiters).toEqual(
          ['nested', 'high', 'normal', 'low'].map((priority) => ({
            ...{ pool: pool.name, priority, scope: priority === 'nested' ? 'root' : priority },
            ...{ exclusive: true, waitedMs: time, site: here, stack },
          })),
        );
        expect(connections[0]?.leases[0]?.waitsFor).toEqual([{ pool: pool.name, exclusive: true, waitedMs: time, site: here }]);
        done.open();
        expect(await outer).toMatch(/^ERR_POOL_(DEADLOCK|ACQUIRE_TIMEOUT)$/);
        await Promise.all(others);
        expect(pool.inspect()).toMatchObject({ scope: 'root', waiters: [], connections: [{ state: 'idle', holders: 0, leases: [] }] });
      },
      { name: 'root' },
    );
  });

  it('reads a stack when its line is asked for, not for the tree that it is in', async () => {
    const pool = poolOf(new Server());
    await withRoot(async (root) => {
      const lease = (await pool.acquire()) as Lease<unknown>;
      let reads = 0;
      const stack = () => {
        reads++;
        return 'Error: here\n    at /app/jobs.ts:7:3';
      };
      Object.defineProperty(lease.sample, 'stack', { get: stack });
      const { children } = root.tree();
      expect(reads).toBe(0);
      expect([children[0]?.site, reads]).toEqual(['/app/jobs.ts:7:3', 1]);
      lease.release();
    });
  });

  it('counts commands of the library as holders, without naming them', async () => {
    class CommandPool extends Pool<unknown> {
      command() {
        return this.lend(false, 'library');
      }
    }
    const pool = new CommandPool(poolName(), { create: new Server().create, maxSharers: 9 });
    await withRoot(async () => {
      const lease = await pool.acquireShared();
      const command = await pool.command();
      expect(pool.inspect().connections).toMatchObject([{ state: 'shared', uses: 2, holders: 2, leases: [{ exclusive: false }] }]);
      command.release();
      lease.release();
    });
  });

  it('shows a connection in every state, how old it is and how long idle, which is never longer', async () => {
    const server = new Server();
    const checking = gate();
    const closing = gate();
    const pool = poolOf(server, { max: 1, maxUses: 3, validateAfterIdleMs: 0, validate: () => checking.promise });
    const states = () => pool.inspect().connections.map(({ state }) => state);
    await withRoot(async () => {
      const creating = gate();
      server.onCreate = () => creating.promise;
      const first = pool.acquire();
      await turns();
      expect(pool.inspect()).toMatchObject({ connections: [], stats: { open: 1, creating: 1 } });
      creating.open();
      (await first).release();
      await until(() => (pool.inspect().connections[0]?.idleMs ?? 0) > 0);
      const [idle] = pool.inspect().connections;
      expect(idle).toMatchObject({ state: 'idle', uses: 1, holders: 0, leases: [] });
      expect(idle?.ageMs).toBeGreaterThanOrEqual(idle?.idleMs ?? Number.POSITIVE_INFINITY);
      const second = pool.acquire();
      expect(states()).toEqual(['checking']);
      checking.open();
      const held = await second;
      expect(pool.inspect().connections).toMatchObject([{ state: 'exclusive', idleMs: 0, uses: 2 }]);
      held.release();
      const last = await pool.acquire();
      expect(states()).toEqual(['retiring']);
      server.onDestroy = () => closing.promise;
      last.release();
      expect(states()).toEqual(['closing']);
      closing.open();
      await until(() => states().length === 0);
    });
  });

  it('is plain data, of that moment, without the resources', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      Object.assign(held.resource, { password: 'hunter2' });
      const waiting = pool.acquire();
      const inspection = pool.inspect();
      const copy = structuredClone(inspection);
      held.release();
      (await waiting).release();
      expect(inspection).toEqual(copy);
      expect(inspect(inspection, { depth: Number.POSITIVE_INFINITY, showHidden: true })).not.toContain('hunter2');
    });
  });
});
