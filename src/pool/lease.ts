import { now } from '../clock.ts';
import { type HolderFacts, LeaseEndedError, LeaseLeakedError, ScopeCancelledError, ScopeClosedError } from '../errors.ts';
import type { List } from '../list.ts';
import type { Belonging, TreeNode } from '../scope/belonging.ts';
import type { Scope } from '../scope/index.ts';
import type * as api from './api.ts';
import { recently } from './recently.ts';
import { siteOf } from './sampler.ts';
import type { Slot } from './slot.ts';
import type { Waiter } from './waiter.ts';

/** What a lease needs of its pool. */
export interface Lender<T> {
  readonly name: string;
  /** What the holder is shown: the resource, or a guard in front of it. */
  show(resource: T, lease: Lease<T>): T;
  /** The holder has left. */
  giveBack(slot: Slot<T>, lease: Lease<T>): void;
  /** The resource takes no more holders and is closed when the last has left. */
  throwAway(slot: Slot<T>, reason: 'destroyed' | 'leaked'): void;
  /** The acquire of a lease ends without one. */
  refuse(waiter: Waiter<T>, error: Error): void;
}

/**
 * Whose lease it is. `user`: revoked and reported when its scope ends before it. `library`: of a command of a pool
 * whose reply comes within a deadline; its scope waits for that. `blocking`: of a command that may wait for ever;
 * ended quietly with its scope. When its scope is cancelled, a command that blocks is ended, whatever its timeout.
 */
export type LeaseKind = 'user' | 'library' | 'blocking';

/** What is known of a lease from inside it. */
interface Nested {
  readonly outer: Lease<unknown> | undefined;
}

/** The {@link api.Lease} that users see, from the acquire that begins to wait to the end. */
export class Lease<T> implements api.Lease<T>, Belonging {
  prev: Belonging | undefined = undefined;
  next: Belonging | undefined = undefined;
  list: List<Belonging> | undefined = undefined;
  /** Nobody else is on the connection. */
  readonly exclusive: boolean;
  readonly scope: Scope;
  readonly kind: LeaseKind;
  readonly #lender: Lender<T>;
  #slot: Slot<T> | undefined = undefined;
  #shown: T | undefined = undefined;
  #outer: Lease<unknown> | undefined;
  /** How many acquires wait in the code that holds it. */
  #stuck = 0;
  /** Why the library ended it before its holder did. */
  interruption: Error | undefined = undefined;
  /** While it waits to begin. */
  waiter: Waiter<T> | undefined = undefined;
  since = 0;
  /** Its stack shows who acquired it. */
  sample: Error | undefined = undefined;

  constructor(lender: Lender<T>, scope: Scope, exclusive: boolean, kind: LeaseKind, outer: Lease<unknown> | undefined) {
    this.#lender = lender;
    this.scope = scope;
    this.exclusive = exclusive;
    this.kind = kind;
    this.#outer = outer;
  }

  /** The leased resource. @throws LeaseEndedError after the end of the lease. */
  get resource(): T {
    if (this.ended) throw new LeaseEndedError(this.#lender.name, 'resource');
    this.#shown ??= this.#lender.show(this.#slot?.resource as T, this);
    return this.#shown;
  }

  /** Whether the lease is over, or has not begun. */
  get ended(): boolean {
    return this.#slot === undefined || this.#slot.state === 'closing' || this.#slot.state === 'closed';
  }

  /** Gives the resource back, to be lent again. Later calls do nothing. */
  release(): void {
    const slot = this.#end();
    if (slot) this.#lender.giveBack(slot, this);
  }

  /** Ends the lease and the resource, which the caller knows to be broken. Other holders of it are not cut off. */
  destroy(): void {
    this.#destroy('destroyed');
  }

  [Symbol.dispose](): void {
    this.release();
  }

  // What follows is for the parts of the library.

  get awaited(): boolean {
    return this.kind === 'library';
  }

  /** The lease begins. */
  begin(slot: Slot<T>): void {
    this.#slot = slot;
    this.since = recently();
  }

  /** The innermost lease in whose `use(fn)` this one was acquired and that goes on. */
  get outer(): Lease<unknown> | undefined {
    while (this.#outer?.ended) this.#outer = this.#outer.outer;
    return this.#outer;
  }

  /** Whether the acquiring code holds another lease of that pool. */
  isNestedIn(lender: object): boolean {
    for (let { outer } = this as Nested; outer; outer = outer.outer) if (outer.isOf(lender)) return true;
    return false;
  }

  /** Whether it is of that pool. */
  isOf(lender: object): boolean {
    return (lender as unknown) === this.#lender;
  }

  /** The shared connection of the same pool that the acquiring code has already. */
  sharedAround(): Slot<T> | undefined {
    for (let { outer } = this as Nested; outer; outer = outer.outer) {
      if (!outer.exclusive && outer.isOf(this.#lender)) return outer.slot as Slot<T>;
    }
    return undefined;
  }

  get slot(): Slot<T> | undefined {
    return this.#slot;
  }

  /** Begins or ends to wait: what the acquiring code holds of the same pool will not be given back meanwhile. */
  block(step: 1 | -1): void {
    for (let { outer } = this as Nested; outer; outer = outer.outer) outer.stick(this.#lender, step);
  }

  /** An acquire of that pool begins or ends to wait in the code that holds this lease. */
  stick(lender: object, step: 1 | -1): void {
    if (!this.isOf(lender)) return;
    const before = this.#stuck > 0;
    this.#stuck += step;
    const after = this.#stuck > 0;
    if (this.#slot && before !== after) this.#slot.stuck += step;
  }

  onCancel(reason: unknown): void {
    if (this.waiter) this.#lender.refuse(this.waiter, new ScopeCancelledError(this.scope.name, reason));
    else if (this.kind !== 'user' && this.exclusive) this.#interrupt(new ScopeCancelledError(this.scope.name, reason), 'destroyed');
  }

  onEnd(): Error | undefined {
    const { waiter, kind } = this;
    if (waiter) {
      const abandoned = new ScopeClosedError(this.scope.name, 'closed', { pool: this.#lender.name, site: siteOf(this.sample) });
      // It is reported: whoever has forgotten to await it does not have to hear of it as an unhandled rejection.
      waiter.forgive();
      this.#lender.refuse(waiter, abandoned);
      return kind === 'user' ? abandoned : undefined;
    }
    if (kind !== 'user') {
      this.#interrupt(new ScopeClosedError(this.scope.name, 'closed'), 'destroyed');
      return undefined;
    }
    const leak = new LeaseLeakedError(this.#lender.name, this.facts(), this.sample);
    this.#interrupt(leak, 'leaked');
    return leak;
  }

  facts(): HolderFacts {
    return { scope: this.scope.name, exclusive: this.exclusive, heldMs: now() - this.since, site: siteOf(this.sample) };
  }

  describe(): TreeNode {
    const kind = this.waiter ? 'waiter' : 'lease';
    const state = `${this.exclusive ? 'exclusive' : 'shared'}${this.waiter ? ', waiting' : ''}`;
    return { name: this.#lender.name, kind, state, ageMs: now() - this.since, children: [] };
  }

  #interrupt(interruption: Error, reason: 'destroyed' | 'leaked'): void {
    this.interruption = interruption;
    this.#destroy(reason);
  }

  #destroy(reason: 'destroyed' | 'leaked'): void {
    const slot = this.#end();
    if (!slot) return;
    this.#lender.throwAway(slot, reason);
    this.#lender.giveBack(slot, this);
  }

  #end(): Slot<T> | undefined {
    const slot = this.#slot;
    if (!slot) return undefined;
    if (this.#stuck > 0) slot.stuck--;
    this.#slot = undefined;
    this.#shown = undefined;
    // Ended ones let go of what is around them, or timers that set timers would link all leases there ever were. A stack
    // that nobody has read yet holds on to the closures it went through.
    this.#outer = this.outer;
    this.sample = undefined;
    this.scope.disown(this);
    return slot;
  }
}
