import type { List } from '../list.ts';
import type { Executor } from './executor.ts';
import { quietestShared, Reservations } from './reservations.ts';
import { type CloseReason, goingOf, leastHeld, Slot } from './slot.ts';
import { Stock } from './stock.ts';
import { type Waiter, Waiters } from './waiter.ts';

/**
 * Decides who gets which slot, at once: nothing in this file may take a second turn of the event loop, because what
 * must happen together (a slot leaves the free ones and gets its holder) happens in one call.
 *
 * Invariants
 * - `open` never exceeds `max`; a slot that is being created or closed counts.
 * - Nobody waits while a free slot can be lent, and no sharer while a shared slot takes more.
 */
export class Scheduler<T> {
  /** Changes with {@link resize}. */
  max: number;
  readonly maxSharers: number;
  readonly #executor: Executor<T>;
  /** Slots that hold a resource: everything between created and closed. */
  readonly slots = new Set<Slot<T>>();
  readonly #stock: Stock<T>;
  /** Slots that nobody holds, what was used last is last. */
  readonly free: List<Slot<T>>;
  /** Shared slots that take more holders, at once or after a look. */
  readonly sharing: List<Slot<T>>;
  readonly waiters = new Waiters<T>();
  readonly #reservations = new Reservations<T>();
  /** Slots that count against `max`: `slots`, and those being created. */
  open = 0;
  /** How many creations may begin: one at a time while creation fails, none between two steps of the backoff. */
  permits = Number.POSITIVE_INFINITY;
  /** How many checks and looks are waited for; a shared slot may be looked at twice at a time. */
  #checking = 0;
  #isSettling = false;

  constructor(max: number, maxSharers: number, executor: Executor<T>) {
    this.max = max;
    this.maxSharers = maxSharers;
    this.#executor = executor;
    this.#stock = new Stock(maxSharers, executor, (slot) => this.#end(slot));
    this.free = this.#stock.free;
    this.sharing = this.#stock.sharing;
  }

  /** How many slots are being created or checked: they come free without anybody's release. */
  get arriving(): number {
    return this.open - this.slots.size + this.#checking;
  }

  /** A slot for a new holder, `undefined` when it has to wait. */
  take(exclusive: boolean, mustLook = exclusive): Slot<T> | undefined {
    return this.#stock.take(exclusive, mustLook);
  }

  /** Whether somebody who shares the slot may share it once more. */
  shareAgain(slot: Slot<T>): boolean {
    return this.#stock.shareAgain(slot);
  }

  /** Lets somebody wait for whom `take` had nothing. */
  wait(waiter: Waiter<T>): void {
    this.waiters.join(waiter);
    this.settle();
  }

  /** A waiter goes away without a slot. */
  leave(waiter: Waiter<T>): void {
    if (!this.waiters.leave(waiter)) return;
    this.#stock.putShared(this.#reservations.giveUp(waiter));
    this.settle();
  }

  /** A holder has left. */
  release(slot: Slot<T>): void {
    slot.holders--;
    if (slot.state === 'closing' || slot.state === 'closed') return;
    if (slot.holders > 0) {
      if (slot.state === 'shared') this.#stock.putShared(slot);
      return this.settle();
    }
    this.#stock.withdraw(slot);
    if (slot.state === 'retiring') this.#close(slot);
    else if (slot.isResetting) this.check(slot);
    else this.#comeFree(slot);
  }

  /** Takes no more holders; closes now, or when the last has left. A slot that is still being created is not ours yet. */
  retire(slot: Slot<T>, reason: CloseReason): void {
    slot.reason ??= reason;
    if (!this.slots.has(slot)) return;
    this.#end(slot);
    this.settle();
  }

  /** Closes a slot over the heads of its holders. */
  abandon(slot: Slot<T>): void {
    this.retire(slot, 'closed');
    if (slot.state === 'retiring') this.#close(slot);
  }

  /** A slot was created or found alive. */
  arrived(slot: Slot<T>): void {
    if (this.slots.has(slot)) this.#checking--;
    else this.slots.add(slot);
    slot.lookedAt = Number.POSITIVE_INFINITY;
    this.#comeFree(slot);
    this.#shrink();
  }

  /** Has a slot checked: one that nobody holds, or a shared one, which takes no more holders meanwhile. */
  check(slot: Slot<T>): void {
    this.#stock.withdraw(slot);
    if (slot.holders === 0) slot.move('checking');
    this.#checking++;
    this.#executor.check(slot);
  }

  /** A shared slot was looked at while its holders went on, or left. */
  looked(slot: Slot<T>): void {
    this.#checking--;
    if (slot.state === 'shared') this.#stock.putShared(slot);
    this.settle();
  }

  /** Another limit: what is above it closes, idle slots first, held ones when their last holder has left. */
  resize(max: number): void {
    this.max = max;
    this.#shrink();
    this.settle();
  }

  /** The resource of a slot is gone, or could not be created. */
  closed(slot: Slot<T>): void {
    this.slots.delete(slot);
    slot.move('closed');
    this.open--;
    this.settle();
  }

  /** Opens connections nobody asked for yet, until `count` are open. */
  growTo(count: number): void {
    while (this.open < Math.min(count, this.max) && this.permits > 0) this.#create();
  }

  /** Serves whoever can be served, reserves and grows for the others. To be called when `permits` has changed. */
  settle(): void {
    // A resource that reports its death while it is asked for would come back here, in the middle of a decision.
    if (this.waiters.size === 0 || this.#isSettling) return;
    this.#isSettling = true;
    try {
      this.#serve();
      this.#grow();
      this.#reserve();
    } finally {
      this.#isSettling = false;
    }
  }

  #comeFree(slot: Slot<T>): void {
    this.#reservations.giveUp(slot.reservedFor);
    slot.move('free');
    // Until somebody has been asked, it is handed on and not idle: it is not stale, whatever the rules.
    slot.provenAt = slot.heardAt = Number.POSITIVE_INFINITY;
    this.#stock.putFree(slot);
    this.settle();
    if (slot.state === 'free') this.#executor.idle(this.#stock.putBack(slot));
  }

  #serve(): void {
    while (!this.#stock.isEmpty) {
      const sharable = this.#stock.canShare;
      const waiter = this.waiters.next(sharable);
      const slot = waiter && this.take(waiter.exclusive);
      if (!slot) return;
      const isTooLate = this.#executor.isTooLate(waiter);
      // Who is refused has not been served: the next one is, in its place.
      if (isTooLate) this.waiters.leave(waiter);
      else this.waiters.serve(waiter, sharable);
      this.#stock.putShared(this.#reservations.giveUp(waiter));
      if (!isTooLate) this.#executor.grant(waiter, slot);
      else {
        this.#executor.shed(waiter);
        this.release(slot);
        // It goes on to the next one, and is not idle.
        slot.provenAt = Number.POSITIVE_INFINITY;
      }
    }
  }

  /** How many slots the waiters want that are not on their way. */
  #wanted(): number {
    return this.waiters.wanted(this.maxSharers) - this.#reservations.size - this.arriving;
  }

  #grow(): void {
    if (this.#stock.isEmpty && this.open >= this.max) return;
    // What could be lent and was not is stale. It is checked though others are being created, or drain: that may take long.
    for (let wanted = this.waiters.wanted(this.maxSharers) - this.#checking; wanted > 0; wanted--) {
      const stale = (this.waiters.shared.size > 0 && this.sharing.last) || this.free.last;
      if (!stale) break;
      this.check(stale);
    }
    while (this.#wanted() > 0 && this.open < this.max && this.permits > 0) this.#create();
  }

  #create(): void {
    this.open++;
    this.permits--;
    this.#executor.create(new Slot<T>());
  }

  /** Lets shared slots drain for exclusive waiters who can get nothing else. */
  #reserve(): void {
    // Where nobody shares, a slot comes free with its first release.
    if (this.maxSharers === 1) return;
    for (const waiter of this.waiters.exclusive) {
      if (this.#wanted() <= 0) return;
      if (waiter.reserved) continue;
      const slot = quietestShared(this.slots, (candidate) => this.#executor.isStuck(candidate));
      if (!slot) return;
      this.#stock.withdraw(slot);
      this.#reservations.make(waiter, slot);
    }
  }

  #shrink(): void {
    for (let surplus = this.open - goingOf(this.slots) - this.max; surplus > 0; surplus--) {
      const slot = this.free.first ?? leastHeld(this.slots);
      if (slot) this.retire(slot, 'resized');
    }
  }

  /** The slot takes no more holders. */
  #end(slot: Slot<T>): void {
    if (slot.state === 'retiring' || slot.state === 'closing') return;
    this.#reservations.giveUp(slot.reservedFor);
    this.#stock.withdraw(slot);
    if (slot.state === 'checking') this.#checking--;
    if (slot.holders === 0) this.#close(slot);
    else slot.move('retiring');
  }

  #close(slot: Slot<T>): void {
    slot.move('closing');
    this.#executor.close(slot);
  }
}
