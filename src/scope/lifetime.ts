import { CHANNELS, type Message } from '../channels.ts';
import { now } from '../clock.ts';
import { currentFrame, enterFrame, type Frame, shared } from '../context.ts';
import { NoScopeError, ScopeCancelledError, ScopeClosedError } from '../errors.ts';
import type { Room, TreeNode } from './belonging.ts';
import { Closing } from './closing.ts';
import { checkCopy } from './copy.ts';
import { asOne, deadlock, hasLeftBehind } from './failures.ts';
import { Keeping } from './keeping.ts';
import { type Limits, NO_LIMITS, type QuotaLimits, unknownLimits } from './limits.ts';
import { type CloseOptions, checkClose, checkScope, type ScopeOptions } from './options.ts';
import type { Failure, Outcome, ScopeKind, ScopeState } from './state.ts';
import { publishBegin, publishEnd } from './tracing.ts';
import { end, isInside, type Work } from './work.ts';

const CLOSED = Promise.resolve();
/** Closes as the options of the scope say. */
const AS_SET: CloseOptions = {};

/** How a scope begins, fails and ends; what can be done in it is {@link Scope}'s. */
export class Lifetime extends Keeping {
  /** The scope whose pools are used here: the nearest root or isolated scope. */
  readonly root: Lifetime;
  readonly limits: Limits;
  /** Its own, or that which the scope around it had when this one was opened. */
  quota: QuotaLimits | undefined;
  /** @internal Told when an acquire in it, or below it, waits until others give back, for its pool may open no more. */
  declare onCrowded?: (pool: string, max: number) => void;
  readonly #since = now();
  protected isClosed = false;
  #failsUpwards = false;
  #message: Message | undefined;
  #closing: Closing | undefined;
  #ended: Promise<void> | undefined;

  constructor(options: ScopeOptions, kind: ScopeKind) {
    checkCopy();
    checkScope(kind === 'lexical' ? 'withScope()' : 'new Scope()', options);
    const parent = options.parent === undefined ? (currentFrame()?.scope as Lifetime | undefined) : options.parent;
    if (parent === undefined) throw new NoScopeError('new Scope() without a parent');
    super(parent, options, kind);
    this.root = parent === null || options.isolate ? this : parent.root;
    this.limits = options.limits ?? NO_LIMITS;
    this.quota = this.root === this ? undefined : parent?.quota;
    if (parent === null) shared.roots.add(this);
    else if (kind !== 'inner') parent.adopt(this);
    if (CHANNELS.scope.hasSubscribers) this.#message = publishBegin(this);
    // Last: one that is aborted already ends the scope here.
    if (options.signal) this.obey(options.signal);
  }

  get state(): ScopeState {
    return this.isClosed ? 'closed' : (this.#closing?.state ?? 'open');
  }

  /**
   * Closes: waits for what runs, cancels what does not end within `graceMs`, then stops what was opened, newest
   * first. A later call gives the same promise; with `graceMs: 0` it ends the waiting.
   *
   * @throws the first failure of the scope, as it is; else what failed while closing, several as an AggregateError.
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkClose(options);
    const isInsideIt = this.isWaitingForCaller;
    const isFirst = !this.#ended;
    const ended = this.#end(options);
    if (!isInsideIt) return ended;
    if (isFirst) this.#handUp(ended);
    return deadlock(this.name);
  }

  /** What is open in the scope, and since when. */
  tree(): TreeNode {
    return this.describe({ most: Number.POSITIVE_INFINITY, left: Number.POSITIVE_INFINITY });
  }

  // What follows is for the parts of the library, of whichever copy: pools, adapters, test helpers.

  /** @internal As {@link tree}, as far as there is room. */
  describe(room: Room): TreeNode {
    const kind = this.parent ? 'scope' : 'root';
    return { name: this.name, kind, state: this.state, ageMs: now() - this.#since, ...this.contents.describe(room) };
  }

  /** @internal Whether the code that asks is work that the scope waits for, so that to await the close there would never end. */
  get isWaitingForCaller(): boolean {
    return !this.isClosed && isInside(currentFrame()?.work as Work | undefined, this);
  }

  /** @internal Whether a failure goes to the parent, because nobody awaits this scope. */
  get failsUpwards(): boolean {
    return this.#failsUpwards;
  }

  /**
   * @internal Runs the body of the scope and ends it. Not an async function: where AsyncLocalStorage is on, each promise
   * costs more than all else here.
   *
   * @param outer Of what the body is a part. @throws the first failure, as it is.
   */
  complete<R>(fn: (scope: this) => R | PromiseLike<R>, outer: Frame | undefined = currentFrame()): Promise<R> {
    const frame = this.beginBody(outer);
    const onFailed = (error: unknown) => {
      if (!this.isEcho(error)) this.failWith(error, 'body');
      return this.endBody<R>(frame, { error });
    };
    try {
      if (this.isStopped) throw this.abort.reason;
      return enterFrame(frame, begin, fn, this).then((value) => this.endBody(frame, { value }), onFailed);
    } catch (error) {
      return Promise.reject(error).catch(onFailed);
    }
  }

  /** Until {@link endBody} the scope waits for what runs in the frame. */
  protected beginBody(outer: Frame | undefined): Frame {
    const work: Work = { scope: this, outer: outer?.work as Work | undefined, ended: false };
    this.contents.running.addBody(work);
    return { scope: this, work, held: outer?.held };
  }

  /** @internal Runs a closer: as work of the scope, so that it may still acquire. */
  enter<R>(fn: () => R): R {
    const work: Work = { scope: this, outer: undefined, ended: false };
    const result = enterFrame({ scope: this, work, held: undefined }, fn);
    const ended = () => end(work);
    Promise.resolve(result).then(ended, ended);
    return result;
  }

  protected admit(): void {
    const { state } = this;
    if (state === 'open' && !this.isStopped) return;
    if (state === 'closed') throw new ScopeClosedError(this.name, state);
    const isInsideIt = isInside(currentFrame()?.work as Work | undefined, this);
    // Whoever stops something may acquire, in a cancelled scope, too: to undo on the server what was begun there.
    if (isInsideIt && state === 'unwinding') return;
    if (this.isStopped) throw new ScopeCancelledError(this.name, this.abort.reason);
    if (!isInsideIt) throw new ScopeClosedError(this.name, state);
  }

  /** What comes of the body when the scope is closed. @param failure Of the scope. @throws */
  protected conclude<R>(outcome: Outcome<R>, failure: Failure | undefined): R {
    if (failure) throw failure.error;
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  /** Ends the body, and with it the scope. @throws what {@link conclude} throws. */
  protected endBody<R>({ work }: Frame, outcome: Outcome<R>): R | Promise<R> {
    end(work as Work);
    this.contents.running.removeBody(work as Work);
    const ended = this.#end(AS_SET);
    if (ended === CLOSED) return this.conclude(outcome, undefined);
    return ended.then(
      () => this.conclude(outcome, undefined),
      (error: unknown) => this.conclude(outcome, { error }),
    );
  }

  protected onFailure(): void {
    if (this.kind === 'open') this.#handUp(this.#end(AS_SET));
  }

  /** Nobody awaits a scope that was opened by hand: its parent fails; at a root the rejection is nobody's, and the process hears of it. */
  #handUp(ended: Promise<void>): void {
    const { kind, parent } = this;
    if (kind !== 'open') return void ended.catch(() => {});
    if (!parent || this.#failsUpwards) return;
    this.#failsUpwards = true;
    ended.catch((error: unknown) => parent.fail(error, this.name));
  }

  #end(options: CloseOptions): Promise<void> {
    if (this.#ended) {
      this.#closing?.hurry(options);
      return this.#ended;
    }
    if (this.contents.isEmpty) {
      this.#ended = this.failure ? Promise.reject(this.failure.error) : CLOSED;
      this.#letGo(false, this.failure);
      return this.#ended;
    }
    const graceMs = options.graceMs ?? this.options.graceMs ?? (this.kind === 'open' ? 10_000 : Number.POSITIVE_INFINITY);
    const cancelMs = options.cancelMs ?? this.options.cancelMs ?? 1_000;
    const closing = new Closing(this, this.contents, this.abort, { graceMs, cancelMs });
    this.#closing = closing;
    // Not at once: what it stops may close this scope again, and must find this promise.
    this.#ended = CLOSED.then(() => closing.run()).then((errors) => this.#finish(errors));
    return this.#ended;
  }

  #finish(all: readonly unknown[]): void {
    const failure = this.failure;
    const errors = failure ? all.filter((error) => error !== failure.error) : all;
    if (failure) for (const error of errors) this.report(error, 'close');
    const outcome = failure ?? (errors.length > 0 ? { error: asOne(errors, `scope "${this.name}" while closing`) } : undefined);
    this.#letGo(hasLeftBehind(errors), outcome);
    if (outcome) throw outcome.error;
  }

  #letGo(isHeard: boolean, outcome: Failure | undefined): void {
    for (const unknown of unknownLimits(this)) this.report(unknown, 'limits');
    this.isClosed = true;
    this.#closing = undefined;
    if (this.#message) publishEnd(this.#message, outcome);
    if (this.parent) this.parent.dismiss(this);
    else shared.roots.delete(this);
    this.letGo(isHeard);
  }
}

/** Within the frame: a query that begins when its `then` is called, begins there. */
function begin<S, R>(fn: (scope: S) => R | PromiseLike<R>, scope: S): Promise<R> {
  return Promise.resolve(fn(scope));
}
