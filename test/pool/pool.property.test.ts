import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withRoot } from '../../src/index.ts';
import type { Engine } from '../../src/pool/engine.ts';
import { ACTIONS, type Action, Crowd } from './crowd.ts';
import { poolOf, turns } from './support.ts';

const action: fc.Arbitrary<Action> = fc.record({ what: fc.constantFrom(...ACTIONS), turns: fc.integer({ min: 0, max: 3 }) });
const world = fc.record({
  max: fc.integer({ min: 1, max: 4 }),
  maxSharers: fc.constantFrom(1, 2, 8, Number.POSITIVE_INFINITY),
  min: fc.constantFrom(0, 1, 2),
  maxUses: fc.constantFrom(2, 5, Number.POSITIVE_INFINITY),
  keepaliveMs: fc.constantFrom(1, Number.POSITIVE_INFINITY),
  /** How long each creation and each closing takes; a negative one fails. */
  // Rarely: each failure costs a step of the backoff.
  creating: fc.array(fc.constantFrom(0, 0, 1, 1, 2, 2, 3, 4, -1), { minLength: 1, maxLength: 10 }),
  closing: fc.array(fc.integer({ min: -1, max: 4 }), { minLength: 1, maxLength: 10 }),
  validating: fc.array(fc.integer({ min: -1, max: 3 }), { minLength: 1, maxLength: 10 }),
  users: fc.array(fc.array(action, { maxLength: 6 }), { minLength: 1, maxLength: 12 }),
});

/** Takes the next of a list, round and round. */
function cycle(of: readonly number[]): () => Promise<void> {
  let place = 0;
  return async () => {
    const next = of[place++ % of.length] ?? 0;
    await turns(Math.abs(next));
    if (next < 0) throw Object.assign(new Error('as the script says'), { code: 'ERR_OF_THE_JOB' });
  };
}

describe('Pool', () => {
  it('keeps its promises whatever its users and its resources do', async () => {
    await fc.assert(
      fc.asyncProperty(world, async ({ max, maxSharers, min, maxUses, keepaliveMs, creating, closing, validating, users }) => {
        const crowd = new Crowd(max, maxSharers);
        const { server } = crowd;
        // One creation in a row that fails would fail for ever.
        server.onCreate = cycle([...creating, 0]);
        server.onDestroy = cycle(closing);
        const pool = poolOf(server, {
          max,
          maxSharers,
          min: Math.min(min, max),
          maxUses,
          keepaliveMs,
          acquireTimeoutMs: 4_000,
          validateAfterIdleMs: 0,
          validate: cycle([...validating, 0]),
        });
        let engine: Engine<unknown> | undefined;
        await withRoot(
          async (root) => {
            await Promise.all(users.map((actions) => crowd.user(pool, actions)));
            engine = root.single(pool) as unknown as Engine<unknown> | undefined;
            await turns(8);
            const { pending, inUse, open, closed, closedBy } = pool.stats();
            expect(Object.values(closedBy).reduce((sum, count) => sum + count)).toBe(closed);
            expect({ pending, inUse }).toEqual({ pending: 0, inUse: 0 });
            expect(engine?.supply.ledger.size ?? 0).toBe(open);
          },
          { onSuppressed: () => {} },
        );
        expect(crowd.broken).toEqual([]);
        expect(server.open).toBe(0);
        expect(engine?.supply.ledger.size ?? 0).toBe(0);
      }),
      { numRuns: 40, interruptAfterTimeLimit: 20_000 },
    );
  });
});
