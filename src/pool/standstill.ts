import { afterIdly, cancel, now, type Timer, wallTime } from '../clock.ts';
import { atRoot } from '../context.ts';

/** How often it looks, in milliseconds. */
const BEAT_MS = 1_000;
/** How much later than a beat the next look may come before it counts, in milliseconds. */
const LATE_MS = 1_000;

/**
 * Sees that the process stood still: stopped, its machine suspended, frozen between two invocations, or busy with
 * something that let nothing else run. By both clocks: one does not count while a machine sleeps, the other may be set.
 */
export class Standstill {
  readonly #isNeeded: () => boolean;
  readonly #onEnd: () => void;
  #timer: Timer | undefined;
  #seenAt = 0;
  #seenAtWall = 0;

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
    this.#see();
    this.#beat();
  }

  stop(): void {
    cancel(this.#timer);
  }

  /** To be called before what must not be done with old knowledge: what woke the process may come before any timer. */
  look(): void {
    const gap = Math.max(now() - this.#seenAt, wallTime() - this.#seenAtWall);
    this.#see();
    if (gap > BEAT_MS + LATE_MS) this.#onEnd();
  }

  #see(): void {
    this.#seenAt = now();
    this.#seenAtWall = wallTime();
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
