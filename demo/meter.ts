import { Redis } from 'ioredis';
import type { DevRedis } from '../dev/redis-server.ts';
import { Sockets } from './sockets.ts';

/** What the meter says at one moment; only differences between two readings mean something. */
export interface Reading {
  /** Connections ever opened: `total_connections_received`. */
  readonly received: number;
  /** Connections open now. */
  readonly connected: number;
}

/**
 * Counts connections over one of its own, which no difference contains. It asks the server. A server that REDIS_URL
 * names may have other clients, too: there it counts what this process opens.
 */
export class Meter {
  readonly #redis: Redis;
  readonly #isShared: boolean;
  readonly #sockets: Sockets;

  private constructor(redis: Redis, isShared: boolean) {
    this.#redis = redis;
    this.#isShared = isShared;
    this.#sockets = new Sockets();
  }

  /** @throws Error when the server cannot be reached, or speaks TLS, whose connections are not seen from here. */
  static async connect({ url, pid }: DevRedis): Promise<Meter> {
    if (url.startsWith('rediss:')) throw new Error('REDIS_URL must be a redis:// one; unset it, and the demo starts a server of its own');
    const redis = new Redis(url, { lazyConnect: true, connectionName: 'demo-meter', retryStrategy: () => null, commandTimeout: 5_000 });
    let cause: unknown;
    redis.on('error', (error) => {
      cause = error;
    });
    await redis.connect().catch((error: unknown) => {
      throw cause ?? error;
    });
    return new Meter(redis, pid === undefined);
  }

  async read(): Promise<Reading> {
    if (this.#isShared) return { received: this.#sockets.opened, connected: this.#sockets.open };
    const info = await this.#redis.info().catch((cause: unknown) => {
      throw new Error('the server has stopped answering', { cause });
    });
    return { received: Number(fieldOf(info, 'total_connections_received')), connected: Number(fieldOf(info, 'connected_clients')) };
  }

  /** Watches from now on. What it returns tells the most connections that were open at one time beside those of now. */
  watchPeak(): () => number {
    const base = this.#sockets.open;
    this.#sockets.forgetPeak();
    return () => this.#sockets.peak - base;
  }

  async serverVersion(): Promise<string> {
    return fieldOf(await this.#redis.info('server'), 'redis_version');
  }

  /** Removes the key that the jobs counted with, and ends. */
  async close(key: string): Promise<void> {
    this.#sockets.stop();
    // Without a server there is nothing left to remove.
    await this.#redis.del(key).catch(() => {});
    this.#redis.disconnect();
  }
}

function fieldOf(info: string, field: string): string {
  const line = info.split('\r\n').find((text) => text.startsWith(`${field}:`));
  if (line === undefined) throw new Error(`INFO has no ${field}`);
  return line.slice(field.length + 1);
}
