// Compiled by `tsc`, never run: a pool of Redis connections is typed as ioredis is.
import type { Callback, ChainableCommander, Redis, RedisKey, Result } from 'ioredis';
import { withRoot } from 'scoped-pool';
import { defineRedisClusterPool, defineRedisPool, type RedisClusterPool, type RedisPool } from 'scoped-pool/redis';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function holds<T extends true>(): T;

// As the documentation of ioredis says for scripts.
declare module 'ioredis' {
  interface RedisCommander<Context> {
    twice(key: RedisKey, value: string, callback?: Callback<string[]>): Result<string[], Context>;
  }
}

const redis = defineRedisPool('typed', { host: '127.0.0.1', max: 3, scripts: { twice: { lua: 'return 1', numberOfKeys: 1 } } });
holds<Equal<typeof redis, RedisPool>>();

export async function replies() {
  const count = await redis.incr('n');
  holds<Equal<typeof count, number>>();
  const text = await redis.get('key');
  holds<Equal<typeof text, string | null>>();
  const bytes = await redis.getBuffer('key');
  holds<Equal<typeof bytes, Buffer | null>>();
  const hash = await redis.hgetall('key');
  holds<Equal<typeof hash, Record<string, string>>>();
  const ok = await redis.set('key', 'value', 'EX', 10);
  holds<Equal<typeof ok, 'OK'>>();
  const old = await redis.set('key', 'value', 'GET');
  holds<Equal<typeof old, string | null>>();
  const popped = await redis.blpop('list', 5);
  holds<Equal<typeof popped, [string, string] | null>>();
  const anything = await redis.call('GET', 'key');
  holds<Equal<typeof anything, unknown>>();
  const scripted = await redis.twice('key', 'value');
  holds<Equal<typeof scripted, string[]>>();
  redis.get('key', (error, value) => {
    holds<Equal<typeof error, Error | null | undefined>>();
    holds<Equal<typeof value, string | null | undefined>>();
  });
  for await (const keys of redis.scanStream({ match: 'a*' })) String(keys);
}

export async function batches() {
  const pipeline = redis.pipeline().set('a', 1).getBuffer('a').twice('a', 'b');
  holds<Equal<typeof pipeline, ChainableCommander>>();
  const results = await redis
    .multi([['set', 'a', 1]])
    .get('a')
    .exec();
  holds<Equal<typeof results, [error: Error | null, result: unknown][] | null>>();
}

export async function leases() {
  const used = await redis.use(async (connection, lease) => {
    holds<Equal<typeof connection, Redis>>();
    holds<Equal<typeof lease.resource, Redis>>();
    await connection.watch('key');
    connection.on('message', () => {});
    return 5;
  });
  holds<Equal<typeof used, number>>();
  await redis.share((connection) => connection.get('key'));
  const { pending } = redis.stats();
  holds<Equal<typeof pending, number>>();
  const inRoot = await withRoot(() => redis.get('key'));
  holds<Equal<typeof inRoot, string | null>>();
}

// What is for one connection, is not for a pool.
// @ts-expect-error
redis.subscribe('channel');
// @ts-expect-error
redis.psubscribe('channel*');
// @ts-expect-error
redis.ssubscribe('channel');
// @ts-expect-error
redis.unsubscribe();
// @ts-expect-error
redis.select(1);
// @ts-expect-error
redis.auth('secret');
// @ts-expect-error
redis.hello(3);
// @ts-expect-error
redis.reset();
// @ts-expect-error
redis.quit();
// @ts-expect-error
redis.monitor();
// @ts-expect-error
redis.watch('key');
// @ts-expect-error
redis.unwatch();
// @ts-expect-error
redis.exec();
// @ts-expect-error
redis.discard();
// @ts-expect-error
redis.wait(1, 1);
// @ts-expect-error
redis.readonly();
// @ts-expect-error
redis.on('error', () => {});
// @ts-expect-error
redis.once('ready', () => {});
// @ts-expect-error
redis.removeAllListeners();
// @ts-expect-error
redis.then;
// @ts-expect-error
redis.connect();
// @ts-expect-error
redis.disconnect();
// @ts-expect-error
redis.duplicate();
// @ts-expect-error
redis.options;
// @ts-expect-error
redis.status;
// @ts-expect-error
redis.defineCommand('mine', { lua: '' });
// @ts-expect-error
redis.sendCommand;
// @ts-expect-error
redis.multi({ pipeline: false });
// @ts-expect-error
redis.nosuch;
// @ts-expect-error a pool is no connection
export const connection: Redis = redis;

// @ts-expect-error an unknown option
defineRedisPool('a', { hots: 'localhost' });
// @ts-expect-error the pool reconnects
defineRedisPool('a', { retryStrategy: () => 100 });
// @ts-expect-error the pool connects
defineRedisPool('a', { lazyConnect: true });
// @ts-expect-error another type
defineRedisPool('a', { max: '10' });
// @ts-expect-error of the generic pool
defineRedisPool('a', { createTimeoutMs: 5 });

const cluster = defineRedisClusterPool('typed-cluster', { nodes: ['redis://127.0.0.1:7000', { host: '127.0.0.1' }], max: 3 });
holds<Equal<typeof cluster, RedisClusterPool>>();

export async function inCluster() {
  const count = await cluster.incr('n');
  holds<Equal<typeof count, number>>();
  const length = await cluster.use((connection) => connection.rpush('list', 'a'), { key: 'list', retry: true });
  holds<Equal<typeof length, number>>();
  const lease = await cluster.acquire({ key: Buffer.from('list'), priority: 'high' });
  holds<Equal<typeof lease.resource, Redis>>();
  // @ts-expect-error a connection is one to the node of a key
  await cluster.use((connection) => connection.ping());
  // @ts-expect-error a connection is one to the node of a key
  await cluster.acquire({});
  // @ts-expect-error it would see the keys of one node
  await cluster.scan(0);
  // @ts-expect-error a cluster has nodes
  defineRedisClusterPool('typed-cluster', { url: 'redis://127.0.0.1:7000' });
}
