import { type Scope, withScope } from '../../scope/index.ts';

/** One job, on its way through the processor. */
export interface JobRun {
  /** The scope of the worker. */
  readonly scope: Scope;
  readonly name: string;
  /** BullMQ's: `worker.cancelJob()`, a lost lock. */
  readonly signal: AbortSignal | undefined;
  /** Told what cannot be thrown; default: the scope of the worker. */
  readonly onSuppressed: ((error: unknown, from: string) => void) | undefined;
  process(): unknown;
}

/**
 * Runs a job in a child of the worker's scope and ends what it began.
 *
 * @throws the very error that the processor threw, for BullMQ tells what to do by its class, or the first that was thrown
 * in a task of the job. A signal alone is no failure: what the processor makes of it counts.
 */
export async function runJob({ scope, name, signal, onSuppressed, process }: JobRun): Promise<unknown> {
  let left: { readonly error: unknown } | undefined;
  const body = async (jobScope: Scope) => {
    if (signal) obey(jobScope, signal);
    // BullMQ calls us from its loop. What a processor sets with AsyncLocalStorage.enterWith() before its first await
    // would stay there for the next jobs; after an await it is the job's own.
    await undefined;
    try {
      return await process();
    } catch (error) {
      if (!hasLeft(error)) throw error;
      left = { error };
      return jobScope.stop(error);
    }
  };
  const tell = (failure: unknown) => (onSuppressed ? onSuppressed(failure, 'tasks') : scope.report(failure, name));
  const result = await withScope(body, { parent: scope, name, onSuppressed }).catch((failure: unknown) => {
    if (!left) throw failure;
    tell(failure);
  });
  if (left) throw left.error;
  return result;
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
