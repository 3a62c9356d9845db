import { Redis } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { type DevRedis, type StartOptions, startRedis } from '../../dev/redis-server.ts';

/** A line of CLIENT LIST: `name`, `addr`, `flags`, `db`, `cmd` and whatever else the server tells. */
export type ClientLine = Readonly<Record<string, string>>;

/** The Redis server of one test file, and a connection named `observer` that looks at it from outside. */
export class TestRedis {
  readonly #server: DevRedis;
  /** For looking and for setting keys up; not counted by `clients()`. */
  readonly observer: Redis;

  constructor(server: DevRedis) {
    this.#server = server;
    this.observer = new Redis(server.url, { connectionName: 'observer' });
    // A killed server is what some tests are about; what fails because of it fails where it is awaited.
    this.observer.on('error', () => {});
  }

  get server(): DevRedis {
    return this.#server;
  }

  get url(): string {
    return this.#server.url;
  }

  /** Connections that the server has ever accepted since it started, the observer's among them. */
  async connectionsReceived(): Promise<number> {
    return Number(await this.info('total_connections_received'));
  }

  /** One figure of INFO. */
  async info(field: string): Promise<string> {
    const line = (await this.observer.info()).split('\r\n').find((text) => text.startsWith(`${field}:`));
    if (line === undefined) throw new Error(`INFO has no ${field}`);
    return line.slice(field.length + 1);
  }

  /** The connections whose name begins so; without a prefix, all but the observer's. */
  async clients(namePrefix = ''): Promise<readonly ClientLine[]> {
    const list = String(await this.observer.client('LIST'));
    const clients = list.trimEnd().split('\n').map(parseClient);
    return clients.filter(({ name = '' }) => name !== 'observer' && name.startsWith(namePrefix));
  }

  async stop(): Promise<void> {
    this.observer.disconnect();
    await this.#server.stop();
  }
}

function parseClient(line: string): ClientLine {
  return Object.fromEntries(line.split(' ').map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
}

/**
 * One Redis server for the tests of the file or `describe` it is called in, emptied before them and stopped after them.
 * Call what it returns inside hooks and tests, where the server is there. With REDIS_URL that server is used, unless `fresh`.
 */
export function useRedis(options: StartOptions = {}): () => TestRedis {
  let redis: TestRedis | undefined;
  beforeAll(async () => {
    redis = new TestRedis(await startRedis(options));
    await redis.observer.flushall();
  });
  afterAll(() => redis?.stop());
  return () => {
    if (!redis) throw new Error('useRedis(): the server is there only inside hooks and tests');
    return redis;
  };
}
