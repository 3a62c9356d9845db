import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type AddressInfo, createServer } from 'node:net';
import { Redis } from 'ioredis';
import { type ServerFullError, withRoot } from 'scoped-pool';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { errorOf, poolOn } from './support.ts';

// With the observer's, four connections are left.
const redis = useRedis({ fresh: true, args: ['--maxclients', '5'] });

/** Why connections could not be made, one for each attempt. */
const failures: unknown[] = [];
const note = (message: unknown) => void failures.push((message as { error: unknown }).error);
beforeEach(() => subscribe('tracing:scoped-pool:connect:error', note));
afterEach(() => {
  unsubscribe('tracing:scoped-pool:connect:error', note);
  failures.length = 0;
});

const others: Redis[] = [];
afterEach(() => leave());

/** Takes the four. */
async function fill(): Promise<void> {
  others.push(...Array.from({ length: 4 }, () => new Redis(redis().url, { lazyConnect: true, connectionName: 'other' })));
  await Promise.all(others.map((other) => other.connect()));
}

async function leave(): Promise<void> {
  for (const other of others.splice(0)) other.disconnect();
  await until(async () => (await redis().clients('other')).length === 0);
}

describe('a server that lets no more clients in', () => {
  it('is named by whoever waits for a connection, with what the pool has and may have', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 10, acquireTimeoutMs: 300 });
      const leases = await Promise.all(Array.from({ length: 4 }, () => pool.acquire()));
      const error = await errorOf(() => pool.acquire());
      expect(error).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', facts: { phase: 'creating', max: 10, inUse: 4, idle: 0 } });
      expect(error.message).toContain(
        'The server has let in 4 connections of this pool, which may have 10, and no more: ERR max number of clients reached. Lower max',
      );
      expect(error.cause).toMatchObject({
        code: 'ERR_SERVER_FULL',
        reply: 'ERR max number of clients reached',
        cause: { name: 'ReplyError' },
      });
      for (const lease of leases) lease.release();
    });
  });

  it('is what every attempt fails with, whenever the server closes', async () => {
    await fill();
    for (let n = 0; n < 5; n++) {
      await withRoot(async () => {
        const pool = poolOn(redis(), { max: 10, acquireTimeoutMs: 60 });
        await Promise.all(Array.from({ length: 10 }, () => errorOf(() => pool.acquire())));
        await until(() => pool.stats().createFailed >= 10);
      });
    }
    // What the end of a root has cut short aside.
    const codes = failures.map((error) => (error as ServerFullError).code ?? error).filter((code) => code !== 'ERR_POOL_CLOSED');
    expect(codes.length).toBeGreaterThanOrEqual(50);
    expect(new Set(codes)).toEqual(new Set(['ERR_SERVER_FULL']));
  });

  it('is asked less and less often, and for one connection at a time', async () => {
    await fill();
    const before = Number(await redis().info('rejected_connections'));
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 10, acquireTimeoutMs: 1_000 });
      await Promise.all(Array.from({ length: 50 }, () => errorOf(() => pool.acquire())));
      // The ten that were begun together, then after 25 to 50 ms, 50 to 100, 100 to 200, 200 to 400, 400 to 800.
      expect(pool.stats().createFailed).toBeLessThanOrEqual(15);
      expect(pool.stats().createFailed).toBeGreaterThan(10);
    });
    expect(Number(await redis().info('rejected_connections')) - before).toBeLessThanOrEqual(15);
  });

  it('serves whoever still waits when it has room again', async () => {
    await fill();
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 10, acquireTimeoutMs: 20_000 });
      const waiting = Promise.all([pool.incr('n'), pool.use((connection) => connection.incr('n'))]);
      await until(() => failures.length >= 3);
      await leave();
      expect((await waiting).length).toBe(2);
      expect(await Promise.all(Array.from({ length: 3 }, () => pool.use((connection) => connection.ping())))).toEqual(
        Array(3).fill('PONG'),
      );
    });
    expect(await redis().clients('sp:')).toEqual([]);
  });
});

describe('a server that refuses whom it does not know', () => {
  it.each(['at once', 'when it is asked'])('is quoted, when it speaks %s', async (when) => {
    const said = 'DENIED Redis is running in protected mode because protected mode is enabled';
    const server = createServer((socket) => {
      const refuse = () => socket.end(`-${said}\r\n`);
      socket.on('error', () => {});
      when === 'at once' ? refuse() : socket.once('data', refuse);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await withRoot(async () => {
      const { port } = server.address() as AddressInfo;
      const error = await errorOf(() => poolOn(redis(), { url: `redis://127.0.0.1:${port}`, acquireTimeoutMs: 100 }).get('a'));
      expect(error).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', cause: { name: 'ReplyError', message: said } });
    });
    server.close();
  });
});
