import type { Message } from '../channels.ts';
import { now } from '../clock.ts';
import { type HolderFacts, LeaseEndedError, LeaseLeakedError, ScopeCancelledError, ScopeClosedError, type WaitFacts } from '../errors.ts';
import type { List } from '../list.ts';
import type { Belonging, Kept, TreeNode } from '../scope/belonging.ts';
import type { Scope } from '../scope/index.ts';
import type { Ending } from '../scope/kept.ts';
import type * as api from './api.ts';
import type { Engine } from './engine.ts';
import { Nested } from './nested.ts';
import { siteOf } from './sampler.ts';
import type { Slot } from './slot.ts';

/**
 * Whose lease it is. `user`: revoked and reported when its scope ends before it. `library`: of a command of a pool
 * whose reply comes within a deadline; its scope waits for that. `blocking`: of a command that may wait for ever;
 * ended quietly with its scope. When its scope is cancelled, a command that blocks is ended, whatever its timeout.
 */
export type LeaseKind = 'user' | 'library' | 'blocking';

/** How many acquires are named of those that wait in the code that holds a lease. */
const NAMED_WAITS = 3;

/** The {@link api.Lease} that users see, from the acquire that begins to wait to the end. */
export class Lease<T> extends Nested<T> implements api.Lease<T>, Kept {
  prev: Belonging | undefined = undefined;
  next: Belonging | undefined = undefined;
  list: List<Belonging> | undefined = undefined;
  /** Nobody else is on the connection. */
  readonly exclusive: boolean;
  readonly scope: Scope;
  readonly kind: LeaseKind;
  #slot: Slot<T> | undefined = undefined;
  #shown: T | undefined = undefined;
  /** Why the library ended it before its holder did. */
  interruption: Error | undefined = undefined;
  /** Its scope ends it, and nobody else. */
  isKept = false;
  /** Among the sharers of its slot. */
  place = 0;
  /** What is published of it, while somebody listens. */
  message: Message | undefined = undefined;
  /** Its stack shows who acquired it. */
  sample: Error | undefined = undefined;

  constructor(engine: Engine<T>, scope: Scope, exclusive: boolean, kind: LeaseKind, outer: Lease<unknown> | undefined) {
    super(engine, outer);
    this.scope = scope;
    this.exclusive = exclusive;
    this.kind = kind;
  }

  /** The leased resource. @throws LeaseEndedError after the end of the lease. */
  get resource(): T {
    if (this.ended) throw new LeaseEndedError(this.engine.name, 'resource');
    this.#shown ??= this.engine.show(this.#slot?.resource as T, this);
    return this.#shown;
  }

  /** Whether the lease is over, or has not begun. */
  get ended(): boolean {
    return this.#slot === undefined || this.#slot.state === 'closing' || this.#slot.state === 'closed';
  }

  /** Gives the resource back, to be lent again. Later calls do nothing. */
  release(): void {
    const slot = this.#end();
    if (!slot) return;
    this.engine.giveBack(slot, this);
    this.permit?.release();
  }

  /** Ends the lease and the resource, which the caller knows to be broken. Other holders of it are not cut off. */
  destroy(): void {
    this.#destroy('destroyed');
    this.permit?.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  // What follows is for the parts of the library.

  get awaited(): boolean {
    return this.kind === 'library';
  }

  /** The lease begins. */
  begin(slot: Slot<T>, since: number): void {
    this.#slot = slot;
    this.since = since;
  }

  /** Whether it has ended, or its resource. */
  get isBroken(): boolean {
    return this.ended || this.#slot?.reason === 'dead';
  }

  /** From now on it ends with its scope, last of all. What the scope kept before is around it, as that is around all else there. */
  keep(): void {
    const { scope } = this;
    this.isKept = true;
    // Not the lease in whose use(fn) it was taken, which other code of the scope does not hold.
    this.encloseIn(scope.held as Lease<unknown> | undefined);
    scope.held = this;
    scope.keep(this);
  }

  /** Gives back; destroys what the code that had it could still use. */
  onKeptToEnd(ending: Ending): void {
    if (ending === 'settled') this.release();
    else if (ending === 'unknown') this.releaseUnsure();
    else this.destroy();
  }

  /** Whoever had it may go on: the resource is lent to others only where its pool can keep him off. */
  releaseUnsure(): void {
    if (this.engine.keepsOff) this.release();
    else this.destroy();
  }

  /** It has got a place in a quota, which from now on waits with it and with what is acquired inside it. */
  pass(permit: Lease<object>): void {
    this.permit = permit;
    this.enclosing = permit as Lease<unknown>;
  }

  /** Ends the waiting. */
  refuse(error: Error): void {
    this.waiter?.lease.engine.waiting.refuse(this.waiter, error);
  }

  /** It will not begin. */
  leave(): void {
    this.scope.disown(this);
    this.permit?.release();
  }

  get slot(): Slot<T> | undefined {
    return this.#slot;
  }

  onCancel(reason: unknown): void {
    if (this.waiter) this.refuse(new ScopeCancelledError(this.scope.name, reason));
    else if (this.kind !== 'user' && this.exclusive) this.#interrupt(new ScopeCancelledError(this.scope.name, reason), 'destroyed');
  }

  onEnd(): Error | undefined {
    const { waiter, kind } = this;
    if (waiter) {
      const abandoned = new ScopeClosedError(this.scope.name, 'closed', { pool: this.engine.name, site: siteOf(this.sample) });
      // It is reported: whoever has forgotten to await it does not have to hear of it as an unhandled rejection.
      waiter.caller.forgive();
      this.refuse(abandoned);
      return kind === 'user' ? abandoned : undefined;
    }
    if (kind !== 'user') {
      this.#interrupt(new ScopeClosedError(this.scope.name, 'closed'), 'destroyed');
      return undefined;
    }
    const leak = new LeaseLeakedError(this.engine.name, this.facts(), this.sample);
    this.engine.onLeak(leak);
    this.#interrupt(leak, 'leaked');
    return leak;
  }

  facts(): HolderFacts {
    const { scope, exclusive, since, sample } = this;
    return {
      pool: this.engine.name,
      scope: scope.name,
      exclusive,
      heldMs: now() - since,
      site: siteOf(sample),
      waitsFor: [...this.inside].slice(0, NAMED_WAITS).map((inner) => inner.lease.waitFacts()),
    };
  }

  waitFacts(): WaitFacts {
    return { pool: this.engine.name, exclusive: this.exclusive, waitedMs: now() - this.since, site: siteOf(this.sample) };
  }

  describe(): TreeNode {
    const kind = this.waiter ? 'waiter' : 'lease';
    const state = `${this.exclusive ? 'exclusive' : 'shared'}${this.waiter ? ', waiting' : ''}`;
    const { sample } = this;
    return {
      ...{ name: this.engine.name, kind, state, ageMs: now() - this.since },
      // Read when it is asked for: of thousands of leases mostly only the number is told.
      get site() {
        return siteOf(sample);
      },
      children: [],
    };
  }

  #interrupt(interruption: Error, reason: 'destroyed' | 'leaked'): void {
    this.interruption = interruption;
    this.#destroy(reason);
    // Not at once: those of the same scope who wait for the place are to be refused, too, and not to be served.
    if (this.permit) void Promise.resolve(this.permit).then((permit) => permit.release());
  }

  #destroy(reason: 'destroyed' | 'leaked'): void {
    const slot = this.#end();
    if (!slot) return;
    this.engine.throwAway(slot, reason);
    this.engine.giveBack(slot, this);
  }

  #end(): Slot<T> | undefined {
    const slot = this.#slot;
    if (!slot) return undefined;
    this.unlink(slot);
    this.#slot = undefined;
    this.#shown = undefined;
    // A stack that nobody has read yet holds on to the closures it went through.
    this.sample = undefined;
    this.scope.disown(this);
    return slot;
  }
}
