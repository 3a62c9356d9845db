import { now } from '../clock.ts';
import { type Closer, type CloserOptions, STOP_TIMEOUT_MS } from './cleanup.ts';
import type { Scope } from './scope.ts';

/** Something started now and stopped when its scope closes, exactly once, also when it arrives too late. */
export class Resource<R> implements Closer {
  readonly name: string;
  readonly timeoutMs: number;
  readonly openedAt = now();
  readonly inner: Scope;
  readonly started: Promise<R>;
  readonly #stop: ((resource: R) => unknown) | undefined;
  #stopped: Promise<void> | undefined;

  /** @param inner The scope below which everything hangs that the callbacks of the resource start. */
  constructor(inner: Scope, start: (scope: Scope) => R | PromiseLike<R>, stop: ((resource: R) => unknown) | undefined, options: CloserOptions) {
    this.inner = inner;
    this.name = inner.name;
    this.timeoutMs = options.timeoutMs ?? STOP_TIMEOUT_MS;
    this.#stop = stop;
    this.started = inner.run(async () => start(inner));
  }

  close(): Promise<void> {
    this.#stopped ??= this.#close();
    return this.#stopped;
  }

  async #close(): Promise<void> {
    const arrived = await this.started.then((resource) => ({ resource }), () => undefined);
    try {
      if (arrived) await (this.#stop ?? dispose)(arrived.resource);
    } finally {
      await this.inner.close();
    }
  }
}

function dispose(resource: unknown): unknown {
  const disposable = resource as Partial<AsyncDisposable & Disposable> | null | undefined;
  return disposable?.[Symbol.asyncDispose]?.() ?? disposable?.[Symbol.dispose]?.();
}
