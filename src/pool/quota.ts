import type { Limit, Limits, Scope } from '../scope/index.ts';
import { checkLimits, type QuotaLimits } from '../scope/limits.ts';
import { Engine } from './engine.ts';
import type { Lease } from './lease.ts';
import type { Rules } from './options.ts';
import { recently } from './recently.ts';
import { Slot } from './slot.ts';

/**
 * Limits a scope that shares the pools of its root, with all scopes that are opened below it from now on; isolated ones
 * have pools of their own, and limits of their own. An exclusive lease counts as one; of shared leases as many count as
 * one together as one connection takes, which on a Redis pool are all of them. Below another quota both hold, as they do
 * when one is set again.
 *
 * @param limits Of `max`, how much of it; `acquireTimeoutMs` is for the whole wait: for a place in the quota and for a
 * connection. Of a cluster pool they hold for each node, as all limits do.
 * @throws InvalidOptionError
 */
export function setQuota(scope: Scope, limits: Limits): void {
  checkLimits('setQuota()', limits);
  scope.quota = new Quota(scope, limits, scope.quota as Quota | undefined);
}

/** The permits that an acquire in the scope needs before its lease; none where no quota names the pool. */
export function permitsIn<T>({ quota }: Scope, engine: Engine<T>): Permits | undefined {
  return quota && (quota as Quota).permitsOf(engine as unknown as Engine<unknown>);
}

/** How long an acquire in the scope waits, in milliseconds, where a quota says so. */
export function quotaTimeoutIn({ quota }: Scope, pool: string): number | undefined {
  return (quota as Quota | undefined)?.timeoutOf(pool);
}

/** The limits of one scope, and what is lent by them. It holds on to no pool. */
class Quota implements QuotaLimits {
  readonly limits: Limits;
  readonly #scope: Scope;
  readonly #outer: Quota | undefined;
  /** By the pool of the root. They need no closing: with its scope everything ends that could hold one, or wait. */
  readonly #permits = new WeakMap<Engine<unknown>, Permits>();

  constructor(scope: Scope, limits: Limits, outer: Quota | undefined) {
    this.#scope = scope;
    this.limits = limits;
    this.#outer = outer;
  }

  permitsOf(engine: Engine<unknown>): Permits | undefined {
    const known = this.#permits.get(engine);
    if (known) return known;
    const outer = this.#outer?.permitsOf(engine);
    const limit = this.limits[engine.name];
    if (limit === undefined) return outer;
    const permits = new Permits(this.#scope, engine.name, rulesWithin((outer ?? engine).rules, limit), outer);
    this.#permits.set(engine, permits);
    return permits;
  }

  timeoutOf(pool: string): number | undefined {
    const limit = this.limits[pool];
    const own = typeof limit === 'object' ? limit.acquireTimeoutMs : undefined;
    return own ?? this.#outer?.timeoutOf(pool);
  }
}

/** Who waits, waits as in the pool; a permit itself neither ages nor is ever lost. */
function rulesWithin(rules: Rules, limit: Limit): Rules {
  const { max, acquireTimeoutMs } = typeof limit === 'number' ? { max: limit, acquireTimeoutMs: undefined } : limit;
  return {
    ...rules,
    max: max ?? Number.POSITIVE_INFINITY,
    min: 0,
    acquireTimeoutMs: acquireTimeoutMs ?? rules.acquireTimeoutMs,
    idleTimeoutMs: Number.POSITIVE_INFINITY,
    maxLifetimeMs: Number.POSITIVE_INFINITY,
    maxUses: Number.POSITIVE_INFINITY,
    keepaliveMs: Number.POSITIVE_INFINITY,
    leakAfterMs: Number.POSITIVE_INFINITY,
  };
}

const NOTHING_TO_MAKE = { settings: { create: () => ({}) } };

/** The places of one quota in one pool: a pool of nothing, which bears the name of the pool and has its order of waiting. */
export class Permits extends Engine<object> {
  /** Those of the quota around this one, to be had after these. */
  readonly outer: Permits | undefined;

  constructor(scope: Scope, pool: string, rules: Rules, outer: Permits | undefined) {
    super(pool, scope, rules, NOTHING_TO_MAKE);
    this.outer = outer;
  }

  override beginNow(permit: Lease<object>): boolean {
    return super.beginNow(permit) || (this.#addSlot() && super.beginNow(permit));
  }

  /** Told to nobody: it is no lease of a connection. */
  override begin(permit: Lease<object>, slot: Slot<object>): void {
    if (permit.exclusive) slot.holder = permit;
    else slot.addSharer(permit);
    permit.begin(slot, recently());
  }

  /** There at once, for nothing has to be made. So nobody waits while there is room for one more. */
  #addSlot(): boolean {
    const { scheduler } = this;
    if (scheduler.open >= scheduler.max) return false;
    scheduler.open++;
    scheduler.arrived(new Slot<object>());
    return true;
  }
}
