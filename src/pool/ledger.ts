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
  /** Opened with the first slot: a pool that nobody uses costs little. */
  #book: Pool<Slot<T>> | undefined;
  /** The slots to be entered, oldest first: generic-pool may ask for one within `acquire()`, or some ticks after. */
  readonly #entering: Slot<T>[] = [];

  get size(): number {
    return this.#book?.size ?? 0;
  }

  enter(slot: Slot<T>): Promise<Slot<T>> {
    this.#book ??= this.#open();
    this.#entering.push(slot);
    return Promise.resolve(this.#book.acquire());
  }

  async strikeOut(slot: Slot<T>): Promise<void> {
    await this.#book?.destroy(slot);
  }

  #open(): Pool<Slot<T>> {
    const create = async () => this.#entering.shift() as Slot<T>;
    const options = { max: Number.MAX_SAFE_INTEGER, min: 0, autostart: false };
    return atRoot(() => createPool({ create, destroy: async () => {} }, options));
  }
}
