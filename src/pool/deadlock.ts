import { after, cancel, type Timer } from '../clock.ts';
import { atRoot } from '../context.ts';
import type { Scheduler } from './scheduler.ts';
import type { Slot } from './slot.ts';
import type { Waiter } from './waiter.ts';

/** How long a deadlock must stand, without a single release, before somebody is refused. */
const STANDS_MS = 100;

/**
 * Ends deadlocks. A nested acquire that is not awaited may look like one for a moment, so only one that stands is one:
 * counting what a whole scope holds and waits for would call 100 parallel loops dead.
 */
export class DeadlockWatch<T> {
  readonly #scheduler: Scheduler<T>;
  readonly #refuse: (waiter: Waiter<T>) => void;
  #releases = 0;
  #timer: Timer | undefined;

  /** @param refuse Called for the newest nested waiter of a deadlock: it has done the least. */
  constructor(scheduler: Scheduler<T>, refuse: (waiter: Waiter<T>) => void) {
    this.#scheduler = scheduler;
    this.#refuse = refuse;
  }

  /** Somebody has given a connection back. */
  onRelease(): void {
    this.#releases++;
  }

  /** To be called after what can be the last step into a deadlock: a nested acquire that begins to wait, and a release. */
  look(): void {
    if (this.#timer !== undefined || !isDeadlocked(this.#scheduler)) return;
    const releases = this.#releases;
    this.#timer = atRoot(() => after(STANDS_MS, () => this.#lookAgain(releases)));
  }

  stop(): void {
    cancel(this.#timer);
  }

  #lookAgain(releases: number): void {
    this.#timer = undefined;
    if (releases === this.#releases && isDeadlocked(this.#scheduler)) {
      const newest = newestNested(this.#scheduler.waiters);
      if (newest) this.#refuse(newest);
    }
    this.look();
  }
}

/** Whether nobody who waits can ever be served, because whoever could give something back waits, too. */
export function isDeadlocked<T>({ open, max, arriving, slots, waiters }: Scheduler<T>): boolean {
  if (waiters.size === 0 || open < max || arriving > 0) return false;
  for (const slot of slots) if (canServe(slot, waiters.shared.size > 0)) return false;
  return true;
}

/** A slot comes free when its last holder leaves; a shared one has a place for a sharer before that. */
function canServe<T>({ state, holders, stuck }: Slot<T>, sharersWait: boolean): boolean {
  if (state === 'closing' || stuck === 0) return true;
  return sharersWait && state === 'shared' && stuck < holders;
}

function newestNested<T>(waiters: Iterable<Waiter<T>>): Waiter<T> | undefined {
  let newest: Waiter<T> | undefined;
  for (const waiter of waiters) if (waiter.nested && (!newest || waiter.turn > newest.turn)) newest = waiter;
  return newest;
}
