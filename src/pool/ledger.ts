import { createPool, type Pool } from 'generic-pool';
import { atRoot } from '../context.ts';
import type { Slot } from './slot.ts';

/**
 * The book of physical slots, kept by generic-pool: a slot is entered before its resource is created and struck out
 * after its resource is closed, so its size is what is really open. It is no waiting room (the scheduler never asks
 * for more than `max`), it sees no failing factory, and its minimum, evictor and validation stay off; why, is
 * docs/decisions/0001-generic-pool-as-ledger.md.
 */
export class Ledger<T> {
  readonly #book: Pool<Slot<T>>;
  /** The slots to be entered, oldest first: generic-pool may ask for one within `acquire()`, or some ticks after. */
  readonly #entering: Slot<T>[] = [];

  constructor() {
    const take = async () => this.#entering.shift() as Slot<T>;
    this.#book = atRoot(() =>
      createPool({ create: take, destroy: async () => {} }, { max: Number.MAX_SAFE_INTEGER, min: 0, autostart: false }),
    );
  }

  get size(): number {
    return this.#book.size;
  }

  enter(slot: Slot<T>): Promise<Slot<T>> {
    this.#entering.push(slot);
    return Promise.resolve(this.#book.acquire());
  }

  strikeOut(slot: Slot<T>): Promise<void> {
    return Promise.resolve(this.#book.destroy(slot));
  }
}
