import { Redis } from 'ioredis';
import { defineRedisClusterPool, type RedisClusterPool, type RedisClusterPoolOptions } from 'scoped-pool/redis';
import { afterAll, beforeAll } from 'vitest';
import { type ClusterStartOptions, type DevCluster, startCluster } from '../../../dev/redis-cluster.ts';
import type { DevRedis } from '../../../dev/redis-server.ts';
import { slotOf } from '../../../src/redis/cluster/slots.ts';
import { until } from '../../support/until.ts';

let pools = 0;

/** A pool on the cluster of the test, under a name that no other test has. */
export function poolOn(cluster: TestCluster, options: Partial<RedisClusterPoolOptions> = {}): RedisClusterPool {
  return defineRedisClusterPool(`cluster-${++pools}`, { nodes: cluster.nodes, service: 'test', ...options });
}

/** The cluster of a test file, and a connection to each node that looks at it from outside. */
export class TestCluster {
  readonly #cluster: DevCluster;
  readonly #observers = new Map<DevRedis, Redis>();

  constructor(cluster: DevCluster) {
    this.#cluster = cluster;
  }

  get masters(): readonly DevRedis[] {
    return this.#cluster.masters;
  }

  get replicas(): readonly DevRedis[] {
    return this.#cluster.replicas;
  }

  get nodes(): readonly { readonly host: string; readonly port: number }[] {
    return this.masters.map(({ host, port }) => ({ host, port }));
  }

  /** The node that owns the slot of the key as the cluster was started. */
  homeOf(key: string): DevRedis {
    const place = Math.floor((((slotOf('get', [key]) as number) + 0.5) * this.masters.length) / 16_384);
    return this.masters[place] as DevRedis;
  }

  /** A key that was at first on the node. */
  keyOn(node: DevRedis | undefined, prefix = 'key'): string {
    for (let n = 0; ; n++) if (this.homeOf(`${prefix}:${n}`) === node) return `${prefix}:${n}`;
  }

  /** A connection to that node, which redirects nothing. */
  observer(node: DevRedis | undefined): Redis {
    if (!node) throw new Error('no such node');
    const known = this.#observers.get(node);
    if (known) return known;
    const observer = new Redis(node.url, { connectionName: 'observer', retryStrategy: () => 50 });
    observer.on('error', () => {});
    this.#observers.set(node, observer);
    return observer;
  }

  /** The names of the connections of a pool, on all nodes that are up. */
  async connections(prefix = 'sp:'): Promise<readonly string[]> {
    const lists = await Promise.all(this.#all.map(async (node) => String(await this.observer(node).client('LIST'))));
    return lists
      .flatMap((list) => [...list.matchAll(/ name=(\S*)/g)].map(([, name = '']) => name))
      .filter((name) => name.startsWith(prefix));
  }

  /** All nodes agree that all slots are served. */
  async whole(nodes = this.#all): Promise<void> {
    for (const node of nodes) {
      await until(async () => String(await this.observer(node).cluster('INFO')).includes('cluster_state:ok'), { timeoutMs: 30_000 });
    }
  }

  async stop(): Promise<void> {
    for (const observer of this.#observers.values()) observer.disconnect();
    await this.#cluster.stop();
  }

  get #all(): readonly DevRedis[] {
    return [...this.masters, ...this.replicas];
  }
}

/** One cluster for the tests of the file, stopped after them. */
export function useCluster(options: ClusterStartOptions = {}): () => TestCluster {
  let cluster: TestCluster | undefined;
  beforeAll(async () => {
    cluster = new TestCluster(await startCluster(options));
  }, 120_000);
  afterAll(() => cluster?.stop(), 60_000);
  return () => {
    if (!cluster) throw new Error('useCluster(): the cluster is there only inside hooks and tests');
    return cluster;
  };
}

/** A slot with keys of its own, and the steps by which it goes to another node. */
export async function slotOnTheMove(cluster: TestCluster, tag: string) {
  const key = (n: number) => `{${tag}}${n}`;
  const from = cluster.homeOf(tag);
  const to = cluster.masters.find((node) => node !== from) ?? from;
  const slot = slotOf('get', [tag]) as number;
  const [source, target] = [cluster.observer(from), cluster.observer(to)];
  const [sourceId, targetId] = await Promise.all([source.cluster('MYID'), target.cluster('MYID')]);
  return {
    key,
    from,
    to,
    begin: async () => {
      await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(sourceId));
      await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(targetId));
    },
    move: (...keys: string[]) => source.migrate(to.host, to.port, '', 0, 5_000, 'KEYS', ...keys),
    end: async () => {
      for (const node of [target, source]) await node.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(targetId));
    },
  };
}
