import { Scope } from '../../scope/index.ts';
import { runJob } from './job.ts';
import type { ScopeWorkerOptions } from './options.ts';
import type { JobLike } from './worker.ts';

/** The scope of a worker, and what comes of its jobs and of its end. */
export class ScopedWorker {
  readonly scope: Scope;
  /** Told what cannot be thrown. */
  onError: ScopeWorkerOptions['onError'];
  readonly #isShared: boolean;
  #isClosing = false;
  #endedAtOnce: Promise<void> | undefined;

  constructor(name: string, { scope, limits, graceMs, onError }: ScopeWorkerOptions) {
    this.onError = onError;
    this.#isShared = scope !== undefined;
    // It supervises: a task that fails in the worker's scope must not end the jobs beside it, and all that come.
    this.scope =
      scope ?? new Scope({ parent: null, name: `worker:${name}`, limits, graceMs, onError: this.#tell, onSuppressed: this.#tell });
  }

  run(job: JobLike, signal: AbortSignal | undefined, process: () => unknown): Promise<unknown> {
    const name = `job:${job.id}`;
    const { scope } = this;
    // The worker's own scope tells us; of a shared one others hear, unless this worker has somebody to tell.
    const tell = this.#isShared && this.onError ? (error: unknown, from: string) => this.#tell(error, `${name}/${from}`) : undefined;
    return runJob({ scope, name, signal, onSuppressed: tell, process });
  }

  /** Closes the worker, then its scope: until then BullMQ hands over jobs that it has fetched. */
  async close(force: boolean, closeWorker: () => Promise<void>): Promise<void> {
    // BullMQ does not hear a force that comes later; it goes on waiting for its jobs, so they are cancelled.
    if (force && this.#isClosing) void this.#endAtOnce();
    this.#isClosing = true;
    let failure: { readonly error: unknown } | undefined;
    await closeWorker().catch((error: unknown) => {
      failure = { error };
    });
    if (force) await this.#endAtOnce();
    else if (failure) await this.#end().catch((error: unknown) => this.#tell(error, 'close'));
    else await this.#end();
    if (failure) throw failure.error;
  }

  async #end(): Promise<void> {
    if (!this.#isShared) await this.scope.close();
  }

  #endAtOnce(): Promise<void> {
    if (this.#isShared) return Promise.resolve();
    // Whoever forces does not want to hear of what was left behind, and least of all as an unhandled rejection.
    this.#endedAtOnce ??= this.scope.close({ graceMs: 0 }).catch((error: unknown) => this.#tell(error, 'close'));
    return this.#endedAtOnce;
  }

  readonly #tell = (error: unknown, where: string): void => {
    const { onError } = this;
    if (!onError) return warn(error, where);
    const call = async () => onError(error, where);
    call().catch((thrown: unknown) => {
      warn(thrown, 'onError');
      warn(error, where);
    });
  };
}

function warn(error: unknown, where: string): void {
  process.emitWarning(error instanceof Error ? error : `${where}: ${String(error)}`);
}
