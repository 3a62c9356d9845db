import { SandboxedWorkerError } from '../../errors.ts';
import { callable, checkArgument } from '../../options.ts';
import { isRefusal } from '../../scope/failures.ts';
import { tryCurrentScope, withScope } from '../../scope/index.ts';
import { attach, attachedTo } from './attach.ts';
import { handBack } from './hand-back.ts';
import { type BullScopeOptions, checkBullScope, checkSame } from './options.ts';
import { type ScopedWorker, warn } from './scoped-worker.ts';
import { type JobLike, type ProcessorLike, type WorkerInside, workerOf } from './worker.ts';

/** The number of parameters from which on BullMQ hands a processor its abort signal. */
const WITH_SIGNAL = 3;

// For every copy of the library.
const OPTIONS = Symbol.for('scoped-pool.scoped-options');

/** The options of a function that `scoped` has wrapped: its worker gets them with the first job. */
export function scopedOptionsOf(processor: unknown): BullScopeOptions | undefined {
  return (processor as { readonly [OPTIONS]?: BullScopeOptions } | undefined)?.[OPTIONS];
}

/**
 * Wraps a processor, where the worker is made by somebody else: the worker that calls it gets a scope with its first
 * job, and closes it when it is closed; each job gets a child of it, as with `scopeWorker`. The function keeps its number
 * of parameters, by which BullMQ decides whether jobs have an abort signal; with `abortable: true` they have one.
 *
 * Called by anybody but a worker, as in a test, it runs in a child of the current scope.
 *
 * @throws InvalidOptionError; when a processor file is called, SandboxedWorkerError: for that there is `scopeSandbox`.
 */
export function scoped<P extends ProcessorLike>(processor: P, options: BullScopeOptions = {}): P {
  const where = 'scoped()';
  checkArgument(where, 'its function', processor, callable);
  checkBullScope(where, options);
  checkSame(where, options, scopedOptionsOf(processor) ?? {});
  const workers = new WeakMap<WorkerInside, ScopedWorker>();
  const find = (worker: WorkerInside) => {
    const known = workers.get(worker) ?? attach(where, worker, options);
    workers.set(worker, known);
    return known;
  };
  const wrapped = async function process(this: unknown, job: JobLike, ...rest: [string?, AbortSignal?]): Promise<unknown> {
    const call = () => processor.call(this, job as never, ...rest);
    const worker = workerOf(job);
    if (!worker && !options.scope && !tryCurrentScope() && isSandboxed(job)) throw new SandboxedWorkerError(job.queueName);
    if (!worker) return withScope(call, { parent: options.scope, name: `job:${job.id}` });
    if (isInJob(worker, job)) return call();
    let tell = options.onError ?? warn;
    try {
      const scopedWorker = find(worker);
      ({ tell } = scopedWorker);
      return scopedWorker.run(job.id, rest[1], call);
    } catch (error) {
      // Else it is of a function that gives limits, and fails each job.
      if (!isRefusal(error)) throw error;
      return handBack(worker, tell, error);
    }
  };
  const length = options.abortable ? Math.max(WITH_SIGNAL, processor.length) : processor.length;
  Object.defineProperty(wrapped, 'length', { value: length });
  Object.defineProperty(wrapped, 'name', { value: processor.name });
  Object.defineProperty(wrapped, OPTIONS, { value: options });
  return wrapped as unknown as P;
}

/**
 * Whether the scope of the job is entered: its worker is wrapped, too. That a job of this id runs does not say so: one
 * whose lock has expired may run twice at a time, in one worker.
 */
function isInJob(worker: WorkerInside, { id }: JobLike): boolean {
  const scope = tryCurrentScope();
  return scope !== undefined && scope.parent === attachedTo(worker)?.scope && scope.name === `job:${id}`;
}

/** Whether it is what BullMQ hands to a processor file: a job that knows the name of its queue, and has none. */
function isSandboxed(job: JobLike): job is JobLike & { readonly queueName: string } {
  return typeof (job as { queueName?: unknown }).queueName === 'string' && !('queue' in job);
}
