import { now } from '../clock.ts';
import { type Closer, type CloserOptions, STOP_TIMEOUT_MS } from './cleanup.ts';
import { asOne } from './failures.ts';
import type { Scope } from './scope.ts';

/** Something started now and stopped when its scope closes, exactly once, also when it arrives too late. */
export class Resource<R> implements Closer {
  readonly name: string;
  readonly timeoutMs: number;
  readonly openedAt = now();
  /** The scope below which everything hangs that the callbacks of the resource start. */
  readonly inner: Scope;
  readonly #stop: (resource: R) => unknown;
  #started: Promise<R> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(inner: Scope, stop: ((resource: R) => unknown) | undefined, options: CloserOptions) {
    this.inner = inner;
    this.name = inner.name;
    this.timeoutMs = options.timeoutMs ?? STOP_TIMEOUT_MS;
    this.#stop = stop ?? dispose;
  }

  start(fn: (scope: Scope) => R | PromiseLike<R>): Promise<R> {
    this.#started = this.inner.run(async () => fn(this.inner));
    return this.#started;
  }

  close(): Promise<void> {
    this.#stopped ??= this.#close();
    return this.#stopped;
  }

  async #close(): Promise<void> {
    const errors: unknown[] = [];
    // A failed start has nothing to stop; its scope has been told.
    const arrived = await this.#started?.then(
      (resource) => ({ resource }),
      () => undefined,
    );
    try {
      if (arrived) await this.#stop(arrived.resource);
    } catch (error) {
      errors.push(error);
    }
    await this.inner.close().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw asOne(errors, `stop of ${this.name}`);
  }
}

/** Ends a resource by the method that it has for this, if it has one. */
export function dispose(resource: unknown): unknown {
  const disposable = resource as Partial<AsyncDisposable & Disposable> | null | undefined;
  return disposable?.[Symbol.asyncDispose]?.() ?? disposable?.[Symbol.dispose]?.();
}
