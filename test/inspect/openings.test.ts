import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { runInThisContext } from 'node:vm';
import { Queue, Worker } from 'bullmq';
import { Cluster, Redis } from 'ioredis';
import { createSubscriber } from 'scoped-pool/pubsub';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startCluster } from '../../dev/redis-cluster.ts';
import { startSentinels } from '../../dev/redis-sentinel.ts';
import { definePool, withRoot } from '../../src/index.ts';
import { inspectProcess } from '../../src/inspect/index.ts';
import { openings } from '../../src/inspect/openings.ts';
import { defineRedisPool } from '../../src/redis/index.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const server = useRedis();
const here = (line: number) => expect.stringMatching(new RegExp(`openings\\.test\\.ts:${line}:\\d+$`));
/** The line from which this is called. */
const line = () => Number(/openings\.test\.ts:(\d+)/.exec(new Error('line').stack?.split('\n')[2] ?? '')?.[1]);
const at = (number: number) => openings().filter(({ site }) => site.includes(`openings.test.ts:${number}:`));

const { stackTraceLimit } = Error;
inspectProcess();

describe('openings', () => {
  it('names the line that opens clients, how many, and how many of late', async () => {
    const before = line() + 1;
    const clients = Array.from({ length: 3 }, () => new Redis(server().url));
    await Promise.all(clients.map((client) => client.ping()));
    const [, , port] = server().url.split(':');
    expect(at(before)).toEqual([
      {
        ...{ site: here(before), stack: expect.arrayContaining([expect.stringMatching(/openings\.test\.ts:\d+:\d+\)?$/)]) },
        ...{ server: expect.stringContaining(`:${port}`), opened: 3, grown: 3, lastMs: expect.any(Number) },
      },
    ]);
    for (const client of clients) client.disconnect();
  });

  it('tells first of those that did so last', async () => {
    const before = line() + 1;
    const open = () => new Redis(server().url, { lazyConnect: true }).on('error', () => {});
    const clients = [open(), open()];
    for (const [place, client] of [0, 1, 0].map((place) => [place, clients[place] as Redis] as const)) {
      if (place === 0) await client.connect();
      else await client.connect();
      expect(openings()[0]?.site).toEqual(here(before + (place === 0 ? 3 : 4)));
      client.disconnect();
    }
    expect(inspectProcess().openings.slice(0, 2)).toMatchObject([
      { site: here(before + 3), opened: 2 },
      { site: here(before + 4), opened: 1 },
    ]);
  });

  it('names the line that makes a queue or a worker, not that of BullMQ', async () => {
    const connection = { url: server().url };
    const queueAt = line() + 1;
    const queue = new Queue('openings', { connection });
    const worker = new Worker('openings', async () => {}, { connection });
    await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
    expect(at(queueAt)).toMatchObject([{ opened: 1 }]);
    expect(at(queueAt + 1)).toMatchObject([{ opened: 2 }]);
    await Promise.all([queue.close(), worker.close()]);
  });

  it('names the line of the command for which a client of a cluster opens a connection to a node', { timeout: 60_000 }, async () => {
    const cluster = await startCluster();
    onTestFinished(() => cluster.stop());
    const nodes = cluster.masters.map(({ host, port }) => ({ host, port }));
    const client = new Cluster(nodes);
    await once(client, 'ready');
    const before = line() + 1;
    for (let n = 0; n < 50; n++) await client.set(`key ${n}`, n);
    // The first connection serves to find the nodes, and is opened by nobody's line.
    expect(at(before)).toMatchObject([{ opened: expect.toSatisfy((opened) => opened >= 1 && opened <= 3) }]);
    client.disconnect();
  });

  it('names the line of a client that asks sentinels', { timeout: 60_000 }, async () => {
    const { name, sentinels, stop } = await startSentinels();
    onTestFinished(stop);
    const before = line() + 1;
    const client = new Redis({ name, sentinels: sentinels.map(({ host, port }) => ({ host, port })) });
    await client.ping();
    expect(at(before).length).toBe(1);
    client.disconnect();
  });

  it('does not count what connects again', async () => {
    const before = line() + 1;
    const client = new Redis(server().url, { retryStrategy: () => 1 });
    client.on('error', () => {});
    await client.ping();
    const id = await client.client('ID');
    await server().observer.client('KILL', 'ID', id);
    await until(async () => (await client.client('ID')) !== id);
    expect(at(before)).toMatchObject([{ opened: 1 }]);
    client.disconnect();
  });

  it('leaves what a pool or a subscriber opens to them', async () => {
    const count = openings().length;
    const pool = defineRedisPool('openings', { url: server().url });
    await withRoot(async () => {
      await pool.ping();
      await pool.use((connection) => connection.ping());
      const subscriber = createSubscriber('openings', { url: server().url });
      await subscriber.subscribe('a');
    });
    expect(openings()).toHaveLength(count);
  });

  it('leaves to a pool what its own create opens, at once or later', async () => {
    const count = openings().length;
    const open = () => new Redis(server().url, { lazyConnect: true });
    const destroy = (client: Redis) => client.disconnect();
    const pools = [
      definePool('own', { create: () => new Redis(server().url), destroy }),
      definePool('own later', {
        create: async () => {
          await new Promise((resolve) => setImmediate(resolve));
          const client = open();
          await client.connect();
          return client;
        },
        destroy,
      }),
    ];
    await withRoot(async () => {
      for (const pool of pools) await pool.use((client) => client.ping());
    });
    expect(openings()).toHaveLength(count);
  });

  it('names a server at a Unix socket by its path', () => {
    const before = line() + 1;
    channel('tracing:ioredis:connect:start').publish({ serverAddress: '/run/redis.sock', serverPort: undefined });
    expect(at(before)).toMatchObject([{ server: '/run/redis.sock' }]);
  });

  it('remembers so many lines, for code that is made at run time', () => {
    const start = channel('tracing:ioredis:connect:start');
    for (let place = 0; place < 1_100; place++) {
      runInThisContext('(channel) => channel.publish({})', { filename: `/generated/${place}.js` })(start);
    }
    const sites = openings().map(({ site }) => site);
    expect(sites).toHaveLength(1_000);
    expect(sites[0]).toMatch(/^\/generated\/1099\.js/);
  });

  it('keeps the error stacks of the program as long as they were', async () => {
    const client = new Redis(server().url, { lazyConnect: true });
    await client.connect();
    client.disconnect();
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  });
});
