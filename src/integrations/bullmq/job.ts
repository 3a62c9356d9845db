import { type Frame, inOwnContext } from '../../context.ts';
import { LeaseLeakedError, ScopeTimeoutError, ThrownValueError } from '../../errors.ts';
import { Scope } from '../../scope/index.ts';
import type { Failure, Outcome } from '../../scope/state.ts';
import type { LeakPolicy } from './options.ts';

/** What holds for all jobs of a worker. */
export interface JobRules {
  readonly onLeakedLease: LeakPolicy;
  readonly detach: boolean;
  /** In which jobs begin: nobody's work. BullMQ goes on in the context of whoever called resume(), leases included. */
  readonly frame: Frame;
  /** Told of a lease that was leaked and revoked, where the scope of the worker does not hear of it. */
  onRevoked(leak: LeaseLeakedError): void;
}

/** The scope of one job, on its way through the processor: a child of the worker's. */
export class Job extends Scope {
  readonly #rules: JobRules;
  /** What the processor threw that had put the job elsewhere in the queue. */
  #left: Failure | undefined;
  #leak: Failure | undefined;

  constructor(worker: Scope, name: string, rules: JobRules) {
    super({ parent: worker, name }, 'lexical');
    this.#rules = rules;
  }

  static isJob(scope: object): scope is Job {
    return #rules in scope;
  }

  /**
   * Runs the job, as a part of nothing, and ends what it began.
   *
   * @throws the very error that the processor threw, for BullMQ tells what to do by its class, or the first that was
   * thrown in a task of the job. A signal alone is no failure: what the processor makes of it counts. What is no error
   * becomes one, for BullMQ leaves a job that threw `undefined` active for ever.
   */
  process(processor: () => unknown): Promise<unknown> {
    // BullMQ calls us from its loop. What a processor sets with AsyncLocalStorage.enterWith() before its first await
    // would stay there for the next jobs.
    return this.complete(this.#rules.detach ? () => inOwnContext(processor) : processor, this.#rules.frame);
  }

  /** Cancels the job with its signal, or at once. */
  stopWith(signal: AbortSignal): void {
    const stop = () => this.stop(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  }

  override report(error: unknown, from: string): void {
    // An acquire that nobody awaited, too: what it was for has not been done.
    const { onLeakedLease } = this.#rules;
    if (from !== LEASES || onLeakedLease === 'report') return super.report(error, from);
    if (error instanceof LeaseLeakedError) this.#rules.onRevoked(error);
    if (onLeakedLease === 'fail') this.#leak ??= { error };
  }

  protected override failWith(error: unknown, from: string): void {
    if (from !== 'body' || !hasLeft(error)) return super.failWith(error, from);
    this.#left = { error };
    this.stop(error);
  }

  protected override conclude<R>(outcome: Outcome<R>, failure: Failure | undefined): R {
    const left = this.#left;
    if (left) {
      if (failure) this.parent?.report(failure.error, this.name);
      throw left.error;
    }
    // A worker that was ended by force has given up waiting, and told so. The processor has done its work all the same.
    const wasLeftBehind = failure?.error instanceof ScopeTimeoutError && 'value' in outcome && this.parent?.state !== 'open';
    const thrown = wasLeftBehind ? undefined : (failure ?? ('error' in outcome ? outcome : undefined));
    if (thrown && this.#leak) super.report(this.#leak.error, LEASES);
    if (thrown) throw this.#asError(thrown.error);
    if (this.#leak) throw this.#leak.error;
    return (outcome as { readonly value: R }).value;
  }

  /** BullMQ reads the message of whatever a job threw. */
  #asError(thrown: unknown): unknown {
    const hasMessage = typeof (thrown as { message?: unknown } | null | undefined)?.message === 'string';
    if (hasMessage) return thrown;
    return new ThrownValueError(this.name, thrown, !this.failure && this.isStopped && thrown === this.abort.reason);
  }
}

/** From where a scope reports what is still held in it, or waits, when it has ended. */
const LEASES = 'leases';
const MOVES = new Set(['DelayedError', 'WaitingError', 'WaitingChildrenError']);

/** Whether the processor has put the job elsewhere in the queue: it can no longer fail, whatever failed beside it. */
function hasLeft(error: unknown): boolean {
  return error instanceof Error && MOVES.has(error.name);
}
