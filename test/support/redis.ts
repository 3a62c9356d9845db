import { Redis } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { type DevRedis, type StartOptions, startRedis, withoutCredentials } from '../../dev/redis-server.ts';

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

  /** Deletes the keys of every database. */
  async empty(): Promise<void> {
    await this.observer.flushall();
  }

  /** @throws Error when a database holds keys, which may be somebody's. */
  async mustBeEmpty(): Promise<void> {
    const databases = [...(await this.observer.info('keyspace')).matchAll(/^(db\d+):keys=(\d+)/gm)];
    if (databases.length === 0) return;
    const found = databases.map(([, name, keys]) => `${name} (keys: ${keys})`).join(', ');
    throw new Error(
      `the server at REDIS_URL=${withoutCredentials(this.url)} is not empty: ${found}. The tests delete all keys of all its databases, ` +
        'so they use none that holds some. Name an empty server, or empty this one (redis-cli FLUSHALL) if nobody needs its keys, ' +
        'or unset REDIS_URL: the tests then start servers of their own',
    );
  }

  async stop(): Promise<void> {
    this.observer.disconnect();
    await this.#server.stop();
  }
}

function parseClient(line: string): ClientLine {
  return Object.fromEntries(line.split(' ').map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
}

/** An empty server. @throws Error when it is that of REDIS_URL and holds keys; they are left alone. */
export async function openRedis(options: StartOptions = {}): Promise<TestRedis> {
  const redis = new TestRedis(await startRedis(options));
  try {
    await redis.mustBeEmpty();
  } catch (error) {
    await redis.stop();
    throw error;
  }
  return redis;
}

/**
 * One empty Redis server for the tests of the file or `describe` it is called in, stopped after them.
 * Call what it returns inside hooks and tests, where the server is there. With REDIS_URL that server is used, unless
 * `fresh`; it must be empty and is emptied after the tests.
 */
export function useRedis(options: StartOptions = {}): () => TestRedis {
  let redis: TestRedis | undefined;
  beforeAll(async () => {
    redis = await openRedis(options);
  });
  afterAll(async () => {
    // One of our own may have been killed, and goes with its keys.
    if (redis?.server.pid === undefined) await redis?.empty();
    await redis?.stop();
  });
  return () => {
    if (!redis) throw new Error('useRedis(): the server is there only inside hooks and tests');
    return redis;
  };
}
