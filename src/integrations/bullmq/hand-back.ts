import { WorkerStoppedError } from '../../errors.ts';
import type { ScopedWorker } from './scoped-worker.ts';
import type { WorkerInside } from './worker.ts';

/** The message by which BullMQ, of every version and copy, lets a job wait again and counts no attempt. */
const WAIT_AGAIN = 'bullmq:rateLimitExceeded';

/**
 * Puts a job back that cannot begin, because its worker's scope takes nothing more, and lets the worker take no others:
 * it would fail every job of its queue, as fast as it fetches them.
 *
 * @returns what BullMQ is told of the job.
 */
export function handBack(worker: WorkerInside, scoped: ScopedWorker, error: unknown): Promise<never> {
  if (!worker.closing && !worker.isPaused()) {
    const tell = (failure: unknown) => scoped.tell(failure, 'jobs');
    tell(new WorkerStoppedError(worker.name, error));
    worker.pause(true).catch(tell);
  }
  return Promise.reject(new Error(WAIT_AGAIN, { cause: error }));
}
