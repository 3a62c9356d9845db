import { after, afterIdly, cancel, now, type Timer } from '../clock.ts';
import { atRoot } from '../context.ts';
import type { Scope } from '../scope/index.ts';
import { Alarm } from './alarm.ts';
import { backoffMs } from './backoff.ts';
import type { Factory } from './factory.ts';
import { Ledger } from './ledger.ts';
import type { Rules } from './options.ts';
import { recently } from './recently.ts';
import type { Scheduler } from './scheduler.ts';
import type { CloseReason, Slot } from './slot.ts';
import { onTick } from './upkeep.ts';

/** What became of the resources of a pool. */
export interface SupplyCounts {
  created: number;
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
  readonly #rules: Rules;
  readonly #factory: Factory<T>;
  readonly #root: Scope;
  readonly ledger: Ledger<T>;
  readonly #scheduler: Scheduler<T>;
  readonly counts: SupplyCounts = {
    created: 0,
    createFailed: 0,
    closed: 0,
    closedBy: { idle: 0, lifetime: 0, dead: 0, invalid: 0, destroyed: 0, leaked: 0, closed: 0 },
  };
  /** Why creation failed last; nothing once it has succeeded. */
  lastError: unknown = undefined;
  #failures = 0;
  #retry: Timer | undefined;
  readonly #upkeep = new Alarm(() => this.#tend(), afterIdly);
  #stopped = false;
  #emptied: (() => void) | undefined;

  constructor(parts: { pool: string; rules: Rules; factory: Factory<T>; root: Scope; scheduler: Scheduler<T> }) {
    this.#pool = parts.pool;
    this.#rules = parts.rules;
    this.#factory = parts.factory;
    this.#root = parts.root;
    this.ledger = new Ledger(parts.rules.max);
    this.#scheduler = parts.scheduler;
  }

  create(slot: Slot<T>): void {
    this.#detached(async () => {
      // The ledger sees no failing factory: the slot is in the book before, and struck out after.
      await this.ledger.enter(slot);
      const failure = await this.#fill(slot);
      // No await from here to the return: whoever closes must find the slot, and a death must be heard.
      if (!failure && this.#isWelcome(slot)) return this.#created(slot);
      await this.#refuse(slot, failure);
    });
  }

  check(slot: Slot<T>): void {
    this.#detached(async () => {
      // Not at once: what the user's function does must not happen in the middle of a decision.
      await undefined;
      if (slot.state !== 'checking') return;
      const validated = this.#factory.validate(slot.resource as T);
      const isAlive = await validated.then(
        () => true,
        () => false,
      );
      if (!isAlive) this.retire(slot, 'invalid');
      else if (slot.state === 'checking') this.#scheduler.arrived(slot);
    });
  }

  close(slot: Slot<T>): void {
    this.#detached(async () => {
      await undefined;
      // Close first, then free the slot: until the socket is gone it counts.
      await this.#destroy(slot);
      await this.ledger.strikeOut(slot);
      this.counts.closed++;
      this.counts.closedBy[slot.reason ?? 'closed']++;
      this.#scheduler.closed(slot);
      this.#onGone();
    });
  }

  retire(slot: Slot<T>, reason: CloseReason): void {
    slot.reason ??= reason;
    this.#scheduler.retire(slot);
  }

  /** A slot has come free, and nobody wants it. */
  idle(slot: Slot<T>): void {
    slot.idleSince = recently();
    if (!this.#stopped) this.#upkeep.set(slot.idleSince + this.#rules.idleTimeoutMs);
  }

  isStale(slot: Slot<T>): boolean {
    return this.#factory.canValidate && now() - slot.idleSince >= this.#rules.validateAfterIdleMs;
  }

  isUsable(slot: Slot<T>): boolean {
    return this.#factory.isUsable(slot.resource as T);
  }

  /** Nothing is created and nobody looked after any more; what is open is closed by whoever stops. */
  stop(reason: Error): void {
    this.#stopped = true;
    this.#factory.abort(reason);
    this.#scheduler.permits = 0;
    cancel(this.#retry);
    this.#upkeep.clear();
  }

  /** Resolves when nothing is open. Once stopped, that is for good. */
  empty(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#scheduler.open === 0) resolve();
      else this.#emptied = resolve;
    });
  }

  async #fill(slot: Slot<T>): Promise<{ readonly error: unknown } | undefined> {
    try {
      const resource = await this.#factory.create();
      slot.resource = resource;
      this.#watch(slot, resource);
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  #isWelcome(slot: Slot<T>): boolean {
    return !this.#stopped && slot.reason === undefined && this.isUsable(slot);
  }

  /** One that is dead when it arrives is a failure of creation, or it would be replaced without end and without backoff. */
  async #refuse(slot: Slot<T>, failure: { readonly error: unknown } | undefined): Promise<void> {
    if (!failure) await this.#destroy(slot);
    await this.ledger.strikeOut(slot);
    const unwelcome = `pool "${this.#pool}": create gave a resource that cannot be used: it is dead, or came too late`;
    this.#failed(slot, failure ? failure.error : new Error(unwelcome));
  }

  #watch(slot: Slot<T>, resource: T): void {
    try {
      this.#factory.watch(resource, () => {
        if (slot.resource === resource) this.retire(slot, 'dead');
      });
    } catch (error) {
      this.#report(error);
    }
  }

  async #destroy(slot: Slot<T>): Promise<void> {
    await this.#factory.destroy(slot.resource as T).catch((error: unknown) => this.#report(error));
    slot.resource = undefined;
  }

  #created(slot: Slot<T>): void {
    slot.createdAt = now();
    this.counts.created++;
    this.#failures = 0;
    this.lastError = undefined;
    cancel(this.#retry);
    this.#retry = undefined;
    this.#scheduler.permits = Number.POSITIVE_INFINITY;
    this.#upkeep.set(slot.createdAt + this.#rules.maxLifetimeMs);
    this.#scheduler.arrived(slot);
    this.#keepMinimum();
  }

  #failed(slot: Slot<T>, error: unknown): void {
    this.counts.createFailed++;
    this.lastError = error;
    if (!this.#stopped) this.#backOff();
    this.#scheduler.failed(slot);
    this.#onGone();
  }

  /** Until the next step nothing is created; then one attempt. Creations that fail together are one step. */
  #backOff(): void {
    this.#scheduler.permits = 0;
    if (this.#retry) return;
    this.#failures++;
    this.#retry = after(backoffMs(this.#failures, Math.random()), () => {
      this.#retry = undefined;
      this.#scheduler.permits = 1;
      this.#scheduler.settle();
      this.#keepMinimum();
    });
  }

  #onGone(): void {
    this.#keepMinimum();
    if (this.#scheduler.open === 0) this.#emptied?.();
  }

  #keepMinimum(): void {
    if (!this.#stopped) this.#scheduler.growTo(this.#rules.min);
  }

  #tend(): void {
    const living = [...this.#scheduler.slots].filter(({ state }) => state !== 'retiring' && state !== 'closing');
    const { retire, nextAt } = onTick(living, this.#rules, now());
    for (const { slot, reason } of retire) this.retire(slot, reason);
    this.#upkeep.set(nextAt);
  }

  #report(error: unknown): void {
    this.#root.report(error, `pool ${this.#pool}`);
  }

  #detached(job: () => Promise<void>): void {
    atRoot(() => this.#root.enter(job)).catch((error: unknown) => this.#report(error));
  }
}
