import { after, cancel, now, type Timer } from '../clock.ts';
import { atRoot } from '../context.ts';
import { AcquireAbortedError, AcquireTimeoutError, PoolClosedError, PoolDeadlockError, TooManyWaitersError } from '../errors.ts';
import type { Scope } from '../scope/index.ts';
import { Deadlines } from './deadlines.ts';
import { Factory } from './factory.ts';
import type { Lease, Lender } from './lease.ts';
import type { AcquireOptions, PoolSettings, Rules } from './options.ts';
import { acquireFacts, type PoolStats, statsOf } from './report.ts';
import { Sampler } from './sampler.ts';
import { type Executor, Scheduler } from './scheduler.ts';
import type { Slot } from './slot.ts';
import { Supply } from './supply.ts';
import { Waiter } from './waiter.ts';

/** How long a deadlock must stand, without a single release, before somebody is refused. */
const DEADLOCK_MS = 100;

/** The pool of one definition in one root scope: hands out leases and lets acquires wait. */
export class Engine<T> implements Lender<T> {
  readonly name: string;
  readonly root: Scope;
  readonly rules: Rules;
  readonly scheduler: Scheduler<T>;
  readonly supply: Supply<T>;
  readonly counts = { acquired: 0, waited: 0, timeouts: 0, aborted: 0, leaked: 0 };
  readonly #settings: () => PoolSettings<T>;
  readonly #factory: Factory<T>;
  readonly #sampler = new Sampler();
  readonly #deadlines: Deadlines<Waiter<T>>;
  /** Called when every connection is closed. */
  onClosed: (() => void) | undefined;
  #turns = 0;
  #releases = 0;
  #deadlock: Timer | undefined;
  #closing: Promise<void> | undefined;
  #emptied: (() => void) | undefined;

  /** @param settings The newest settings of the definition: only its functions may change. */
  constructor(name: string, root: Scope, rules: Rules, settings: () => PoolSettings<T>) {
    this.name = name;
    this.root = root;
    this.rules = rules;
    this.#settings = settings;
    this.#factory = new Factory(name, rules, settings);
    this.scheduler = new Scheduler(rules.max, rules.maxSharers, this.#executor());
    this.supply = new Supply({ pool: name, rules, factory: this.#factory, root, scheduler: this.scheduler });
    this.#deadlines = new Deadlines(this.scheduler.waiters, (waiter) => this.#expire(waiter));
  }

  /**
   * Begins the lease now, or when a connection comes free.
   *
   * @throws AcquireTimeoutError, PoolDeadlockError, TooManyWaitersError, AcquireAbortedError, PoolClosedError, and what
   * its scope throws when nothing new may begin in it.
   */
  acquire(lease: Lease<T>, options?: AcquireOptions): Lease<T> | Promise<Lease<T>> {
    if (this.#closing) throw new PoolClosedError(this.name, this.root.name);
    if (options?.signal?.aborted) throw new AcquireAbortedError(this.name, options.signal.reason);
    lease.scope.own(lease);
    if (lease.kind === 'user') lease.sample = this.#sampler.sample(this.scheduler.waiters.size > 0);
    // From here on nothing may wait: a lease has its slot or stands in line.
    const slot = this.scheduler.take(lease.exclusive);
    if (!slot) return this.#wait(lease, options);
    this.#begin(lease, slot);
    return lease;
  }

  stats(): PoolStats {
    return statsOf(this);
  }

  /** Whether nothing new can be acquired. */
  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Refuses what waits and what comes, waits for holders, closes every connection.
   *
   * @param graceMs How long to wait for holders; then their connections are closed all the same. 0, as its root scope
   * says, which has waited itself, hurries a close that has begun.
   */
  close(graceMs = 0): Promise<void> {
    this.#closing ??= atRoot(() => this.#close(graceMs));
    if (graceMs === 0) this.#abandonAll();
    return this.#closing;
  }

  // What a lease needs.

  show(resource: T, lease: Lease<T>): T {
    return this.#settings().guard?.(resource, lease) ?? resource;
  }

  giveBack(slot: Slot<T>, lease: Lease<T>): void {
    this.#releases++;
    if (lease.exclusive) {
      slot.holder = undefined;
      if (slot.state === 'exclusive' && !this.#factory.reset(slot.resource as T)) this.supply.retire(slot, 'destroyed');
    }
    this.scheduler.release(slot);
  }

  throwAway(slot: Slot<T>, reason: 'destroyed' | 'leaked'): void {
    if (reason === 'leaked') {
      this.counts.leaked++;
      this.#sampler.sampleAll();
    }
    this.supply.retire(slot, reason);
  }

  refuse(waiter: Waiter<T>, error: Error): void {
    this.#endWait(waiter);
    this.scheduler.leave(waiter);
    waiter.lease.scope.disown(waiter.lease);
    waiter.reject(error);
  }

  #executor(): Executor<T> {
    return {
      create: (slot) => this.supply.create(slot),
      check: (slot) => this.supply.check(slot),
      close: (slot) => this.supply.close(slot, () => this.#closed()),
      idle: (slot) => this.supply.idle(slot),
      isStale: (slot) => this.supply.isStale(slot),
      isUsable: (slot) => this.#factory.isUsable(slot.resource as T),
      grant: (waiter, slot) => {
        this.#endWait(waiter);
        this.#begin(waiter.lease, slot);
        waiter.resolve(waiter.lease);
      },
    };
  }

  #begin(lease: Lease<T>, slot: Slot<T>): void {
    this.counts.acquired++;
    if (lease.exclusive) slot.holder = lease;
    lease.begin(slot);
  }

  #wait(lease: Lease<T>, options: AcquireOptions | undefined): Promise<Lease<T>> {
    if (this.scheduler.waiters.size >= this.rules.maxWaiters) {
      lease.scope.disown(lease);
      throw new TooManyWaitersError(acquireFacts(this, lease));
    }
    if (lease.kind === 'user') lease.sample ??= this.#sampler.sample(true);
    lease.since = now();
    const deadline = lease.since + (options?.acquireTimeoutMs ?? this.rules.acquireTimeoutMs);
    this.counts.waited++;
    return new Promise((resolve, reject) => {
      const nested = lease.isNestedIn(this);
      const waiter = new Waiter({ lease, nested, turn: this.#turns++, deadline, resolve, reject });
      lease.waiter = waiter;
      lease.block(1);
      this.#listen(waiter, options?.signal);
      this.#deadlines.add(deadline);
      this.scheduler.wait(waiter);
      if (nested) this.#watchDeadlock();
    });
  }

  #listen(waiter: Waiter<T>, signal: AbortSignal | undefined): void {
    if (!signal) return;
    const onAbort = () => {
      this.counts.aborted++;
      this.refuse(waiter, new AcquireAbortedError(this.name, signal.reason));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    waiter.unlisten = () => signal.removeEventListener('abort', onAbort);
  }

  #endWait(waiter: Waiter<T>): void {
    waiter.unlisten?.();
    waiter.lease.block(-1);
    waiter.lease.waiter = undefined;
    if (this.scheduler.waiters.size <= 1) this.#deadlines.clear();
  }

  #expire(waiter: Waiter<T>): void {
    this.counts.timeouts++;
    this.refuse(waiter, new AcquireTimeoutError(acquireFacts(this, waiter.lease), this.supply.lastError));
  }

  /** An acquire that is not awaited may look like a deadlock for a moment: only one that stands is one. */
  #watchDeadlock(): void {
    if (this.#deadlock !== undefined || !this.scheduler.isDeadlocked()) return;
    const releases = this.#releases;
    this.#deadlock = atRoot(() =>
      after(DEADLOCK_MS, () => {
        this.#deadlock = undefined;
        if (releases === this.#releases && this.scheduler.isDeadlocked()) this.#breakDeadlock();
        this.#watchDeadlock();
      }),
    );
  }

  /** The newest gives way: it has done the least. */
  #breakDeadlock(): void {
    let newest: Waiter<T> | undefined;
    for (const waiter of this.scheduler.waiters) if (waiter.nested && (!newest || waiter.turn > newest.turn)) newest = waiter;
    if (newest) this.refuse(newest, new PoolDeadlockError(acquireFacts(this, newest.lease)));
  }

  async #close(graceMs: number): Promise<void> {
    const closed = new PoolClosedError(this.name, this.root.name);
    this.supply.stop(closed);
    cancel(this.#deadlock);
    for (const waiter of this.scheduler.waiters) this.refuse(waiter, closed);
    for (const slot of this.scheduler.free) this.supply.retire(slot, 'closed');
    const timer = graceMs === Number.POSITIVE_INFINITY ? undefined : after(graceMs, () => this.#abandonAll());
    if (this.scheduler.open > 0) await new Promise<void>((resolve) => (this.#emptied = resolve));
    cancel(timer);
    this.onClosed?.();
  }

  #abandonAll(): void {
    for (const slot of this.scheduler.slots) {
      slot.reason ??= 'closed';
      this.scheduler.abandon(slot);
    }
  }

  #closed(): void {
    if (this.scheduler.open === 0) this.#emptied?.();
  }
}
