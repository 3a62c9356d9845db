import { setTimeout as sleep } from 'node:timers/promises';
import { withRoot } from 'scoped-pool';
import type { RedisPool } from 'scoped-pool/redis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { poolOn } from './support.ts';
import { Traffic } from './traffic.ts';

// What was confirmed outlives a restart: it is handed to the kernel before the reply.
const redis = useRedis({ fresh: true, appendOnly: true, args: ['--appendfsync', 'no', '--enable-debug-command', 'yes'] });
let proxy: FaultProxy;

const unhandled: unknown[] = [];
const note = (error: unknown) => void unhandled.push(error);
beforeEach(async () => {
  process.on('unhandledRejection', note);
  await redis().observer.flushall();
  await redis().observer.set('read', 'x');
  proxy = await FaultProxy.start(redis().server);
});
afterEach(async () => {
  await proxy.stop();
  process.off('unhandledRejection', note);
  expect(unhandled.splice(0)).toEqual([]);
});

const TIMEOUT_MS = 100;
const LIMITS = { max: 4, commandTimeoutMs: TIMEOUT_MS, connectTimeoutMs: TIMEOUT_MS, acquireTimeoutMs: 2_000 };

interface Fault {
  readonly name: string;
  begin(): unknown;
  heal?(): unknown;
  /** How long between the two, in milliseconds; for what is over at once, 0. */
  readonly lastsMs: number;
  /** Whether all reads succeed, those that were on their way, too. */
  readonly reads?: 'all';
  /** What some commands are told. */
  readonly tells?: 'unknown' | 'rejected' | 'unavailable';
}

/** How many commands of each kind are sent at a time. */
const EACH = 8;

const killAll = () => redis().observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
const set = (option: string, value: string | number) => redis().observer.config('SET', option, value);
const longerThan = (ms: number) => ms * 2.5;

const FAULTS: readonly Fault[] = [
  { name: 'rst', begin: () => proxy.reset(), lastsMs: 0, reads: 'all' },
  { name: 'fin', begin: () => proxy.finish(), lastsMs: 0, reads: 'all' },
  {
    name: 'lostreply+rst',
    begin: () => proxy.blackHole('replies'),
    heal: () => proxy.reset(),
    lastsMs: 30,
    reads: 'all',
    tells: 'unknown',
  },
  { name: 'blackhole-conn', begin: () => proxy.blackHole(), lastsMs: longerThan(TIMEOUT_MS), tells: 'unknown' },
  {
    name: 'blackhole-all',
    begin: () => {
      proxy.admit = 'silent';
      proxy.blackHole();
    },
    heal: () => {
      proxy.admit = 'pass';
    },
    lastsMs: longerThan(TIMEOUT_MS),
    tells: 'unknown',
  },
  { name: 'partition', begin: () => proxy.pause(), heal: () => proxy.resume(), lastsMs: longerThan(TIMEOUT_MS), tells: 'unknown' },
  { name: 'a short partition', begin: () => proxy.pause(), heal: () => proxy.resume(), lastsMs: TIMEOUT_MS / 4, reads: 'all' },
  { name: 'refuse', begin: () => proxy.refuse(), heal: () => proxy.accept(), lastsMs: 200, reads: 'all' },
  {
    name: 'hang-new',
    begin: () => {
      proxy.admit = 'silent';
      proxy.reset();
    },
    heal: () => {
      proxy.admit = 'pass';
    },
    lastsMs: longerThan(TIMEOUT_MS),
    reads: 'all',
  },
  { name: 'kill', begin: killAll, lastsMs: 0, reads: 'all' },
  {
    name: 'sigstop',
    begin: () => redis().server.kill('SIGSTOP'),
    heal: () => redis().server.kill('SIGCONT'),
    lastsMs: longerThan(TIMEOUT_MS),
    tells: 'unknown',
  },
  // The observer's next command waits until it is over.
  {
    name: 'debug-sleep',
    begin: () => void redis().observer.call('DEBUG', 'SLEEP', 0.5),
    heal: () => redis().observer.ping(),
    lastsMs: longerThan(TIMEOUT_MS),
    tells: 'unknown',
  },
  { name: 'restart', begin: () => redis().server.kill('SIGKILL'), heal: () => redis().server.restart(), lastsMs: 100, reads: 'all' },
  {
    name: 'replicaof',
    begin: () => redis().observer.replicaof('127.0.0.1', 1),
    heal: () => redis().observer.replicaof('NO', 'ONE'),
    lastsMs: 400,
    reads: 'all',
    tells: 'rejected',
  },
  {
    name: 'maxclients',
    begin: async () => {
      await set('maxclients', 1);
      await killAll();
    },
    heal: () => set('maxclients', 1_000),
    lastsMs: 200,
    reads: 'all',
  },
  {
    name: 'auth',
    begin: async () => {
      await set('requirepass', 'secret');
      await killAll();
    },
    heal: () => set('requirepass', ''),
    lastsMs: 200,
    tells: 'unavailable',
  },
  {
    name: 'delay',
    begin: () => {
      proxy.delayMs = longerThan(TIMEOUT_MS);
    },
    heal: () => {
      proxy.delayMs = 0;
    },
    lastsMs: longerThan(TIMEOUT_MS) * 1.5,
    tells: 'unknown',
  },
];

/** Connects all that may be open, so that the fault meets each of them. */
async function warm(pool: RedisPool): Promise<void> {
  await Promise.all(Array.from({ length: LIMITS.max }, () => pool.use((connection) => connection.ping())));
}

describe('with commands on their way and more to come', () => {
  it.each(FAULTS)('does nothing twice, has nothing pending and says of all what became of it: $name', async (fault) => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url, ...LIMITS });
      const traffic = new Traffic(pool);
      await warm(pool);
      await meet(fault, traffic);
      await until(() => traffic.count('pending') === 0);
      expect(traffic.strange).toEqual([]);
      expect(await until(() => traffic.lies(redis().observer))).toEqual([]);
      // Where nobody is let in any more, those on their way may all come too late.
      if (fault.tells !== 'unavailable') expect(traffic.count('done')).toBeGreaterThan(0);
      if (fault.reads === 'all') expect(traffic.count('done', 'read')).toBe(3 * EACH);
      if (fault.tells) expect(traffic.count(fault.tells)).toBeGreaterThan(0);
      expect(await pool.incr('afterwards')).toBe(1);
      expect(pool.stats().open).toBeLessThanOrEqual(LIMITS.max);
    });
  });
});

describe('a server that closes whoever is idle', () => {
  afterEach(() => set('timeout', 0));

  it('costs one connection, when there is work again, and no command', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url, ...LIMITS });
      const traffic = new Traffic(pool);
      await warm(pool);
      await set('timeout', 1);
      await until(() => pool.stats().closedBy.dead === LIMITS.max);
      expect(await pool.get('read')).toBe('x');
      expect(proxy.accepted).toBe(LIMITS.max + 1);
      traffic.send(EACH);
      await until(() => traffic.count('pending') === 0);
      expect(traffic.count('unknown') + traffic.count('no lease')).toBe(0);
      expect(await traffic.lies(redis().observer)).toEqual([]);
    });
  });
});

/** Sends before the fault, when it has begun, and in its midst. */
async function meet({ begin, heal, lastsMs, tells }: Fault, traffic: Traffic): Promise<void> {
  traffic.send(EACH);
  // One turn, so that the first are on their way.
  await new Promise((resolve) => setImmediate(resolve));
  await begin();
  traffic.send(EACH);
  await sleep(lastsMs / 2);
  traffic.send(EACH);
  await sleep(lastsMs / 2);
  if (tells && lastsMs >= TIMEOUT_MS) await until(() => traffic.count(tells) > 0);
  await heal?.();
}
