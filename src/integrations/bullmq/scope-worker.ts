import { ScopeDeadlockError, WorkerNotScopedError } from '../../errors.ts';
import type { Scope } from '../../scope/index.ts';
import { checkSame, checkScopeWorker, type ScopeWorkerOptions } from './options.ts';
import { ScopedWorker } from './scoped-worker.ts';
import { describe, insideOf, type JobLike, type WorkerInside, type WorkerLike } from './worker.ts';

// For every copy of the library.
const SCOPED = Symbol.for('scoped-pool.worker');

/** What a worker carries once it is wrapped. */
interface Scoped {
  [SCOPED]?: { readonly scope: Scope; again(options: ScopeWorkerOptions): void };
}

/**
 * Gives a worker a scope, in which its pools live as long as the worker, and each of its jobs a child of that scope,
 * which holds what the job leases and spawns and is cancelled by BullMQ's abort signal. Jobs get that signal as third
 * argument, however many the processor takes. Listeners of the worker run in the worker's scope.
 *
 * `worker.close()` also closes the scope, after BullMQ has closed, and throws what failed in it. `worker.close(true)`
 * cancels what runs, also when a `close()` waits for it, and tells `onError` what it had to leave behind.
 *
 * A worker may run already; jobs begun before stay outside. Wrapping twice gives the same scope; the newest `onError` is told.
 *
 * @returns the same worker.
 * @throws NotAWorkerError, SandboxedWorkerError, WorkerClosedError, InvalidOptionError.
 */
export function scopeWorker<W extends WorkerLike>(worker: W, options: ScopeWorkerOptions = {}): W {
  checkScopeWorker(options);
  const inside = insideOf(worker);
  const existing = (worker as Scoped)[SCOPED];
  if (existing) existing.again(options);
  else wrap(inside, options);
  return worker;
}

/** The scope of a worker that `scopeWorker` has wrapped. @throws WorkerNotScopedError */
export function scopeOf(worker: WorkerLike): Scope {
  const scoped = (worker as Scoped | undefined)?.[SCOPED];
  if (!scoped) throw new WorkerNotScopedError(describe(worker));
  return scoped.scope;
}

/** A job waits for the close and the close for the job: told at once, for neither would ever end. */
function notAwaited(closing: Promise<void>, scope: Scope): Promise<never> {
  closing.catch((error: unknown) => scope.report(error, 'close'));
  const deadlock = Promise.reject(new ScopeDeadlockError(scope.name));
  deadlock.catch(() => {});
  return deadlock;
}

function wrap(worker: WorkerInside, options: ScopeWorkerOptions): void {
  const scoped = new ScopedWorker(worker.name, options);
  const { scope } = scoped;
  const { callProcessJob, close, emit } = worker;
  const closeBoth = scope.bind((self: WorkerInside, args: [boolean?, ...unknown[]]) =>
    scoped.close(args[0] ?? false, async () => close.apply(self, args)),
  );
  const again = (later: ScopeWorkerOptions) => {
    checkSame(options, later);
    if (later.onError) scoped.onError = later.onError;
  };
  // Bound, and not run in it: whoever calls resume() or close(), BullMQ goes on in their context, leases included.
  const overrides = {
    [SCOPED]: { scope, again },
    callProcessJob: scope.bind(function process(this: WorkerInside, ...args: [JobLike, string?, AbortSignal?, ...unknown[]]) {
      return scoped.run(args[0], args[2], () => callProcessJob.apply(this, args));
    }),
    close(this: WorkerInside, ...args: [boolean?, ...unknown[]]): Promise<void> {
      const closing = closeBoth(this, args);
      return scope.isWaitingForCaller ? notAwaited(closing, scope) : closing;
    },
    emit: scope.bind(emit),
  };
  for (const key of Reflect.ownKeys(overrides)) {
    const value: unknown = Reflect.get(overrides, key);
    Object.defineProperty(worker, key, { value, writable: true, configurable: true });
  }
  worker.processorAcceptsSignal = true;
}
