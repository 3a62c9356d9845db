import { List } from '../list.ts';
import type { Slot } from './slot.ts';

/** Who knows the resources. Must neither acquire nor release. */
export interface Judge<T> {
  /** Whether the resource can be lent. */
  isUsable(slot: Slot<T>): boolean;
  /** Whether it must be checked before it is lent: it may have died, and nobody heard of it yet. */
  isStale(slot: Slot<T>, mustLook: boolean): boolean;
}

/** Slots that can be lent at once: the free ones, and shared ones that take more holders. Knows nobody who waits. */
export class Stock<T> {
  /** What was used last is last. */
  readonly free = new List<Slot<T>>();
  /** Shared slots that take more holders, at once or after a look. */
  readonly sharing = new List<Slot<T>>();
  readonly #maxSharers: number;
  readonly #judge: Judge<T>;
  readonly #discard: (slot: Slot<T>) => void;

  /** @param discard Called for slots that turn out to be unusable; must withdraw them. */
  constructor(maxSharers: number, judge: Judge<T>, discard: (slot: Slot<T>) => void) {
    this.#maxSharers = maxSharers;
    this.#judge = judge;
    this.#discard = discard;
  }

  /** Whether there is nothing to be lent. */
  get isEmpty(): boolean {
    return this.free.size === 0 && this.sharing.size === 0;
  }

  /** Whether a shared slot takes one more holder at once. Not only a question: those that it finds dead it discards. */
  get canShare(): boolean {
    return this.#lendable(this.sharing) !== undefined;
  }

  /**
   * A slot with one more holder, `undefined` when there is none to be lent.
   *
   * @param mustLook Whether it must have been looked at just now.
   */
  take(exclusive: boolean, mustLook: boolean): Slot<T> | undefined {
    return exclusive ? this.#takeExclusive(mustLook) : this.#takeShared();
  }

  /**
   * Whether somebody who shares the slot may share it once more. Also while it drains: it cannot drain before the code
   * that asks has ended, so to let that code wait would be a deadlock.
   */
  shareAgain(slot: Slot<T>): boolean {
    const isOpen = slot.state === 'shared' || slot.state === 'reserved' || (slot.state === 'retiring' && slot.isSound);
    if (!isOpen || slot.holders >= this.#maxSharers || !this.#judge.isUsable(slot)) return false;
    this.#join(slot);
    return true;
  }

  /** A slot has come free. */
  putFree(slot: Slot<T>): void {
    this.free.push(slot);
  }

  /**
   * Nobody wants the free slot: if it was only checked, it lies where it lay, or the checks would keep in use what nobody needs.
   *
   * @returns the slot.
   */
  putBack(slot: Slot<T>): Slot<T> {
    let place = slot.prev;
    while (place && place.idleSince > slot.idleSince) place = place.prev;
    if (place === slot.prev) return slot;
    this.withdraw(slot);
    this.free.insertAfter(place, slot);
    return slot;
  }

  /** A shared slot, where there is one, may take more holders again. */
  putShared(slot: Slot<T> | undefined): void {
    if (slot && !slot.list && slot.holders < this.#maxSharers) this.sharing.push(slot);
  }

  /** The slot is no longer to be lent. */
  withdraw(slot: Slot<T>): void {
    slot.list?.remove(slot);
  }

  #takeExclusive(mustLook: boolean): Slot<T> | undefined {
    const slot = this.#lendable(this.free, mustLook);
    if (!slot) return undefined;
    this.withdraw(slot);
    slot.move('exclusive');
    slot.idleSince = Number.POSITIVE_INFINITY;
    slot.holders = 1;
    return slot;
  }

  #takeShared(): Slot<T> | undefined {
    const shared = this.#lendable(this.sharing);
    if (shared) return this.#join(shared);
    const slot = this.#lendable(this.free);
    if (!slot) return undefined;
    this.withdraw(slot);
    slot.move('shared');
    slot.idleSince = Number.POSITIVE_INFINITY;
    this.putShared(slot);
    return this.#join(slot);
  }

  #join(slot: Slot<T>): Slot<T> {
    slot.holders++;
    if (slot.holders >= this.#maxSharers) this.withdraw(slot);
    return slot;
  }

  /** The newest slot of a list that can be lent at once; dead ones are discarded, those that must be checked first are left. */
  #lendable(list: List<Slot<T>>, mustLook = false): Slot<T> | undefined {
    let slot = list.last;
    while (slot) {
      // First: it may show that the process stood still.
      const isStale = this.#judge.isStale(slot, mustLook);
      // What is shared cannot be checked: it drains, and another one is lent.
      const isSuspect = slot.isSuspect && slot.holders > 0;
      if (isSuspect || !this.#judge.isUsable(slot)) {
        slot.reason ??= isSuspect ? 'suspect' : 'dead';
        this.#discard(slot);
        // Not the one before: while one is asked, others may report that they died.
        slot = list.last;
      } else if (slot.list !== list) {
        // It was asked, and has died or was lent meanwhile.
        slot = list.last;
      } else if (isStale) slot = slot.prev;
      else return slot;
    }
    return undefined;
  }
}
