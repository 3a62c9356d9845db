import { WorkerNotScopedError } from '../../errors.ts';
import type { Scope } from '../../scope/index.ts';
import { attach, attachedTo, override } from './attach.ts';
import { type BullScopeOptions, checkBullScope } from './options.ts';
import type { ScopedWorker } from './scoped-worker.ts';
import { describe, insideOf, type JobLike, type WorkerInside, type WorkerLike } from './worker.ts';

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
export function scopeWorker<W extends WorkerLike>(worker: W, options: BullScopeOptions = {}): W {
  const where = 'scopeWorker()';
  checkBullScope(where, options);
  const inside = insideOf(where, worker);
  const isNew = !attachedTo(worker);
  const scoped = attach(where, inside, options);
  if (!isNew) return worker;
  const { callProcessJob } = inside;
  const isTold = (options.abortable ?? true) && obeyCancel(inside, scoped);
  override(inside, {
    callProcessJob(this: WorkerInside, ...args: [JobLike, string?, AbortSignal?, ...unknown[]]) {
      return scoped.run(args[0].id, isTold ? undefined : args[2], () => callProcessJob.apply(this, args));
    },
  });
  if (options.abortable ?? true) inside.processorAcceptsSignal = true;
  return worker;
}

/** Has the scope of a job hear of its cancel without a listener on each signal: 2 µs per job on Node 20. @returns false when BullMQ knows no cancel. */
function obeyCancel(inside: WorkerInside, scoped: ScopedWorker): boolean {
  const { cancelJob, cancelAllJobs } = inside;
  if (!cancelJob || !cancelAllJobs) return false;
  override(inside, {
    cancelJob(this: WorkerInside, ...args: [string, string?, ...unknown[]]) {
      const hasSignal = cancelJob.apply(this, args);
      return scoped.cancel(args[0], args[1]) || hasSignal;
    },
    cancelAllJobs(this: WorkerInside, ...args: [string?, ...unknown[]]) {
      cancelAllJobs.apply(this, args);
      scoped.cancelAll(args[0]);
    },
  });
  return true;
}

/** The scope of a worker that `scopeWorker` has wrapped. @throws WorkerNotScopedError */
export function scopeOf(worker: WorkerLike): Scope {
  const scoped = attachedTo(worker);
  if (!scoped) throw new WorkerNotScopedError(describe(worker));
  return scoped.scope;
}
