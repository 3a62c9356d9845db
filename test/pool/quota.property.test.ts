import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Lease, type Pool, Scope, withRoot } from '../../src/index.ts';
import type { Engine } from '../../src/pool/engine.ts';
import { permitsIn, setQuota } from '../../src/pool/quota.ts';
import { statsOf } from '../../src/pool/report.ts';
import { type Connection, poolOf, Server, turns } from './support.ts';

const ACTIONS = [
  'use',
  'share',
  'use high',
  'share low',
  'try',
  'abort',
  'timeout',
  'destroy',
  'die',
  'nested',
  'cancelled',
  'leak',
] as const;

interface Action {
  readonly what: (typeof ACTIONS)[number];
  /** Turns of the event loop that it takes. */
  readonly turns: number;
}

const action: fc.Arbitrary<Action> = fc.record({ what: fc.constantFrom(...ACTIONS), turns: fc.integer({ min: 0, max: 4 }) });
const user = fc.record({ quota: fc.nat(), actions: fc.array(action, { minLength: 1, maxLength: 6 }) });
const world = fc.record({
  max: fc.integer({ min: 1, max: 4 }),
  maxSharers: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY),
  /** Each in the root, or in the one before. */
  quotas: fc.array(fc.record({ max: fc.integer({ min: 1, max: 3 }), isInner: fc.boolean() }), { minLength: 1, maxLength: 4 }),
  users: fc.array(user, { minLength: 1, maxLength: 12 }),
});

const EXPECTED = new Set([
  'ERR_POOL_DEADLOCK',
  'ERR_ACQUIRE_ABORTED',
  'ERR_SCOPE_CANCELLED',
  'ERR_POOL_ACQUIRE_TIMEOUT',
  'ERR_LEASE_ENDED',
]);

/** One scope with a quota, and what is held there, seen by those who hold. */
class Place {
  readonly scope: Scope;
  readonly outer: Place | undefined;
  readonly #max: number;
  readonly #maxSharers: number;
  #alone = 0;
  #sharers = 0;

  constructor(pool: Pool<Connection>, max: number, maxSharers: number, outer: Place | undefined) {
    this.scope = new Scope({ parent: outer?.scope, graceMs: 0, name: `quota of ${max}` });
    this.outer = outer;
    this.#max = max;
    this.#maxSharers = maxSharers;
    setQuota(this.scope, { [pool.name]: max });
  }

  /** As few places as it takes: sharers that came together may go one by one. */
  get isKept(): boolean {
    const sharing = this.#sharers === 0 ? 0 : Math.max(1, Math.ceil(this.#sharers / this.#maxSharers));
    return this.#alone + sharing <= this.#max;
  }

  count({ exclusive }: Lease<Connection>, step: 1 | -1): void {
    if (exclusive) this.#alone += step;
    else this.#sharers += step;
    this.outer?.count({ exclusive } as Lease<Connection>, step);
  }
}

class Users {
  readonly broken: string[] = [];
  readonly #pool: Pool<Connection>;
  readonly #places: readonly Place[];

  constructor(pool: Pool<Connection>, places: readonly Place[]) {
    this.#pool = pool;
    this.#places = places;
  }

  async run(place: Place, actions: readonly Action[]): Promise<void> {
    for (const { what, turns: count } of actions) {
      const scope = new Scope({ parent: place.scope, onError: () => {}, onSuppressed: () => {} });
      await scope
        .run(() => this.#act(place, scope, what, count))
        .catch((error) => EXPECTED.has(error.code) || this.broken.push(`${what}: ${error.stack}`));
      await scope.close().catch((error) => this.broken.push(String(error)));
    }
  }

  #act(place: Place, scope: Scope, what: Action['what'], count: number): Promise<unknown> {
    const pool = this.#pool;
    const work = (_: Connection, lease: Lease<Connection>) => this.#hold(place, lease, count);
    if (what === 'use') return pool.use(work);
    if (what === 'share') return pool.share(work);
    if (what === 'use high') return pool.use(work, { priority: 'high' });
    if (what === 'share low') return pool.share(work, { priority: 'low' });
    if (what === 'timeout') return pool.use(work, { acquireTimeoutMs: 1 + count });
    if (what === 'nested') return pool.use(() => pool.share(() => turns(count)));
    if (what === 'die') return pool.use((connection, lease) => work(connection, lease).then(() => connection.die()));
    if (what === 'destroy') return pool.use((connection, lease) => work(connection, lease).then(() => lease.destroy()));
    return this.#actByHand(place, scope, what, count);
  }

  async #actByHand(place: Place, scope: Scope, what: Action['what'], count: number): Promise<unknown> {
    if (what === 'leak') return this.#hold(place, await this.#pool.acquireShared(), count);
    if (what === 'try') {
      const lease = this.#pool.tryAcquire();
      if (lease) await this.#hold(place, lease, count);
      return lease?.release();
    }
    const controller = new AbortController();
    void turns(count).then(() => (what === 'abort' ? controller.abort() : scope.cancel()));
    return this.#pool.use((_, lease) => this.#hold(place, lease, 1), { signal: controller.signal });
  }

  async #hold(place: Place, lease: Lease<Connection>, count: number): Promise<void> {
    place.count(lease, 1);
    for (const { isKept } of this.#places) if (!isKept) this.broken.push('nobody is served past the quota');
    await turns(count);
    place.count(lease, -1);
  }
}

/** Nobody waits while the line he is in has a place: one for whom a shared one drains has his. */
function idleWaiters({ scheduler: { waiters, free, open, max, arriving }, name, root }: Engine<unknown>): string[] {
  const waiting = [...waiters].filter(({ reserved }) => !reserved).length;
  const hasPlace = free.size > 0 || (open < max && arriving === 0);
  return waiting > 0 && hasPlace ? [`${waiting} wait for pool ${name} of ${root.name} with ${free.size} free, ${open} of ${max} open`] : [];
}

describe('a quota', () => {
  it('keeps its promises whatever its users do, over one pool with others and below others', async () => {
    await fc.assert(
      fc.asyncProperty(world, async ({ max, maxSharers, quotas, users }) => {
        const server = new Server();
        server.onDestroy = () => turns(1);
        const pool = poolOf(server, { max, maxSharers, acquireTimeoutMs: 10_000 });
        await withRoot(async (root) => {
          const places: Place[] = [];
          for (const quota of quotas) {
            const outer = quota.isInner ? places.at(-1) : undefined;
            places.push(root.run(() => new Place(pool, quota.max, maxSharers, outer)));
          }
          const crowd = new Users(pool, places);
          await pool.use(() => {});
          const engine = root.single(pool) as unknown as Engine<unknown>;
          const permits = places.map(({ scope }) => permitsIn(scope, engine) as Engine<unknown>);
          let isOver = false;
          const observer = (async () => {
            while (!isOver) {
              crowd.broken.push(...[engine, ...permits].flatMap(idleWaiters));
              await turns(1);
            }
          })();
          await Promise.all(users.map(({ quota, actions }) => crowd.run(places[quota % places.length] as Place, actions)));
          isOver = true;
          await observer;
          await turns(3);
          expect(crowd.broken).toEqual([]);
          expect(pool.stats()).toMatchObject({ inUse: 0, pending: 0 });
          for (const permit of permits) {
            expect(statsOf(permit)).toMatchObject({ inUse: 0, exclusive: 0, sharers: 0, pending: 0 });
            expect(permit.scheduler.open).toBeLessThanOrEqual(permit.scheduler.max);
          }
          expect(engine.waiting.coming.size).toBe(0);
          for (const { scope } of places) expect(scope.tree().children.filter(({ kind }) => kind !== 'scope')).toEqual([]);
          await Promise.all([...places].reverse().map(({ scope }) => scope.close()));
        });
        expect(server.open).toBe(0);
      }),
      { numRuns: 60, interruptAfterTimeLimit: 20_000 },
    );
  });
});
