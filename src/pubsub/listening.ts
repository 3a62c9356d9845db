import type { EventEmitter } from 'node:events';

/** What is told that a listener failed. */
const HANDLER_ERROR = 'handler-error';

/**
 * Calls the listeners of an emitter, each though others throw or reject: that is told to those of `handler-error`, and
 * where there are none, or one of them fails, reported.
 */
export class Listeners {
  readonly #emitter: EventEmitter;
  readonly #report: (error: unknown, from: string) => void;

  constructor(emitter: EventEmitter, report: (error: unknown, from: string) => void) {
    this.#emitter = emitter;
    this.#report = report;
  }

  /** Every message passes here: a closure or a list of arguments would be made for each. */
  tell(event: string, told: unknown): void {
    for (const listener of this.#emitter.rawListeners(event)) {
      try {
        const result: unknown = listener.call(this.#emitter, told);
        if (isThenable(result)) this.#hearRejection(event, result);
      } catch (error) {
        this.#onFailed(event, error);
      }
    }
  }

  #hearRejection(event: string, result: PromiseLike<unknown>): void {
    result.then(undefined, (error) => this.#onFailed(event, error));
  }

  #onFailed(event: string, error: unknown): void {
    const listeners = this.#emitter.rawListeners(HANDLER_ERROR);
    if (listeners.length === 0) return this.#report(error, event);
    const onFailed = (again: unknown) => this.#report(again, HANDLER_ERROR);
    for (const listener of listeners) {
      try {
        const result: unknown = listener.call(this.#emitter, error, event);
        if (isThenable(result)) result.then(undefined, onFailed);
      } catch (again) {
        onFailed(again);
      }
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
