import { after, cancel, now, type Timer } from '../clock.ts';
import { atRoot } from '../context.ts';

/** One timer for all who wait: it stands at the earliest deadline. */
export class Deadlines<W extends { readonly deadline: number }> {
  readonly #waiting: Iterable<W>;
  readonly #expire: (waiter: W) => void;
  #timer: Timer | undefined;
  #armedFor = Number.POSITIVE_INFINITY;

  /** @param expire Called for each whose deadline has passed; takes it out of `waiting`. */
  constructor(waiting: Iterable<W>, expire: (waiter: W) => void) {
    this.#waiting = waiting;
    this.#expire = expire;
  }

  add(deadline: number): void {
    if (deadline >= this.#armedFor) return;
    this.#arm(deadline);
  }

  /** Nobody waits any more. */
  clear(): void {
    cancel(this.#timer);
    this.#armedFor = Number.POSITIVE_INFINITY;
  }

  #arm(deadline: number): void {
    cancel(this.#timer);
    this.#armedFor = deadline;
    // Not in the context of the acquire: a timer keeps its context alive.
    this.#timer = atRoot(() => after(deadline - now(), () => this.#tick()));
  }

  #tick(): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    const time = now();
    let next = Number.POSITIVE_INFINITY;
    const late: W[] = [];
    for (const waiter of this.#waiting) {
      if (waiter.deadline <= time) late.push(waiter);
      else next = Math.min(next, waiter.deadline);
    }
    for (const waiter of late) this.#expire(waiter);
    if (next < this.#armedFor) this.#arm(next);
  }
}
