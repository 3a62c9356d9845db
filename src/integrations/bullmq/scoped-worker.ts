import { enterFrame } from '../../context.ts';
import { LeaseLeakedError } from '../../errors.ts';
import { type Linked, List } from '../../list.ts';
import { setQuota } from '../../pool/quota.ts';
import { type CloseOptions, Scope } from '../../scope/index.ts';
import { crowdingOf } from './crowding.ts';
import { Job, type JobRules } from './job.ts';
import { limitsOf, type WorkerFacts } from './limits.ts';
import { type BullScopeOptions, checkSame } from './options.ts';

const NO_GRACE: CloseOptions = { graceMs: 0 };

interface Unrecorded extends Linked<Unrecorded> {
  readonly name: string;
}

/** The scope of a worker, and what comes of its jobs and of its end. */
export class ScopedWorker {
  readonly scope: Scope;
  /** Whether it is told of every cancel; else the signal of each job tells. */
  isTold = false;
  /** Jobs whose end Redis has not been told; BullMQ tells it after the processor has returned. */
  readonly #unrecorded = new List<Unrecorded>();
  /** What was revoked since the scope began to close. */
  readonly #revoked = new Set<unknown>();
  readonly #options: BullScopeOptions;
  /** Told what cannot be thrown. */
  #onError: BullScopeOptions['onError'];
  readonly #rules: JobRules;
  #isClosing = false;
  #endedAtOnce: Promise<void> | undefined;

  /**
   * @param where Who asks, as the user wrote it.
   * @param name Of the scope.
   * @param options Checked by whoever asks.
   * @throws InvalidOptionError for what a function or the environment says, ScopeClosedError.
   */
  constructor(where: string, name: string, worker: WorkerFacts, options: BullScopeOptions) {
    const { scope: shared, graceMs, onError, onLeakedLease = 'report', detach = true } = options;
    const limits = limitsOf(where, options.limits, worker);
    this.#options = options;
    this.#onError = onError;
    // It supervises: a task that fails in the worker's scope must not end the jobs beside it, and all that come.
    this.scope = new Scope({
      parent: shared ?? null,
      name,
      limits: shared ? undefined : limits,
      graceMs,
      onError: this.tell,
      onSuppressed: (error, from) => {
        this.#onRevoked(error);
        this.tell(error, from);
      },
    });
    if (shared && limits) setQuota(this.scope, limits);
    this.scope.onCrowded = crowdingOf(worker, () => this.#jobs.length);
    const frame = { scope: this.scope, work: undefined, held: undefined };
    this.#rules = { onLeakedLease, detach, frame, onRevoked: this.#onRevoked };
  }

  /** The same worker is wrapped again. @throws InvalidOptionError */
  again(where: string, options: BullScopeOptions): void {
    checkSame(where, this.#options, options);
    if (options.onError) this.#onError = options.onError;
  }

  /** Runs a job, whoever calls. @throws ScopeClosedError, or what {@link Job.process} rejects with. */
  run(id: string | undefined, signal: AbortSignal | undefined, processor: () => unknown): Promise<unknown> {
    const job = new Job(this.scope, nameOf(id), this.#rules);
    if (signal && !this.isTold) job.stopWith(signal);
    return job.process(processor);
  }

  /** Runs `fn` in the scope, as nobody's work. */
  enter<R>(fn: () => R): R {
    return enterFrame(this.#rules.frame, fn);
  }

  /** Asks a job to stop: one whose processor takes no signal hears of it by its scope. @returns whether it runs here. */
  cancel(id: string | undefined, reason: unknown): boolean {
    const running = this.#jobs.filter(({ name }) => name === nameOf(id));
    for (const job of running) job.stop(reason);
    return running.length > 0;
  }

  /** The same for all jobs; and once BullMQ has closed, for what else runs in the scope. */
  cancelAll(reason: unknown): void {
    for (const job of this.#jobs) job.stop(reason);
    // Whoever closes it hears how that ends.
    if (this.scope.state !== 'open') this.scope.close(NO_GRACE).catch(() => {});
  }

  /** The names of the jobs that run, or whose end Redis has not been told. */
  get jobs(): readonly string[] {
    return [...new Set([...this.#jobs, ...this.#unrecorded].map(({ name }) => name))];
  }

  /** How many leases were revoked while their holders were at work: the scope closed over their heads. */
  get forcedLeases(): number {
    return this.#revoked.size;
  }

  /** Knows of a job until BullMQ has done with it. */
  follow<T>(id: string | undefined, processed: Promise<T>): Promise<T> {
    const job: Unrecorded = { name: nameOf(id), prev: undefined, next: undefined, list: undefined };
    this.#unrecorded.push(job);
    const done = () => void this.#unrecorded.remove(job);
    processed.then(done, done);
    return processed;
  }

  /** The worker was being closed before it had a scope. */
  endAfter(closing: Promise<unknown>): void {
    const end = () => this.scope.close().catch((error: unknown) => this.tell(error, 'close'));
    closing.then(end, end);
  }

  /** Closes the worker, then its scope: until then BullMQ hands over jobs that it has fetched. */
  async close(force: boolean, closeWorker: () => Promise<void>): Promise<void> {
    // BullMQ does not hear a force that comes later; it goes on waiting for its jobs, so they are cancelled.
    if (force && this.#isClosing) void this.end();
    this.#isClosing = true;
    let failure: { readonly error: unknown } | undefined;
    await closeWorker().catch((error: unknown) => {
      failure = { error };
    });
    if (force) await this.end();
    else if (failure) await this.scope.close().catch((error: unknown) => this.tell(error, 'close'));
    else
      await this.scope.close().catch((error: unknown) => {
        // What was left behind by a force that came meanwhile has been told.
        if (!this.#endedAtOnce) throw error;
      });
    if (failure) throw failure.error;
  }

  /** Cancels what runs and closes the scope. */
  end(options: CloseOptions = NO_GRACE): Promise<void> {
    const ended = this.scope.close(options);
    // Whoever forces does not want to hear of what was left behind, and least of all as an unhandled rejection.
    if (this.#endedAtOnce) ended.catch(() => {});
    else this.#endedAtOnce = ended.catch((error: unknown) => this.tell(error, 'close'));
    return this.#endedAtOnce;
  }

  /** The jobs that run. Two of one id may: one that was taken for stalled, and begun again. */
  get #jobs(): readonly Job[] {
    return this.scope.children.filter(Job.isJob);
  }

  /** Tells `onError` what can be thrown to nobody. */
  readonly tell = (error: unknown, where: string): void => {
    const onError = this.#onError;
    if (!onError) return this.#handUp(error, where);
    const call = async () => onError(error, where);
    call().catch((thrown: unknown) => {
      warn(thrown, 'onError');
      warn(error, where);
    });
  };

  readonly #onRevoked = (error: unknown): void => {
    // What a job leaves behind that has ended is a leak like any other.
    if (error instanceof LeaseLeakedError && this.scope.state !== 'open') this.#revoked.add(error);
  };

  /** Of a scope that is shared others hear. */
  #handUp(error: unknown, where: string): void {
    const { parent, name } = this.scope;
    if (parent) parent.report(error, `${name}/${where}`);
    else warn(error, where);
  }
}

function nameOf(id: string | undefined): string {
  return `job:${id}`;
}

/** Tells where nobody else is told. */
export function warn(error: unknown, where: string): void {
  process.emitWarning(error instanceof Error ? error : `${where}: ${String(error)}`);
}
