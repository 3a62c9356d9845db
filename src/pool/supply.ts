import { CHANNELS, publish, traced } from '../channels.ts';
import { now } from '../clock.ts';
import { atRoot } from '../context.ts';
import type { Scope } from '../scope/index.ts';
import { Attempts } from './attempts.ts';
import { Checks } from './checks.ts';
import type { Factory } from './factory.ts';
import { Vigil } from './health.ts';
import type { Keeper } from './keeper.ts';
import { Ledger } from './ledger.ts';
import type { Scheduler } from './scheduler.ts';
import { type CloseReason, countsByReason, goingOf, type Slot } from './slot.ts';

/** What became of the resources of a pool. */
export interface SupplyCounts {
  created: number;
  /** How long those took, together, in milliseconds. */
  createMs: number;
  createFailed: number;
  closed: number;
  readonly closedBy: Record<CloseReason, number>;
}

/**
 * Creates, checks, closes and keeps up the resources that the scheduler asks for: the only place of a pool that
 * awaits. All of it runs in the library's root context, inside the owning root scope: the store of the request that
 * happened to need a connection must not live as long as its socket, and a factory may use another pool.
 */
export class Supply<T> {
  readonly #pool: string;
  readonly #factory: Factory<T>;
  readonly #root: Scope;
  readonly ledger = new Ledger<T>();
  readonly #scheduler: Scheduler<T>;
  readonly #keeper: Keeper<T>;
  readonly checks: Checks<T>;
  readonly #onChanged: () => void;
  readonly #onFinal: (error: unknown) => void;
  readonly counts: SupplyCounts = {
    created: 0,
    createMs: 0,
    createFailed: 0,
    closed: 0,
    closedBy: countsByReason(),
  };
  readonly attempts = new Attempts((count) => this.#permit(count));
  readonly vigil: Vigil;
  #stopped = false;
  /** Whether the last failure said that to try again is of no use. */
  #isFinal = false;
  #listeners: readonly (() => void)[] = [];

  /** @param parts.onChanged Called when a resource has come, could not be made, or is gone, and whoever wanted the place has it. @param parts.onFinal Called when none can be made, now or later. */
  constructor(parts: {
    pool: string;
    factory: Factory<T>;
    root: Scope;
    scheduler: Scheduler<T>;
    keeper: Keeper<T>;
    onChanged: () => void;
    onFinal: (error: unknown) => void;
  }) {
    this.#pool = parts.pool;
    this.#factory = parts.factory;
    this.#root = parts.root;
    this.#scheduler = parts.scheduler;
    this.#keeper = parts.keeper;
    this.#onChanged = parts.onChanged;
    this.#onFinal = parts.onFinal;
    this.checks = new Checks(parts.factory, parts.keeper, parts.scheduler);
    this.vigil = new Vigil(parts.pool, parts.root.name);
  }

  create(slot: Slot<T>): void {
    this.#detached(async () => {
      // The ledger sees no failing factory: the slot is in the book before, and struck out after.
      await this.ledger.enter(slot);
      const begun = now();
      const failure = await this.#fill(slot);
      // No await from here to the return: whoever closes must find the slot, and a death must be heard.
      if (!failure && this.#isWelcome(slot)) return this.#created(slot, now() - begun);
      await this.#refuse(slot, failure);
    });
  }

  check(slot: Slot<T>): void {
    this.#detached(() => this.checks.check(slot));
  }

  close(slot: Slot<T>): void {
    this.#detached(async () => {
      await undefined;
      // Close first, then free the slot: until the socket is gone it counts.
      await this.#destroy(slot);
      await this.ledger.strikeOut(slot);
      this.counts.closed++;
      const reason = slot.reason ?? 'closed';
      this.counts.closedBy[reason]++;
      publish(CHANNELS.connectionClosed, () => {
        const ageMs = now() - slot.createdAt;
        return { pool: this.#pool, scope: this.#root.name, reason, ageMs, error: slot.cause };
      });
      this.#scheduler.closed(slot);
      this.#changed();
    });
  }

  isUsable(slot: Slot<T>): boolean {
    return this.#factory.isUsable(slot.resource as T);
  }

  /** Nothing is created and nobody looked after any more; what is open is closed by whoever stops. */
  stop(reason: Error): void {
    this.#stopped = true;
    this.#factory.abort(reason);
    this.attempts.stop();
    this.#keeper.stop();
  }

  /** Resolves when the condition holds; it is looked at whenever something was created, could not be, or was closed. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return;
        this.#listeners = this.#listeners.filter((other) => other !== look);
        resolve();
      };
      this.#listeners = [...this.#listeners, look];
      look();
    });
  }

  async #fill(slot: Slot<T>): Promise<{ readonly error: unknown } | undefined> {
    try {
      const resource = await this.#connect();
      slot.resource = resource;
      this.#watch(slot, resource);
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  async #connect(): Promise<T> {
    const { connect } = CHANNELS;
    if (!connect.hasSubscribers) return this.#factory.create();
    return traced(connect, { pool: this.#pool, scope: this.#root.name }, () => this.#factory.create());
  }

  #isWelcome(slot: Slot<T>): boolean {
    // Asked first: while it is asked, it may report that it died.
    return this.isUsable(slot) && !this.#stopped && slot.reason === undefined;
  }

  /** One that is dead when it arrives is a failure of creation, or it would be replaced without end and without backoff. */
  async #refuse(slot: Slot<T>, failure: { readonly error: unknown } | undefined): Promise<void> {
    if (!failure) await this.#destroy(slot);
    await this.ledger.strikeOut(slot);
    const unwelcome = `pool "${this.#pool}": create gave a resource that cannot be used: it is dead, or came too late`;
    this.#failed(slot, failure ? failure.error : new Error(unwelcome, slot.cause === undefined ? {} : { cause: slot.cause }));
  }

  #watch(slot: Slot<T>, resource: T): void {
    try {
      this.#factory.watch(resource, (cause) => {
        // What we close ourselves does not die.
        if (slot.resource !== resource || slot.state === 'closing') return;
        slot.cause ??= cause;
        this.#scheduler.retire(slot, 'dead');
      });
    } catch (error) {
      this.#report(error);
    }
  }

  async #destroy(slot: Slot<T>): Promise<void> {
    await this.#factory.destroy(slot.resource as T).catch((error: unknown) => this.#report(error));
    slot.resource = undefined;
  }

  #created(slot: Slot<T>, ms: number): void {
    this.counts.created++;
    this.counts.createMs += ms;
    this.attempts.succeeded();
    this.#keeper.onCreated(slot);
    publish(CHANNELS.connectionReady, () => ({ pool: this.#pool, scope: this.#root.name, createMs: ms }));
    this.#scheduler.arrived(slot);
    // Whoever was told may have closed the pool, before the slot could be found.
    if (this.#stopped) this.#scheduler.retire(slot, 'closed');
    this.#changed();
  }

  #failed(slot: Slot<T>, error: unknown): void {
    this.counts.createFailed++;
    this.attempts.failed(error);
    this.#isFinal = this.#factory.isFinal(error);
    this.#scheduler.closed(slot);
    // Where one is open, whoever waits is served by that.
    if (!this.#stopped && !this.#isAnyOpen && this.#isFinal) this.#onFinal(error);
    this.#changed();
  }

  get #isAnyOpen(): boolean {
    const { slots } = this.#scheduler;
    return slots.size > goingOf(slots);
  }

  #permit(count: number): void {
    this.#scheduler.permits = count;
    if (count !== 1) return;
    this.#scheduler.settle();
    this.#keeper.keepMinimum();
  }

  /** Somebody wants to know whether it is up again. */
  tryAgain(): void {
    if (this.vigil.isDown && !this.#isFinal && !this.#stopped) this.#scheduler.growTo(1);
  }

  /** Somebody has waited in vain for a connection to be made. */
  onStarved(error: unknown): void {
    if (!this.#stopped && !this.#isAnyOpen) this.vigil.down(error);
  }

  #changed(): void {
    const { failures, lastError } = this.attempts;
    if (this.#isAnyOpen) this.vigil.up();
    else if (failures > 0 && !this.#stopped) this.vigil.down(lastError);
    this.#keeper.keepMinimum();
    this.#onChanged();
    for (const listener of this.#listeners) listener();
  }

  #report(error: unknown): void {
    this.#root.report(error, `pool ${this.#pool}`);
  }

  #detached(job: () => Promise<void>): void {
    atRoot(() => this.#root.enter(job)).catch((error: unknown) => this.#report(error));
  }
}
