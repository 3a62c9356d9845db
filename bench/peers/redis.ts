import { createClient, createClientPool } from '@redis/client';
import genericPool from 'generic-pool';
import { Redis, type RedisOptions } from 'ioredis';
import { Pool as TarnPool } from 'tarn';
import { defineRedisPool } from '../../src/redis/index.ts';

/** How many connections each pool here may have. */
const LIMIT = 10;

const KEY = 'bench';
const VALUE = 'x'.repeat(64);

/** A way to talk to Redis, as it is measured. */
export interface RedisContender {
  readonly name: string;
  /** What one user does: sets 64 bytes so many times, one after the other. The loop is the contender's own. */
  loop(loops: number): Promise<unknown>;
  close(): Promise<unknown> | unknown;
}

/** All that are compared, connected to the server; ours have to be made inside a root scope. */
export async function contenders(network: string, url: string): Promise<RedisContender[]> {
  return [
    shared(network, url),
    await raw('ioredis', url),
    await raw('ioredis, automatic pipelining', url, { enableAutoPipelining: true }),
    await nodeRedis(url),
    exclusive(network, url),
    await generic(url),
    await tarn(url),
    await nodeRedisPool(url),
  ];
}

/** Ours as a user gets it: plain commands on the pool itself. */
function shared(network: string, url: string): RedisContender {
  const pool = defineRedisPool(`bench-shared-${network}`, { url });
  return { name: 'scoped-pool, shared', loop: loopOf(() => pool.set(KEY, VALUE)), close: () => pool.close() };
}

function exclusive(network: string, url: string): RedisContender {
  const pool = defineRedisPool(`bench-exclusive-${network}`, { url, max: LIMIT });
  const set = () => pool.use((connection) => connection.set(KEY, VALUE));
  return { name: 'scoped-pool, exclusive', loop: loopOf(set), close: () => pool.close() };
}

async function raw(name: string, url: string, options: RedisOptions = {}): Promise<RedisContender> {
  const connection = await connected(url, options);
  return { name, loop: loopOf(() => connection.set(KEY, VALUE)), close: () => connection.quit() };
}

async function nodeRedis(url: string): Promise<RedisContender> {
  const client = await createClient({ url }).connect();
  return { name: 'node-redis', loop: loopOf(() => client.set(KEY, VALUE)), close: () => client.close() };
}

async function generic(url: string): Promise<RedisContender> {
  const factory = { create: () => connected(url), destroy: quit };
  const pool = genericPool.createPool(factory, { min: LIMIT, max: LIMIT });
  await pool.ready();
  const loop = async (loops: number) => {
    for (let left = loops; left > 0; left--) {
      const connection = await pool.acquire();
      await connection.set(KEY, VALUE);
      await pool.release(connection);
    }
  };
  return { name: 'generic-pool', loop, close: () => pool.drain().then(() => pool.clear()) };
}

async function tarn(url: string): Promise<RedisContender> {
  const pool = new TarnPool<Redis>({ create: () => connected(url), destroy: quit, min: LIMIT, max: LIMIT });
  const loop = async (loops: number) => {
    for (let left = loops; left > 0; left--) {
      const connection = await pool.acquire().promise;
      await connection.set(KEY, VALUE);
      pool.release(connection);
    }
  };
  return { name: 'tarn', loop, close: () => pool.destroy() };
}

async function nodeRedisPool(url: string): Promise<RedisContender> {
  const pool = createClientPool({ url }, { minimum: LIMIT, maximum: LIMIT });
  await pool.connect();
  return { name: 'node-redis pool', loop: loopOf(() => pool.set(KEY, VALUE)), close: () => pool.close() };
}

function loopOf(set: () => Promise<unknown>): RedisContender['loop'] {
  return async (loops) => {
    for (let left = loops; left > 0; left--) await set();
  };
}

async function connected(url: string, options: RedisOptions = {}): Promise<Redis> {
  const connection = new Redis(url, { ...options, lazyConnect: true });
  await connection.connect();
  return connection;
}

async function quit(connection: Redis): Promise<void> {
  await connection.quit();
}
