import { LeaseLeakedError, ThrownValueError } from '../../errors.ts';
import { Scope } from '../../scope/index.ts';
import type { BullScopeOptions } from './options.ts';

/** Not `undefined`: to await that makes one promise more, and each costs where AsyncLocalStorage is on. */
const NEXT = Promise.resolve();

/** One job, on its way through the processor. */
export interface JobRun {
  /** The scope of the worker. */
  readonly scope: Scope;
  readonly name: string;
  /** BullMQ's: `worker.cancelJob()`, a lost lock. */
  readonly signal: AbortSignal | undefined;
  readonly options: Pick<BullScopeOptions, 'onLeakedLease' | 'detach'>;
  process(): unknown;
  /** Told the scope of the job before it begins, and when it has come to its end, whichever. */
  onBegin(jobScope: Scope): void;
  onEnd(jobScope: Scope): void;
}

/**
 * Runs a job in a child of the worker's scope and ends what it began.
 *
 * @throws the very error that the processor threw, for BullMQ tells what to do by its class, or the first that was thrown
 * in a task of the job. A signal alone is no failure: what the processor makes of it counts. What is no error becomes
 * one, for BullMQ leaves a job that threw `undefined` active for ever.
 */
export async function runJob({ scope, name, signal, options, process, onBegin, onEnd }: JobRun): Promise<unknown> {
  let left: { readonly error: unknown } | undefined;
  let leak: LeaseLeakedError | undefined;
  const body = async (jobScope: Scope) => {
    if (signal) obey(jobScope, signal);
    // BullMQ calls us from its loop. What a processor sets with AsyncLocalStorage.enterWith() before its first await
    // would stay there for the next jobs; after an await it is the job's own.
    if (options.detach ?? true) await NEXT;
    try {
      return await process();
    } catch (error) {
      if (!hasLeft(error)) throw asError(error, name);
      left = { error };
      return jobScope.stop(error);
    }
  };
  const onSuppressed = (error: unknown, from: string) => {
    if (!(error instanceof LeaseLeakedError) || options.onLeakedLease === undefined || options.onLeakedLease === 'report')
      return scope.report(error, `${name}/${from}`);
    if (options.onLeakedLease === 'fail') leak ??= error;
  };
  // Not withScope(), nor more async functions than these: with AsyncLocalStorage on, each promise costs on Node 20.
  const own = new Scope({ parent: scope, name, onSuppressed }, 'lexical');
  onBegin(own);
  try {
    const result = await own.complete(body);
    if (!left && !leak) return result;
  } catch (failure) {
    if (!left) throw asError(failure, name);
    scope.report(failure, name);
  } finally {
    onEnd(own);
  }
  throw left ? left.error : leak;
}

function obey(scope: Scope, signal: AbortSignal): void {
  const stop = () => scope.stop(signal.reason);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
}

const MOVES = new Set(['DelayedError', 'WaitingError', 'WaitingChildrenError']);

/** Whether the processor has put the job elsewhere in the queue: it can no longer fail, whatever failed beside it. */
function hasLeft(error: unknown): boolean {
  return error instanceof Error && MOVES.has(error.name);
}

/** BullMQ reads the message of whatever a job threw. */
function asError(thrown: unknown, job: string): unknown {
  const hasMessage = typeof (thrown as { message?: unknown } | null | undefined)?.message === 'string';
  return hasMessage ? thrown : new ThrownValueError(job, thrown);
}
