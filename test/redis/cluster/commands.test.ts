import { currentScope, withRoot } from 'scoped-pool';
import { replacePool, withTestRoot } from 'scoped-pool/testing';
import { describe, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { errorOf } from '../support.ts';
import { poolOn, useCluster } from './support.ts';

const cluster = useCluster();
const KEYS = Array.from({ length: 200 }, (_, n) => `k:${n}`);
const addresses = () => cluster().nodes.map(({ host, port }) => `${host}:${port}`);

/** How often a node has sent a command on. */
async function redirections(): Promise<number> {
  const infos = await Promise.all(cluster().masters.map((node) => cluster().observer(node).info('errorstats')));
  return infos.reduce((sum, info) => sum + Number(/errorstat_MOVED:count=(\d+)/.exec(info)?.[1] ?? 0), 0);
}

describe('plain commands of a cluster pool', () => {
  it('reach the node of their key, over one connection for each node that is closed with the scope', async () => {
    const pool = poolOn(cluster());
    await withRoot(async () => {
      await Promise.all(KEYS.map((key) => pool.set(key, key)));
      expect(await Promise.all(KEYS.map((key) => pool.get(key)))).toEqual(KEYS);
      expect(await cluster().connections(`sp:test:${pool.name}:${process.pid}`)).toHaveLength(3);
      expect(pool.stats()).toMatchObject({ open: 3, created: 3, max: 30 });
    });
    await until(async () => (await cluster().connections()).length === 0);
    for (const node of cluster().masters) expect(await cluster().observer(node).dbsize()).toBeGreaterThan(20);
  });

  it('open one connection, where one node can do them all', async () => {
    const [node] = cluster().masters;
    const pool = poolOn(cluster(), { nodes: [{ host: '127.0.0.1', port: node?.port }] });
    await withRoot(async () => {
      await Promise.all(KEYS.filter((key) => cluster().homeOf(key) === node).map((key) => pool.set(key, 1)));
      expect(pool.stats()).toMatchObject({ created: 1, open: 1 });
    });
  });

  it('find their key wherever it stands, so that no node has to send them on', async () => {
    const before = await redirections();
    const pool = poolOn(cluster(), { scripts: { both: { lua: 'return KEYS[1]', numberOfKeys: 1 }, some: { lua: 'return KEYS[1]' } } });
    const scripted = pool as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    await withRoot(async () => {
      for (const node of cluster().masters) {
        const key = cluster().keyOn(node);
        await pool.mset({ [`{${key}}a`]: 1, [`{${key}}b`]: 2 });
        expect(await pool.mget(`{${key}}a`, `{${key}}b`)).toEqual(['1', '2']);
        expect(await pool.call('STRLEN', `{${key}}a`)).toBe(1);
        expect(await pool.eval('return KEYS[1]', 1, key)).toBe(key);
        expect(await scripted.both?.(key)).toBe(key);
        expect(await scripted.some?.(1, key)).toBe(key);
        expect(await pool.getBuffer(Buffer.from(`{${key}}a`))).toEqual(Buffer.from('1'));
        expect(await pool.xadd(`{${key}}stream`, '*', 'a', 1)).toMatch(/-/);
        expect(await pool.xread('COUNT', 1, 'STREAMS', `{${key}}stream`, 0)).toHaveLength(1);
      }
      expect(pool.stats().created).toBe(3);
      expect(await redirections()).toBe(before);
    });
  });

  it('find the node of a key with its prefix', async () => {
    const pool = poolOn(cluster(), { keyPrefix: 'prefix:' });
    await withRoot(async () => {
      await Promise.all(KEYS.map((key) => pool.set(key, 1)));
      await pool.use((connection) => connection.incr('k:1'), { key: 'k:1' });
      const home = cluster().observer(cluster().homeOf('prefix:k:1'));
      expect(await home.get('prefix:k:1')).toBe('2');
    });
  });

  it('without a key are answered by any node', async () => {
    const pool = poolOn(cluster());
    await withRoot(async () => {
      expect(await pool.ping()).toBe('PONG');
      expect(await pool.publish('channel', 'text')).toBe(0);
    });
  });

  it('that would answer for one node alone are refused, in a batch, too', async () => {
    const pool = poolOn(cluster()) as unknown as Record<string, (...args: unknown[]) => unknown>;
    await withRoot(async () => {
      expect(await errorOf(() => pool.scan?.(0))).toMatchObject({ code: 'ERR_COMMAND_REFUSED' });
      expect(await errorOf(() => pool.scanStream?.())).toMatchObject({ code: 'ERR_COMMAND_REFUSED' });
      expect(await new Promise((resolve) => pool.scan?.(0, resolve))).toMatchObject({ code: 'ERR_COMMAND_REFUSED' });
      expect(await errorOf(() => pool.call?.('SCAN', 0))).toMatchObject({ code: 'ERR_COMMAND_REFUSED' });
      for (const kind of ['pipeline', 'multi'] as const) {
        const batch = poolOn(cluster())[kind]().scan(0);
        expect(await errorOf(() => batch.exec())).toMatchObject({ code: 'ERR_COMMAND_REFUSED', message: expect.stringContaining('SCAN') });
      }
      expect(await errorOf(() => pool.watch?.('key'))).toMatchObject({ code: 'ERR_COMMAND_REFUSED' });
      expect(await errorOf(() => pool.call?.('WATCH', 'key'))).toMatchObject({ code: 'ERR_COMMAND_REFUSED' });
    });
  });

  it('with keys of several slots get the answer of the server', async () => {
    const pool = poolOn(cluster());
    await withRoot(async () => {
      expect((await errorOf(() => pool.mget('k:1', 'k:2'))).message).toMatch(/^CROSSSLOT/);
    });
  });

  it('run outside of every scope are refused', async () => {
    expect(await errorOf(() => poolOn(cluster()).get('key'))).toMatchObject({ code: 'ERR_NO_SCOPE' });
  });

  it('that nobody awaits are done before their scope has closed, the first ones, too', async () => {
    const pool = poolOn(cluster());
    await withRoot(() => void KEYS.forEach((key) => void pool.set(`forgotten:${key}`, 1)));
    await withRoot(async () => {
      const found = await Promise.all(KEYS.map((key) => pool.exists(`forgotten:${key}`)));
      expect(found).toEqual(KEYS.map(() => 1));
    });
  });
});

describe('batches of a cluster pool', () => {
  it('run on the node of their keys', async () => {
    const pool = poolOn(cluster());
    await withRoot(async () => {
      for (const node of cluster().masters) {
        const key = `{${cluster().keyOn(node)}}batch`;
        expect(await pool.multi().set(key, 1).incr(key).exec()).toEqual([
          [null, 'OK'],
          [null, 2],
        ]);
        expect(await pool.pipeline([['incr', key]]).exec()).toEqual([[null, 3]]);
        expect(await pool.pipeline().ping().exec()).toEqual([[null, 'PONG']]);
      }
    });
  });

  it('with keys of several nodes are refused, before anything is sent', async () => {
    const pool = poolOn(cluster());
    const keys = cluster().masters.map((node) => cluster().keyOn(node, 'several'));
    await withRoot(async () => {
      const batch = pool.pipeline();
      for (const key of keys) batch.set(key, 1);
      const error = await errorOf(() => batch.exec());
      expect(error).toMatchObject({ code: 'ERR_COMMAND_REFUSED', message: expect.stringContaining('{tag}') });
      expect(await Promise.all(keys.map((key) => pool.exists(key)))).toEqual([0, 0, 0]);
    });
  });
});

describe('the pools of the nodes', () => {
  it('are seen one by one and together', async () => {
    const pool = poolOn(cluster(), { max: 4 });
    await withRoot(async () => {
      expect(pool.stats()).toMatchObject({ max: 4, open: 0 });
      expect(pool.health()).toMatchObject({ state: 'unknown', open: 0 });
      expect(pool.inspect()).toMatchObject({ pool: pool.name, connections: [], waiters: [], nodes: {} });
      await Promise.all(KEYS.map((key) => pool.get(key)));
      const { nodes, connections, stats } = pool.inspect();
      expect(Object.keys(nodes).sort()).toEqual(addresses().sort());
      expect(connections).toHaveLength(3);
      expect(stats).toMatchObject({ max: 12, open: 3, idle: 3 });
      expect(pool.health()).toMatchObject({ state: 'up', open: 3 });
      expect(stats.acquired).toBe(Object.values(nodes).reduce((sum, node) => sum + node.stats.acquired, 0));
    });
  });

  it('each have the limit of the root scope, and the one of resize()', async () => {
    const pool = poolOn(cluster(), { max: 9 });
    const key = cluster().keyOn(cluster().masters[0]);
    const most = async () => {
      let held = 0;
      let highest = 0;
      const hold = async () => {
        highest = Math.max(highest, ++held);
        await currentScope();
        held--;
      };
      await Promise.all(Array.from({ length: 20 }, () => pool.use((connection) => connection.ping().then(hold), { key })));
      return pool.inspect().nodes[`127.0.0.1:${cluster().masters[0]?.port}`]?.stats;
    };
    await withRoot(
      async () => {
        expect(await most()).toMatchObject({ max: 2, created: 2 });
        pool.resize(3);
        expect(await most()).toMatchObject({ max: 3, created: 3 });
        await pool.get(cluster().keyOn(cluster().masters[1]));
        expect(pool.stats().max % 3).toBe(0);
      },
      { limits: { [pool.name]: 2 } },
    );
  });

  it('are refreshed and closed together', async () => {
    const pool = poolOn(cluster());
    await withRoot(async () => {
      await Promise.all(KEYS.map((key) => pool.get(key)));
      await pool.refresh();
      expect(pool.stats()).toMatchObject({ created: 6, closed: 3, open: 3 });
      await pool.close();
      expect(pool.stats()).toMatchObject({ open: 0 });
      expect(await errorOf(() => pool.get('key'))).toMatchObject({ code: 'ERR_POOL_CLOSED' });
      expect(await errorOf(() => pool.use(() => 1, { key: 'key' }))).toMatchObject({ code: 'ERR_POOL_CLOSED' });
    });
    await withRoot(async () => expect(await pool.ping()).toBe('PONG'));
    await withRoot(async () => {
      await pool.close();
      expect(await errorOf(() => pool.get('key'))).toMatchObject({ code: 'ERR_POOL_CLOSED' });
    });
  });

  it('stand back for a fake', async () => {
    const pool = poolOn(cluster());
    await withTestRoot(async () => {
      replacePool(pool as never, { get: async (key: string) => `value of ${key}` });
      expect(await pool.get('a')).toBe('value of a');
      expect(await pool.use((connection) => connection.get('b'), { key: 'b' })).toBe('value of b');
    });
    await withTestRoot(async () => {
      await pool.ping();
      expect(await errorOf(() => replacePool(pool as never, {}))).toMatchObject({ code: 'ERR_POOL_IN_USE' });
    });
  });
});
