/** Wakes all who wait, and keeps none who have left: a promise that lives for long would. */
export class Bell {
  readonly #waiting = new Set<() => void>();

  ring(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Waits until it rings, or the signal aborts. */
  heard(signal?: AbortSignal): Promise<void> {
    return this.orHeard(new Promise<never>(() => {}), signal);
  }

  /** Waits for the promise, or until it rings, or the signal aborts: then there is no value. */
  orHeard<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
      };
      const wake = () => {
        leave();
        resolve(undefined);
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
      promise.finally(leave).then(resolve, reject);
    });
  }
}
