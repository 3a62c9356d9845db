import { setMaxListeners } from 'node:events';

/** The reason of everything that is stopped because its scope is done. */
export const DONE = new DOMException('the scope is done', 'AbortError');

/** An AbortController that is made when somebody asks for its signal: on Node 20 one costs 4.7 µs, and most are never asked for. */
export class LazyAbort {
  aborted = false;
  reason: unknown = undefined;
  #controller: AbortController | undefined;

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      // A worker's scope has as many listeners as acquires that wait: no leak to warn of.
      setMaxListeners(0, this.#controller.signal);
      if (this.aborted) this.#controller.abort(this.reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.#controller?.abort(reason);
  }

  /** Whether an error only repeats that this was aborted. */
  isEcho(error: unknown): boolean {
    if (!this.aborted) return false;
    if (error === this.reason) return true;
    if (!(error instanceof Error)) return false;
    return error.name === 'AbortError' || (error.cause !== undefined && error.cause === this.reason);
  }
}
