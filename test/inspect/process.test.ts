import { afterEach, describe, expect, it, vi } from 'vitest';
import { shared, VERSION } from '../../src/context.ts';
import { definePool, Scope, type TreeNode, withRoot, withScope } from '../../src/index.ts';
import { inspectProcess, type PoolReport, type RootInspection } from '../../src/inspect/index.ts';
import { poolName, poolOf, Server } from '../pool/support.ts';

const rootOf = (name: string): RootInspection => {
  const root = inspectProcess().roots.find(({ tree }) => tree.name === name);
  if (!root) throw new Error(`no root ${name}`);
  return root;
};
const onlyPool = (name: string): PoolReport => rootOf(name).pools[0] as PoolReport;

afterEach(() => {
  vi.useRealTimers();
  clearTimeout(shared.look);
  shared.look = undefined;
});

describe('inspectProcess', () => {
  it('says who it is, and nothing of scopes that are closed', async () => {
    await withRoot(() => {}, { name: 'gone' });
    const { roots, openings: _, leaks: __, ...process_ } = inspectProcess();
    expect(process_).toEqual({
      ...{
        format: 1,
        version: VERSION,
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        pid: process.pid,
        thread: expect.any(Number),
        script: process.argv[1],
      },
      uptimeMs: expect.any(Number),
    });
    expect(roots.filter(({ tree }) => tree.name === 'gone')).toEqual([]);
  });

  it('gives the tree of every root, and of every pool what inspect() and health() say', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(
      async (root) => {
        const lease = await pool.acquire();
        const waiting = pool.acquire();
        const { tree, pools } = rootOf('app');
        expect(tree).toMatchObject({
          ...root.tree(),
          ageMs: expect.any(Number),
          children: [{ kind: 'lease' }, { kind: 'waiter' }],
        });
        const { connections, waiters, ...rest } = pool.inspect();
        expect(pools).toMatchObject([{ ...rest, health: { state: 'up', open: 1 } }]);
        expect(pools[0]?.connections).toMatchObject([{ state: 'exclusive', leases: [{ site: connections[0]?.leases[0]?.site }] }]);
        expect(pools[0]?.waiters).toMatchObject([{ site: waiters[0]?.site, priority: 'normal' }]);
        expect(JSON.parse(JSON.stringify(pools))).toMatchObject([{ pool: pool.name }]);
        lease.release();
        (await waiting).release();
      },
      { name: 'app' },
    );
  });

  it('finds the pools of isolated scopes, wherever they are opened', async () => {
    const pool = poolOf(new Server());
    await withRoot(
      async (root) => {
        await root.open(async (inner) => {
          const isolated = new Scope({ parent: inner, isolate: true, name: 'plugin' });
          await isolated.run(() => pool.use(() => {}));
        });
        expect(rootOf('app').pools).toMatchObject([{ pool: pool.name, scope: 'plugin', stats: { idle: 1 } }]);
      },
      { name: 'app' },
    );
  });

  it('keeps what it tells small, and counts all', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 200 });
    await withRoot(
      async (root) => {
        const children = Array.from({ length: 130 }, (_, place) => new Scope({ parent: root, name: `child ${place}` }));
        const grandchildren = Array.from({ length: 101 }, () => new Scope({ parent: children[0] as Scope }));
        inspectProcess();
        const old = await Promise.all(Array.from({ length: 100 }, () => pool.acquireShared()));
        await new Promise((resolve) => setTimeout(resolve, 20));
        const young = await Promise.all(Array.from({ length: 21 }, () => pool.acquireShared()));
        // The youngest takes its place.
        old.shift()?.release();
        const sharers = [...old, ...young];
        const waiting = Array.from({ length: 110 }, () => withScope(() => pool.use(() => {})));
        const { tree, pools } = rootOf('app');
        expect(tree).toMatchObject({ children: { length: 100 }, more: 130 + 110 + 120 - 100 });
        expect(tree.children[0]).toMatchObject({ name: 'child 0', children: { length: 100 }, more: 1 });
        expect(pools).toMatchObject([
          { connections: [{ holders: 120, leases: { length: 100 } }], waiters: { length: 100 }, stats: { pending: 110 } },
        ]);
        const sites = pools[0]?.connections[0]?.leases.map(({ site }) => site) ?? [];
        // Half of them the oldest, half the newest: of 99 and 21.
        expect(sites.filter((site) => site === sites[0])).toHaveLength(50 + 29);
        expect(new Set(sites.slice(-21))).toHaveProperty('size', 1);
        for (const lease of sharers) lease.release();
        await Promise.all(waiting);
        for (const scope of [...grandchildren, ...children]) await scope.close();
      },
      { name: 'app' },
    );
  });

  it('tells of so many scopes and connections together, however many there are', async () => {
    const pool = poolOf(new Server(), { max: 1_100 });
    await withRoot(
      async (root) => {
        const children = Array.from({ length: 60 }, () => new Scope({ parent: root }));
        const grandchildren = children.flatMap((parent) => Array.from({ length: 100 }, () => new Scope({ parent })));
        const leases = await Promise.all(Array.from({ length: 1_050 }, () => pool.acquire()));
        const { tree, pools } = rootOf('app');
        const nodesBelow = (node: TreeNode): number => node.children.reduce((sum, child) => sum + 1 + nodesBelow(child), 0);
        const leftOut = (node: TreeNode): number => node.children.reduce((sum, child) => sum + leftOut(child), node.more ?? 0);
        expect([nodesBelow(tree), leftOut(tree)]).toEqual([5_000, 60 * 101 + 1_050 - 5_000]);
        expect(pools).toMatchObject([{ connections: { length: 1_000 }, stats: { inUse: 1_050 } }]);
        for (const lease of leases) lease.release();
        for (const scope of [...grandchildren, ...children]) await scope.close();
      },
      { name: 'app' },
    );
  });

  it('tells why there are no connections, without credentials, and does not try again for being asked', async () => {
    const server = new Server();
    const pool = poolOf(server, { acquireTimeoutMs: 10 });
    server.onCreate = () => {
      throw new Error('no way to redis://ann:hunter2@far:1');
    };
    await withRoot(
      async () => {
        await expect(pool.acquire()).rejects.toThrow('no exclusive lease within');
        const before = server.attempts;
        const { health } = onlyPool('app');
        expect(health).toMatchObject({ state: 'down', error: 'no way to redis://***@far:1' });
        for (let time = 0; time < 100; time++) inspectProcess();
        expect(server.attempts - before).toBeLessThan(5);
      },
      { name: 'app' },
    );
  });

  it('opens nothing', async () => {
    const server = new Server();
    definePool(poolName(), { create: server.create, min: 1 });
    await withRoot(() => void inspectProcess());
    expect(server.attempts).toBe(0);
  });

  it('tells of a pool whatever its create has thrown', async () => {
    const server = new Server();
    const pool = poolOf(server, { acquireTimeoutMs: 20 });
    const thrown = Object.create(null);
    server.onCreate = () => Promise.reject(thrown);
    await withRoot(
      async () => {
        await expect(pool.acquire()).rejects.toMatchObject({ cause: thrown });
        expect(onlyPool('app').health).toMatchObject({ state: 'down', error: 'an error that cannot be shown' });
      },
      { name: 'app' },
    );
  });

  it('names those who acquire after it, while somebody looks', async () => {
    const pool = poolOf(new Server(), { max: 1_000 });
    const isNamed = async () => {
      const lease = await pool.acquire();
      const sites = pool.inspect().connections.flatMap(({ leases }) => leases.map(({ site }) => site));
      lease.release();
      return sites[0]?.includes('process.test.ts') ?? false;
    };
    await withRoot(
      async () => {
        // The first hundred are named anyway.
        for (let time = 0; time < 100; time++) await isNamed();
        expect(await isNamed()).toBe(false);
        inspectProcess();
        expect(await isNamed()).toBe(true);
        expect(shared.look).toBeDefined();
      },
      { name: 'app' },
    );
  });
});
