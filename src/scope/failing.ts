import { setMaxListeners } from 'node:events';
import { CHANNELS, publish } from '../channels.ts';
import { ScopeCancelledError } from '../errors.ts';
import { messageOf } from '../redact.ts';
import { DONE, LazyAbort } from './abort.ts';
import { Contents } from './contents.ts';
import type { Lifetime } from './lifetime.ts';
import type { ScopeOptions } from './options.ts';
import type { ScopeKind } from './state.ts';

const NO_OPTIONS: ScopeOptions = {};

/** How a scope fails and is cancelled: the first failure stops the rest, later ones are reported. */
export abstract class Failing {
  readonly name: string;
  readonly parent: Lifetime | null;
  /** @internal */
  readonly kind: ScopeKind;
  protected readonly contents: Contents = new Contents();
  protected readonly abort: LazyAbort = new LazyAbort();
  /** Only what is needed while the scope lives; empty once it is closed. */
  protected options: ScopeOptions;
  protected failure: { readonly error: unknown } | undefined;
  /** @internal Whether it was cancelled, or could not wait for what ran in it. */
  isStopped = false;
  #unlisten: (() => void) | undefined;

  constructor(parent: Lifetime | null, options: ScopeOptions, kind: ScopeKind) {
    this.name = options.name ?? 'scope';
    this.parent = parent;
    this.kind = kind;
    this.options = options;
  }

  protected abstract readonly isClosed: boolean;
  /** The scope has failed, for the first time. */
  protected abstract onFailure(): void;

  /** Aborts when the scope is cancelled, or closes and has ended its waiting. Made when it is first read. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }

  /** Asks everything in the scope to stop, and does not wait. With a reason the scope fails with it; without, it is done. */
  cancel(reason?: unknown): void {
    if (this.isClosed) return;
    if (reason === undefined) this.stop(DONE);
    else this.failWith(reason, 'cancel');
  }

  // What follows is for the parts of the library, of whichever copy.

  /** @internal As `cancel`, but no failure: whoever ended the scope decides what comes of it. */
  stop(reason: unknown): void {
    if (this.isStopped) return;
    this.isStopped = true;
    this.abort.abort(reason);
    this.contents.cancel(reason);
  }

  /** @internal Tells the scope that something in it failed. */
  fail(error: unknown, from: string): void {
    if (this.kind === 'inner') return this.parent?.fail(error, `${this.name}/${from}`);
    const { onError } = this.options;
    if (!onError) return this.failWith(error, from);
    try {
      this.#call(onError, error, from);
    } catch (thrown) {
      this.failWith(thrown, from);
    }
  }

  /** @internal Hands on what can be thrown to nobody. */
  report(error: unknown, from: string): void {
    const { onSuppressed } = this.options;
    if (onSuppressed || !this.parent) publish(CHANNELS.error, () => ({ scope: this.name, from, error }));
    try {
      if (onSuppressed) return this.#call(onSuppressed, error, from);
    } catch (thrown) {
      // A broken handler must not keep the scope from closing.
      this.#warn(thrown, 'onSuppressed');
    }
    if (this.parent) return this.parent.report(error, `${this.name}/${from}`);
    this.#warn(error, from);
  }

  /** A handler may be an async function: what it rejects with is nobody's, either. */
  #call(handler: (error: unknown, from: string) => unknown, error: unknown, from: string): void {
    const handled = handler(error, from);
    if (handled instanceof Promise) handled.catch((thrown: unknown) => this.#warn(thrown, handler.name || 'handler'));
  }

  /** Fails, whoever supervises. */
  protected failWith(error: unknown, from: string): void {
    if (this.kind === 'inner') {
      this.stop(error);
      return this.parent?.fail(error, `${this.name}/${from}`);
    }
    if (this.failure && this.failure.error === error) return;
    if (this.failure || this.isClosed) return this.report(error, from);
    this.failure = { error };
    this.stop(error);
    this.onFailure();
  }

  protected isEcho(error: unknown): boolean {
    return this.abort.isEcho(error);
  }

  /** @internal Waits, but no longer than until the scope is cancelled. */
  unlessCancelled<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this;
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(new ScopeCancelledError(this.name, signal.reason));
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  protected obey(signal: AbortSignal): void {
    const onAbort = () => this.failWith(signal.reason, 'signal');
    if (signal.aborted) return onAbort();
    // One signal may end as many scopes as there are requests: no leak to warn of.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#unlisten = () => signal.removeEventListener('abort', onAbort);
  }

  /** The scope is closed: nobody can fail or cancel it any more. @param isHeard Whether it has left something behind, of which somebody is to hear. */
  protected letGo(isHeard: boolean): void {
    this.abort.abort(DONE);
    this.#unlisten?.();
    this.#unlisten = undefined;
    this.options = isHeard ? { onSuppressed: this.options.onSuppressed } : NO_OPTIONS;
  }

  #warn(error: unknown, from: string): void {
    process.emitWarning(error instanceof Error ? error : `scope "${this.name}", ${from}: ${messageOf(error)}`);
  }
}
