import type { Slot } from './slot.ts';
import type { Judge } from './stock.ts';
import type { Waiter } from './waiter.ts';

/** What the scheduler decides and others do. None of these may acquire or release before it returns. */
export interface Executor<T> extends Judge<T> {
  /** Fill the slot: then `arrived` or `closed`. */
  create(slot: Slot<T>): void;
  /** See whether the resource still lives, or end its reset: then `arrived` or `retire`; of one that is shared, `looked`. */
  check(slot: Slot<T>): void;
  /** Close the resource: then `closed`. */
  close(slot: Slot<T>): void;
  /** The slot has come free, and nobody wants it. */
  idle(slot: Slot<T>): void;
  /** Whether a holder of the slot waits for this pool, in the code that holds: until it is served, it does not leave. */
  isStuck(slot: Slot<T>): boolean;
  /** Whether to refuse the waiter who could be served: there are too many. */
  isTooLate(waiter: Waiter<T>): boolean;
  /** The waiter has left the line and is refused. */
  shed(waiter: Waiter<T>): void;
  /** The waiter has its slot. */
  grant(waiter: Waiter<T>, slot: Slot<T>): void;
}
