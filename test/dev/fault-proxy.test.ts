import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import { startRedis } from '../../dev/redis-server.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

describe('FaultProxy', () => {
  const redis = useRedis();
  const clients: Redis[] = [];
  let proxy: FaultProxy;

  beforeEach(async () => {
    proxy = await FaultProxy.start(redis().server);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.disconnect();
    await proxy.stop();
  });

  function dial(): Redis {
    const client = new Redis(proxy.url, { retryStrategy: () => null, connectionName: 'through' });
    client.on('error', () => {});
    clients.push(client);
    return client;
  }

  async function connected(): Promise<Redis> {
    const client = dial();
    await client.ping();
    return client;
  }

  /** Settles as `reply` does, or with 'silence' once the server answers others. */
  const orSilence = async (reply: Promise<unknown>) =>
    Promise.race([
      reply,
      redis()
        .observer.ping()
        .then(() => 'silence'),
    ]);

  it('passes everything on', async () => {
    const client = await connected();
    await client.set('big', 'x'.repeat(1_000_000));
    expect(await client.strlen('big')).toBe(1_000_000);
    expect(proxy).toMatchObject({ accepted: 1, open: 1 });
  });

  it('swallows requests until healed, and then resets whoever lost some', async () => {
    const client = await connected();
    proxy.blackHole();
    const other = await connected();
    const lost = client.set('lost', 1);
    expect(await orSilence(lost)).toBe('silence');
    expect(await redis().observer.exists('lost')).toBe(0);
    proxy.heal();
    await expect(lost).rejects.toThrow();
    expect(await other.ping()).toBe('PONG');
    await until(async () => proxy.open === 1 && (await redis().clients('through')).length === 1);
  });

  it('swallows replies alone, so that the command is executed', async () => {
    const client = await connected();
    proxy.blackHole('replies');
    const reply = client.set('executed', 1);
    await until(() => redis().observer.exists('executed'));
    expect(await orSilence(reply)).toBe('silence');
  });

  it('holds bytes back while paused, and loses none', async () => {
    const client = await connected();
    proxy.pause();
    const reply = client.ping();
    expect(await orSilence(reply)).toBe('silence');
    proxy.resume();
    expect(await reply).toBe('PONG');
  });

  it('delays bytes, and keeps their order', async () => {
    const client = await connected();
    proxy.delayMs = 20;
    const replies = Promise.all([client.set('n', 1), client.incr('n'), client.get('n')]);
    expect(await orSilence(replies)).toBe('silence');
    expect(await replies).toEqual(['OK', 2, '2']);
  });

  it('keeps the order of bytes when the delay ends', async () => {
    const client = await connected();
    proxy.delayMs = 20;
    const first = client.incr('order');
    await new Promise((resolve) => setImmediate(resolve));
    proxy.delayMs = 0;
    expect(await Promise.all([first, client.get('order')])).toEqual([1, '1']);
  });

  it.each(['reset', 'finish'] as const)('%s() ends the open connections', async (end) => {
    const client = await connected();
    proxy[end]();
    await until(() => client.status === 'end');
    await until(async () => (await redis().clients('through')).length === 0);
    expect(proxy.open).toBe(0);
  });

  it('refuses connections, and accepts them again on the same port', async () => {
    const { port } = proxy;
    await proxy.refuse();
    await expect(dial().ping()).rejects.toThrow();
    await proxy.accept();
    expect(proxy.port).toBe(port);
    await expect(dial().ping()).resolves.toBe('PONG');
  });

  it('leads new connections elsewhere, and leaves open ones where they are', async () => {
    const other = await startRedis({ fresh: true });
    try {
      const before = await connected();
      proxy.target = other;
      const after = await connected();
      await after.set('where', 'other');
      expect(await before.exists('where')).toBe(0);
      expect(await after.get('where')).toBe('other');
    } finally {
      await other.stop();
    }
  });

  it('lets new connections in and never answers them', async () => {
    proxy.admit = 'silent';
    const reply = dial().ping();
    reply.catch(() => {});
    await until(() => proxy.accepted === 1);
    expect(await orSilence(reply)).toBe('silence');
  });

  it('resets new connections', async () => {
    proxy.admit = 'reset';
    await expect(dial().ping()).rejects.toThrow();
    expect(proxy).toMatchObject({ accepted: 1, open: 0 });
  });
});

describe('useRedis', () => {
  const redis = useRedis({ fresh: true });

  it('counts the connections that the server ever accepted', async () => {
    const before = await redis().connectionsReceived();
    const client = new Redis(redis().url, { connectionName: 'once' });
    await client.ping();
    expect(await redis().clients('once')).toMatchObject([{ name: 'once', cmd: 'ping' }]);
    client.disconnect();
    await until(async () => (await redis().clients()).length === 0);
    expect(await redis().connectionsReceived()).toBe(before + 1);
  });

  it('sees the server again after a restart', async () => {
    await redis().observer.set('key', 'value');
    await redis().server.restart();
    expect(
      await until(() =>
        redis()
          .observer.dbsize()
          .then((size) => size === 0),
      ),
    ).toBe(true);
  });
});
