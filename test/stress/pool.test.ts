import { describe, expect, it } from 'vitest';
import { Random } from '../../dev/random.ts';
import { withRoot } from '../../src/index.ts';
import { ACTIONS, type Action, Crowd } from '../pool/crowd.ts';
import { poolOf, turns } from '../pool/support.ts';

const STRESS_MS = Number(process.env.STRESS_MS ?? 1_000);
const SEED = Number(process.env.STRESS_SEED ?? Date.now() % 2 ** 31);

// A deadlock stands for 100 ms before it is broken: with these left out, the time goes into the rest.
const QUICK = ACTIONS.filter((what) => !what.startsWith('nested'));

/** What can come of making a connection as it was. */
const RESETS = [() => true, () => false, () => turns(1), () => turns(2), () => Promise.reject(new Error('dirty'))];

describe('Pool under stress', () => {
  it(`keeps its promises for ${STRESS_MS} ms of random actions (STRESS_SEED=${SEED})`, { timeout: STRESS_MS + 30_000 }, async () => {
    const random = new Random(SEED);
    const upTo = (count: number) => random.between(0, count - 1);
    const end = performance.now() + STRESS_MS;
    let served = 0;
    while (performance.now() < end) {
      const max = 1 + upTo(4);
      const maxSharers = [1, 2, 8, Number.POSITIVE_INFINITY][upTo(4)] ?? 1;
      const crowd = new Crowd(max, maxSharers);
      const { server } = crowd;
      server.onCreate = () => turns(upTo(3));
      server.onDestroy = () => turns(upTo(3));
      const pool = poolOf(server, {
        max,
        maxSharers,
        acquireTimeoutMs: 20_000,
        maxUses: [1, 5, Number.POSITIVE_INFINITY][upTo(3)],
        keepaliveMs: [1, 5, Number.POSITIVE_INFINITY][upTo(3)],
        validate: () => turns(upTo(3)),
        reset: () => RESETS[upTo(RESETS.length)]?.(),
      });
      const actions = (): Action[] => Array.from({ length: 20 }, () => ({ what: QUICK[upTo(QUICK.length)] ?? 'use', turns: upTo(3) }));
      await withRoot(() => Promise.all(Array.from({ length: 20 }, () => crowd.user(pool, actions()))), { onSuppressed: () => {} });
      expect(crowd.broken).toEqual([]);
      expect(server.open).toBe(0);
      served += crowd.served;
    }
    expect(served).toBeGreaterThan(0);
  });
});
