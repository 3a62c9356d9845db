import { after, afterIdly, cancel, now, type Timer } from '../clock.ts';
import { atRoot } from '../context.ts';
import type { Scope } from '../scope/index.ts';
import { backoffMs } from './backoff.ts';
import type { Factory } from './factory.ts';
import { Ledger } from './ledger.ts';
import type { Rules } from './options.ts';
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
  readonly #ledger: Ledger<T>;
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
  #upkeep: Timer | undefined;
  #stopped = false;

  constructor(parts: { pool: string; rules: Rules; factory: Factory<T>; root: Scope; scheduler: Scheduler<T> }) {
    this.#pool = parts.pool;
    this.#rules = parts.rules;
    this.#factory = parts.factory;
    this.#root = parts.root;
    this.#ledger = new Ledger(parts.rules.max);
    this.#scheduler = parts.scheduler;
  }

  create(slot: Slot<T>): void {
    this.#detached(async () => {
      // The ledger sees no failing factory: the slot is in the book before, and struck out after.
      await this.#ledger.enter(slot);
      const made = await this.#factory.create().then((resource) => ({ resource }), (error: unknown) => ({ error }));
      if ('resource' in made) return this.#created(slot, made.resource);
      await this.#ledger.strikeOut(slot);
      this.#failed(slot, made.error);
    });
  }

  check(slot: Slot<T>): void {
    this.#detached(async () => {
      const alive = await this.#factory.validate(slot.resource as T).then(() => true, () => false);
      if (!alive) this.retire(slot, 'invalid');
      else if (slot.state === 'checking') this.#scheduler.arrived(slot);
    });
  }

  /** @param then Called when the place of the slot is free again. */
  close(slot: Slot<T>, then: () => void): void {
    this.#detached(async () => {
      // Close first, then free the slot: until the socket is gone it counts.
      await this.#factory.destroy(slot.resource as T).catch((error: unknown) => this.#report(error));
      await this.#ledger.strikeOut(slot);
      slot.resource = undefined;
      this.counts.closed++;
      this.counts.closedBy[slot.reason ?? 'closed']++;
      this.#scheduler.closed(slot);
      this.#keepMinimum();
      then();
    });
  }

  retire(slot: Slot<T>, reason: CloseReason): void {
    slot.reason ??= reason;
    this.#scheduler.retire(slot);
  }

  /** A slot has come free: it will have to be looked after. */
  idle(slot: Slot<T>): void {
    slot.idleSince = now();
    if (this.#upkeep === undefined) this.#plan(Math.min(this.#rules.idleTimeoutMs, this.#rules.maxLifetimeMs));
  }

  isStale(slot: Slot<T>): boolean {
    return this.#factory.canValidate && now() - slot.idleSince >= this.#rules.validateAfterIdleMs;
  }

  /** Nothing is created and nobody looked after any more; what is open is closed by whoever stops. */
  stop(reason: Error): void {
    this.#stopped = true;
    this.#factory.abort(reason);
    this.#scheduler.permits = 0;
    cancel(this.#retry);
    cancel(this.#upkeep);
  }

  #created(slot: Slot<T>, resource: T): void {
    slot.resource = resource;
    slot.createdAt = now();
    this.counts.created++;
    this.#failures = 0;
    this.lastError = undefined;
    if (!this.#stopped) this.#scheduler.permits = Number.POSITIVE_INFINITY;
    this.#scheduler.arrived(slot);
    this.#factory.watch(resource, () => {
      if (slot.resource === resource) this.retire(slot, 'dead');
    });
    if (this.#stopped) this.retire(slot, 'closed');
    else this.#keepMinimum();
  }

  #failed(slot: Slot<T>, error: unknown): void {
    this.counts.createFailed++;
    this.lastError = error;
    if (!this.#stopped) this.#backOff();
    this.#scheduler.failed(slot);
  }

  /** Until the next step nothing is created; then one attempt. */
  #backOff(): void {
    this.#failures++;
    this.#scheduler.permits = 0;
    cancel(this.#retry);
    this.#retry = after(backoffMs(this.#failures, Math.random()), () => {
      this.#scheduler.permits = 1;
      this.#scheduler.settle();
      this.#keepMinimum();
    });
  }

  #keepMinimum(): void {
    if (!this.#stopped) this.#scheduler.growTo(this.#rules.min);
  }

  #plan(ms: number): void {
    if (this.#stopped || ms === Number.POSITIVE_INFINITY) return;
    this.#upkeep = atRoot(() => afterIdly(ms, () => this.#tend()));
  }

  #tend(): void {
    this.#upkeep = undefined;
    const { close, nextMs } = onTick(this.#scheduler.free, this.#scheduler.open, this.#rules, now());
    for (const { slot, reason } of close) this.retire(slot, reason);
    this.#plan(nextMs);
  }

  #report(error: unknown): void {
    this.#root.report(error, `pool ${this.#pool}`);
  }

  #detached(job: () => Promise<void>): void {
    atRoot(() => this.#root.enter(job)).catch((error: unknown) => this.#report(error));
  }
}
