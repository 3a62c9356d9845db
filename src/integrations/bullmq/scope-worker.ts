import { WorkerNotScopedError } from '../../errors.ts';
import type { Scope } from '../../scope/index.ts';
import { attach, attachedTo, override } from './attach.ts';
import { handBack } from './hand-back.ts';
import { type BullScopeOptions, checkBullScope, checkSame } from './options.ts';
import { scopedOptionsOf } from './scoped.ts';
import { describe, insideOf, type JobLike, type WorkerInside, type WorkerLike } from './worker.ts';

/**
 * Gives a worker a scope, in which its pools live as long as the worker, and each of its jobs a child of that scope,
 * which holds what the job leases and spawns and is cancelled by `worker.cancelJob()`: `currentScope().signal` aborts,
 * however many parameters the processor has. Listeners of the worker run in the worker's scope.
 *
 * `worker.close()` also closes the scope, after BullMQ has closed, and throws what failed in it. `worker.close(true)`
 * cancels what runs, also when a `close()` waits for it, and tells `onError` what it had to leave behind.
 *
 * When the scope, or the one that it shares, ends before the worker, the worker stops taking jobs, and the jobs that it has
 * fetched wait in the queue again.
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
  // Now, not with its first job.
  checkSame(`${where}, beside scoped()`, options, scopedOptionsOf(inside.processFn) ?? {});
  const isNew = !attachedTo(worker);
  const scoped = attach(where, inside, options);
  if (!isNew) return worker;
  const { callProcessJob } = inside;
  override(inside, {
    callProcessJob(this: WorkerInside, ...args: [JobLike, string?, AbortSignal?, ...unknown[]]) {
      try {
        return scoped.run(args[0].id, args[2], () => callProcessJob.apply(this, args));
      } catch (error) {
        return handBack(this, scoped.tell, error);
      }
    },
  });
  if (options.abortable) inside.processorAcceptsSignal = true;
  return worker;
}

/** The scope of a worker that `scopeWorker` has wrapped. @throws WorkerNotScopedError */
export function scopeOf(worker: WorkerLike): Scope {
  const scoped = attachedTo(worker);
  if (!scoped) throw new WorkerNotScopedError(describe(worker));
  return scoped.scope;
}
