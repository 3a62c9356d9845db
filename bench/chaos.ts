import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../dev/random.ts';
import { Scope } from '../src/index.ts';
import { defineRedisPool, type RedisPool } from '../src/redis/index.ts';
import type { BenchOptions, BenchResult } from './bench.ts';
import { Account } from './chaos/account.ts';
import { causeFaults } from './chaos/faults.ts';
import { FIXED, Load } from './chaos/load.ts';
import { Sockets } from './chaos/sockets.ts';
import { failureOf, type Level } from './chaos/verdict.ts';
import { World } from './chaos/world.ts';

/** Connections that each root scope may have. */
const LIMITS = [4, 6, 3];

/** How long commands are sent after the last fault, in milliseconds: the last of all meets them. */
const LAST_MS = 2_000;

/** When every command must be settled that was sent before, in milliseconds: it waited for a lease, was tried four times, and once more for a lease each time. */
const SETTLED_MS = 15_000;

/**
 * 500 commands per second of all kinds while connections, network and server fail at random; in the end, what the client
 * was told is compared with what is in Redis.
 */
export async function bench({ quick, seconds = quick ? 5 : 20, seed = Date.now() % 1e6, verbose }: BenchOptions): Promise<BenchResult> {
  const world = await World.start(new Random(seed));
  console.log(`--seconds ${seconds} --seed ${seed}, at ${world.proxy.url}`);
  try {
    return await report(world, seconds, verbose);
  } finally {
    await world.stop();
  }
}

/** What came out of a run. */
interface Run {
  readonly account: Account;
  readonly faults: Readonly<Record<string, number>>;
  readonly early: Level;
  readonly late: Level;
  readonly unhandled: readonly unknown[];
  readonly pending: number;
  readonly maxOpen: number;
}

async function report(world: World, seconds: number, verbose: boolean): Promise<BenchResult> {
  const { account, faults, early, late, unhandled, pending, maxOpen } = await run(world, seconds);
  const zeros = {
    ...(await account.audit(world.observer)),
    wrongReplies: account.wrongReplies,
    unexplained: account.unexplained.length,
    pendingForever: pending,
    unhandledRejections: unhandled.length,
  };
  const limit = LIMITS.reduce((sum, max) => sum + max);
  const told = { confirmed: account.count('confirmed'), failed: account.count('failed'), unknown: account.count('unknown') };
  for (const error of [...account.unexplained, ...unhandled].slice(0, 3)) console.error(error);
  if (verbose) for (const deed of account.unknown()) console.log('unknown', JSON.stringify(deed));
  return {
    rows: Object.entries(faults).map(([fault, times]) => ({ fault, times })),
    figures: {
      commands: told.confirmed + told.failed + told.unknown + pending,
      ...told,
      ...zeros,
      maxOpen,
      limit,
      slowestMs: Math.round(account.slowestMs),
      heapMb: [early.heapMb, late.heapMb],
      sockets: [early.sockets, late.sockets],
    },
    failure: failureOf({ zeros, maxOpen, limit, early, late }),
  };
}

async function run(world: World, seconds: number): Promise<Run> {
  const { proxy, observer, random } = world;
  for (let n = 0; n < FIXED; n++) await observer.set(`fixed:${n}`, n);
  const unhandled: unknown[] = [];
  process.on('unhandledRejection', (error) => unhandled.push(error));
  const sockets = new Sockets(proxy.port);
  const pool = defineRedisPool('chaos', { url: proxy.url, commandTimeoutMs: 300, connectTimeoutMs: 500, acquireTimeoutMs: 2_000 });
  const account = new Account();
  const scopes = LIMITS.map(
    (max, n) =>
      new Scope({
        parent: null,
        name: `root-${n}`,
        limits: { chaos: max },
        onError: () => {},
        onSuppressed: (error) => account.unexplained.push(error),
      }),
  );
  const signal = AbortSignal.timeout(seconds * 1_000);
  const load = new Load(pool, account, new Random(random.between(1, 1e6)));
  const loaded = load.run(scopes, AbortSignal.timeout(seconds * 1_000 + LAST_MS));
  const caused = causeFaults(world, signal);
  await sleep((seconds * 1_000) / 4);
  const early = level(sockets);
  const faults = await caused;
  // Never healed: what is on its way now is ended by its deadline or not at all.
  proxy.blackHole();
  await loaded;
  const pending = await settled(account);
  if (pending === 0) await works(pool, scopes);
  const late = level(sockets);
  for (const scope of scopes) {
    // What pends for ever is told already.
    await (pending > 0 ? scope.close({ graceMs: 0, cancelMs: 0 }).catch(() => {}) : scope.close());
  }
  sockets.stop();
  return { account, faults, early, late, unhandled, pending, maxOpen: sockets.most };
}

/** How many commands are still pending when all must be settled. */
async function settled(account: Account): Promise<number> {
  const end = performance.now() + SETTLED_MS;
  while (account.count('pending') > 0 && performance.now() < end) await sleep(50);
  return account.count('pending');
}

/** @throws when a pool has not healed though nothing is wrong any more. */
async function works(pool: RedisPool, scopes: readonly Scope[]): Promise<void> {
  for (const scope of scopes) await scope.run(() => pool.ping());
}

function level(sockets: Sockets): Level {
  globalThis.gc?.();
  return { heapMb: Math.round(process.memoryUsage().heapUsed / 1e5) / 10, sockets: sockets.open };
}
