import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isDeadlocked } from '../../src/pool/deadlock.ts';
import type { Slot } from '../../src/pool/slot.ts';
import { Script } from './scripted.ts';

const INFINITE = Number.POSITIVE_INFINITY;
const times = (count: number, fn: () => void) => Array.from({ length: count }, fn);

/** @returns the slot of the newest holder. */
function slotOf(script: Script): Slot<number> {
  const holder = script.holders.at(-1);
  if (!holder) throw new Error('nobody holds anything');
  return holder.slot;
}

describe('Rule 2: growth', () => {
  it('opens nothing until somebody asks', () => {
    expect(new Script(4).scheduler.open).toBe(0);
  });

  it('opens one connection for 100 cold sharers where all fit on one', () => {
    const script = new Script(10, INFINITE);
    times(100, () => script.acquire('shared'));
    expect(script.scheduler.open).toBe(1);
    script.arrive();
    expect(script.holders).toHaveLength(100);
    expect(new Set(script.holders.map(({ slot }) => slot)).size).toBe(1);
    script.verify();
  });

  it('opens as many as the sharers need at maxSharers each, rounded up', () => {
    const script = new Script(10, 8);
    times(17, () => script.acquire('shared'));
    expect(script.scheduler.open).toBe(3);
  });

  it('opens max at once for 50 exclusive holders, and no more', () => {
    const script = new Script(10, INFINITE);
    times(50, () => script.acquire('exclusive'));
    expect(script.creating).toHaveLength(10);
  });

  it('adds what sharers and exclusive waiters want', () => {
    const script = new Script(10, 2);
    times(3, () => script.acquire('shared'));
    times(2, () => script.acquire('exclusive'));
    expect(script.creating).toHaveLength(4);
  });

  it('counts what is being created', () => {
    const script = new Script(10);
    script.scheduler.growTo(2);
    times(2, () => script.acquire('exclusive'));
    expect(script.creating).toHaveLength(2);
    script.acquire('exclusive');
    expect(script.creating).toHaveLength(3);
  });

  it('makes no attempt between two steps of the backoff, and one at each', () => {
    const script = new Script(4);
    times(4, () => script.acquire('exclusive'));
    times(4, () => script.fail());
    expect(script.creating).toHaveLength(0);
    script.permit();
    expect(script.creating).toHaveLength(1);
    script.arrive();
    expect(script.creating).toHaveLength(3);
  });

  it('opens nothing for an exclusive waiter that has a reservation', () => {
    const script = new Script(2, 4);
    script.scheduler.permits = 1;
    script.warm(1);
    script.scheduler.permits = 0;
    times(2, () => script.acquire('shared'));
    script.acquire('exclusive');
    expect(script.states).toEqual(['reserved']);
    script.permit();
    expect(script.creating).toHaveLength(0);
  });
});

describe('Rule 2: who gets which slot', () => {
  it('lends the slot that came free last, so that others can grow old', () => {
    const script = new Script(3);
    script.warm(3);
    times(3, () => script.acquire('exclusive'));
    const [first, second] = script.holders;
    script.release(second);
    script.release(first);
    script.acquire('exclusive');
    expect(slotOf(script)).toBe(first?.slot);
  });

  it('packs sharers on one slot until it is full', () => {
    const script = new Script(3, 2);
    script.warm(3);
    times(3, () => script.acquire('shared'));
    expect(script.states.toSorted()).toEqual(['free', 'shared', 'shared']);
  });

  it('takes a full slot up again when a sharer leaves', () => {
    const script = new Script(1, 2);
    script.warm(1);
    times(2, () => script.acquire('shared'));
    expect(script.acquire('shared')).toBeDefined();
    script.releaseNewest();
    expect(script.waiters).toEqual([]);
    script.verify();
  });

  it('serves in the order of arrival, exclusive and shared alike', () => {
    const script = new Script(1, 1);
    script.warm(1);
    script.acquire('exclusive');
    const order = [script.acquire('shared'), script.acquire('exclusive'), script.acquire('shared')];
    for (const next of order) {
      expect(script.waiters[0]).toBe(next);
      script.releaseNewest();
      expect(script.waiters).not.toContain(next);
      script.verify();
    }
  });

  it('lets a nested acquire go first: it gives two back', () => {
    const script = new Script(2);
    script.warm(2);
    times(2, () => script.acquire('exclusive'));
    const [outer, other] = script.holders;
    script.acquire('exclusive');
    const nested = script.acquire('exclusive', outer);
    script.release(other);
    expect(script.waiters).not.toContain(nested);
  });

  it('skips a slot that is unusable and closes it', () => {
    const script = new Script(2);
    const [first, second] = script.warm(2) as [Slot<number>, Slot<number>];
    script.unusable.add(second);
    script.acquire('exclusive');
    expect(slotOf(script)).toBe(first);
    expect(second).toMatchObject({ state: 'closing', reason: 'dead' });
  });

  it('lets the other holders of an unusable shared slot finish, and takes no new ones', () => {
    const script = new Script(2, 4);
    script.warm(1);
    times(2, () => script.acquire('shared'));
    const slot = slotOf(script);
    script.unusable.add(slot);
    script.acquire('shared');
    expect(slot.state).toBe('retiring');
    script.releaseNewest();
    expect(slot.state).toBe('retiring');
    script.releaseNewest();
    expect(slot.state).toBe('closing');
    script.verify();
  });

  it('lets a nested acquire go before whoever came first, of either kind', () => {
    const script = new Script(2);
    script.warm(2);
    times(2, () => script.acquire('exclusive'));
    const [outer, other] = script.holders;
    script.acquire('shared');
    const nested = script.acquire('exclusive', outer);
    script.release(other);
    expect(script.waiters).not.toContain(nested);
    expect(script.waiters).toHaveLength(1);
  });

  it('survives resources that report their death while they are asked for, in the middle of a decision', () => {
    const script = new Script(3);
    const [first, second, third] = script.warm(3) as [Slot<number>, Slot<number>, Slot<number>];
    times(3, () => script.acquire('exclusive'));
    times(3, () => script.acquire('exclusive'));
    script.isUsable = (slot) => {
      if (slot === first) script.scheduler.retire(second, 'destroyed');
      return slot !== second;
    };
    const holderOf = (slot: Slot<number>) => script.holders.find((holder) => holder.slot === slot);
    script.release(holderOf(second));
    script.release(holderOf(first));
    script.release(holderOf(third));
    script.verify();
    expect(script.waiters).toHaveLength(1);
    expect(script.closing).toEqual([second]);
  });
});

describe('Rule 2: reservations', () => {
  /** Three slots, shared by 3, 1 and 2. */
  function crowded() {
    const script = new Script(3, 3);
    script.warm(3);
    times(9, () => script.acquire('shared'));
    const [a, b, c] = [...new Set(script.holders.map(({ slot }) => slot))] as [Slot<number>, Slot<number>, Slot<number>];
    const leave = (slot: Slot<number>) => script.release(script.holders.find((holder) => holder.slot === slot));
    leave(b);
    leave(b);
    leave(c);
    return { script, a, b, c, leave };
  }

  it('reserves the shared slot with the fewest holders for an exclusive waiter', () => {
    const { script, a, b, c } = crowded();
    script.acquire('exclusive');
    expect([a.state, b.state, c.state]).toEqual(['shared', 'reserved', 'shared']);
  });

  it('goes on sharing all other slots', () => {
    const { script, b, c } = crowded();
    script.acquire('exclusive');
    expect(script.acquire('shared')).toBeUndefined();
    expect(slotOf(script)).toBe(c);
    expect(b.holders).toBe(1);
    script.verify();
  });

  it('lends the reserved slot when its last sharer has left', () => {
    const { script, b, leave } = crowded();
    script.acquire('exclusive');
    leave(b);
    expect(b.state).toBe('exclusive');
    expect(script.waiters).toEqual([]);
  });

  it('gives the reservation back when its waiter leaves', () => {
    const { script, b } = crowded();
    const waiter = script.acquire('exclusive');
    script.acquire('shared');
    if (waiter) script.leave(waiter);
    expect(b).toMatchObject({ state: 'shared', reservedFor: undefined });
    script.acquire('shared');
    expect(slotOf(script)).toBe(b);
    script.verify();
  });

  it('hands the reservation to the next exclusive waiter when its own leaves', () => {
    const { script, b } = crowded();
    const [first, second] = [script.acquire('exclusive'), script.acquire('exclusive')];
    if (first) script.leave(first);
    expect(b.reservedFor ?? second?.reserved).toBeDefined();
    expect(second?.reserved).toBeDefined();
    script.verify();
  });

  it('gives the reservation back when its waiter is served by another slot', () => {
    const script = new Script(2, 4);
    script.warm(2);
    times(2, () => script.acquire('exclusive'));
    script.releaseNewest();
    times(2, () => script.acquire('shared'));
    const sharers = slotOf(script);
    const exclusive = script.holders[0];
    // The exclusive holder waits itself, so the shared slot has to drain; then it ends all the same.
    if (exclusive) exclusive.slot.stuck = 1;
    script.acquire('exclusive');
    expect(sharers.state).toBe('reserved');
    if (exclusive) exclusive.slot.stuck = 0;
    script.release(exclusive);
    expect(sharers.state).toBe('shared');
    expect(script.acquire('shared')).toBeUndefined();
    script.verify();
  });

  it('does not reserve the last shared slot while an exclusive holder will return one', () => {
    const script = new Script(2, INFINITE);
    script.warm(2);
    script.acquire('exclusive');
    times(3, () => script.acquire('shared'));
    script.acquire('exclusive');
    expect(script.states.toSorted()).toEqual(['exclusive', 'shared']);
    expect(script.acquire('shared')).toBeUndefined();
    script.verify();
  });

  it('does not reserve the last shared slot while another one drains and will be returned', () => {
    const { script, a, leave } = crowded();
    leave(a);
    leave(a);
    times(5, () => script.acquire('exclusive'));
    expect(script.states.toSorted()).toEqual(['reserved', 'reserved', 'shared']);
    expect(script.acquire('shared')).toBeUndefined();
  });

  it('reserves the last shared slot when nothing is held exclusively', () => {
    const script = new Script(1, INFINITE);
    script.warm(1);
    times(3, () => script.acquire('shared'));
    script.acquire('exclusive');
    expect(script.states).toEqual(['reserved']);
    expect(script.acquire('shared')).toBeDefined();
    times(3, () => script.release(script.holders[0]));
    expect(script.states).toEqual(['exclusive']);
    script.releaseNewest();
    expect(script.states).toEqual(['shared']);
    script.verify();
  });

  it('reserves the last shared slot when the exclusive holders wait themselves', () => {
    const script = new Script(2, INFINITE);
    script.warm(2);
    script.acquire('exclusive');
    const [holder] = script.holders;
    script.acquire('shared');
    script.acquire('exclusive', holder);
    expect(script.states.toSorted()).toEqual(['exclusive', 'reserved']);
  });

  it('passes over a slot whose holder waits itself: it would never drain', () => {
    const script = new Script(2, 2);
    script.warm(2);
    times(3, () => script.acquire('shared'));
    const alone = script.holders.at(-1);
    script.acquire('exclusive', alone);
    expect(alone?.slot.state).toBe('shared');
    expect(script.states.toSorted()).toEqual(['reserved', 'shared']);
  });

  it('takes no sharers on a reserved slot that is retired', () => {
    const script = new Script(2, 4);
    script.warm(1);
    script.scheduler.permits = 0;
    times(2, () => script.acquire('shared'));
    const slot = slotOf(script);
    script.acquire('exclusive');
    script.scheduler.retire(slot, 'destroyed');
    expect(slot.state).toBe('retiring');
    expect(script.acquire('shared')).toBeDefined();
    script.verify();
  });
});

describe('Rule 2: nested acquires and deadlocks', () => {
  it('lets who shares a slot share it again, inside, also while it drains', () => {
    const script = new Script(1, INFINITE);
    script.warm(1);
    script.acquire('shared');
    const [outer] = script.holders;
    script.acquire('exclusive');
    expect(outer?.slot.state).toBe('reserved');
    expect(script.acquire('shared', outer)).toBeUndefined();
    expect(script.acquire('shared')).toBeDefined();
    script.verify();
  });

  it('lets nobody share again what is broken, full or exclusive', () => {
    const script = new Script(4, 2);
    script.warm(4);
    script.acquire('shared');
    const slot = slotOf(script);
    slot.reason = 'dead';
    script.scheduler.retire(slot, 'destroyed');
    expect(script.scheduler.shareAgain(slot)).toBe(false);
    slot.reason = 'leaked';
    expect(script.scheduler.shareAgain(slot)).toBe(true);
    expect(script.scheduler.shareAgain(slot)).toBe(false);
    script.acquire('exclusive');
    expect(script.scheduler.shareAgain(slotOf(script))).toBe(false);
  });

  it('is deadlocked when every exclusive holder waits', () => {
    const script = new Script(2);
    script.warm(2);
    times(2, () => script.acquire('exclusive'));
    const [a, b] = script.holders;
    script.acquire('exclusive', a);
    expect(isDeadlocked(script.scheduler)).toBe(false);
    script.acquire('exclusive', b);
    expect(isDeadlocked(script.scheduler)).toBe(true);
  });

  it('is deadlocked when a sharer of the only slot wants it alone, whoever else shares it', () => {
    const script = new Script(1, 4);
    script.warm(1);
    times(2, () => script.acquire('shared'));
    script.acquire('exclusive', script.holders[0]);
    expect(isDeadlocked(script.scheduler)).toBe(true);
  });

  it('is not deadlocked while a sharer will leave who makes room for one that waits', () => {
    const script = new Script(1, 2);
    script.warm(1);
    times(2, () => script.acquire('shared'));
    script.acquire('shared', script.holders[0]);
    expect(isDeadlocked(script.scheduler)).toBe(false);
  });

  it('is not deadlocked while a connection arrives, closes, or can still be opened', () => {
    const growing = new Script(2);
    growing.warm(1);
    growing.acquire('exclusive');
    growing.acquire('exclusive', growing.holders[0]);
    expect(isDeadlocked(growing.scheduler)).toBe(false);
    growing.fail();
    expect(isDeadlocked(growing.scheduler)).toBe(false);

    const closing = new Script(2);
    const [slot] = closing.warm(2);
    if (slot) closing.scheduler.retire(slot, 'destroyed');
    closing.acquire('exclusive');
    closing.acquire('exclusive', closing.holders[0]);
    expect(isDeadlocked(closing.scheduler)).toBe(false);
  });
});

describe('Rule 3: a slot counts until its resource is gone', () => {
  it('opens no other while one closes', () => {
    const script = new Script(1);
    const [slot] = script.warm(1);
    if (slot) script.scheduler.retire(slot, 'destroyed');
    script.acquire('exclusive');
    expect(script.creating).toEqual([]);
    expect(script.scheduler.open).toBe(1);
    script.closed();
    expect(script.creating).toHaveLength(1);
  });

  it('opens no more than max however many are wanted as a minimum', () => {
    const script = new Script(2);
    script.scheduler.growTo(9);
    expect(script.creating).toHaveLength(2);
  });

  it('closes a slot over the heads of its holders when it is abandoned, once', () => {
    const script = new Script(1, 4);
    script.warm(1);
    times(2, () => script.acquire('shared'));
    const slot = slotOf(script);
    script.scheduler.abandon(slot);
    script.scheduler.abandon(slot);
    expect(script.closing).toEqual([slot]);
    times(2, () => script.releaseNewest());
    script.closed();
    expect(script.scheduler.open).toBe(0);
  });
});

describe('checks before lending', () => {
  it('checks a stale slot before it is lent, and lends it when it lives', () => {
    const script = new Script(1);
    const [slot] = script.warm(1) as [Slot<number>];
    script.stale.add(slot);
    script.acquire('exclusive');
    expect(script.checking).toEqual([slot]);
    expect(script.holders).toEqual([]);
    script.checked(true);
    expect(slotOf(script)).toBe(slot);
  });

  it('replaces a slot that fails its check', () => {
    const script = new Script(1);
    const [slot] = script.warm(1) as [Slot<number>];
    script.stale.add(slot);
    script.acquire('exclusive');
    script.checked(false);
    script.closed();
    script.arrive();
    expect(script.holders).toHaveLength(1);
    expect(slotOf(script)).not.toBe(slot);
  });

  it('checks no more slots than are wanted', () => {
    const script = new Script(3);
    for (const slot of script.warm(3)) script.stale.add(slot);
    script.acquire('exclusive');
    expect(script.checking).toHaveLength(1);
  });

  it('does not wait for the check of a slot that is retired meanwhile', () => {
    const script = new Script(1);
    const [slot] = script.warm(1) as [Slot<number>];
    script.stale.add(slot);
    script.acquire('exclusive');
    script.scheduler.retire(slot, 'destroyed');
    script.checked(true);
    expect(slot.state).toBe('closing');
    expect(script.scheduler.arriving).toBe(0);
  });
});

it('the scheduler, and what it is made of, never takes a second turn of the event loop', () => {
  for (const file of ['scheduler', 'stock', 'reservations', 'waiter', 'slot']) {
    const source = readFileSync(new URL(`../../src/pool/${file}.ts`, import.meta.url), 'utf8');
    expect(source).not.toMatch(/\b(await|async|Promise|setTimeout|queueMicrotask|nextTick)\b/);
  }
});
