import type { Channel, TracingChannel } from 'node:diagnostics_channel';
import { onTestFinished } from 'vitest';
import { CHANNELS, type Message } from '../../src/channels.ts';
import { Scope, withRoot, withScope } from '../../src/index.ts';
import { defineRedisPool } from '../../src/redis/index.ts';
import { poolName, poolOf, Server } from '../pool/support.ts';
import { openRedis } from './redis.ts';
import { until } from './until.ts';

export type ChannelName = keyof typeof CHANNELS;

/** All of them. */
export const NAMES = Object.keys(CHANNELS) as ChannelName[];

/** What was published: on `<channel>` or `<channel>.<event>`, the message, and what it said then. */
export interface Published {
  readonly event: string;
  readonly message: Message;
  readonly said: Message;
}

/** The channels behind a name: one, or one for each event of a tracing channel. */
export function channelsOf(name: ChannelName): readonly (readonly [event: string, channel: Channel])[] {
  const channel: Channel | TracingChannel = CHANNELS[name];
  if (!('asyncEnd' in channel)) return [[name, channel]];
  const { start, end, asyncStart, asyncEnd, error } = channel;
  return Object.entries({ start, end, asyncStart, asyncEnd, error }).map(([event, one]) => [`${name}.${event}`, one]);
}

/** Listens until the test ends. */
export function listen(name: ChannelName, listener: (message: Message, event: string) => void): void {
  for (const [event, channel] of channelsOf(name)) {
    const subscriber = (message: unknown) => listener(message as Message, event);
    channel.subscribe(subscriber);
    onTestFinished(() => void channel.unsubscribe(subscriber));
  }
}

/** Writes down what is published until the test ends. */
export function published(...names: readonly ChannelName[]): Published[] {
  const all: Published[] = [];
  for (const name of names) listen(name, (message, event) => void all.push({ event, message, said: { ...message } }));
  return all;
}

export const eventsOf = (all: readonly Published[]): readonly string[] => all.map(({ event }) => event);

/** Collects what would end the process, in place of the test runner. */
export function uncaught(event: 'uncaughtException' | 'unhandledRejection'): unknown[] {
  const errors: unknown[] = [];
  const handlers = process.listeners(event as 'uncaughtException');
  process.removeAllListeners(event);
  process.on(event, (error: unknown) => void errors.push(error));
  onTestFinished(() => {
    process.removeAllListeners(event);
    for (const handler of handlers) process.on(event, handler);
  });
  return errors;
}

/** Makes everything happen that is published. @returns the name of the pool. */
export async function provokeAll(server = new Server()): Promise<string> {
  server.onCreate = () => (server.attempts === 1 ? Promise.reject(new Error('refused')) : undefined);
  const pool = poolOf(server, { max: 1, leakAfterMs: 1 });
  const root = new Scope({ parent: null, name: 'root', onSuppressed: () => {} });
  await root.run(async () => {
    await pool.use(() => until(() => pool.stats().overdue === 1));
    await pool.use(() => pool.acquire({ acquireTimeoutMs: 1 }).catch(() => {}));
    await withScope(async () => void (await pool.acquire()), { name: 'job' });
    await withScope(() => Promise.reject(new Error('failed'))).catch(() => {});
  });
  await provokeUnknown();
  await root.close();
  return pool.name;
}

/** Has a Redis command sent and its connection broken before the reply. */
async function provokeUnknown(): Promise<void> {
  const redis = await openRedis({ fresh: true });
  const pool = defineRedisPool(poolName(), { url: redis.url, service: 'events', idleTimeoutMs: 60_000 });
  await withRoot(async () => {
    const popped = pool.blpop('list', 0).catch(() => {});
    await until(async () => (await redis.clients('sp:events')).some(({ cmd }) => cmd === 'blpop'));
    await redis.observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await popped;
  });
  await redis.stop();
}
