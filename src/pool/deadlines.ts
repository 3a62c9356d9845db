import { after, now } from '../clock.ts';
import { Alarm } from './alarm.ts';

/** A time of the clock that no process sees. */
const FARTHEST = Number.MAX_SAFE_INTEGER;

/** One timer for all who wait: it stands at the earliest deadline. */
export class Deadlines<W extends { readonly deadline: number }> {
  readonly #waiting: Iterable<W>;
  readonly #expire: (waiter: W) => void;
  readonly #alarm = new Alarm(() => this.#tick(), after);

  /** @param expire Called for each whose deadline has passed; takes it out of `waiting`. */
  constructor(waiting: Iterable<W>, expire: (waiter: W) => void) {
    this.#waiting = waiting;
    this.#expire = expire;
  }

  /** @param deadline `Infinity` sets a timer, too: a process in which somebody waits must not end as if all were done. */
  add(deadline: number): void {
    this.#alarm.set(Math.min(deadline, FARTHEST));
  }

  /** Nobody waits any more. */
  clear(): void {
    this.#alarm.clear();
  }

  #tick(): void {
    const time = now();
    // A copy: one that goes may let another one go.
    for (const waiter of [...this.#waiting]) {
      if (waiter.deadline <= time) this.#expire(waiter);
      else this.add(waiter.deadline);
    }
  }
}
