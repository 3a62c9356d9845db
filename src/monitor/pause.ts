import { after, cancel } from '../clock.ts';

/** Resolves after `ms`, or when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      cancel(timer);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = after(ms, wake);
    signal.addEventListener('abort', wake);
  });
}
