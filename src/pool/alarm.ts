import { type after, cancel, now, type Timer } from '../clock.ts';
import { atRoot } from '../context.ts';

/** One timer for many times: it stands at the earliest it was set to. */
export class Alarm {
  readonly #ring: () => void;
  readonly #start: typeof after;
  #timer: Timer | undefined;
  #at = Number.POSITIVE_INFINITY;

  /** @param start Whether the timer keeps the process alive (`after`) or not (`afterIdly`). */
  constructor(ring: () => void, start: typeof after) {
    this.#ring = ring;
    this.#start = start;
  }

  /** Rings once at that time of the clock, `Infinity` for never; earlier when it was set to an earlier one. */
  set(at: number): void {
    if (at >= this.#at) return;
    cancel(this.#timer);
    this.#at = at;
    // Not in the context of the caller: a timer keeps its context alive.
    this.#timer = atRoot(() => this.#start(at - now(), () => this.#onTime()));
  }

  clear(): void {
    cancel(this.#timer);
    this.#at = Number.POSITIVE_INFINITY;
  }

  #onTime(): void {
    this.#at = Number.POSITIVE_INFINITY;
    this.#ring();
  }
}
