import { CHANNELS, type Message, publish } from '../channels.ts';
import { after, cancel, now, onWake } from '../clock.ts';
import { atRoot } from '../context.ts';
import { AcquireAbortedError, type LeaseLeakedError, PoolClosedError, PoolUnavailableError } from '../errors.ts';
import type { Scope } from '../scope/index.ts';
import { Execution } from './execution.ts';
import { Factory } from './factory.ts';
import { healthOf, type PoolHealth } from './health.ts';
import { Keeper } from './keeper.ts';
import type { Lease } from './lease.ts';
import type { AcquireOptions, Definition, Rules } from './options.ts';
import { OverdueWatch } from './overdue.ts';
import { recently } from './recently.ts';
import { acquireFacts } from './report.ts';
import { Sampler, stackOf } from './sampler.ts';
import { Scheduler } from './scheduler.ts';
import type { Slot } from './slot.ts';
import { Supply } from './supply.ts';
import { Deferred, Waiting } from './waiting.ts';

/** The pool of one definition in one root scope: hands out leases and lets acquires wait. */
export class Engine<T> {
  readonly name: string;
  readonly root: Scope;
  readonly rules: Rules;
  readonly scheduler: Scheduler<T>;
  readonly supply: Supply<T>;
  readonly keeper: Keeper<T>;
  readonly waiting: Waiting<T>;
  readonly counts = { acquired: 0, waited: 0, waitMs: 0, timeouts: 0, aborted: 0, shed: 0, overdue: 0, leaked: 0 };
  /** How many leases have ended. */
  releases = 0;
  readonly #definition: Definition<T>;
  readonly #factory: Factory<T>;
  readonly sampler: Sampler;
  readonly #overdue: OverdueWatch<T> | undefined;
  /** Called when every connection is closed. */
  onClosed: (() => void) | undefined;
  /** Whether nothing new can be acquired. */
  isClosed = false;
  /** The refresh that goes on, or the last there was. */
  refreshing: Promise<void> | undefined = undefined;
  #closing: Promise<void> | undefined;

  constructor(name: string, root: Scope, rules: Rules, definition: Definition<T>) {
    this.name = name;
    this.root = root;
    this.rules = rules;
    this.#definition = definition;
    this.#factory = new Factory(name, rules, definition, (error) => root.report(error, `pool ${name}`));
    this.scheduler = new Scheduler(rules.max, rules.maxSharers, new Execution(this));
    this.keeper = new Keeper(rules, this.#factory, this.scheduler);
    const onChanged = () => this.waiting.lookForDeadlock();
    const onFinal = (error: unknown) => this.waiting.refuseAll((lease) => new PoolUnavailableError(acquireFacts(this, lease), error));
    this.supply = new Supply({
      pool: name,
      factory: this.#factory,
      root,
      scheduler: this.scheduler,
      keeper: this.keeper,
      onChanged,
      onFinal,
    });
    this.waiting = new Waiting(this);
    const seeksLeaks = rules.leakAfterMs !== Number.POSITIVE_INFINITY;
    this.sampler = new Sampler(seeksLeaks);
    this.#overdue = seeksLeaks ? new OverdueWatch(this) : undefined;
    onWake(() => this.#loseAll());
  }

  /**
   * Begins the lease now, or when a connection comes free.
   *
   * @throws AcquireTimeoutError, PoolDeadlockError, TooManyWaitersError, AcquireAbortedError, PoolClosedError, and what
   * its scope throws when nothing new may begin in it.
   */
  acquire(lease: Lease<T>, options?: AcquireOptions): Lease<T> | Promise<Lease<T>> {
    this.enter(lease, options);
    if (lease.kind === 'user') lease.sample = this.sampler.sample(this.scheduler.waiters.size > 0);
    // From here on nothing may wait: a lease has its slot or stands in line.
    return this.beginNow(lease) ? lease : this.#wait(lease, options);
  }

  /** Makes the lease one of its scope. @throws as {@link acquire} when nothing new may begin. */
  enter(lease: Lease<T>, options?: AcquireOptions): void {
    if (this.isClosed) throw new PoolClosedError(this.name, this.root.name);
    if (options?.signal?.aborted) throw new AcquireAbortedError(this.name, options.signal.reason);
    lease.scope.own(lease);
  }

  /** Begins the lease if nobody need be waited for. */
  beginNow(lease: Lease<T>): boolean {
    const slot = this.#again(lease) ?? this.scheduler.take(lease.exclusive);
    if (slot) this.begin(lease, slot);
    return slot !== undefined;
  }

  /** Begins the lease if that can be now. */
  tryAcquire(lease: Lease<T>): Lease<T> | undefined {
    this.enter(lease);
    const slot = this.scheduler.take(lease.exclusive, false);
    if (!slot) {
      lease.scope.disown(lease);
      return undefined;
    }
    lease.sample = this.sampler.sample(false);
    this.begin(lease, slot);
    return lease;
  }

  health(): PoolHealth {
    this.supply.tryAgain();
    return healthOf(this);
  }

  /** Another limit from now on. */
  resize(max: number): void {
    this.scheduler.resize(max);
    // What can be given back to a smaller pool may be held by those who wait for it.
    this.waiting.lookForDeadlock();
    this.keeper.keepMinimum();
  }

  /**
   * Refuses what waits and what comes, waits for holders, closes every connection.
   *
   * @param graceMs How long to wait for holders; then their connections are closed all the same. 0, as its root scope
   * says, which has waited itself, hurries a close that has begun.
   */
  close(graceMs = 0): Promise<void> {
    // Before anything else: what listens to the signal of a creation could acquire.
    this.isClosed = true;
    this.#closing ??= atRoot(() => this.#close(graceMs));
    if (graceMs === 0) this.#abandonAll();
    return this.#closing;
  }

  // What a lease needs.

  show(resource: T, lease: Lease<T>): T {
    return this.#definition.settings.guard?.(resource, lease) ?? resource;
  }

  /** Whether whoever has held a lease cannot use the resource after it. */
  get keepsOff(): boolean {
    return this.#definition.settings.guard !== undefined;
  }

  giveBack(slot: Slot<T>, lease: Lease<T>): void {
    this.releases++;
    if (lease.message) this.#publishEnd(lease, lease.message);
    if (lease.kind === 'user') this.#definition.settings.onLeave?.(slot.resource as T, lease);
    if (!lease.exclusive) {
      slot.removeSharer(lease);
      if (lease.kind !== 'user') this.keeper.heard(slot);
    } else {
      slot.holder = undefined;
      if (slot.state === 'exclusive' && this.#factory.canReset) this.#reset(slot);
    }
    this.scheduler.release(slot);
    this.waiting.lookForDeadlock();
  }

  /** From now on whoever acquires is named. */
  onLeakSeen(): void {
    this.sampler.sampleAll();
  }

  throwAway(slot: Slot<T>, reason: 'destroyed' | 'leaked'): void {
    this.scheduler.retire(slot, reason);
  }

  onLeak({ holder, cause }: LeaseLeakedError): void {
    this.counts.leaked++;
    publish(CHANNELS.leaseLeaked, () => ({ pool: this.name, scope: holder.scope, holder, stack: stackOf(cause as Error | undefined) }));
    this.onLeakSeen();
  }

  /** The lease has its slot. */
  begin(lease: Lease<T>, slot: Slot<T>): void {
    this.counts.acquired++;
    if (lease.exclusive) slot.holder = lease;
    else if (lease.kind === 'user') slot.addSharer(lease);
    const isTraced = CHANNELS.lease.hasSubscribers;
    // What counts from the begin on must not count what had blocked the event loop before it.
    lease.begin(slot, isTraced || this.#overdue ? now() : recently());
    this.#overdue?.watch(lease);
    if (++slot.uses >= this.rules.maxUses) this.scheduler.retire(slot, 'uses');
    if (isTraced) this.#publishBegin(lease);
  }

  #publishBegin(lease: Lease<T>): void {
    lease.message = { pool: this.name, scope: lease.scope.name, exclusive: lease.exclusive };
    CHANNELS.lease.start.publish(lease.message);
    CHANNELS.lease.end.publish(lease.message);
  }

  #publishEnd(lease: Lease<T>, message: Message): void {
    message.heldMs = now() - lease.since;
    CHANNELS.lease.asyncStart.publish(message);
    CHANNELS.lease.asyncEnd.publish(message);
  }

  #reset(slot: Slot<T>): void {
    const isReset = atRoot(() => this.root.enter(() => this.#factory.reset(slot.resource as T)));
    if (isReset instanceof Promise) this.supply.checks.awaitReset(slot, isReset);
    else if (!isReset) this.scheduler.retire(slot, 'destroyed');
  }

  /** Whoever shares a connection and asks again, inside, stays on it. */
  #again(lease: Lease<T>): Slot<T> | undefined {
    const slot = lease.exclusive ? undefined : lease.sharedAround();
    return slot && this.scheduler.shareAgain(slot) ? slot : undefined;
  }

  #wait(lease: Lease<T>, options: AcquireOptions | undefined): Promise<Lease<T>> {
    try {
      return this.waiting.wait(lease, new Deferred<T>(), options).promise;
    } catch (error) {
      lease.scope.disown(lease);
      throw error;
    }
  }

  async #close(graceMs: number): Promise<void> {
    const closed = new PoolClosedError(this.name, this.root.name);
    this.supply.stop(closed);
    this.#overdue?.stop();
    // First the slots, so that no waiter gets what another one leaves. What is held closes when its last holder has left.
    for (const slot of this.scheduler.slots) this.scheduler.retire(slot, 'closed');
    this.waiting.refuseAll(() => closed);
    const timer = graceMs === Number.POSITIVE_INFINITY ? undefined : after(graceMs, () => this.#abandonAll());
    await this.supply.until(() => this.scheduler.open === 0);
    cancel(timer);
    this.onClosed?.();
  }

  /** What was opened before a start-up snapshot was taken belongs to a process that is gone. */
  #loseAll(): void {
    for (const slot of this.scheduler.slots) {
      slot.cause ??= new Error('it was opened before the start-up snapshot was taken, in another process');
      slot.createdAt = now();
      this.scheduler.retire(slot, 'dead');
    }
  }

  #abandonAll(): void {
    for (const slot of this.scheduler.slots) this.scheduler.abandon(slot);
  }
}
