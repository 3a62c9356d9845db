import { describe, expect, it } from 'vitest';
import { withRoot } from '../../src/index.ts';
import { CoDel } from '../../src/pool/codel.ts';
import { until } from '../support/until.ts';
import { poolOf, Server, turns } from './support.ts';

/** Asks for one that comes to its turn at `now` after having waited so long. */
const refuses = (codel: CoDel, now: number, waited: number) => codel.refuses(now - waited, now);

describe('CoDel', () => {
  it('refuses nobody who waited shorter than the target', () => {
    const codel = new CoDel(50, 100);
    for (let now = 1_000; now < 2_000; now += 10) expect(refuses(codel, now, 49.9)).toBe(false);
  });

  it('serves a burst: whoever waited too long, as long as that has not lasted for an interval', () => {
    const codel = new CoDel(50, 100);
    for (let now = 1_000; now < 1_100; now += 1) expect(refuses(codel, now, 50)).toBe(false);
  });

  it('refuses who waited the target or longer, from the end of the interval on', () => {
    const codel = new CoDel(50, 100);
    refuses(codel, 1_000, 50);
    expect(refuses(codel, 1_100, 50)).toBe(true);
    expect(refuses(codel, 1_101, 500)).toBe(true);
  });

  it('begins to count anew when one was in time', () => {
    const codel = new CoDel(50, 100);
    refuses(codel, 1_000, 60);
    refuses(codel, 1_090, 10);
    expect(refuses(codel, 1_110, 60)).toBe(false);
    expect(refuses(codel, 1_209, 60)).toBe(false);
    expect(refuses(codel, 1_210, 60)).toBe(true);
  });

  it('goes on refusing who is late while others are in time, until for an interval all were', () => {
    const codel = new CoDel(50, 100);
    refuses(codel, 1_000, 60);
    expect(refuses(codel, 1_100, 60)).toBe(true);
    expect(refuses(codel, 1_110, 10)).toBe(false);
    expect(refuses(codel, 1_120, 60)).toBe(true);
    expect(refuses(codel, 1_219, 10)).toBe(false);
    expect(refuses(codel, 1_220, 10)).toBe(false);
    expect(refuses(codel, 1_230, 60)).toBe(false);
  });

  it('ends with the line', () => {
    const codel = new CoDel(50, 100);
    refuses(codel, 1_000, 60);
    refuses(codel, 1_100, 60);
    codel.onEmpty();
    expect(refuses(codel, 1_101, 60)).toBe(false);
    codel.onEmpty();
    expect(refuses(codel, 1_205, 60)).toBe(false);
  });
});

/** Waits that are too long for the pools below, by far. */
const LATE_MS = 30;

/** A pool whose line stands: for more than an interval everybody has waited longer than the target. */
const SHORT = { max: 1, codelTargetMs: 10, codelIntervalMs: 10, acquireTimeoutMs: 60_000 };

/** Waits until the clock has gone on, whatever the load of this machine. */
async function pass(ms: number): Promise<void> {
  const end = performance.now() + ms;
  await until(() => performance.now() >= end);
  // The coarse clock of what is only counted has seen it, too.
  await turns(1);
}

describe('Pool under overload', () => {
  it('refuses who waited too long, counts it, says so, and gives the connection to one in time', async () => {
    const pool = poolOf(new Server(), SHORT);
    await withRoot(async () => {
      const held = await pool.acquire();
      const [first, second, third] = [pool.acquire(), pool.acquire(), pool.use(() => {})];
      const refused = expect(third).rejects.toMatchObject({
        code: 'ERR_POOL_OVERLOADED',
        facts: { pool: pool.name, max: 1, inUse: 1, exclusive: true },
      });
      await pass(LATE_MS);
      held.release();
      const one = await first;
      await pass(LATE_MS);
      const inTime = pool.acquire();
      const since = performance.now();
      one.release();
      await expect(second).rejects.toThrow(/is overloaded: waited \d+ ms, more than the 10 ms of codelTargetMs/);
      await refused;
      expect(performance.now() - since).toBeLessThan(5_000);
      (await inTime).release();
      expect(pool.stats()).toMatchObject({ shed: 2, pending: 0, inUse: 0, idle: 1, timeouts: 0 });
      expect(pool.stats().waitMs).toBeGreaterThan(LATE_MS / 3);
    });
  });

  it('refuses nobody where codelTargetMs is left out', async () => {
    const pool = poolOf(new Server(), { max: 1, codelIntervalMs: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const waiting = [pool.acquire(), pool.acquire(), pool.acquire()];
      await pass(LATE_MS);
      held.release();
      for (const lease of waiting) {
        await pass(5);
        (await lease).release();
      }
      expect(pool.stats()).toMatchObject({ shed: 0, acquired: 4 });
    });
  });

  it('never refuses who holds a connection already: without it no connection would come back', async () => {
    const pool = poolOf(new Server(), { ...SHORT, max: 2, codelTargetMs: 1, codelIntervalMs: 1 });
    const crowd = async () => {
      const other = await pool.acquire();
      const waiting = Array.from({ length: 8 }, () => pool.use(() => pass(2)));
      await pass(5);
      other.release();
      await Promise.allSettled(waiting);
      return pool.stats().shed;
    };
    await withRoot(async () => {
      expect(await pool.use(crowd)).toBe(0);
      // Outside they would be refused.
      const held = await pool.acquire();
      expect(await crowd()).toBeGreaterThan(0);
      held.release();
    });
  });

  it('refuses those of a lower rank whose line stands, though those of a higher one are in time', async () => {
    const pool = poolOf(new Server(), { ...SHORT, codelTargetMs: 20 });
    await withRoot(async () => {
      let lease = await pool.acquire();
      const low = Array.from({ length: 9 }, () => pool.acquire({ priority: 'low' }).then((late) => late.release()));
      const ends = Promise.allSettled(low);
      // Each high one comes at the last moment, and seven are served before a low one.
      for (let round = 0; round < 30 && pool.stats().pending > 0; round++) {
        await pass(3);
        const high = pool.acquire({ priority: 'high' });
        lease.release();
        lease = await high;
      }
      lease.release();
      await ends;
      expect(pool.stats()).toMatchObject({ pending: 0, timeouts: 0 });
      expect(pool.stats().shed).toBeGreaterThan(4);
    });
  });
});
