// From node:timers, so that the fake timers of a test, which replace the globals, do not stop the library.
import { clearTimeout, setImmediate, setTimeout } from 'node:timers';
import { startupSnapshot } from 'node:v8';

/** Milliseconds of a clock that never goes back. Bound here, before a test's fake timers replace it. */
export const now: () => number = performance.now.bind(performance);

/** Milliseconds since 1970. It may jump, and so it shows that the machine slept, which the other one may not count. */
export const wallTime: () => number = Date.now;

/** A timer that can be taken back. */
export type Timer = NodeJS.Timeout;

// Node fires a longer timer at once.
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `fn` once, after `ms` (at the most 24.8 days). The timer keeps the process alive: somebody waits for it. */
export function after(ms: number, fn: () => void): Timer {
  return setTimeout(fn, Math.min(Math.max(ms, 1), LONGEST_MS));
}

/** As {@link after}, for upkeep that must not keep the process alive. */
export function afterIdly(ms: number, fn: () => void): Timer {
  return after(ms, fn).unref();
}

let turn: Promise<void> | undefined;

/** Resolves when the event loop has asked the system what is new. The first callback may still come before it asks; until then all wait for the same. */
export function nextTurn(): Promise<void> {
  turn ??= new Promise((resolve) => {
    setImmediate(() => {
      turn = undefined;
      setImmediate(resolve);
    });
  });
  return turn;
}

export function cancel(timer: Timer | undefined): void {
  clearTimeout(timer);
}

/**
 * Calls `fn` when the process wakes from a start-up snapshot (`node --build-snapshot`) that it is being put into now:
 * in another process, by a clock that begins anew, so that times from before mean nothing. Otherwise never.
 */
export function onWake(fn: () => void): void {
  if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.addDeserializeCallback(fn);
}

/** What a race against the clock ended with. */
export type Within<T> = { readonly value: T } | 'late';

/** Waits for `promise`, at most `ms`. A rejection is thrown; one that comes too late is dropped by the caller's own handler. */
export function within<T>(promise: Promise<T>, ms: number): Promise<Within<T>> {
  if (ms === Number.POSITIVE_INFINITY) return promise.then((value) => ({ value }));
  return new Promise((resolve, reject) => {
    const timer = after(ms, () => resolve('late'));
    promise.then((value) => resolve({ value }), reject).finally(() => cancel(timer));
  });
}

/** Waits, but no longer than until the signal aborts: to be looked at afterwards. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      cancel(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = after(ms, finish);
    signal.addEventListener('abort', finish);
    if (signal.aborted) finish();
  });
}
