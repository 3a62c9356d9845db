import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { startRedis } from '../../dev/redis-server.ts';
import { withRoot } from '../../src/index.ts';
import { defineRedisPool, type RedisPoolOptions } from '../../src/redis/index.ts';

const CONNECTIONS = 10;

/** Ten connections that nobody uses. */
interface Idle {
  readonly name: string;
  /** Opens them, keeps them until `done`, and closes them. */
  keep(url: string, done: () => Promise<void>): Promise<void>;
}

const IDLE: readonly Idle[] = [
  ours('scoped-pool', {}),
  ours('scoped-pool, min', { min: CONNECTIONS }),
  ours('scoped-pool, min and keepaliveMs', { min: CONNECTIONS, keepaliveMs: 1_000 }),
  { name: 'ioredis', keep: ioredis },
];

/** How many more connections servers have seen that close what is idle for two seconds. */
export function idleGrowth(ms: number): Promise<readonly { readonly name: string; readonly growth: number }[]> {
  return Promise.all(
    IDLE.map(async ({ name, keep }) => {
      // One for each: the server counts for all of its clients together.
      const server = await startRedis({ fresh: true, args: ['--timeout', '2'] });
      let growth = 0;
      await keep(server.url, async () => {
        const before = await received(server.url);
        await sleep(ms);
        // Not the one that asks.
        growth = (await received(server.url)) - before - 1;
      });
      await server.stop();
      return { name, growth };
    }),
  );
}

function ours(name: string, options: RedisPoolOptions): Idle {
  const keep: Idle['keep'] = (url, done) =>
    withRoot(async () => {
      const pool = defineRedisPool(`health-${name}`, { url, max: CONNECTIONS, ...options });
      const leases = await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.acquire()));
      for (const lease of leases) lease.release();
      await done();
    });
  return { name, keep };
}

/** As it comes: it connects again by itself. */
async function ioredis(url: string, done: () => Promise<void>): Promise<void> {
  const connections = Array.from({ length: CONNECTIONS }, () => new Redis(url).on('error', () => {}));
  await Promise.all(connections.map((connection) => connection.ping()));
  await done();
  for (const connection of connections) connection.disconnect();
}

async function received(url: string): Promise<number> {
  const observer = new Redis(url);
  const info = await observer.info('stats');
  observer.disconnect();
  return Number(/total_connections_received:(\d+)/.exec(info)?.[1]);
}
