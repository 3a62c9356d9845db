import { callable, checkArgument } from '../../options.ts';
import { tryCurrentScope } from '../../scope/index.ts';
import { type BullScopeOptions, checkBullScope, SANDBOX_CHECKS } from './options.ts';
import { scoped } from './scoped.ts';
import { ScopedWorker } from './scoped-worker.ts';
import { type JobLike, type ProcessorLike, workerOf } from './worker.ts';

/** Settings of `scopeSandbox`: a child shares its pools with nobody, and BullMQ always gives it a signal. */
export type SandboxOptions = Omit<BullScopeOptions, 'scope' | 'abortable'>;

/** What a sandboxed processor is given. */
interface SandboxedJob extends JobLike {
  readonly queueName?: string;
}

/**
 * Wraps the processor of a processor file: `export default scopeSandbox(async (job) => { … })`. The process or thread it
 * runs in gets a root scope with its first job, and keeps its connections from job to job; each job gets a child of it.
 * BullMQ runs as many children as its concurrency, so a worker has at most concurrency × limit connections. When the
 * process that started it has gone, the job is cancelled, what is open is closed, and the child ends.
 *
 * Called by a worker of its own process, or in a scope by a test, it is as wrapped by `scoped`.
 *
 * @throws InvalidOptionError
 */
export function scopeSandbox<P extends ProcessorLike>(processor: P, options: SandboxOptions = {}): P {
  const where = 'scopeSandbox()';
  checkArgument(where, 'its function', processor, callable);
  checkBullScope(where, options, SANDBOX_CHECKS);
  const inProcess = scoped(processor, options) as unknown as (...args: unknown[]) => unknown;
  let sandbox: ScopedWorker | undefined;
  const wrapped = async function process(this: unknown, job: SandboxedJob, ...rest: [string?, AbortSignal?]): Promise<unknown> {
    if (workerOf(job) || tryCurrentScope()) return inProcess.call(this, job, ...rest);
    sandbox ??= open(where, job, options);
    return sandbox.run(job.id, rest[1], () => processor.call(this, job as never, ...rest));
  };
  return wrapped as unknown as P;
}

function open(where: string, { queueName = 'unknown' }: SandboxedJob, options: SandboxOptions): ScopedWorker {
  // A child runs one job at a time.
  const sandbox = new ScopedWorker(where, `sandbox:${queueName}`, { name: queueName, concurrency: 1 }, options);
  // Threads end with their process, and have no such property; false if the parent has gone already.
  if (process.connected) process.once('disconnect', () => leave(sandbox));
  else if (process.connected === false) leave(sandbox);
  return sandbox;
}

/** Without this a child whose parent was killed lives on, with its connections: a socket keeps the event loop alive. */
function leave(sandbox: ScopedWorker): void {
  // As in a process that never had a parent. BullMQ would tell it how the job has ended, take the refusal for an uncaught
  // exception and tell it that, again and again, without a turn of the event loop in between.
  delete process.send;
  void sandbox.end().finally(() => process.exit());
}
