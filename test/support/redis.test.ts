import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type DevRedis, startRedis } from '../../dev/redis-server.ts';
import { openRedis, useRedis } from './redis.ts';

let server: DevRedis;
let client: Redis;

beforeAll(async () => {
  server = await startRedis({ fresh: true });
  client = new Redis(server.url);
  vi.stubEnv('REDIS_URL', server.url);
});

afterEach(() => vi.unstubAllEnvs());

afterAll(async () => {
  client.disconnect();
  await server.stop();
});

describe('a test file with the server of REDIS_URL', () => {
  useRedis();

  it('may leave keys in any database', async () => {
    await client.set('left', 'behind');
    await client.select(7);
    await client.set('left', 'behind');
  });
});

describe('the next file', () => {
  it('finds the server empty', async () => {
    expect(await client.info('keyspace')).not.toContain('keys=');
  });
});

describe('openRedis', () => {
  it('refuses the server of REDIS_URL while a database holds keys, and leaves them there', async () => {
    await client.select(3);
    await client.mset('a', 1, 'b', 2);
    vi.stubEnv('REDIS_URL', server.url.replace('//', '//default:hunter2@'));
    await client.config('SET', 'requirepass', 'hunter2');
    const refused = await openRedis().catch((error: Error) => error.message);
    expect(refused).toContain(`the server at REDIS_URL=redis://***@127.0.0.1:${server.port} is not empty: db3 (keys: 2). The tests delete`);
    expect(await client.mget('a', 'b')).toEqual(['1', '2']);
  });

  it('starts a server of its own in spite of REDIS_URL when it must be fresh', async () => {
    vi.stubEnv('REDIS_URL', server.url);
    const own = await openRedis({ fresh: true });
    expect(own.server.port).not.toBe(server.port);
    await own.stop();
  });
});
