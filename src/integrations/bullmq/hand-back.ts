import { WorkerStoppedError } from '../../errors.ts';
import type { WorkerInside } from './worker.ts';

/** The message by which BullMQ, of every version and copy, lets a job wait again and counts no attempt. */
const WAIT_AGAIN = 'bullmq:rateLimitExceeded';

/**
 * Puts a job back that cannot begin, because its worker's scope takes nothing more, and lets the worker take no others:
 * it would fail every job of its queue, as fast as it fetches them.
 *
 * @param tellOf Told why. @returns what BullMQ is told of the job.
 */
export function handBack(worker: WorkerInside, tellOf: (error: unknown, where: string) => void, error: unknown): Promise<never> {
  if (!worker.closing && !worker.isPaused()) {
    const tell = (failure: unknown) => tellOf(failure, 'jobs');
    tell(new WorkerStoppedError(worker.name, error));
    worker.pause(true).catch(tell);
  }
  return Promise.reject(new Error(WAIT_AGAIN, { cause: error }));
}
