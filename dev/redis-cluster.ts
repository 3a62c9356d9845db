import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type DevRedis, startRedis } from './redis-server.ts';
import { freePort } from './server-process.ts';

/** A Redis cluster for tests and benches: servers of our own, which end with this process. */
export interface DevCluster {
  /** Own all slots, in equal parts and in this order. */
  readonly masters: readonly DevRedis[];
  /** Each copies the master of its place. */
  readonly replicas: readonly DevRedis[];
  /** Ends all servers. */
  stop(): Promise<void>;
}

export interface ClusterStartOptions {
  /** Default 3. */
  readonly masters?: number;
  /** Default 0. */
  readonly replicas?: number;
  /** Further arguments of each redis-server. */
  readonly args?: readonly string[];
}

const SLOTS = 16_384;
const READY_TIMEOUT_MS = 60_000;

/** Starts the servers and joins them; resolves when each knows that the cluster is whole. */
export async function startCluster({ masters = 3, replicas = 0, args = [] }: ClusterStartOptions = {}): Promise<DevCluster> {
  const nodes: DevRedis[] = [];
  const stop = async () => void (await Promise.all(nodes.map((node) => node.stop())));
  try {
    for (let count = 0; count < masters + replicas; count++) nodes.push(await startNode(args));
    const cluster = { masters: nodes.slice(0, masters), replicas: nodes.slice(masters), stop };
    await join(cluster);
    return cluster;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startNode(args: readonly string[]): Promise<DevRedis> {
  // Not by default 10,000 above the other port: that may be no port at all.
  const bus = ['--cluster-port', `${await freePort()}`];
  return startRedis({ fresh: true, args: ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', ...bus, ...args] });
}

async function join({ masters, replicas }: Pick<DevCluster, 'masters' | 'replicas'>): Promise<void> {
  const nodes = [...masters, ...replicas];
  const clients = nodes.map(({ url }) => new Redis(url));
  try {
    const [first] = clients as [Redis, ...Redis[]];
    for (const [place, client] of clients.entries()) {
      await client.cluster('SET-CONFIG-EPOCH', place + 1);
      if (place < masters.length) await client.cluster('ADDSLOTSRANGE', ...rangeOf(place, masters.length));
    }
    for (const [place, { host, port }] of nodes.entries()) {
      const bus = ((await clients[place]?.config('GET', 'cluster-port')) as string[] | undefined)?.[1] ?? '';
      if (place > 0) await first.call('CLUSTER', 'MEET', host, port, bus);
    }
    await all(clients, async (client) => (await info(client)).includes(`cluster_known_nodes:${nodes.length}`));
    for (const place of replicas.keys()) {
      const id = (await clients[place]?.cluster('MYID')) as string;
      await clients[masters.length + place]?.cluster('REPLICATE', id);
    }
    await all(clients, async (client) => (await info(client)).includes('cluster_state:ok'));
    await all(clients.slice(masters.length), async (client) => (await client.info('replication')).includes('master_link_status:up'));
    await all(
      clients,
      async (client) => ((await client.cluster('SLOTS')) as unknown[][]).flat().length === masters.length * 3 + replicas.length,
    );
  } finally {
    for (const client of clients) client.disconnect();
  }
}

function rangeOf(place: number, masters: number): [number, number] {
  const start = (index: number) => Math.floor((index * SLOTS) / masters);
  return [start(place), start(place + 1) - 1];
}

async function info(client: Redis): Promise<string> {
  return (await client.cluster('INFO')) as string;
}

async function all(clients: readonly Redis[], isReady: (client: Redis) => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (const client of clients) {
    while (!(await isReady(client))) {
      if (performance.now() > deadline) throw new Error(`the cluster is not ready: ${await info(client)}`);
      await sleep(20);
    }
  }
}
