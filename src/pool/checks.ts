import { nextTurn } from '../clock.ts';
import type { Factory } from './factory.ts';
import type { Keeper } from './keeper.ts';
import type { Scheduler } from './scheduler.ts';
import type { CloseReason, Slot } from './slot.ts';

/** Finds out, of a resource that nobody holds, whether it can be lent: by the end of its reset, by asking, or by a look. */
export class Checks<T> {
  readonly #factory: Factory<T>;
  readonly #keeper: Keeper<T>;
  readonly #scheduler: Scheduler<T>;
  readonly #resets = new WeakMap<Slot<T>, Promise<void>>();

  constructor(factory: Factory<T>, keeper: Keeper<T>, scheduler: Scheduler<T>) {
    this.#factory = factory;
    this.#keeper = keeper;
    this.#scheduler = scheduler;
  }

  /** The resource can be lent when that has resolved. */
  awaitReset(slot: Slot<T>, reset: Promise<void>): void {
    // Who closes the pool meanwhile does not wait for it.
    reset.catch(() => {});
    this.#resets.set(slot, reset);
    slot.isResetting = true;
  }

  async check(slot: Slot<T>): Promise<void> {
    if (slot.holders > 0) return this.#lookWhileShared(slot);
    // Not at once: what the user's function does must not happen in the middle of a decision.
    await undefined;
    if (slot.state !== 'checking') return;
    if (slot.isResetting) await this.#until(slot, this.#resets.get(slot), 'destroyed');
    else if (this.#keeper.needsValidation(slot)) await this.#until(slot, this.#validate(slot), 'invalid');
    else await this.#look(slot);
    if (slot.state !== 'checking') return;
    slot.isResetting = false;
    this.#scheduler.arrived(slot);
  }

  async #until(slot: Slot<T>, answer: Promise<void> | undefined, otherwise: CloseReason): Promise<void> {
    try {
      await answer;
    } catch (error) {
      slot.cause ??= error;
      this.#scheduler.retire(slot, otherwise);
    }
  }

  async #validate(slot: Slot<T>): Promise<void> {
    await this.#factory.validate(slot.resource as T);
    slot.isSuspect = false;
  }

  async #look(slot: Slot<T>): Promise<void> {
    // The process hears of what has died with the next turn of the event loop, not before; by then it may be gone.
    await nextTurn();
    if (slot.state === 'checking' && !this.#factory.isUsable(slot.resource as T)) this.#scheduler.retire(slot, 'dead');
  }

  async #lookWhileShared(slot: Slot<T>): Promise<void> {
    await nextTurn();
    // If it has died, whoever lends it sees it.
    this.#keeper.heard(slot);
    this.#scheduler.looked(slot);
  }
}
