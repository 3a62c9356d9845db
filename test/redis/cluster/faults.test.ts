import { withRoot } from 'scoped-pool';
import type { RedisClusterPool } from 'scoped-pool/redis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../../dev/fault-proxy.ts';
import { until } from '../../support/until.ts';
import { errorOf } from '../support.ts';
import { poolOn, useCluster } from './support.ts';

const cluster = useCluster({ args: ['--cluster-require-full-coverage', 'no'] });
let proxies: readonly FaultProxy[] = [];
let rejections = 0;
const countRejection = () => rejections++;

beforeAll(async () => {
  process.on('unhandledRejection', countRejection);
  proxies = await Promise.all(cluster().masters.map((node) => FaultProxy.start(node)));
});
afterEach(() => expect(rejections).toBe(0));
afterAll(async () => {
  process.off('unhandledRejection', countRejection);
  await Promise.all(proxies.map((proxy) => proxy.stop()));
});

const nodeOf = ({ host, port }: { readonly host: string; readonly port: number }) => ({ host, port });

/** A pool that reaches every node through its proxy. */
function behindProxies(): RedisClusterPool {
  const natMap = Object.fromEntries(
    cluster().masters.map(({ host, port }, place) => [`${host}:${port}`, nodeOf(proxies[place] as FaultProxy)]),
  );
  return poolOn(cluster(), { nodes: proxies.map(nodeOf), natMap, acquireTimeoutMs: 20_000 });
}

/** Elements that were sent once each, by what was said of them. */
class Pushes {
  readonly confirmed: string[] = [];
  readonly unknown: string[] = [];
  readonly refused: string[] = [];
  readonly #pool: RedisClusterPool;
  readonly #keys: readonly string[];
  #sent = 0;

  constructor(pool: RedisClusterPool, prefix: string) {
    this.#pool = pool;
    this.#keys = cluster().masters.map((node) => cluster().keyOn(node, prefix));
  }

  async push(): Promise<void> {
    const element = `${this.#sent++}`;
    const key = this.#keys[this.#sent % this.#keys.length] as string;
    await this.#pool.rpush(key, element).then(
      () => this.confirmed.push(element),
      (error: { readonly outcome?: string }) => (error.outcome === 'unknown' ? this.unknown : this.refused).push(element),
    );
  }

  /** What is in the lists, sorted. */
  async found(): Promise<readonly string[]> {
    const lists = this.#keys.map((key) => cluster().observer(cluster().homeOf(key)).lrange(key, 0, -1));
    return (await Promise.all(lists)).flat().sort();
  }
}

/** Nothing was executed twice, what is said to be done is done, and what is said to be refused is not. */
async function expectHonest(pushes: Pushes): Promise<void> {
  const found = await pushes.found();
  expect(found).toEqual([...new Set(found)]);
  const known = new Set(found);
  expect(pushes.confirmed.filter((element) => !known.has(element))).toEqual([]);
  expect(pushes.refused.filter((element) => known.has(element))).toEqual([]);
}

describe('commands of a cluster pool whose connections break', () => {
  it('are reached at the addresses of natMap', async () => {
    const pool = behindProxies();
    await withRoot(async () => {
      const pushes = new Pushes(pool, 'mapped');
      await Promise.all(Array.from({ length: 30 }, () => pushes.push()));
      expect(pushes.confirmed).toHaveLength(30);
      expect(Object.keys(pool.inspect().nodes).sort()).toEqual(proxies.map(({ host, port }) => `${host}:${port}`).sort());
    });
  });

  it('are unknown when the reply is lost, and executed once', async () => {
    const pool = behindProxies();
    await withRoot(async () => {
      const pushes = new Pushes(pool, 'lost');
      await Promise.all(Array.from({ length: 30 }, () => pushes.push()));
      for (const proxy of proxies) proxy.blackHole('replies');
      const work = Promise.all(Array.from({ length: 30 }, () => pushes.push()));
      await until(async () => (await pushes.found()).length === 60);
      for (const proxy of proxies) proxy.reset();
      await work;
      expect(pushes.unknown).toHaveLength(30);
      await pushes.push();
      await expectHonest(pushes);
    });
  });

  it('are read again when the reply is lost', async () => {
    const pool = behindProxies();
    await withRoot(async () => {
      const key = cluster().keyOn(cluster().masters[1]);
      await pool.set(key, 'text');
      proxies[1]?.blackHole('replies');
      const got = pool.get(key);
      await until(() => pool.stats().sharers === 1);
      proxies[1]?.reset();
      expect(await got).toBe('text');
    });
  });

  it('are executed at most once, whoever kills the connections meanwhile', async () => {
    const pool = behindProxies();
    await withRoot(async () => {
      const pushes = new Pushes(pool, 'killed');
      let goesOn = true;
      const work = Promise.all(
        Array.from({ length: 30 }, async () => {
          while (goesOn) await pushes.push();
        }),
      );
      try {
        let killed = 0;
        for (let round = 0; killed < 60; round++) {
          const before = pushes.confirmed.length;
          await until(() => pushes.confirmed.length > before + 30, { timeoutMs: 20_000 });
          if (round % 3 === 0) proxies[round % proxies.length]?.reset();
          for (const node of cluster().masters)
            killed += Number(await cluster().observer(node).call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'));
        }
      } finally {
        goesOn = false;
        await work;
      }
      expect(pushes.unknown.length).toBeGreaterThan(0);
      expect(pushes.refused).toEqual([]);
      await expectHonest(pushes);
    });
  });

  it('do not connect anew for every write to a node that stays a replica', async () => {
    const pool = poolOn(cluster(), { retry: { maxAttempts: 1 } });
    const key = cluster().keyOn(cluster().masters[0]);
    const refusal = `return redis.error_reply("READONLY You can't write against a read only replica.")`;
    await withRoot(async () => {
      const begun = performance.now();
      for (let n = 0; n < 50; n++) expect(await errorOf(() => pool.eval(refusal, 1, key))).toMatchObject({ outcome: 'rejected' });
      const seconds = Math.ceil((performance.now() - begun) / 1_000);
      // One more is of the node that was asked who owns what.
      expect(pool.stats().created).toBeLessThanOrEqual(3 + seconds);
    });
  });

  it('wait for a node that is down, and for it alone', async () => {
    const pool = behindProxies();
    const [up = '', down = ''] = [0, 2].map((place) => cluster().keyOn(cluster().masters[place], 'down'));
    const node = cluster().masters[2];
    await withRoot(async () => {
      await Promise.all([pool.set(up, 0), pool.set(down, 0)]);
      await node?.kill('SIGKILL');
      let isServed = false;
      const waits = pool.incr(down).then((reply) => {
        isServed = true;
        return reply;
      });
      expect(await pool.incr(up)).toBe(1);
      expect(await pool.use((connection) => connection.incr(up), { key: up })).toBe(2);
      await until(() => pool.health().state === 'degraded');
      expect(pool.health()).toMatchObject({ downMs: 0, failures: expect.any(Number), error: expect.any(Error) });
      expect(isServed).toBe(false);
      await node?.restart();
      expect(await waits).toBe(1);
      expect(await pool.use((connection) => connection.incr(down), { key: down })).toBe(2);
      expect(pool.health()).toMatchObject({ state: 'up', failures: 0, retryInMs: 0, error: undefined });
    });
  });
});
