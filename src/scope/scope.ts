import { now } from '../clock.ts';
import { currentFrame, enterFrame, type Frame, shared } from '../context.ts';
import { ScopeClosedError } from '../errors.ts';
import { BRAND, isBranded } from './brand.ts';
import { type Closer, type CloserOptions, STOP_TIMEOUT_MS } from './cleanup.ts';
import { checkCopy } from './copy.ts';
import { isRefusal } from './failures.ts';
import { checkLender, KeptLeases, type Lender } from './kept.ts';
import { Lifetime } from './lifetime.ts';
import { listen, type Source } from './listen.ts';
import { checkCloser, checkFunction, checkSpawn, type ScopeOptions } from './options.ts';
import { Resource } from './resource.ts';
import type { ScopeKind } from './state.ts';
import { RunningTask, type SpawnOptions, type Task, type TaskContext } from './task.ts';

/**
 * A lifetime: of a worker, a server, a request, a job, a test. What is started and acquired in it ends with it.
 * Root scopes own pools; the nearest scope owns leases and tasks.
 */
export class Scope extends Lifetime implements AsyncDisposable {
  declare readonly root: Scope;
  declare readonly parent: Scope | null;
  #kept: KeptLeases | undefined;

  /** The process-wide root, made when first asked for; enter it with `run`. Nobody closes it but you. */
  static process(): Scope {
    checkCopy();
    const existing = shared.process as Scope | undefined;
    if (existing?.state === 'open') return existing;
    const scope = new Scope({ parent: null, name: 'process' });
    shared.process = scope;
    return scope;
  }

  /** Scopes of another copy of the library count, too. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return isBranded(value);
  }

  /**
   * Opens a scope that its maker closes; without `parent` below the current one.
   *
   * @param kind For `withScope` and `open` alone.
   * @throws InvalidOptionError, or NoScopeError when there is no current scope to open it in.
   */
  constructor(options: ScopeOptions = {}, kind: ScopeKind = 'open') {
    super(options, kind);
  }

  get [BRAND](): number {
    return shared.protocol;
  }

  /** Enters: `fn`, and what it awaits, sees this as the current scope. Tracks and closes nothing. */
  run<R>(fn: () => R): R {
    checkFunction('scope.run()', fn);
    if (this.state === 'closed') throw new ScopeClosedError(this.name, this.state);
    const outer = currentFrame();
    return enterFrame({ scope: this, work: outer?.work, held: outer?.held }, fn);
  }

  /** A callback that runs in this scope, whoever calls it and whenever. */
  bind<This, A extends unknown[], R>(fn: (this: This, ...args: A) => R): (this: This, ...args: A) => R {
    checkFunction('scope.bind()', fn);
    const frame: Frame = { scope: this, work: undefined, held: undefined };
    return function bound(this: This, ...args: A) {
      return enterFrame(frame, () => fn.apply(this, args));
    };
  }

  /** Listens in this scope until it closes. @returns takes the listener back. */
  on(emitter: Source, event: string, listener: (...args: never[]) => unknown): () => void {
    checkFunction('scope.on()', listener);
    this.admit();
    const unlisten = listen(emitter, event, this.bind(listener as (...args: unknown[]) => unknown));
    const forget = this.onClose(unlisten, { name: `on ${String(event)}` });
    return () => {
      forget();
      unlisten();
    };
  }

  /**
   * Starts a task that belongs to this scope, in this scope's context, whoever calls. Its failure fails the scope,
   * even if somebody awaits and catches it: catch inside the task.
   */
  spawn<T>(fn: (task: TaskContext) => T | PromiseLike<T>, options: SpawnOptions = {}): Task<T> {
    checkSpawn(fn, options);
    this.admit();
    const { running } = this.contents;
    const task = new RunningTask(this, options.name ?? (fn.name || 'task'), options.background ?? false);
    running.addTask(task);
    return task.start(fn, (failure) => {
      if (failure) this.fail(failure.error, task.name);
      running.removeTask(task);
    });
  }

  /**
   * Owns a resource: starts it now, stops it when the scope closes. Callbacks of what was started run below it.
   * A failed start fails the scope, which stops what stood before it. When the scope is cancelled meanwhile, this
   * rejects at once, and the resource is stopped when it arrives.
   *
   * @param stop Default: the resource's own `Symbol.asyncDispose` or `Symbol.dispose`.
   */
  async open<R>(start: (scope: Scope) => R | PromiseLike<R>, stop?: (resource: R) => unknown, options: CloserOptions = {}): Promise<R> {
    checkCloser('scope.open()', start, options);
    if (stop !== undefined) checkFunction('scope.open()', stop);
    this.admit();
    const name = options.name ?? (start.name || 'resource');
    const resource = new Resource(new Scope({ parent: this, name }, 'inner'), stop, options);
    // Before the start: what it begins in this scope is newer, and one that closes this scope is stopped with it.
    this.contents.cleanup.add(resource);
    const started = resource.start(start);
    try {
      // What a closer opens is not cancelled with the scope that is closing.
      return await (this.state === 'unwinding' ? started : this.unlessCancelled(started));
    } catch (error) {
      if (this.isEcho(error)) started.catch((late: unknown) => this.isEcho(late) || this.fail(late, name));
      else this.#onFailedStart(resource, error);
      throw error;
    }
  }

  /**
   * A connection of a pool for as long as this scope: taken by the first call, the same for all that follow, given back
   * when all else of the scope has ended. It is closed instead when the scope was cancelled, or left something behind that
   * may still use it. When it breaks, the next call takes another. `pool.use(fn)` holds one for a shorter time.
   *
   * @throws InvalidOptionError, and what `pool.acquire()` throws; the next call then tries again.
   */
  lease<R>(pool: Lender<R>): Promise<R> {
    const leased: Promise<R> = this.#lease(pool).catch((error: unknown) => {
      // It is reported, where it is nobody's fault but of who did not await it.
      if (isRefusal(error)) leased.catch(() => {});
      throw error;
    });
    return leased;
  }

  async #lease<R>(pool: Lender<R>): Promise<R> {
    checkLender(pool);
    this.admit();
    this.#kept ??= new KeptLeases();
    const lease = await this.#kept.of(pool, () => this.run(() => pool.acquire()));
    return lease.resource;
  }

  /** Calls `fn` when the scope closes: newest first, one at a time. @returns takes it back. */
  onClose(fn: () => unknown, options: CloserOptions = {}): () => void {
    checkCloser('scope.onClose()', fn, options);
    this.admit();
    const { name = fn.name || 'closer', timeoutMs = STOP_TIMEOUT_MS } = options;
    const closer: Closer = { name, timeoutMs, openedAt: now(), inner: undefined, close: fn };
    this.contents.cleanup.add(closer);
    return () => this.contents.cleanup.remove(closer);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #onFailedStart<R>(resource: Resource<R>, error: unknown): void {
    this.fail(error, resource.name);
    resource.inner.stop(error);
    // A scope that supervises lives on and must not keep every start that ever failed; one that unwinds gets there.
    const told = (failure?: unknown) => {
      if (this.state === 'unwinding') return;
      this.contents.cleanup.remove(resource);
      if (failure) this.report(failure, resource.name);
    };
    resource.close().then(told, told);
  }
}
