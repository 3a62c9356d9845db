import { after, cancel, type Timer } from '../../clock.ts';
import { atRoot, type Frame } from '../../context.ts';
import { RequestTimeoutError, ScopeCancelledError, ServerClosingError } from '../../errors.ts';
import { DONE } from '../../scope/abort.ts';
import { Scope } from '../../scope/index.ts';
import type { Failure, Outcome } from '../../scope/state.ts';
import type { RequestLike, Rules } from './options.ts';

// On the request, and not in a WeakMap: one with an entry for each request costs the collector 12 µs per request on Node 20.
// For every copy of the library.
const SCOPE = Symbol.for('scoped-pool.request-scope');

/** The scope of a request that is handled already. */
export function scopeOfRequest(request: object): Handling | undefined {
  return (request as { readonly [SCOPE]?: Handling })[SCOPE];
}

/**
 * The scope of one request, however it came. Once it is cancelled, by its `timeoutMs` too, what handles it has `graceMs`.
 * A lease that is still held then is waited for: given back, it would reach the next request while this one may use it.
 */
export abstract class Handling extends Scope {
  protected readonly rules: Rules;
  #timer: Timer | undefined;
  #isTold = false;

  /** @throws ScopeClosedError, ScopeCancelledError when the server takes nothing more. */
  constructor(server: Scope, request: RequestLike, rules: Rules) {
    const { graceMs, timeoutMs } = rules;
    // After that time nobody is given more: what is cancelled earlier has as much, from then on.
    super({ parent: server, name: rules.name(request), graceMs, cancelMs: 0 }, 'lexical');
    this.contents.holdings.awaitsAll = true;
    this.rules = rules;
    if (Object.isExtensible(request)) (request as { [SCOPE]?: Handling })[SCOPE] = this;
    if (timeoutMs !== Number.POSITIVE_INFINITY) this.#timer = after(timeoutMs, () => this.#expire(timeoutMs));
  }

  /** It had to end and has: whoever still waits for an answer gets what there is. */
  protected abstract onFinished(): void;

  /** Whoever cancels it: what handles it has `graceMs` to answer. */
  override stop(reason: unknown): void {
    if (this.isStopped || this.isClosed) return;
    const why = this.#isOfServer(reason) ? new ServerClosingError(this.name, reason) : reason;
    // It may come from outside, as a timer does, but who listens to the signal is code of the request.
    this.run(() => super.stop(why));
    if (!this.isClosed) this.finish();
  }

  /** Why nothing begins in it any more, also when it is over: of its code nobody knows. */
  protected override admit(): void {
    if (this.isClosed && this.isStopped) throw new ScopeCancelledError(this.name, this.abort.reason);
    super.admit();
  }

  /** It has been answered: to go on its code has no longer than `graceMs`. */
  protected endTimeout(): void {
    cancel(this.#timer);
  }

  protected override endBody<R>(frame: Frame, outcome: Outcome<R>): R | Promise<R> {
    this.endTimeout();
    return super.endBody(frame, outcome);
  }

  /** Closed by force, its body may never end. */
  protected override letGo(isHeard: boolean): void {
    this.endTimeout();
    super.letGo(isHeard);
  }

  /** Nobody awaits it: what failed is told. */
  protected override conclude<R>(outcome: Outcome<R>, failure: Failure | undefined): R {
    if (failure) this.tell(failure.error);
    return (outcome as { readonly value: R }).value;
  }

  /** What handles it may go on, but not for ever. */
  protected finish(): void {
    // As nobody's work: whoever stops it may be what it waits for.
    atRoot(() => this.close({ cancelMs: this.isStopped ? this.rules.graceMs : 0 }))
      .catch((error: unknown) => this.tell(error))
      .finally(() => this.onFinished());
  }

  /** How it failed, once. */
  protected tell(error: unknown): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.rules.tell(error, this.name);
  }

  /** Whether it is cancelled with its server, and not by itself. */
  #isOfServer(reason: unknown): boolean {
    const { parent } = this;
    if (!parent?.isStopped) return false;
    return reason === DONE || reason === parent.signal.reason;
  }

  #expire(timeoutMs: number): void {
    if (this.isClosed) return;
    const error = new RequestTimeoutError(this.name, timeoutMs);
    this.rules.tell(error, this.name);
    this.stop(error);
  }
}
