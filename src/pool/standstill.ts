import { afterIdly, cancel, type Timer, wallTime } from '../clock.ts';
import { atRoot } from '../context.ts';

/** How often it looks, in milliseconds. */
const BEAT_MS = 1_000;
/** How much later than a beat the next look may come before it counts, in milliseconds. */
const LATE_MS = 1_000;

/**
 * Sees that the process stood still: stopped, its machine suspended, frozen between two invocations, or busy with
 * something that let nothing else run. By the time of day: the other clock may not count while a machine sleeps.
 */
export class Standstill {
  readonly #isNeeded: () => boolean;
  readonly #onEnd: () => void;
  #timer: Timer | undefined;
  #seenAt = 0;

  /**
   * @param isNeeded Asked with each beat; when it says no, the beat stops until {@link start}.
   * @param onEnd Called when the process goes on.
   */
  constructor(isNeeded: () => boolean, onEnd: () => void) {
    this.#isNeeded = isNeeded;
    this.#onEnd = onEnd;
  }

  start(): void {
    if (this.#timer) return;
    this.#seenAt = wallTime();
    this.#beat();
  }

  stop(): void {
    cancel(this.#timer);
  }

  /** To be called before what must not be done with old knowledge: what woke the process may come before any timer. */
  look(): void {
    const time = wallTime();
    const gap = time - this.#seenAt;
    this.#seenAt = time;
    if (gap > BEAT_MS + LATE_MS) this.#onEnd();
  }

  #beat(): void {
    this.#timer = atRoot(() =>
      afterIdly(BEAT_MS, () => {
        this.#timer = undefined;
        this.look();
        if (this.#isNeeded()) this.#beat();
      }),
    );
  }
}
