import { Redis } from 'ioredis';
import { defineRedisPool, type RedisPool, type RedisPoolOptions } from 'scoped-pool/redis';
import type { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

let pools = 0;

/** A pool on the server of the test, under a name that no other test has. */
export function poolOn(redis: TestRedis, options: RedisPoolOptions = {}): RedisPool {
  return defineRedisPool(`pool-${++pools}`, { url: redis.url, service: 'test', ...options });
}

/** What `fn` returns or throws, so that two of them can be compared. */
export async function outcomeOf(fn: () => unknown): Promise<unknown> {
  try {
    return { value: await fn() };
  } catch (error) {
    const { name, message } = error as Error;
    return { error: `${name}: ${message}` };
  }
}

/** The error that a promise is rejected with, or that is thrown instead. */
export async function errorOf(fn: () => unknown): Promise<Error & { readonly code?: string }> {
  try {
    await fn();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

/** Commands that reached the server while `fn` ran, each as one text; the observer's, and those of a handshake, left out. */
export async function commandsDuring(redis: TestRedis, fn: () => unknown): Promise<readonly string[]> {
  const monitor = await redis.observer.monitor();
  const seen: string[] = [];
  monitor.on('monitor', (_time: string, args: string[]) => seen.push(args.join(' ')));
  await redis.observer.echo('begin');
  await until(() => seen.includes('echo begin'));
  try {
    await fn();
    await redis.observer.echo('end');
    await until(() => seen.includes('echo end'));
  } finally {
    monitor.disconnect();
  }
  return seen.filter((text) => !/^(echo (begin|end)|hello 3|client setname|client SETINFO|client LIST|info|auth)/i.test(text));
}

/** A connection of ioredis' own, as a measure of ours. */
export async function withRaw<R>(redis: TestRedis, fn: (raw: Redis) => Promise<R>, options = {}): Promise<R> {
  const raw = new Redis(redis.url, { connectionName: 'raw', ...options });
  try {
    return await fn(raw);
  } finally {
    raw.disconnect();
  }
}
