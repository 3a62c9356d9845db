import { setMaxListeners } from 'node:events';
import { now } from '../clock.ts';
import { AcquireAbortedError, AcquireTimeoutError, PoolOverloadedError, TooManyWaitersError } from '../errors.ts';
import type { Scope } from '../scope/index.ts';
import { CoDel } from './codel.ts';
import { Deadlines } from './deadlines.ts';
import { DeadlockWatch } from './deadlock.ts';
import type { Engine } from './engine.ts';
import { forgive } from './hold.ts';
import type { Lease } from './lease.ts';
import type { AcquireOptions } from './options.ts';
import { recently } from './recently.ts';
import { acquireFacts } from './report.ts';
import { stackHere } from './sampler.ts';
import type { Scheduler } from './scheduler.ts';
import { closingOf } from './slot.ts';
import { type Caller, RANKS, Waiter } from './waiter.ts';

/** The promise that an acquire waits for. */
export class Deferred<T> implements Caller<T> {
  resolve!: (lease: Lease<T>) => void;
  reject!: (error: Error) => void;
  readonly promise = new Promise<Lease<T>>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  forgive(): void {
    forgive(this.promise);
  }
}

/** The acquires of a pool that wait, and every way in which such an acquire ends without a lease. */
export class Waiting<T> {
  readonly #engine: Engine<T>;
  readonly #deadlines: Deadlines<Waiter<T>>;
  readonly #deadlocks: DeadlockWatch;
  /** By rank: that those who go first are in time says nothing about the others. */
  readonly #codels: readonly CoDel[];
  /** Leases that wait in the line of a quota, to wait in this one after it. */
  readonly coming = new Set<Lease<T>>();
  /** How many of those who wait hold something, of whatever pool. */
  #holding = 0;

  constructor(engine: Engine<T>) {
    const { codelTargetMs, codelIntervalMs } = engine.rules;
    this.#engine = engine;
    this.#deadlines = new Deadlines(engine.scheduler.waiters, (waiter) => this.#expire(waiter));
    this.#deadlocks = new DeadlockWatch(engine as unknown as Engine<unknown>);
    const isUsed = codelTargetMs !== Number.POSITIVE_INFINITY;
    this.#codels = isUsed ? Object.values(RANKS).map(() => new CoDel(codelTargetMs, codelIntervalMs)) : [];
  }

  /**
   * Lets the lease wait.
   *
   * @param by When it is refused, by the clock. Default: as the options say, else the rules.
   * @returns who is told what comes of it.
   * @throws TooManyWaitersError
   */
  wait<C extends Caller<T>>(lease: Lease<T>, caller: C, options: AcquireOptions | undefined, by?: number): C {
    const { scheduler, rules, counts } = this.#engine;
    if (rules.maxWaiters !== Number.POSITIVE_INFINITY && this.#inLineWith(lease.exclusive) > rules.maxWaiters)
      throw new TooManyWaitersError(acquireFacts(this.#engine, lease), rules.maxWaiters);
    counts.waited++;
    if (lease.exclusive && scheduler.open >= scheduler.max && scheduler.waiters.exclusive.size >= scheduler.arriving)
      this.#onCrowded(lease.scope);
    const since = now();
    const deadline = by ?? since + (options?.acquireTimeoutMs ?? rules.acquireTimeoutMs);
    const rank = lease.isNestedIn(this.#engine) ? RANKS.nested : RANKS[options?.priority ?? 'normal'];
    const waiter = new Waiter(lease, caller, rank, since, deadline);
    lease.wait(waiter);
    if (waiter.holds) this.#holding++;
    // What a deadlock is made of can always be named; that it holds a place in a quota says no line of code.
    if (lease.around) lease.sample ??= stackHere();
    if (options?.signal) this.#listen(waiter, options.signal);
    this.#deadlines.add(deadline);
    scheduler.wait(waiter);
    if (waiter.holds) this.#deadlocks.look();
    return caller;
  }

  /** The waiter has got its lease. */
  onServed(waiter: Waiter<T>): void {
    this.#engine.counts.waitMs += recently() - waiter.about;
    waiter.lease.endWait();
    this.#end(waiter);
  }

  /**
   * Somebody has given a connection back, or one has come, could not be made, or is gone. Who is served by that may
   * leave somebody behind who holds something and no longer can be; and what fails or goes above a lowered `max` comes
   * free for nobody.
   */
  lookForDeadlock(): void {
    if (this.#holding > 0) this.#deadlocks.look();
  }

  refuse(waiter: Waiter<T>, error: Error): void {
    // First, for who holds something in the code that waited can give it back from here on.
    waiter.lease.endWait();
    this.#engine.scheduler.leave(waiter);
    this.#end(waiter);
    waiter.lease.leave();
    waiter.caller.reject(error);
  }

  refuseAll(errorFor: (lease: Lease<T>) => Error): void {
    this.#deadlocks.stop();
    // First those who come from a quota, or they would get the places in it that the others leave.
    for (const lease of this.coming) lease.refuse(errorFor(lease));
    for (const waiter of [...this.#engine.scheduler.waiters]) this.refuse(waiter, errorFor(waiter.lease));
  }

  /** Whether so many wait that this one is to be refused, though it could be served. Never one who holds a connection already. */
  isTooLate(waiter: Waiter<T>): boolean {
    return !waiter.nested && (this.#codels[waiter.rank]?.refuses(waiter.since, now()) ?? false);
  }

  shed(waiter: Waiter<T>): void {
    this.#engine.counts.shed++;
    this.refuse(waiter, new PoolOverloadedError(acquireFacts(this.#engine, waiter.lease), this.#engine.rules.codelTargetMs));
  }

  /** How many wait for a holder to leave, with one more; those for whom a connection is on its way, or can be opened, do not. */
  #inLineWith(exclusive: boolean): number {
    const { maxSharers, waiters, sharing } = this.#engine.scheduler;
    const alone = waiters.exclusive.size + (exclusive ? 1 : 0);
    const sharers = waiters.shared.size + (exclusive ? 0 : 1);
    const left = comingIn(this.#engine.scheduler) - alone;
    // What is shared has places, too, when it has been looked at.
    const forSharers = Math.max(0, left) + sharing.size;
    return Math.max(0, -left) + Math.max(0, sharers - (forSharers === 0 ? 0 : forSharers * maxSharers));
  }

  /** Somebody who wants a connection alone waits until another gives one back: no more may be opened, and none on its way is for him. */
  #onCrowded(scope: Scope): void {
    const { name, scheduler } = this.#engine;
    for (let at: Scope | null = scope; at; at = at.parent) at.onCrowded?.(name, scheduler.max);
  }

  #listen(waiter: Waiter<T>, signal: AbortSignal): void {
    const onAbort = () => {
      this.#engine.counts.aborted++;
      this.refuse(waiter, new AcquireAbortedError(this.#engine.name, signal.reason));
    };
    // One signal may end as many acquires as wait: no leak to warn of.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', onAbort, { once: true });
    waiter.unlisten = () => signal.removeEventListener('abort', onAbort);
  }

  #expire(waiter: Waiter<T>): void {
    if (!waiter.waits) return;
    this.#engine.counts.timeouts++;
    const facts = acquireFacts(this.#engine, waiter.lease);
    const isCreating = facts.phase === 'creating';
    const error = new AcquireTimeoutError(facts, isCreating ? this.#engine.supply.attempts.lastError : undefined);
    if (isCreating) this.#engine.supply.onStarved(error);
    this.refuse(waiter, error);
  }

  #end(waiter: Waiter<T>): void {
    if (waiter.holds) this.#holding--;
    const { waiters } = this.#engine.scheduler;
    waiter.unlisten?.();
    const codel = this.#codels[waiter.rank];
    if (codel && !waiters.has(waiter.rank)) codel.onEmpty();
    // No timer for nobody.
    if (waiters.size === 0) this.#deadlines.clear();
  }
}

/** How many slots come free without anybody's release: they are on their way, idle but to be checked, or can be opened, now or when one is closed. */
function comingIn<T>({ arriving, free, max, open, permits, slots }: Scheduler<T>): number {
  return arriving + free.size + Math.max(0, Math.min(max - open + closingOf(slots), permits));
}
