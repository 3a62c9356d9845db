import { InvalidOptionError } from '../errors.ts';
import { abortSignal, callable, checkArgument, checkOptions, duration, flag, integer, oneOf, text } from '../options.ts';
import type { Lease } from './lease.ts';
import type { Priority } from './waiter.ts';

/** How resources of a pool are made, judged and ended. All of it runs in the root scope that owns the pool. */
export interface PoolFunctions<T> {
  /** Makes a resource, connected and ready. Must end when `signal` aborts, after `createTimeoutMs`. */
  create(context: { readonly signal: AbortSignal }): T | PromiseLike<T>;
  /** Ends a resource. Default: its `Symbol.asyncDispose` or `Symbol.dispose`. */
  destroy?(resource: T): unknown;
  /** Asks a resource that was idle for `validateAfterIdleMs` whether it lives, before it is lent. `false` or an error replaces it. */
  validate?(resource: T): unknown;
  /** Whether a resource can be lent, seen without waiting: called each time before it is lent, and after a turn of the event loop, in which its death would be heard of. `false` replaces it. */
  isUsable?(resource: T): boolean;
  /** Called when an exclusive lease ends, to make the resource as it was. `false` or an error replaces it; a promise is waited for before it is lent on. */
  reset?(resource: T): unknown;
  /** Whether an error of `create` says that to try again is of no use, such as a wrong password: then whoever waits gets it at once. */
  isFinal?(error: unknown): boolean;
  /** Called with each new resource: to report when it dies by itself, so that it is replaced. */
  onDead?(resource: T, report: (cause?: unknown) => void): void;
}

/** Limits and times of a pool. A root scope may say otherwise of `max` and `acquireTimeoutMs` in its `limits`. */
export interface PoolRules {
  /** Most resources open at a time, those being created and closed included; a `create` that ignores its signal is beyond it. Default 10. */
  readonly max?: number | undefined;
  /** Resources kept open once the pool is used. Default 0. */
  readonly min?: number | undefined;
  /** Most holders of a resource that is leased shared. Default 1; `Infinity` for a resource that multiplexes. */
  readonly maxSharers?: number | undefined;
  /** How long an acquire waits, in milliseconds. Default 5,000. */
  readonly acquireTimeoutMs?: number | undefined;
  /** Most acquires that wait for a holder to leave, at a time. Default `Infinity`. */
  readonly maxWaiters?: number | undefined;
  /** How long `create` may take, in milliseconds. Default 5,000. */
  readonly createTimeoutMs?: number | undefined;
  /** How long `validate`, or a promise of `reset`, may take, in milliseconds. Default 1,000. */
  readonly validateTimeoutMs?: number | undefined;
  /** How long `destroy` may take, in milliseconds; then the place is given free all the same. Default 5,000. */
  readonly destroyTimeoutMs?: number | undefined;
  /** How long a resource may be idle before it is closed, in milliseconds. Default 60,000. */
  readonly idleTimeoutMs?: number | undefined;
  /** How old a resource may grow before it is closed, in milliseconds, at the earliest nine tenths of it; never while it is held. Default `Infinity`. */
  readonly maxLifetimeMs?: number | undefined;
  /** How many leases a resource may have before it is replaced. Default `Infinity`. */
  readonly maxUses?: number | undefined;
  /** How long a resource may be idle before it is validated where it lies, in milliseconds, so that it stays warm and a dead one is found in time. Needs `validate`. Default `Infinity`. */
  readonly keepaliveMs?: number | undefined;
  /** How long a lease may be held before it is reported as a probable leak, with the line that acquired it, in milliseconds. Default `Infinity`. */
  readonly leakAfterMs?: number | undefined;
  /** How long a resource may be idle before it is validated on its way to a holder, in milliseconds. Default 5,000. */
  readonly validateAfterIdleMs?: number | undefined;
  /** How long acquires may wait under lasting overload, in milliseconds: beyond that they are refused, so that the others are in time (CoDel, RFC 8289). Default `Infinity`. */
  readonly codelTargetMs?: number | undefined;
  /** How long everybody must have waited longer than that, in milliseconds, before it counts as lasting. Default 100. */
  readonly codelIntervalMs?: number | undefined;
}

/** Settings of `definePool`. */
export interface PoolOptions<T> extends PoolFunctions<T>, PoolRules {
  /** Defining the name again with other options is an error; without it the newest definition wins. Default false. */
  readonly unique?: boolean | undefined;
}

/** All that makes up a definition; `guard`, `onLeave` and `plain` are for pools built on this one. */
export interface PoolSettings<T> extends PoolOptions<T> {
  /** What a lease shows instead of the resource itself. */
  guard?(resource: T, lease: Lease<T>): T;
  /** Called when a lease of the user ends, shared ones too, before the resource goes on. Must not throw. */
  onLeave?(resource: T, lease: Lease<T>): void;
  /** What the user wrote, functions left out: equal ones are the same pool. */
  readonly plain?: object;
}

/** Where the newest settings are found: those of a definition made again replace its functions. */
export interface Definition<T> {
  readonly settings: PoolSettings<T>;
}

/** Rules of a pool, all of them known. */
export type Rules = { readonly [K in keyof PoolRules]-?: number };

const DEFAULTS: Rules = {
  max: 10,
  min: 0,
  maxSharers: 1,
  acquireTimeoutMs: 5_000,
  maxWaiters: Number.POSITIVE_INFINITY,
  createTimeoutMs: 5_000,
  validateTimeoutMs: 1_000,
  destroyTimeoutMs: 5_000,
  idleTimeoutMs: 60_000,
  maxLifetimeMs: Number.POSITIVE_INFINITY,
  maxUses: Number.POSITIVE_INFINITY,
  keepaliveMs: Number.POSITIVE_INFINITY,
  leakAfterMs: Number.POSITIVE_INFINITY,
  validateAfterIdleMs: 5_000,
  codelTargetMs: Number.POSITIVE_INFINITY,
  codelIntervalMs: 100,
};

/** One check per rule; other kinds of pools use them for their own options. */
export const RULE_CHECKS = {
  max: integer(1),
  min: integer(0),
  maxSharers: integer(1, 'orInfinity'),
  acquireTimeoutMs: duration(1),
  maxWaiters: integer(0, 'orInfinity'),
  createTimeoutMs: duration(1),
  validateTimeoutMs: duration(1),
  destroyTimeoutMs: duration(1),
  idleTimeoutMs: duration(1),
  maxLifetimeMs: duration(1),
  maxUses: integer(1, 'orInfinity'),
  keepaliveMs: duration(1),
  leakAfterMs: duration(1),
  validateAfterIdleMs: duration(0),
  codelTargetMs: duration(1),
  codelIntervalMs: duration(1),
} satisfies Record<keyof PoolRules, unknown>;

const FUNCTION_CHECKS = {
  create: callable,
  destroy: callable,
  validate: callable,
  isUsable: callable,
  reset: callable,
  isFinal: callable,
  onDead: callable,
};
const POOL_CHECKS = { ...FUNCTION_CHECKS, ...RULE_CHECKS, unique: flag } satisfies Record<keyof PoolOptions<unknown>, unknown>;

/** @throws InvalidOptionError */
export function checkPool(name: string, options: PoolOptions<unknown>): void {
  checkArgument('definePool()', 'its name', name, text);
  const where = `definePool("${name}")`;
  checkOptions(where, options, POOL_CHECKS);
  checkArgument(where, 'create', options.create, callable);
  checkMinimum(where, options);
  if ((options.keepaliveMs ?? DEFAULTS.keepaliveMs) !== DEFAULTS.keepaliveMs && !options.validate)
    throw new InvalidOptionError({
      where,
      option: 'keepaliveMs',
      expected: 'left out, or given with validate',
      actual: options.keepaliveMs,
    });
}

/** @throws InvalidOptionError when more are to be kept open than may be open. */
export function checkMinimum(where: string, { min = DEFAULTS.min, max = DEFAULTS.max }: PoolRules): void {
  if (min > max) throw new InvalidOptionError({ where, option: 'min', expected: `at most max (${max})`, actual: min });
}

/** The rules with what was left out filled in. */
export function rulesOf(options: PoolRules): Rules {
  const rules: Record<string, number> = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) rules[name] = options[name as keyof PoolRules] ?? DEFAULTS[name as keyof Rules];
  return rules as Rules;
}

/** Settings of `acquire`, `acquireShared`, `use` and `share`. */
export interface AcquireOptions {
  /** Ends the waiting; the lease, once given, is the caller's. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait, in milliseconds. Default: the limit of the root scope, else the pool's. */
  readonly acquireTimeoutMs?: number | undefined;
  /** Who is served first: `high`, `normal` or `low`; one in eight times whoever came first, so that nobody waits for ever. Default `normal`. */
  readonly priority?: Priority | undefined;
}

const ACQUIRE_CHECKS = {
  signal: abortSignal,
  acquireTimeoutMs: duration(1),
  priority: oneOf('high', 'normal', 'low'),
};

/** @throws InvalidOptionError */
export function checkAcquire(pool: string, options: AcquireOptions): void {
  checkOptions(`pool "${pool}": acquire`, options, ACQUIRE_CHECKS);
}
