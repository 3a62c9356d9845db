import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { defineRedisPool, type RedisPool, type RedisPoolOptions } from 'scoped-pool/redis';
import { afterEach, beforeEach, expect } from 'vitest';
import { type DevSentinels, type SentinelOptions, startSentinels } from '../../dev/redis-sentinel.ts';
import type { DevRedis } from '../../dev/redis-server.ts';
import { until } from '../support/until.ts';

let pools = 0;

/** A master, its replica and sentinels, of one test. */
export class TestSentinels {
  readonly #all: DevSentinels;

  constructor(all: DevSentinels) {
    this.#all = all;
  }

  get sentinels(): readonly DevRedis[] {
    return this.#all.sentinels;
  }

  get servers(): readonly [DevRedis, DevRedis] {
    return this.#all.servers as unknown as [DevRedis, DevRedis];
  }

  /** A pool that finds its server by the sentinels. */
  pool(options: RedisPoolOptions = {}): RedisPool {
    const sentinels = this.sentinels.map(({ host, port }) => ({ host, port }));
    return defineRedisPool(`sentinel-${++pools}`, {
      sentinels,
      name: this.#all.name,
      service: 'test',
      acquireTimeoutMs: 20_000,
      ...options,
    });
  }

  /** Where the first sentinel believes the master to be. */
  async masterPort(): Promise<number> {
    const [, port] = (await tell(this.sentinels[0], 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.#all.name)) as [string, string];
    return Number(port);
  }

  /** Has the replica promoted while all are well. */
  async failOver(): Promise<void> {
    const [master, replica] = this.servers;
    expect(await this.masterPort()).toBe(master.port);
    await until(
      async () => {
        // It refuses while it is not sure of the replica and while it is about it, and gives up where the replica takes too long.
        await tell(this.sentinels[0], 'SENTINEL', 'FAILOVER', this.#all.name).catch(() => {});
        await sleep(50);
        return (await this.masterPort()) === replica.port;
      },
      { timeoutMs: 20_000 },
    );
  }

  stop(): Promise<void> {
    return this.#all.stop();
  }
}

/** Starts them before each test and stops them after it; unhandled rejections of the test fail it. */
export function useSentinels(options: SentinelOptions = {}): () => TestSentinels {
  let all: TestSentinels | undefined;
  const unhandled: unknown[] = [];
  const note = (error: unknown) => void unhandled.push(error);
  beforeEach(async () => {
    all = new TestSentinels(await startSentinels(options));
    process.on('unhandledRejection', note);
  });
  afterEach(async () => {
    await all?.stop();
    process.off('unhandledRejection', note);
    expect(unhandled.splice(0)).toEqual([]);
  });
  return () => {
    if (!all) throw new Error('useSentinels(): they are there only inside hooks and tests');
    return all;
  };
}

/** Sends one command over a connection of its own. */
export async function tell(server: DevRedis | undefined, name: string, ...args: string[]): Promise<unknown> {
  const redis = new Redis(server?.url ?? '', { lazyConnect: true, retryStrategy: () => null, connectionName: 'observer' });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return await redis.call(name, ...args);
  } finally {
    redis.disconnect();
  }
}

/** The names of the connections that the library has open to a server or sentinel. */
export async function ours(server: DevRedis | undefined): Promise<readonly string[]> {
  return [...String(await tell(server, 'CLIENT', 'LIST')).matchAll(/ name=(sp:\S*)/g)].map(([, name = '']) => name);
}

/** The port of the server that a pool's plain commands reach. */
export async function portOf(pool: RedisPool): Promise<number> {
  return Number(/tcp_port:(\d+)/.exec(await pool.info('server'))?.[1]);
}
