import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDeadlocked } from '../../src/pool/deadlock.ts';
import { Script } from './scripted.ts';

/** One step: what is done, and to which of those it can be done to. */
const step = fc.record({
  what: fc.constantFrom(
    'exclusive',
    'exclusive',
    'shared',
    'shared',
    'shared',
    'high exclusive',
    'high shared',
    'low exclusive',
    'low shared',
    'late',
    'nested exclusive',
    'nested shared',
    'release',
    'release',
    'release',
    'reset',
    'leave',
    'arrive',
    'arrive',
    'fail',
    'permit',
    'alive',
    'dead check',
    'closed',
    'closed',
    'retire',
    'go stale',
    'go unseen',
    'go unseen',
    'looked',
    'dead look',
    'try',
    'die',
    'warm',
    'check',
    'resize',
  ),
  which: fc.nat(31),
});

type Step = { readonly what: string; readonly which: number };

function play(script: Script, { what, which }: Step): void {
  const pick = <E>(from: Iterable<E>): E | undefined => {
    const all = [...from];
    return all[which % Math.max(1, all.length)];
  };
  const holder = pick(script.holders);
  const slot = pick(script.scheduler.slots);
  if (what === 'exclusive' || what === 'shared') script.acquire(what);
  else if (what === 'high exclusive') script.acquire('exclusive', undefined, 'high');
  else if (what === 'high shared') script.acquire('shared', undefined, 'high');
  else if (what === 'low exclusive') script.acquire('exclusive', undefined, 'low');
  else if (what === 'low shared') script.acquire('shared', undefined, 'low');
  else if (what === 'nested exclusive') script.acquire('exclusive', holder);
  else if (what === 'nested shared') script.acquire('shared', holder);
  else if (what === 'release') script.release(holder);
  else if (what === 'reset') script.release(holder, 'reset');
  else if (what === 'arrive') script.arrive(pick(script.creating));
  else if (what === 'fail') script.fail(pick(script.creating));
  else if (what === 'permit') script.permit();
  else if (what === 'alive') script.checked(true, pick(script.checking));
  else if (what === 'dead check') script.checked(false, pick(script.checking));
  else if (what === 'looked') script.looked(true, pick(script.looking));
  else if (what === 'dead look') script.looked(false, pick(script.looking));
  else if (what === 'try') script.tryAcquire();
  else if (what === 'closed') script.closed(pick(script.closing));
  else if (what === 'warm') script.scheduler.growTo(which % 4);
  else if (what === 'resize') script.resize(1 + (which % 5));
  const waiter = pick(script.waiters);
  if (what === 'leave' && waiter) script.leave(waiter);
  if (what === 'late' && waiter) script.late.add(waiter);
  if (!slot) return;
  if (what === 'retire') script.scheduler.retire(slot, 'destroyed');
  if (what === 'go stale' && (slot.state === 'free' || slot.state === 'shared')) script.stale.add(slot);
  if (what === 'go unseen') script.unseen.add(slot);
  if (what === 'check' && slot.state === 'free') script.scheduler.check(slot);
  if (what === 'die') script.unusable.add(slot);
}

/** From now on everything succeeds and every holder who does not wait leaves: then everybody must be served. */
function settle(script: Script): void {
  for (let round = 0; round < 10_000; round++) {
    const before = script.describe();
    while (script.creating.length > 0) script.arrive();
    while (script.checking.length > 0) script.checked(true);
    while (script.looking.length > 0) script.looked(true);
    while (script.closing.length > 0) script.closed();
    script.permit();
    script.verify();
    const leaver = script.holders.find((holder) => !script.waitsItself(holder));
    if (leaver) script.release(leaver);
    else if (isDeadlocked(script.scheduler)) breakDeadlock(script);
    else if (script.waiters.length === 0 && script.holders.length === 0 && script.closing.length === 0) return;
    else if (before === script.describe() && script.arriving + script.closing.length === 0) return;
    script.verify();
  }
}

function breakDeadlock(script: Script): void {
  const newest = script.waiters.filter(({ nested }) => nested).at(-1);
  expect(newest).toBeDefined();
  if (newest) script.leave(newest);
}

describe('Scheduler', () => {
  it('keeps its invariants after every step, and serves everybody in the end', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom(1, 2, 8, Number.POSITIVE_INFINITY),
        fc.array(step, { minLength: 5, maxLength: 120 }),
        (max, maxSharers, steps) => {
          const script = new Script(max, maxSharers);
          for (const next of steps) {
            play(script, next);
            script.verify();
          }
          settle(script);
          expect(script.waiters, script.describe()).toEqual([]);
          expect(script.holders).toEqual([]);
          expect(script.scheduler.open).toBeLessThanOrEqual(script.scheduler.max);
          for (const slot of [...script.scheduler.slots]) script.scheduler.retire(slot, 'destroyed');
          while (script.closing.length > 0) script.closed();
          expect(script.scheduler.open).toBe(0);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('passes over nobody more than seven times, whatever the ranks, and serves each rank in the order of arrival', () => {
    const kinds = ['exclusive', 'exclusive', 'shared', 'shared', 'high exclusive', 'high shared', 'low exclusive', 'low shared'];
    const one = fc.record({ what: fc.constantFrom(...kinds), which: fc.nat(31) });
    const next = fc.tuple(one, fc.constantFrom('release', 'release', 'release', 'release', 'leave', 'late'), fc.nat(31));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(1, 2, 8, Number.POSITIVE_INFINITY),
        fc.array(one, { minLength: 10, maxLength: 20 }),
        fc.array(next, { minLength: 20, maxLength: 80 }),
        (max, maxSharers, before, steps) => {
          const script = new Script(max, maxSharers);
          script.warm(max);
          for (const first of before) play(script, first);
          for (const [comes, what, which] of steps) {
            play(script, comes);
            play(script, { what, which });
            script.verify();
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('keeps a place for sharers: while another slot is exclusive and comes back, no sharer waits for one who does not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 4 }), fc.array(fc.constantFrom('x', 's', 'r'), { maxLength: 60 }), (max, steps) => {
        const script = new Script(max, Number.POSITIVE_INFINITY);
        script.warm(max);
        script.acquire('exclusive');
        script.acquire('shared');
        const [x, s] = [...script.holders];
        for (const next of steps) {
          if (next === 'x') script.acquire('exclusive');
          if (next === 's') expect(script.acquire('shared'), script.describe()).toBeUndefined();
          if (next === 'r') script.release(script.holders.find((holder) => holder !== x && holder !== s));
          script.verify();
        }
      }),
    );
  });
});
