import { describe, expect, it } from 'vitest';
import type { Priority, Waiter } from '../../src/pool/waiter.ts';
import { Script } from './scripted.ts';

type Kind = 'exclusive' | 'shared';

/** Who comes again and again, and who waits among them. */
interface Rush {
  readonly max: number;
  readonly maxSharers: number;
  readonly kind: Kind;
  readonly priority: Priority;
  readonly among: readonly (readonly [Kind, Priority])[];
}

/**
 * Lets one wait among others who never stop coming: in each step one more comes, and the one who has held longest leaves.
 *
 * @returns how many steps it had to wait; 0 where there was room.
 */
function waitAmong({ max, maxSharers, kind, priority, among }: Rush): number {
  const script = new Script(max, maxSharers);
  script.warm(max);
  let come = 0;
  const next = () => {
    const [other, rank] = among[come++ % among.length] ?? ['exclusive', 'high'];
    script.acquire(other, undefined, rank);
  };
  for (let place = 0; place < max * Math.min(maxSharers, 8) + 4; place++) next();
  const waiter = script.acquire(kind, undefined, priority);
  return waiter ? stepsUntilServed(script, waiter, next) : 0;
}

function stepsUntilServed(script: Script, waiter: Waiter<number>, next: () => void): number {
  for (let step = 0; step < 2_000; step++) {
    if (!script.waiters.includes(waiter)) return step;
    next();
    script.release(script.holders[0]);
    script.verify();
  }
  throw new Error(`never served: ${script.describe()}`);
}

/** Eight times those who hold and wait when it comes, and some. */
const BOUND = 400;

describe('nobody waits for ever', () => {
  for (const max of [1, 2, 3]) {
    for (const maxSharers of [1, 2, 8, Number.POSITIVE_INFINITY]) {
      const limits = { max, maxSharers };
      const pool = `max ${max}, maxSharers ${maxSharers}`;

      it(`a low one among endless high ones (${pool})`, () => {
        expect(waitAmong({ ...limits, kind: 'exclusive', priority: 'low', among: [['exclusive', 'high']] })).toBeLessThan(BOUND);
      });

      it(`who wants one alone among endless sharers of each rank (${pool})`, () => {
        for (const rank of ['high', 'normal', 'low'] as const) {
          for (const priority of ['high', 'normal', 'low'] as const) {
            const steps = waitAmong({ ...limits, kind: 'exclusive', priority, among: [['shared', rank]] });
            expect(steps, `${priority} among ${rank}`).toBeLessThan(BOUND);
          }
        }
      });

      it(`a low sharer among endless high ones who want one alone, and such as mix (${pool})`, () => {
        const alone = [['exclusive', 'high']] as const;
        expect(waitAmong({ ...limits, kind: 'shared', priority: 'low', among: alone })).toBeLessThan(BOUND);
        const mixed = [['exclusive', 'high'] as const, ['shared', 'high'] as const, ['shared', 'normal'] as const];
        for (const kind of ['exclusive', 'shared'] as const) {
          expect(waitAmong({ ...limits, kind, priority: 'low', among: mixed }), kind).toBeLessThan(BOUND);
        }
      });
    }
  }
});
