import { deadlock } from '../../scope/failures.ts';
import { announce } from './around.ts';
import type { BullScopeOptions } from './options.ts';
import { ScopedWorker } from './scoped-worker.ts';
import type { JobLike, WorkerInside } from './worker.ts';

// For every copy of the library.
const SCOPED = Symbol.for('scoped-pool.worker');

/** What a worker carries once it has a scope. */
export function attachedTo(worker: unknown): ScopedWorker | undefined {
  return (worker as { [SCOPED]?: ScopedWorker } | undefined)?.[SCOPED];
}

/**
 * Gives a worker a scope that closes after it, and in which its listeners run; or the one it has.
 *
 * @throws InvalidOptionError when that was made with other options.
 */
export function attach(where: string, worker: WorkerInside, options: BullScopeOptions): ScopedWorker {
  const existing = attachedTo(worker);
  existing?.again(where, options);
  if (existing) return existing;
  const scoped = new ScopedWorker(where, `worker:${worker.name}`, worker, options);
  const { scope } = scoped;
  announce(scope, worker);
  const { close, emit, processJob } = worker;
  // Bound, and not run in it: whoever calls close(), BullMQ goes on in their context, leases included.
  const closeBoth = scope.bind((self: WorkerInside, args: [boolean?, ...unknown[]]) =>
    scoped.close(args[0] ?? false, async () => close.apply(self, args)),
  );
  override(worker, {
    [SCOPED]: scoped,
    close(this: WorkerInside, ...args: [boolean?, ...unknown[]]): Promise<void> {
      const closing = closeBoth(this, args);
      if (!scope.isWaitingForCaller) return closing;
      // A job waits for the close and the close for the job: told at once, for neither would ever end.
      closing.catch((error: unknown) => scope.report(error, 'close'));
      return deadlock(scope.name);
    },
    emit(this: WorkerInside, event: string | symbol, ...args: unknown[]): boolean {
      // BullMQ tells of every job, and mostly nobody listens.
      if (this.listenerCount(event) === 0) return emit.call(this, event, ...args);
      return scoped.enter(() => emit.call(this, event, ...args));
    },
    ...(processJob && {
      processJob(this: WorkerInside, ...args: [JobLike, ...unknown[]]): Promise<unknown> {
        return scoped.follow(args[0].id, processJob.apply(this, args));
      },
    }),
  });
  scoped.isTold = tellOfCancel(worker, scoped);
  if (worker.closing) scoped.endAfter(worker.closing);
  return scoped;
}

/** Replaces methods of one worker, out of sight of whoever lists its keys. */
export function override(worker: WorkerInside, methods: object): void {
  for (const key of Reflect.ownKeys(methods)) {
    const value: unknown = Reflect.get(methods, key);
    Object.defineProperty(worker, key, { value, writable: true, configurable: true });
  }
}

/** Tells the scope of a job of its cancel, whether the job has a signal or not, and without a listener on each: 2 µs per job on Node 20. @returns false when this BullMQ cancels nothing. */
function tellOfCancel(worker: WorkerInside, scoped: ScopedWorker): boolean {
  const { cancelJob, cancelAllJobs } = worker;
  if (!cancelJob || !cancelAllJobs) return false;
  override(worker, {
    cancelJob(this: WorkerInside, ...args: [string, string?, ...unknown[]]) {
      const hasSignal = cancelJob.apply(this, args);
      return scoped.cancel(args[0], args[1]) || hasSignal;
    },
    cancelAllJobs(this: WorkerInside, ...args: [unknown?, ...unknown[]]) {
      cancelAllJobs.apply(this, args);
      scoped.cancelAll(args[0]);
    },
  });
  return true;
}
