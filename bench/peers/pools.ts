import { EventEmitter } from 'node:events';
import { createClientPool } from '@redis/client';
import { Effect, Pool as EffectPool, Scope as EffectScope, Exit } from 'effect';
import genericPool from 'generic-pool';
import { createPool as createLightningPool } from 'lightning-pool';
import PgPool from 'pg-pool';
import { Pool as TarnPool } from 'tarn';
import { definePool, type Lease } from '../../src/index.ts';

/** The limit of every pool here. */
export const LIMIT = 10;

/** A pool as it is measured. The loops are the pool's own, so that no call of the bench is measured with it. */
export interface Contender {
  readonly name: string;
  /** Acquires and releases, one after the other. */
  loop(loops: number): Promise<unknown>;
  /** The same, holding the resource over one turn of the microtask queue: run by many at a time. */
  hold(loops: number): Promise<unknown>;
  /** Lends it to a function, where the pool can. */
  use?(work: () => Promise<unknown>): Promise<unknown>;
  close(): Promise<unknown> | unknown;
}

const create = async () => ({});
const destroy = async () => {};

/** Pools of ours; to be made inside a root scope. */
export function ours(): Contender[] {
  const exclusive = definePool('bench-exclusive', { max: LIMIT, create });
  const shared = definePool('bench-shared', { max: LIMIT, maxSharers: 100, create });
  const all = definePool('bench-all-on', {
    max: LIMIT,
    create,
    destroy,
    validate: () => true,
    isUsable: () => true,
    reset: () => true,
    onDead: () => {},
    maxLifetimeMs: 3_600_000,
    maxUses: 1_000_000_000,
    keepaliveMs: 30_000,
    leakAfterMs: 60_000,
    maxWaiters: 1_000,
    codelTargetMs: 1_000,
  });
  const options = { acquireTimeoutMs: 5_000, priority: 'high' as const };
  return [
    {
      name: 'scoped-pool, exclusive',
      ...loops(() => exclusive.acquire(), release),
      use: (work) => exclusive.use(work),
      close: () => exclusive.close(),
    },
    {
      // As a hot loop is written: it awaits only where it has to wait.
      name: 'scoped-pool, tryAcquire',
      loop: async (count) => {
        for (let loop = 0; loop < count; loop++) (exclusive.tryAcquire() ?? (await exclusive.acquire())).release();
      },
      hold: loops(() => exclusive.tryAcquire() ?? exclusive.acquire(), release).hold,
      close: () => {},
    },
    {
      name: 'scoped-pool, shared',
      ...loops(() => shared.acquireShared(), release),
      use: (work) => shared.share(work),
      close: () => shared.close(),
    },
    {
      name: 'scoped-pool, all options',
      ...loops(() => all.acquire(options), release),
      use: (work) => all.use(work, options),
      close: () => all.close(),
    },
  ];
}

function release(lease: Lease<object>): void {
  lease.release();
}

/** What no pool can be faster than: an array of free resources and an array of who waits. */
export function floor(): Contender {
  const free: object[] = Array.from({ length: LIMIT }, () => ({}));
  const waiting: ((resource: object) => void)[] = [];
  const acquire = () => free.pop() ?? new Promise<object>((resolve) => waiting.push(resolve));
  const release = (resource: object) => {
    const next = waiting.shift();
    if (next) next(resource);
    else free.push(resource);
  };
  return { name: 'floor: a free list', ...loops(acquire, release), close: () => {} };
}

export function peers(): Contender[] {
  return [
    generic('generic-pool', {}),
    generic('generic-pool, timeout', { acquireTimeoutMillis: 5_000 }),
    tarn(),
    lightningPool(),
    pgPool(),
  ];
}

/** The loops of a pool that has two functions. */
function loops<T>(acquire: () => PromiseLike<T> | T, release: (resource: T) => unknown): Pick<Contender, 'loop' | 'hold'> {
  return {
    loop: async (count) => {
      for (let loop = 0; loop < count; loop++) release(await acquire());
    },
    hold: async (count) => {
      for (let loop = 0; loop < count; loop++) {
        const resource = await acquire();
        await undefined;
        release(resource);
      }
    },
  };
}

function generic(name: string, options: { acquireTimeoutMillis?: number }): Contender {
  const pool = genericPool.createPool({ create, destroy }, { max: LIMIT, ...options });
  const cycle = loops(
    () => pool.acquire(),
    (resource: object) => pool.release(resource),
  );
  return { name, ...cycle, use: (work) => Promise.resolve(pool.use(work)), close: () => pool.drain().then(() => pool.clear()) };
}

function tarn(): Contender {
  const pool = new TarnPool<object>({ create, destroy, min: 0, max: LIMIT });
  const cycle = loops(
    () => pool.acquire().promise,
    (resource: object) => pool.release(resource),
  );
  return { name: 'tarn', ...cycle, close: () => pool.destroy() };
}

function lightningPool(): Contender {
  const pool = createLightningPool<object>({ create, destroy }, { max: LIMIT, maxQueue: 1_000 });
  const cycle = loops(
    () => pool.acquire() as Promise<object>,
    (resource: object) => pool.release(resource),
  );
  return { name: 'lightning-pool', ...cycle, close: () => pool.close(true) };
}

/** pg-pool with a client that does nothing, so that only the pool is measured. */
function pgPool(): Contender {
  class Client extends EventEmitter {
    connect(done: (error?: Error) => void): void {
      process.nextTick(done);
    }
    end(done?: () => void): void {
      done?.();
    }
  }
  const pool = new PgPool({ max: LIMIT, Client } as unknown as ConstructorParameters<typeof PgPool>[0]);
  const cycle = loops(
    () => pool.connect(),
    (client) => client.release(),
  );
  return { name: 'pg-pool', ...cycle, close: () => pool.end() };
}

/** node-redis' pool lends only to a function; no command is sent. @param url Of a server, for it will not lend without. */
export async function nodeRedis(url: string): Promise<Contender> {
  const pool = createClientPool({ url }, { minimum: LIMIT, maximum: LIMIT });
  await pool.connect();
  return {
    name: 'node-redis pool',
    loop: async (count) => {
      for (let loop = 0; loop < count; loop++) await pool.execute(() => undefined);
    },
    hold: async (count) => {
      for (let loop = 0; loop < count; loop++) await pool.execute(() => Promise.resolve());
    },
    use: (work) => pool.execute(work),
    close: () => pool.destroy(),
  };
}

export async function effect(): Promise<Contender> {
  const scope = await Effect.runPromise(EffectScope.make());
  const making = EffectPool.make({ acquire: Effect.sync(() => ({})), size: LIMIT });
  const pool = await Effect.runPromise(EffectScope.provide(making, scope));
  const run = (work: Effect.Effect<unknown>) => Effect.runPromise(Effect.scoped(Effect.flatMap(EffectPool.get(pool), () => work)));
  const tick = Effect.promise(() => Promise.resolve());
  return {
    name: 'Effect Pool',
    loop: async (count) => {
      for (let loop = 0; loop < count; loop++) await run(Effect.void);
    },
    hold: async (count) => {
      for (let loop = 0; loop < count; loop++) await run(tick);
    },
    use: (work) => run(Effect.promise(work)),
    close: () => Effect.runPromise(EffectScope.close(scope, Exit.void)),
  };
}
