import type { Slot } from './slot.ts';
import type { Waiter } from './waiter.ts';

/** Which shared slots drain for which exclusive waiters. */
export class Reservations<T> {
  /** How many exclusive waiters have a slot that drains for them. */
  size = 0;

  make(waiter: Waiter<T>, slot: Slot<T>): void {
    slot.move('reserved');
    slot.reservedFor = waiter;
    waiter.reserved = slot;
    this.size++;
  }

  /** @returns the slot, where it goes on being shared. */
  giveUp(waiter: Waiter<T> | undefined): Slot<T> | undefined {
    const slot = waiter?.reserved;
    if (!slot) return undefined;
    waiter.reserved = undefined;
    slot.reservedFor = undefined;
    this.size--;
    if (slot.state !== 'reserved' || slot.holders === 0) return undefined;
    slot.move('shared');
    return slot;
  }
}

/**
 * The shared slot that drains soonest: the one with the fewest holders, none of whom waits for this pool. The last one
 * goes on being shared as long as another slot is exclusive, or will be, and comes back.
 */
export function quietestShared<T>(slots: Iterable<Slot<T>>, isStuck: (slot: Slot<T>) => boolean): Slot<T> | undefined {
  let quietest: Slot<T> | undefined;
  let shared = 0;
  let returning = 0;
  for (const slot of slots) {
    const { state } = slot;
    if ((state === 'exclusive' || state === 'reserved') && !isStuck(slot)) returning++;
    if (state !== 'shared') continue;
    shared++;
    if (!isStuck(slot) && (!quietest || slot.holders < quietest.holders)) quietest = slot;
  }
  return shared > 1 || returning === 0 ? quietest : undefined;
}
