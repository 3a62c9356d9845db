import type { EventEmitter } from 'node:events';

/** What is told that a listener failed. */
const HANDLER_ERROR = 'handler-error';

/**
 * Calls the listeners of an event, each though others throw or reject: that is told to those of `handler-error`, and
 * where there are none, or one of them fails, reported.
 */
export function tell(emitter: EventEmitter, event: string, args: readonly unknown[], report: (error: unknown, from: string) => void): void {
  const onFailed = (error: unknown): void => {
    if (event === HANDLER_ERROR || emitter.listenerCount(HANDLER_ERROR) === 0) return report(error, event);
    tell(emitter, HANDLER_ERROR, [error, event], report);
  };
  for (const listener of emitter.rawListeners(event)) {
    try {
      const result: unknown = listener.apply(emitter, args);
      if (isThenable(result)) result.then(undefined, onFailed);
    } catch (error) {
      onFailed(error);
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
