import fc from 'fast-check';
import { type Lease, withRoot } from 'scoped-pool';
import { expect, it } from 'vitest';
import { type Connection, poolOf, Server, turns } from '../../pool/support.ts';
import { until } from '../../support/until.ts';
import { asStats, expected, observed } from './support.ts';

const step = fc.record({
  what: fc.constantFrom(
    'exclusive',
    'exclusive',
    'shared',
    'shared',
    'late',
    'abort',
    'release',
    'release',
    'destroy',
    'die',
    'fail',
    'resize',
  ),
  which: fc.nat(31),
});

/** So that in every run each thing happens that metrics tell of, whatever else does. */
const ALL = ['exclusive', 'exclusive', 'exclusive', 'exclusive', 'abort', 'late', 'destroy', 'fail', 'exclusive'];
const SHARED = ['shared', 'shared'];

/** A pool to which things happen. */
class World {
  readonly server = new Server();
  readonly pool = poolOf(this.server, { max: 3, maxSharers: 2 });
  readonly leases: Lease<Connection>[] = [];
  /** Of the acquires that are not settled. */
  readonly waiting = new Set<AbortController>();
  #fails = 0;
  /** The newest acquire, when it is settled. */
  newest: Promise<unknown> = Promise.resolve();

  constructor() {
    this.server.onCreate = () => {
      if (this.#fails-- > 0) throw new Error('refused');
    };
  }

  do(what: string, which: number): void {
    const lease = this.leases[which % Math.max(1, this.leases.length)];
    if (what === 'exclusive' || what === 'shared' || what === 'late') this.#acquire(what);
    else if (what === 'abort') [...this.waiting][which % Math.max(1, this.waiting.size)]?.abort();
    else if (what === 'release') lease?.release();
    else if (what === 'destroy') lease?.destroy();
    else if (what === 'die') this.server.made[which % Math.max(1, this.server.made.length)]?.die();
    else if (what === 'fail') this.#fails = 1;
    else this.pool.resize(1 + (which % 4));
  }

  /** Lets go of everything. */
  end(): void {
    for (const waiting of this.waiting) waiting.abort();
    for (const lease of this.leases) lease.release();
  }

  #acquire(what: string): void {
    const aborting = new AbortController();
    this.waiting.add(aborting);
    const options = { signal: aborting.signal, acquireTimeoutMs: what === 'late' ? 1 : 60_000 };
    const acquired = what === 'shared' ? this.pool.acquireShared(options) : this.pool.acquire(options);
    this.newest = acquired
      .then(
        (lease) => void this.leases.push(lease),
        () => {},
      )
      .finally(() => this.waiting.delete(aborting));
  }
}

it('metrics equal stats() after whatever has happened', { timeout: 60_000 }, async () => {
  const { say } = observed();
  const seen = { timeouts: 0, aborted: 0, createFailed: 0, waited: 0, sharers: 0, closed: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      await withRoot(async () => {
        const world = new World();
        const { pool } = world;
        for (const { what, which } of steps) {
          world.do(what, which);
          if (what === 'late') await world.newest;
          if (which % 2 === 0) await turns();
          // A timer may have come between the one and the other.
          await until(async () => {
            const before = expected(pool.stats());
            const said = asStats(await say(), pool.name);
            if (JSON.stringify(before) !== JSON.stringify(expected(pool.stats()))) return false;
            expect(pool.stats().acquired === 0 ? { ...said, max: before.max, maxIdle: before.max } : said).toEqual(before);
            return true;
          });
          const { sharers, ...stats } = pool.stats();
          seen.sharers = Math.max(seen.sharers, sharers);
          for (const key of ['timeouts', 'aborted', 'createFailed', 'waited', 'closed'] as const)
            seen[key] = Math.max(seen[key], stats[key]);
        }
        world.end();
        await turns();
        world.end();
      });
    }),
    { numRuns: 60, examples: [ALL, SHARED].map((story) => [story.map((what) => ({ what, which: 0 }))]) },
  );
  for (const [what, count] of Object.entries(seen)) expect([what, count]).not.toEqual([what, 0]);
});
