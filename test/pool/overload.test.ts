import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Random } from '../../dev/random.ts';
import { withRoot } from '../../src/index.ts';
import { CoDel } from '../../src/pool/codel.ts';
import type { Executor } from '../../src/pool/executor.ts';
import type { Lease } from '../../src/pool/lease.ts';
import { Scheduler } from '../../src/pool/scheduler.ts';
import { RANKS, Waiter } from '../../src/pool/waiter.ts';
import { poolOf, Server } from './support.ts';

const CONNECTIONS = 10;
const SERVICE_MS = 5;
const TIMEOUT_MS = 1_000;
/** Whoever had to wait longer has gone away, and what is done for him is done in vain. */
const USEFUL_MS = 200;
/** Until then every line has become as long as it will. */
const WARM_MS = 5_000;
const RUN_MS = 15_000;

const nobody = { resolve: () => {}, reject: () => {}, forgive: () => {} };

/**
 * The real scheduler in a time of its own: users come at random, each uses a connection for a random time.
 *
 * @returns which part of all that the connections could do was done for somebody who had not waited too long.
 */
function usefulPart(load: number, codel: CoDel | undefined, seed = 1): number {
  const random = new Random(seed);
  const exponential = (mean: number) => -mean * Math.log(1 - random.next());
  const events: { at: number; run: () => void }[] = [];
  let now = 0;
  let useful = 0;
  const at = (time: number, run: () => void) => {
    let place = events.length;
    while (place > 0 && (events[place - 1]?.at ?? 0) < time) place--;
    events.splice(place, 0, { at: time, run });
  };
  const serve = (slot: Parameters<Executor<number>['close']>[0], waited: number) => {
    const ms = exponential(SERVICE_MS);
    if (waited < USEFUL_MS && now > WARM_MS) useful += ms;
    at(now + ms, () => scheduler.release(slot));
  };
  const scheduler: Scheduler<number> = new Scheduler(CONNECTIONS, 1, {
    create: (slot) => at(now, () => scheduler.arrived(slot)),
    check: () => {},
    close: () => {},
    idle: () => {},
    isUsable: () => true,
    isStale: () => false,
    isStuck: () => false,
    isTooLate: ({ since }) => codel?.refuses(since, now) ?? false,
    shed: () => ended(),
    grant: ({ since }, slot) => {
      serve(slot, now - since);
      ended();
    },
  });
  const ended = () => {
    if (scheduler.waiters.size === 0) codel?.onEmpty();
  };
  const come = () => {
    at(now + exponential(SERVICE_MS / CONNECTIONS / load), come);
    const slot = scheduler.take(true);
    if (slot) return serve(slot, 0);
    const waiter = new Waiter<number>({ exclusive: true } as Lease<number>, nobody, RANKS.normal, now, now + TIMEOUT_MS);
    scheduler.wait(waiter);
  };
  const expire = () => {
    for (const waiter of scheduler.waiters) {
      if (waiter.deadline > now) break;
      scheduler.leave(waiter);
    }
    at(now + 1, expire);
  };
  come();
  expire();
  for (let next = events.pop(); next && next.at < RUN_MS; next = events.pop()) {
    now = next.at;
    next.run();
  }
  return useful / (CONNECTIONS * (RUN_MS - WARM_MS));
}

const withCoDel = (load: number, seed?: number) => usefulPart(load, new CoDel(50, 100), seed);

describe('10 connections, uses of 5 ms, whoever waited 200 ms has gone (simulated)', () => {
  it('at nine tenths of what they can do, all is done with CoDel and without', () => {
    expect(withCoDel(0.9)).toBeGreaterThan(0.87);
    expect(usefulPart(0.9, undefined)).toBeGreaterThan(0.87);
  });

  for (const load of [1.1, 1.5, 3]) {
    it(`at ${load} times as much, CoDel lets 95 % of it be of use, and a line with a timeout 5 %`, () => {
      for (const seed of [1, 2, 3]) {
        expect(withCoDel(load, seed), `seed ${seed}`).toBeGreaterThan(0.95);
      }
      expect(usefulPart(load, undefined)).toBeLessThan(0.05);
    });
  }
});

describe('a pool that 300 users come to at once', () => {
  it('serves some in time, refuses the others as soon as that lasts, and then is as before', async () => {
    const pool = poolOf(new Server(), { max: 2, codelTargetMs: 10, codelIntervalMs: 20, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const ends = await Promise.allSettled(Array.from({ length: 300 }, () => pool.use(() => sleep(2))));
      const refused = ends.filter((end) => end.status === 'rejected').map(({ reason }) => reason.code);
      expect(new Set(refused)).toEqual(new Set(['ERR_POOL_OVERLOADED']));
      expect(refused.length).toBeGreaterThan(100);
      expect(pool.stats()).toMatchObject({ acquired: 300 - refused.length, shed: refused.length, pending: 0, inUse: 0, idle: 2 });
      // The line has ended, and with it the refusals: one that waits too long is no line.
      await Promise.all(Array.from({ length: 3 }, () => pool.use(() => sleep(15))));
      expect(pool.stats().shed).toBe(refused.length);
    });
  });
});
