import { backoffMs } from '../backoff.ts';
import { afterIdly, cancel, now, type Timer } from '../clock.ts';

/** Attempts to create: after a failure one per step, each step longer, until one succeeds. */
export class Attempts {
  readonly #permit: (count: number) => void;
  /** Why the last one failed; nothing once one has succeeded. */
  lastError: unknown = undefined;
  /** Steps that have failed in a row. */
  failures = 0;
  #nextAt = 0;
  #timer: Timer | undefined;
  #stopped = false;

  /** @param permit Told how many may begin from now on. */
  constructor(permit: (count: number) => void) {
    this.#permit = permit;
  }

  succeeded(): void {
    this.failures = 0;
    this.lastError = undefined;
    this.#end();
    if (!this.#stopped) this.#permit(Number.POSITIVE_INFINITY);
  }

  /** Until the next step nothing is created. Attempts that fail together are one step. */
  failed(error: unknown): void {
    this.lastError = error;
    this.#permit(0);
    if (this.#timer || this.#stopped) return;
    this.failures++;
    const ms = backoffMs(this.failures, Math.random());
    this.#nextAt = now() + ms;
    // Whoever waits for it keeps the process alive; to keep `min` is no reason to.
    this.#timer = afterIdly(ms, () => {
      this.#timer = undefined;
      this.#permit(1);
    });
  }

  /** How long until the next may begin, in milliseconds. */
  get waitMs(): number {
    return this.#timer ? Math.max(0, this.#nextAt - now()) : 0;
  }

  /** None may begin any more. */
  stop(): void {
    this.#stopped = true;
    this.#end();
    this.#permit(0);
  }

  #end(): void {
    cancel(this.#timer);
    this.#timer = undefined;
  }
}
