import { now } from '../clock.ts';
import { currentFrame, enterFrame, shared } from '../context.ts';
import { NoScopeError, ScopeCancelledError, ScopeClosedError, ScopeDeadlockError, ScopeTimeoutError, UnknownLimitError } from '../errors.ts';
import { LazyAbort } from './abort.ts';
import type { Belonging, TreeNode } from './belonging.ts';
import { Cleanup } from './cleanup.ts';
import { Holdings, type Single } from './holdings.ts';
import type { Limits } from './limits.ts';
import { type CloseOptions, checkClose, checkScope, type ScopeOptions } from './options.ts';
import { Running } from './running.ts';
import { isInside, type Work } from './work.ts';

/**
 *     open ── close() ──▶ draining ── all ended, or cancelled ──▶ unwinding ── all stopped ──▶ closed
 */
export type ScopeState = 'open' | 'draining' | 'unwinding' | 'closed';

/**
 * Who ends a scope. `open`: whoever made it, else its parent. `lexical`: the end of `withScope`'s body.
 * `inner`: the resource whose callbacks run in it.
 */
export type ScopeKind = 'open' | 'lexical' | 'inner';

const CLOSED = Promise.resolve();
const NO_LIMITS: Limits = {};
const AT_ONCE: CloseOptions = { graceMs: 0, cancelMs: 0 };
/** The reason of everything that is stopped because its scope is done. */
const DONE = new DOMException('the scope is done', 'AbortError');

/** How a scope begins, fails and ends; what can be done in it is {@link Scope}'s. */
export class Lifetime {
  readonly name: string;
  readonly parent: Lifetime | null;
  /** The scope whose pools are used here: the nearest root or isolated scope. */
  readonly root: Lifetime;
  readonly limits: Limits;
  readonly kind: ScopeKind;
  readonly #since = now();
  readonly #abort = new LazyAbort();
  protected readonly running: Running = new Running();
  readonly #holdings = new Holdings(this.running);
  protected cleanup: Cleanup | undefined;
  #options: ScopeOptions;
  #state: ScopeState = 'open';
  #failure: { readonly error: unknown } | undefined;
  #closing: Promise<void> | undefined;
  #hurried = false;
  #unlisten: (() => void) | undefined;

  constructor(options: ScopeOptions, kind: ScopeKind) {
    checkScope('new Scope()', options);
    const parent = options.parent === undefined ? (currentFrame()?.scope as Lifetime | undefined) : options.parent;
    if (parent === undefined) throw new NoScopeError('new Scope() without a parent');
    this.name = options.name ?? 'scope';
    this.parent = parent;
    this.root = parent === null || options.isolate ? this : parent.root;
    this.limits = options.limits ?? NO_LIMITS;
    this.kind = kind;
    this.#options = options;
    if (parent === null) shared.roots.add(this);
    else if (kind !== 'inner') parent.adopt(this);
    if (options.signal) this.#obey(options.signal);
  }

  get state(): ScopeState {
    return this.#state;
  }

  /** Aborts when the scope is cancelled or closed. Made when it is first read. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Asks everything in the scope to stop, and does not wait. With a reason the scope fails with it; without, it is done. */
  cancel(reason?: unknown): void {
    if (reason === undefined) this.stop(DONE);
    else this.fail(reason, 'cancel');
  }

  /**
   * Closes: waits for what runs, cancels what does not end within `graceMs`, then stops what was opened, newest
   * first. A later call gives the same promise; with `graceMs: 0` it ends the waiting.
   *
   * @throws the first failure of the scope, as it is; else what failed while closing, several as an AggregateError.
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkClose(options);
    const inside = isInside(currentFrame()?.work as Work | undefined, this);
    if (!this.#closing) this.#closing = this.#isUnused ? this.#finish([]) : this.#closeInPhases(options);
    else if (options.graceMs === 0) this.#hurry();
    if (!inside || this.#state === 'closed') return this.#closing;
    this.#closing.catch(() => {});
    const deadlock = Promise.reject(new ScopeDeadlockError(this.name));
    // Thrown to whoever awaits it; a close that is begun here and not awaited is fine.
    deadlock.catch(() => {});
    return deadlock;
  }

  /** What is open in the scope, and since when. */
  tree(): TreeNode {
    const children = [...this.running.tasks].map((task) => task.describe());
    children.push(...[...this.running.children].map((child) => child.tree()));
    children.push(...(this.cleanup?.describe() ?? []), ...this.#holdings.describe());
    return { name: this.name, kind: this.parent ? 'scope' : 'root', state: this.#state, ageMs: now() - this.#since, children };
  }

  // What follows is for the parts of the library, of whichever copy: pools, adapters, test helpers.

  /** Lets a child in. */
  adopt(child: Lifetime): void {
    this.admit();
    this.running.addChild(child);
  }

  dismiss(child: Lifetime): void {
    this.running.removeChild(child);
  }

  /** Takes a lease or waiter into the scope. @throws when nothing new may begin. */
  own(belonging: Belonging): void {
    this.admit();
    this.#holdings.add(belonging);
  }

  disown(belonging: Belonging): void {
    this.#holdings.remove(belonging);
  }

  /** What {@link addSingle} has stored. */
  single(key: object): Single | undefined {
    return this.#holdings.single(key);
  }

  /** Stores what exists once in this root; it is closed after everything that was opened in the root. */
  addSingle(key: object, single: Single): void {
    if (this.#state === 'unwinding' || this.#state === 'closed') throw new ScopeClosedError(this.name, this.#state);
    this.#holdings.addSingle(key, single);
  }

  removeSingle(key: object, single: Single): void {
    this.#holdings.removeSingle(key, single);
  }

  /** As `cancel`, but no failure: whoever ended the scope decides what comes of it. */
  stop(reason: unknown): void {
    if (this.#state === 'closed' || this.#abort.aborted) return;
    this.#abort.abort(reason);
    for (const task of this.running.tasks) task.abort.abort(reason);
    for (const child of this.running.children) child.stop(reason);
    this.cleanup?.cancel(reason);
    this.#holdings.cancel(reason);
    this.running.poke();
  }

  /** Tells the scope that something in it failed. */
  fail(error: unknown, from: string): void {
    if (this.kind === 'inner') return this.parent?.fail(error, `${this.name}/${from}`);
    if (this.#failure?.error === error) return;
    const failure = this.#supervise(error, from);
    if (!failure) return;
    if (this.#failure || this.#state === 'closed') return this.report(failure.error, from);
    this.#failure = failure;
    this.stop(failure.error);
    if (this.kind === 'open') this.#failUpwards();
  }

  /** Hands on what can be thrown to nobody. */
  report(error: unknown, from: string): void {
    const { onSuppressed } = this.#options;
    if (onSuppressed) return onSuppressed(error, from);
    if (this.parent) return this.parent.report(error, `${this.name}/${from}`);
    process.emitWarning(error instanceof Error ? error : `scope "${this.name}", ${from}: ${String(error)}`);
  }

  /** Runs the body of the scope and ends it. @throws the first failure, as it is. */
  async complete<R>(fn: (scope: this) => R | PromiseLike<R>): Promise<R> {
    const outer = currentFrame();
    const body: Work = { scope: this, outer: outer?.work as Work | undefined, ended: false };
    this.running.begin();
    let outcome: { readonly value: R } | { readonly error: unknown };
    try {
      outcome = { value: await enterFrame({ scope: this, work: body, held: outer?.held }, () => fn(this)) };
    } catch (error) {
      outcome = { error };
      if (!this.#abort.isEcho(error)) this.fail(error, 'body');
    }
    body.ended = true;
    this.running.end();
    await this.close();
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  get #isUnused(): boolean {
    return this.running.isEmpty && this.#holdings.isEmpty && this.cleanup === undefined;
  }

  /** @throws when nothing new may begin here. */
  protected admit(): void {
    if (this.#state === 'open' && !this.#abort.aborted) return;
    const inside = this.#state !== 'closed' && isInside(currentFrame()?.work as Work | undefined, this);
    // Whoever stops something may acquire, in a cancelled scope, too: to undo on the server what was begun there.
    if (inside && this.#state === 'unwinding') return;
    if (this.#abort.aborted && this.#state !== 'closed') throw new ScopeCancelledError(this.name, this.#abort.reason);
    if (!inside) throw new ScopeClosedError(this.name, this.#state);
  }

  protected isEcho(error: unknown): boolean {
    return this.#abort.isEcho(error);
  }

  /** Waits, but no longer than until the scope is cancelled. */
  protected unlessCancelled<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this;
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(new ScopeCancelledError(this.name, signal.reason));
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  #obey(signal: AbortSignal): void {
    const onAbort = () => this.fail(signal.reason, 'signal');
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#unlisten = () => signal.removeEventListener('abort', onAbort);
  }

  /** @returns the failure that is left when the supervisor has seen it. */
  #supervise(error: unknown, from: string): { error: unknown } | undefined {
    const { onError } = this.#options;
    if (!onError || from === 'body' || from === 'cancel' || from === 'signal') return { error };
    try {
      onError(error, from);
      return undefined;
    } catch (thrown) {
      return { error: thrown };
    }
  }

  /** Nobody awaits a scope that was opened by hand: it closes, and its parent fails; at a root the process hears of it. */
  #failUpwards(): void {
    this.close().catch((error: unknown) => {
      if (this.parent) this.parent.fail(error, this.name);
      else void Promise.reject(error);
    });
  }

  #hurry(): void {
    this.#hurried = true;
    this.running.poke();
  }

  async #closeInPhases(options: CloseOptions): Promise<void> {
    const { graceMs = this.#options.graceMs ?? (this.kind === 'open' ? 10_000 : Number.POSITIVE_INFINITY) } = options;
    const { cancelMs = this.#options.cancelMs ?? 1_000 } = options;
    const errors: unknown[] = [];
    const begun = now();
    this.#state = 'draining';
    for (const child of this.running.children) if (child.kind === 'open') child.close().catch((error) => errors.push(error));
    await this.running.until(() => this.running.isQuiet || this.#abort.aborted || this.#hurried, graceMs);
    if (!this.running.isQuiet) this.stop(DONE);
    for (const task of this.running.tasks) task.abort.abort(DONE);
    await this.running.until(() => this.running.isEmpty || this.#hurried, cancelMs);
    if (!this.running.isEmpty) errors.push(new ScopeTimeoutError(this.name, this.running.names(), now() - begun));
    await this.#unwind(errors);
    return this.#finish(errors.filter((error) => error !== this.#failure?.error));
  }

  async #unwind(errors: unknown[]): Promise<void> {
    this.#state = 'unwinding';
    await Promise.all([...this.running.children].map((child) => child.close(AT_ONCE).catch(() => {})));
    this.#revoke();
    if (this.cleanup) errors.push(...(await this.cleanup.unwind(this)));
    errors.push(...(await this.#holdings.closeSingles()));
    this.#revoke();
  }

  /** Runs a closer: as work of the scope, so that it may still acquire. */
  enter<R>(fn: () => R): R {
    return enterFrame({ scope: this, work: { scope: this, outer: undefined, ended: false }, held: undefined }, fn);
  }

  #revoke(): void {
    for (const leak of this.#holdings.revoke()) this.report(leak, 'leases');
  }

  /** The scope lets go of everything. */
  #finish(errors: unknown[]): Promise<void> {
    for (const limit of Object.keys(this.limits)) {
      if (!shared.pools.has(limit)) this.report(new UnknownLimitError(this.name, limit, [...shared.pools.keys()]), 'limits');
    }
    const failure = this.#failure;
    if (failure) for (const error of errors) this.report(error, 'close');
    this.#state = 'closed';
    this.#abort.abort(DONE);
    this.#unlisten?.();
    if (this.parent) this.parent.dismiss(this);
    else shared.roots.delete(this);
    this.#options = {};
    this.cleanup = undefined;
    if (failure) return Promise.reject(failure.error);
    if (errors.length === 0) return CLOSED;
    return Promise.reject(errors.length === 1 ? errors[0] : new AggregateError(errors, `scope "${this.name}": ${errors.length} failures while closing`));
  }
}
