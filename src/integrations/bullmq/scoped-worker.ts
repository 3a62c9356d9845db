import { setQuota } from '../../pool/quota.ts';
import { Scope } from '../../scope/index.ts';
import { Crowding } from './crowding.ts';
import { runJob } from './job.ts';
import { limitsOf } from './limits.ts';
import { type BullScopeOptions, checkSame, type WorkerFacts } from './options.ts';

/** The scope of a worker, and what comes of its jobs and of its end. */
export class ScopedWorker {
  readonly scope: Scope;
  /** The scopes of the jobs that run, by name. */
  readonly #jobs = new Map<string, Scope>();
  readonly #options: BullScopeOptions;
  /** Whether it is told of every cancel; else the signal of each job tells. */
  isTold = false;
  /** Told what cannot be thrown. */
  #onError: BullScopeOptions['onError'];
  readonly #crowding: Crowding;
  readonly #run: (name: string, signal: AbortSignal | undefined, process: () => unknown) => Promise<unknown>;
  #isClosing = false;
  #endedAtOnce: Promise<void> | undefined;
  #onIdle: (() => void)[] = [];

  /** @param where Who asks, as the user wrote it. @param name Of the scope. @param options Checked by whoever asks. @throws InvalidOptionError for what a function or the environment says, ScopeClosedError. */
  constructor(where: string, name: string, worker: WorkerFacts, options: BullScopeOptions) {
    const { scope: shared, graceMs, onError } = options;
    const limits = limitsOf(where, options, worker);
    this.#options = options;
    this.#onError = onError;
    // It supervises: a task that fails in the worker's scope must not end the jobs beside it, and all that come.
    this.scope = new Scope({
      parent: shared ?? null,
      name,
      limits: shared ? undefined : limits,
      graceMs,
      onError: this.#tell,
      onSuppressed: this.#tell,
    });
    if (shared && limits) setQuota(this.scope, limits);
    this.#crowding = new Crowding(this.scope, worker);
    this.#run = this.scope.bind((name, signal, process) => this.#process(name, signal, process));
  }

  /** The same worker is wrapped again. @throws InvalidOptionError */
  again(where: string, options: BullScopeOptions): void {
    checkSame(where, this.#options, options);
    if (options.onError) this.#onError = options.onError;
  }

  /** Runs a job, whoever calls. Nothing of the caller reaches it: BullMQ goes on in the context of whoever called resume(), leases included. */
  run(id: string | undefined, signal: AbortSignal | undefined, process: () => unknown): Promise<unknown> {
    return this.#run(nameOf(id), this.isTold ? undefined : signal, process);
  }

  isRunning(id: string | undefined): boolean {
    return this.#jobs.has(nameOf(id));
  }

  /** Asks a job to stop: one whose processor takes no signal hears of it by its scope. @returns whether it runs here. */
  cancel(id: string | undefined, reason: unknown): boolean {
    const job = this.#jobs.get(nameOf(id));
    job?.stop(reason);
    return job !== undefined;
  }

  cancelAll(reason: unknown): void {
    for (const job of [...this.#jobs.values()]) job.stop(reason);
  }

  /** The names of the jobs that run. */
  get jobs(): readonly string[] {
    return [...this.#jobs.keys()];
  }

  /** Resolves when no job runs. */
  whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#jobs.size === 0) resolve();
      else this.#onIdle.push(resolve);
    });
  }

  /** The worker was being closed before it had a scope. */
  follow(closing: Promise<unknown>): void {
    const end = () => this.scope.close().catch((error: unknown) => this.#tell(error, 'close'));
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
    else if (failure) await this.scope.close().catch((error: unknown) => this.#tell(error, 'close'));
    else await this.scope.close();
    if (failure) throw failure.error;
  }

  /** Cancels what runs and closes the scope. */
  end(): Promise<void> {
    // Whoever forces does not want to hear of what was left behind, and least of all as an unhandled rejection.
    this.#endedAtOnce ??= this.scope.close({ graceMs: 0 }).catch((error: unknown) => this.#tell(error, 'close'));
    return this.#endedAtOnce;
  }

  #process(name: string, signal: AbortSignal | undefined, process: () => unknown): Promise<unknown> {
    const { scope } = this;
    return runJob({ scope, name, signal, options: this.#options, process, onBegin: this.#onBegin, onEnd: this.#onEnd });
  }

  readonly #onBegin = (job: Scope): void => {
    this.#jobs.set(job.name, job);
  };

  readonly #onEnd = ({ name }: Scope): void => {
    this.#jobs.delete(name);
    this.#crowding.look();
    if (this.#jobs.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
  };

  readonly #tell = (error: unknown, where: string): void => {
    const onError = this.#onError;
    if (!onError) return this.#handUp(error, where);
    const call = async () => onError(error, where);
    call().catch((thrown: unknown) => {
      warn(thrown, 'onError');
      warn(error, where);
    });
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

function warn(error: unknown, where: string): void {
  process.emitWarning(error instanceof Error ? error : `${where}: ${String(error)}`);
}
