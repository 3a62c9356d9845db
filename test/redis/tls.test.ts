import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { withRoot } from 'scoped-pool';
import type { RedisPoolOptions } from 'scoped-pool/redis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import { startRedis } from '../../dev/redis-server.ts';
import { freePort } from '../../dev/server-process.ts';
import { CERTIFICATE, CERTIFICATE_OF_A_STRANGER, KEY } from '../support/certificate.ts';
import { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { errorOf, poolOn } from './support.ts';

/** Why it cannot be tried here; nothing when it can. */
async function whyNot(): Promise<string | undefined> {
  try {
    const server = await startRedis({ fresh: true, args: ['--tls-port', '0'] });
    await server.stop();
    return undefined;
  } catch (error) {
    if (/tls-port[\s\S]*Bad directive/.test(String(error))) return 'this redis-server is built without TLS';
    throw error;
  }
}

const reason = await whyNot();

describe.skipIf(reason)(reason ? `TLS (skipped: ${reason})` : 'TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'scoped-pool-tls-'));
  let redis: TestRedis;
  let port: number;
  let proxy: FaultProxy;

  beforeAll(async () => {
    writeFileSync(join(folder, 'key'), KEY);
    writeFileSync(join(folder, 'crt'), CERTIFICATE);
    port = await freePort();
    const files = { 'tls-cert-file': 'crt', 'tls-key-file': 'key', 'tls-ca-cert-file': 'crt' };
    const args = Object.entries(files).flatMap(([name, file]) => [`--${name}`, join(folder, file)]);
    redis = new TestRedis(await startRedis({ fresh: true, args: ['--tls-port', String(port), '--tls-auth-clients', 'no', ...args] }));
  });
  afterAll(async () => {
    await redis?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    proxy = await FaultProxy.start({ host: '127.0.0.1', port });
    await redis.empty();
  });
  afterEach(() => proxy.stop());

  const pool = (options: RedisPoolOptions = {}) =>
    poolOn(redis, { url: `rediss://127.0.0.1:${port}`, tls: { ca: CERTIFICATE }, ...options });
  const overProxy = (options: RedisPoolOptions = {}) => pool({ url: `rediss://127.0.0.1:${proxy.port}`, ...options });

  it.each([
    ['a URL', () => ({})],
    ['host and port', () => ({ url: undefined, host: '127.0.0.1', port })],
  ])('carries commands, transactions and leases, with %s', async (_, options) => {
    await withRoot(async () => {
      const tls = pool(options());
      expect(await Promise.all([tls.set('a', 1), tls.incr('a'), tls.multi().incr('a').get('a').exec()])).toEqual([
        'OK',
        2,
        [
          [null, 3],
          [null, '3'],
        ],
      ]);
      expect(await tls.use((connection) => connection.watch('a'))).toBe('OK');
      const popped = tls.blpop('list', 10);
      await tls.rpush('list', 'x');
      expect(await popped).toEqual(['list', 'x']);
      const clients = await redis.clients('sp:');
      expect(clients.length).toBe(tls.stats().open);
      for (const { laddr } of clients) expect(laddr).toBe(`127.0.0.1:${port}`);
    });
    await until(async () => (await redis.clients('sp:')).length === 0);
  });

  it.each<readonly [string, RedisPoolOptions, RegExp]>([
    ['of another authority', { tls: { ca: CERTIFICATE_OF_A_STRANGER } }, /self-signed certificate/i],
    ['of nobody known', { tls: {} }, /self-signed certificate/i],
    ['for another name', { tls: { ca: CERTIFICATE, servername: 'redis.example' } }, /does not match certificate's altnames/],
  ])('is refused to a server with a certificate %s, with that as the cause', async (_, options, words) => {
    await withRoot(async () => {
      const error = await errorOf(() => pool({ ...options, acquireTimeoutMs: 200 }).get('a'));
      expect(error).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', message: expect.stringMatching(words) });
      expect(error.cause).toMatchObject({ message: expect.stringMatching(words) });
    });
    await until(async () => (await redis.clients('sp:')).length === 0);
  });

  it('is told from one without TLS, on either side', async () => {
    await withRoot(async () => {
      // It reads what we say as the beginning of a command, and waits for the rest.
      const plain = pool({ url: `rediss://127.0.0.1:${redis.server.port}`, connectTimeoutMs: 100, acquireTimeoutMs: 20_000 });
      const waiting = errorOf(() => plain.get('a'));
      await until(() => plain.stats().createFailed > 0);
      const error = await errorOf(() => plain.use(() => {}, { acquireTimeoutMs: 50 }));
      expect(error.message).toContain('the server let us in and did not greet: it is blocked, or something else listens there');
      await plain.close();
      await waiting;
      const bare = await errorOf(() => poolOn(redis, { url: `redis://127.0.0.1:${port}`, acquireTimeoutMs: 300 }).get('a'));
      expect(bare).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', cause: expect.any(Error) });
    });
  });

  it('shows the death of a connection that the process could not hear of, in time to lend another one', async () => {
    await withRoot(async () => {
      const tls = pool({ max: 1, retry: { maxAttempts: 1 } });
      for (let round = 1; round <= 5; round++) {
        await tls.use((connection) => connection.ping());
        killUnheard(redis);
        expect(await tls.use((connection) => connection.incr('n'))).toBe(2 * round - 1);
        killUnheard(redis);
        expect(await tls.incr('n')).toBe(2 * round);
      }
      expect(tls.stats()).toMatchObject({ created: 11, closedBy: { dead: 10 } });
    });
  });

  it.each(['reset', 'finish'] as const)('shows that a network has cut it (%s)', async (cut) => {
    await withRoot(async () => {
      const tls = overProxy({ max: 1, retry: { maxAttempts: 1 } });
      for (let round = 1; round <= 3; round++) {
        await tls.ping();
        proxy[cut]();
        await until(() => tls.stats().open === 0);
        expect(await tls.incr('n')).toBe(round);
      }
      const stuck = errorOf(() => tls.use((connection) => connection.blpop('nothing', 0)));
      await until(async () => (await redis.clients('sp:')).some(({ flags }) => flags?.includes('b')));
      proxy[cut]();
      expect(await stuck).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'unknown' });
    });
  });

  it('is given up when it brings no reply any more, and another one serves', async () => {
    await withRoot(async () => {
      const tls = overProxy({ commandTimeoutMs: 200 });
      await tls.ping();
      proxy.blackHole();
      expect(await errorOf(() => tls.incr('n'))).toMatchObject({ code: 'ERR_COMMAND_TIMEOUT' });
      expect(await tls.incr('n')).toBe(1);
      expect(tls.stats()).toMatchObject({ created: 2, closedBy: { dead: 1 } });
    });
  });

  it('is given up when the other end does not shake hands', async () => {
    proxy.admit = 'silent';
    await withRoot(async () => {
      const waiting = overProxy({ connectTimeoutMs: 100, acquireTimeoutMs: 20_000 });
      const reply = waiting.incr('n');
      await until(() => waiting.stats().createFailed > 0);
      const error = await errorOf(() => waiting.use(() => {}, { acquireTimeoutMs: 50 }));
      expect(error.cause).toMatchObject({ code: 'ERR_CONNECT_TIMEOUT', message: expect.stringContaining('let us in and did not greet') });
      proxy.admit = 'pass';
      expect(await reply).toBe(1);
    });
  });

  it('fails in time while the server is full, of which it says nothing, and serves whoever still waits', async () => {
    await redis.observer.config('SET', 'maxclients', '2');
    const other = new Redis(redis.url, { connectionName: 'other' });
    await other.ping();
    await withRoot(async () => {
      const waiting = pool({ acquireTimeoutMs: 20_000 });
      const reply = waiting.incr('n');
      await until(() => waiting.stats().createFailed >= 2);
      const error = await errorOf(() => waiting.use(() => {}, { acquireTimeoutMs: 50 }));
      expect(error).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', cause: { code: 'ECONNRESET' } });
      other.disconnect();
      expect(await reply).toBe(1);
    });
    await redis.observer.config('SET', 'maxclients', '100');
  });
});

/** Sends one command to the server and ends when it is answered. */
const KILLER = `
  const socket = require('node:net').connect(Number(process.argv[1]), process.argv[2]);
  socket.once('data', () => socket.destroy());
  socket.write('CLIENT KILL TYPE normal SKIPME yes\\r\\n');`;

/** Kills the connections of the tests, and leaves the event loop no time to hear of it: it stands still meanwhile. */
function killUnheard({ server }: TestRedis): void {
  execFileSync(process.execPath, ['-e', KILLER, String(server.port), server.host]);
}
