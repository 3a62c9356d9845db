import type { Engine } from './engine.ts';
import type { Executor } from './executor.ts';
import type { Slot } from './slot.ts';
import type { Waiter } from './waiter.ts';

/** Does in an engine what its scheduler has decided. */
export class Execution<T> implements Executor<T> {
  readonly #engine: Engine<T>;

  constructor(engine: Engine<T>) {
    this.#engine = engine;
  }

  create(slot: Slot<T>): void {
    this.#engine.supply.create(slot);
  }

  check(slot: Slot<T>): void {
    this.#engine.supply.check(slot);
  }

  close(slot: Slot<T>): void {
    this.#engine.supply.close(slot);
  }

  idle(slot: Slot<T>): void {
    this.#engine.keeper.idle(slot);
  }

  isStale(slot: Slot<T>, mustLook: boolean): boolean {
    return this.#engine.keeper.isStale(slot, mustLook);
  }

  isUsable(slot: Slot<T>): boolean {
    return this.#engine.supply.isUsable(slot);
  }

  isStuck(slot: Slot<T>): boolean {
    const waitsHere = ({ lease }: Waiter<unknown>) => (lease.engine as unknown) === this.#engine;
    return slot.stuck > 0 && [...slot.leases].some(({ inside }) => [...inside].some(waitsHere));
  }

  isTooLate(waiter: Waiter<T>): boolean {
    return this.#engine.waiting.isTooLate(waiter);
  }

  shed(waiter: Waiter<T>): void {
    this.#engine.waiting.shed(waiter);
  }

  grant(waiter: Waiter<T>, slot: Slot<T>): void {
    this.#engine.waiting.onServed(waiter);
    this.#engine.begin(waiter.lease, slot);
    waiter.caller.resolve(waiter.lease);
  }
}
