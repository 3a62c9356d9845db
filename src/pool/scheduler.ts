import { List } from '../list.ts';
import { Slot } from './slot.ts';
import { type Waiter, Waiters } from './waiter.ts';

/** What the scheduler decides and others do. None of these may call back before it returns. */
export interface Executor<T> {
  /** Fill the slot: then `arrived` or `failed`. */
  create(slot: Slot<T>): void;
  /** See whether the resource still lives: then `arrived` or `retire`. */
  check(slot: Slot<T>): void;
  /** Close the resource: then `closed`. */
  close(slot: Slot<T>): void;
  /** The slot has come free. */
  idle(slot: Slot<T>): void;
  /** The waiter has its slot. */
  grant(waiter: Waiter<T>, slot: Slot<T>): void;
  /** Whether a free resource must be checked before it is lent. */
  isStale(slot: Slot<T>): boolean;
  /** Whether the resource can be lent; must not wait. */
  isUsable(slot: Slot<T>): boolean;
}

/**
 * Decides who gets which slot, at once and without waiting: nothing in this file may take a second turn of the event
 * loop, because what must happen together (a slot leaves the free ones and gets its holder) happens in one call.
 *
 * Invariants
 * - `open` never exceeds `max`; a slot that is being created or closed counts.
 * - Nobody waits while a free slot can be lent, and no sharer while a shared slot takes more.
 */
export class Scheduler<T> {
  readonly max: number;
  readonly maxSharers: number;
  readonly #executor: Executor<T>;
  /** Slots that hold a resource: everything between created and closed. */
  readonly slots = new Set<Slot<T>>();
  /** Newest last. */
  readonly free = new List<Slot<T>>();
  /** Shared slots that take more holders. */
  readonly #sharing = new List<Slot<T>>();
  readonly waiters = new Waiters<T>();
  /** Slots that count against `max`. */
  open = 0;
  /** Slots being created or checked: they come free without anybody's release. */
  arriving = 0;
  /** How many creations may begin: one at a time while creation fails, none between two steps of the backoff. */
  permits = Number.POSITIVE_INFINITY;

  constructor(max: number, maxSharers: number, executor: Executor<T>) {
    this.max = max;
    this.maxSharers = maxSharers;
    this.#executor = executor;
  }

  /** A slot for a new holder, `undefined` when it has to wait. */
  take(exclusive: boolean): Slot<T> | undefined {
    return exclusive ? this.#takeExclusive() : this.#takeShared();
  }

  /** Lets somebody wait for whom `take` had nothing. */
  wait(waiter: Waiter<T>): void {
    this.waiters.join(waiter);
    this.settle();
  }

  /** A waiter goes away without a slot. */
  leave(waiter: Waiter<T>): void {
    if (!this.waiters.leave(waiter)) return;
    this.#unreserve(waiter);
    this.settle();
  }

  /** A holder has left. */
  release(slot: Slot<T>): void {
    slot.holders--;
    if (slot.state === 'closing' || slot.state === 'closed') return;
    if (slot.holders > 0) {
      if (slot.state === 'shared' && !slot.list) this.#sharing.push(slot);
      if (this.waiters.shared.size > 0) this.settle();
      return;
    }
    this.#sharing.remove(slot);
    if (slot.state === 'retiring') return this.#close(slot);
    this.#becomeFree(slot);
  }

  /** Takes no more holders; closes now, or when the last has left. */
  retire(slot: Slot<T>): void {
    if (slot.state === 'retiring' || slot.state === 'closing' || slot.state === 'closed') return;
    slot.list?.remove(slot);
    if (slot.state === 'checking') this.arriving--;
    if (slot.reservedFor) this.#unreserve(slot.reservedFor);
    if (slot.holders === 0) this.#close(slot);
    else slot.move('retiring');
    this.settle();
  }

  /** Closes a slot over the heads of its holders. */
  abandon(slot: Slot<T>): void {
    this.retire(slot);
    if (slot.state === 'retiring') this.#close(slot);
  }

  /** A slot was created or found alive. */
  arrived(slot: Slot<T>): void {
    this.arriving--;
    this.slots.add(slot);
    this.#becomeFree(slot);
  }

  /** A slot could not be created. */
  failed(slot: Slot<T>): void {
    this.arriving--;
    this.#forget(slot);
  }

  /** The resource of a slot is gone. */
  closed(slot: Slot<T>): void {
    this.slots.delete(slot);
    this.#forget(slot);
  }

  /** Opens connections nobody asked for yet, until `count` are open. */
  growTo(count: number): void {
    while (this.open < Math.min(count, this.max) && this.permits > 0) this.#create();
  }

  /** Whether nobody can ever be served again: every slot is held by code that waits for this pool. */
  isDeadlocked(): boolean {
    if (this.waiters.size === 0 || this.open < this.max || this.slots.size < this.open || this.arriving > 0) return false;
    for (const slot of this.slots) if (slot.state === 'closing' || slot.holders === 0 || slot.stuck < slot.holders) return false;
    return true;
  }

  /** Serves whoever can be served, reserves and grows for the others. To be called when `permits` has changed. */
  settle(): void {
    this.#serve();
    if (this.waiters.size === 0) return;
    this.#grow();
    if (this.waiters.exclusive.size > 0) this.#reserve();
  }

  #takeExclusive(): Slot<T> | undefined {
    const slot = this.#lendable(this.free);
    if (!slot) return undefined;
    this.free.remove(slot);
    slot.move('exclusive');
    slot.holders = 1;
    return slot;
  }

  #takeShared(): Slot<T> | undefined {
    const shared = this.#lendable(this.#sharing);
    if (shared) {
      shared.holders++;
      if (shared.holders >= this.maxSharers) this.#sharing.remove(shared);
      return shared;
    }
    const slot = this.#lendable(this.free);
    if (!slot) return undefined;
    this.free.remove(slot);
    slot.move('shared');
    slot.holders = 1;
    if (this.maxSharers > 1) this.#sharing.push(slot);
    return slot;
  }

  /** The newest slot of a list, without those that are dead; nothing when it must be checked first, as then must all older ones. */
  #lendable(list: List<Slot<T>>): Slot<T> | undefined {
    for (let slot = list.last; slot; slot = list.last) {
      if (this.#executor.isUsable(slot)) return list === this.free && this.#executor.isStale(slot) ? undefined : slot;
      slot.reason = 'dead';
      list.remove(slot);
      if (slot.holders === 0) this.#close(slot);
      else slot.move('retiring');
    }
    return undefined;
  }

  #becomeFree(slot: Slot<T>): void {
    const { reservedFor } = slot;
    if (reservedFor) this.#unreserve(reservedFor);
    slot.move('free');
    this.#executor.idle(slot);
    this.free.push(slot);
    if (this.waiters.size > 0) this.settle();
  }

  #serve(): void {
    for (;;) {
      const waiter = this.waiters.next(this.#sharing.size > 0);
      const slot = waiter && this.take(waiter.exclusive);
      if (!slot) return;
      this.waiters.leave(waiter);
      this.#unreserve(waiter);
      this.#executor.grant(waiter, slot);
    }
  }

  /** How many slots the waiters want that are not on their way. */
  #wanted(): number {
    return this.waiters.wanted(this.maxSharers) - this.arriving;
  }

  #grow(): void {
    for (let wanted = this.#wanted(); wanted > 0; wanted--) {
      // What is free now and was not lent is stale.
      const stale = this.free.last;
      if (stale) this.#check(stale);
      else if (this.open < this.max && this.permits > 0) this.#create();
      else return;
    }
  }

  #check(slot: Slot<T>): void {
    this.free.remove(slot);
    slot.move('checking');
    this.arriving++;
    this.#executor.check(slot);
  }

  #create(): void {
    this.open++;
    this.arriving++;
    this.permits--;
    this.#executor.create(new Slot<T>());
  }

  /** Lets shared slots drain for exclusive waiters who can get nothing else. */
  #reserve(): void {
    for (const waiter of this.waiters.exclusive) {
      if (this.#wanted() <= 0) return;
      if (waiter.reserved) continue;
      const slot = this.#quietestShared();
      if (!slot) return;
      this.#sharing.remove(slot);
      slot.move('reserved');
      slot.reservedFor = waiter;
      waiter.reserved = slot;
      this.waiters.reserved++;
    }
  }

  /** The shared slot with the fewest holders; the last one only when no exclusive holder will give a slot back. */
  #quietestShared(): Slot<T> | undefined {
    let quietest: Slot<T> | undefined;
    let shared = 0;
    let returning = 0;
    for (const slot of this.slots) {
      if (slot.state === 'exclusive' && slot.stuck === 0) returning++;
      if (slot.state !== 'shared') continue;
      shared++;
      if (!quietest || slot.holders < quietest.holders) quietest = slot;
    }
    return shared > 1 || returning === 0 ? quietest : undefined;
  }

  #unreserve(waiter: Waiter<T>): void {
    const slot = waiter.reserved;
    if (!slot) return;
    waiter.reserved = undefined;
    slot.reservedFor = undefined;
    this.waiters.reserved--;
    if (slot.state !== 'reserved' || slot.holders === 0) return;
    slot.move('shared');
    if (slot.holders < this.maxSharers) this.#sharing.push(slot);
  }

  #close(slot: Slot<T>): void {
    slot.move('closing');
    this.#executor.close(slot);
  }

  #forget(slot: Slot<T>): void {
    slot.move('closed');
    this.open--;
    this.settle();
  }
}
