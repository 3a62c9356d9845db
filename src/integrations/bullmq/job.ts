import { LeaseLeakedError, ThrownValueError } from '../../errors.ts';
import { Scope } from '../../scope/index.ts';
import type { Outcome } from '../../scope/state.ts';
import type { LeakPolicy } from './options.ts';

const NEXT = Promise.resolve();

/** Who knows of the jobs of a worker. */
export interface JobWatcher {
  /** A lease that a job has leaked was revoked, and the scope of the worker does not hear of it. */
  onRevoked(leak: LeaseLeakedError): void;
  /** A job has come to its end, whichever. */
  onEnd(job: Job): void;
}

/** The scope of one job, on its way through the processor: a child of the worker's. */
export class Job extends Scope {
  readonly #policy: LeakPolicy;
  readonly #watcher: JobWatcher;
  /** What the processor threw that had put the job elsewhere in the queue. */
  #left: { readonly error: unknown } | undefined;
  #leak: LeaseLeakedError | undefined;

  constructor(worker: Scope, name: string, policy: LeakPolicy, watcher: JobWatcher) {
    super({ parent: worker, name }, 'lexical');
    this.#policy = policy;
    this.#watcher = watcher;
  }

  /**
   * Runs the job and ends what it began.
   *
   * @throws the very error that the processor threw, for BullMQ tells what to do by its class, or the first that was
   * thrown in a task of the job. A signal alone is no failure: what the processor makes of it counts. What is no error
   * becomes one, for BullMQ leaves a job that threw `undefined` active for ever.
   */
  process(processor: () => unknown, detach: boolean): Promise<unknown> {
    // BullMQ calls us from its loop. What a processor sets with AsyncLocalStorage.enterWith() before its first await
    // would stay there for the next jobs; in a turn of its own it is the job's own.
    return this.complete(() => (detach ? NEXT.then(processor) : processor()));
  }

  /** Cancels the job with its signal, or at once. */
  stopWith(signal: AbortSignal): void {
    const stop = () => this.stop(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  }

  override report(error: unknown, from: string): void {
    if (!(error instanceof LeaseLeakedError) || this.#policy === 'report') return super.report(error, from);
    this.#watcher.onRevoked(error);
    if (this.#policy === 'fail') this.#leak ??= error;
  }

  protected override failWith(error: unknown, from: string): void {
    if (from !== 'body' || !hasLeft(error)) return super.failWith(error, from);
    this.#left = { error };
    this.stop(error);
  }

  protected override conclude<R>(outcome: Outcome<R>): R {
    this.#watcher.onEnd(this);
    const left = this.#left;
    if (left) {
      if ('error' in outcome && outcome.error !== left.error) this.parent?.report(outcome.error, this.name);
      throw left.error;
    }
    if ('error' in outcome) throw asError(outcome.error, this.name);
    if (this.#leak) throw this.#leak;
    return outcome.value;
  }
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
