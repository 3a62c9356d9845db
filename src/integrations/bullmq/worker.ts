import { NotAWorkerError, SandboxedWorkerError, WorkerClosedError } from '../../errors.ts';
import { show } from '../../redact.ts';

/** A BullMQ `Worker`, 5 or 6, by its shape: no import of BullMQ, so that whichever copy is installed fits. */
export interface WorkerLike {
  readonly name: string;
  concurrency: number;
  isRunning(): boolean;
  close(force?: boolean): Promise<void>;
}

/** A class of workers, with whatever parameters and type parameters. */
export type WorkerClass = new (...args: never[]) => WorkerLike;

/** What BullMQ calls on itself and TypeScript hides, the same in 5 and 6. */
export interface WorkerInside {
  readonly name: string;
  readonly concurrency: number;
  /** There when jobs run in processes or threads. */
  readonly childPool?: unknown;
  /** There once `close()` was called. */
  readonly closing?: Promise<unknown> | undefined;
  /** Whether jobs get an AbortSignal. Read for each job; BullMQ sets it by the processor's number of parameters. */
  processorAcceptsSignal: boolean;
  /** The processor, where jobs run in this process. */
  readonly processFn?: unknown;
  /** Called for each job, looked up each time; what it throws decides what becomes of the job. */
  callProcessJob(job: JobLike, token?: string, signal?: AbortSignal, ...rest: unknown[]): unknown;
  /** Calls that one, and tells Redis what came of the job. */
  processJob?(job: JobLike, ...rest: unknown[]): Promise<unknown>;
  /** From 5.64 on; aborts the signal that a job has, if it has one. */
  cancelJob?(id: string, reason?: string, ...rest: unknown[]): boolean;
  cancelAllJobs?(reason?: unknown, ...rest: unknown[]): void;
  close(force?: boolean, ...rest: unknown[]): Promise<void>;
  /** With true it only stops taking jobs. */
  pause(doNotWaitActive?: boolean): Promise<void>;
  isPaused(): boolean;
  emit(event: string | symbol, ...args: unknown[]): boolean;
  listenerCount(event: string | symbol): number;
  on(event: 'completed' | 'failed', listener: (job: JobLike | undefined) => void): unknown;
  off(event: 'completed' | 'failed', listener: (job: JobLike | undefined) => void): unknown;
}

/** What is read of a job. */
export interface JobLike {
  readonly id?: string | undefined;
}

/** A function that processes jobs, whatever their types. */
export type ProcessorLike = (job: never, token?: string, signal?: AbortSignal) => unknown;

const METHODS = ['callProcessJob', 'close', 'emit'] as const satisfies readonly (keyof WorkerInside)[];

/** The inside of a worker that can get a scope. @param where Who asks. @throws NotAWorkerError, SandboxedWorkerError, WorkerClosedError. */
export function insideOf(where: string, worker: unknown): WorkerInside {
  if (!isWorker(worker)) {
    const hint = typeof worker === 'function' ? '. To wrap a processor there is scoped(), for a class withScopes()' : '';
    throw new NotAWorkerError(where, `its first argument must be a Worker of BullMQ 5 or 6; got ${describe(worker)}${hint}`);
  }
  if (worker.childPool) throw new SandboxedWorkerError(worker.name);
  if (worker.closing) throw new WorkerClosedError(worker.name);
  return worker;
}

/** Workers in any state and of any kind, each once. @param where Who asks. @throws NotAWorkerError */
export function workersIn(where: string, workers: unknown): readonly WorkerInside[] {
  return [...new Set(Array.isArray(workers) ? (workers as unknown[]) : [workers])].map((worker) => {
    if (isWorker(worker)) return worker;
    throw new NotAWorkerError(where, `its first argument must be a Worker of BullMQ 5 or 6, or an array of them; got ${describe(worker)}`);
  });
}

/** The worker that has called a processor; `undefined` when somebody else has. */
export function workerOf(job: unknown): WorkerInside | undefined {
  // A job knows the queue it is in by the object that has fetched it.
  const { queue } = (job ?? {}) as { readonly queue?: unknown };
  return isWorker(queue) ? queue : undefined;
}

/** A worker, or what somebody took for one, as it may stand in a message. */
export function describe(value: unknown): string {
  if (typeof value !== 'object' || value === null) return show(value);
  const { name } = value as { name?: unknown };
  const kind = value.constructor?.name ?? 'Object';
  if (kind === 'Object') return show(value);
  return typeof name === 'string' ? `${kind} ${show(name)}` : `a ${kind}`;
}

/** Whether it has the shape of a worker, in any state and of any kind. */
export function isWorker(value: unknown): value is WorkerInside {
  if (typeof value !== 'object' || value === null) return false;
  return typeof (value as { name?: unknown }).name === 'string' && hasMethods(value);
}

export function isWorkerClass(value: unknown): boolean {
  return typeof value === 'function' && hasMethods(value.prototype);
}

function hasMethods(value: object | undefined): boolean {
  return METHODS.every((method) => typeof (value as Partial<WorkerInside> | undefined)?.[method] === 'function');
}
