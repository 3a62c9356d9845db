import { shared } from '../context.ts';
import { UnknownLimitError } from '../errors.ts';
import { type Check, checkArgument, checkOptions, duration, integer } from '../options.ts';

/** How much of a pool the scopes below one root may use. A number is `max`. */
export type Limit = number | { readonly max?: number; readonly acquireTimeoutMs?: number };

/** Limits by the name of the pool. They replace what the pool's definition says. */
export type Limits = Readonly<Record<string, Limit>>;

/** Those of a scope that sets none. */
export const NO_LIMITS: Limits = {};
const NONE: readonly UnknownLimitError[] = [];

/** What a scope and those below it may use of the pools of their root. How that is held is the business of pools. */
export interface QuotaLimits {
  readonly limits: Limits;
}

/** What is looked at to know which limits a scope has set itself. */
interface Limited {
  readonly name: string;
  readonly limits: Limits;
  readonly quota: QuotaLimits | undefined;
  readonly parent: Limited | null;
}

/** Of the limits that a scope has set, those of pools that nobody has defined. */
export function unknownLimits({ name, limits, quota, parent }: Limited): readonly UnknownLimitError[] {
  const own = quota === parent?.quota ? undefined : quota?.limits;
  // Of most scopes, and one is closed with every request and job.
  if (limits === NO_LIMITS && !own) return NONE;
  const unknown = Object.keys({ ...limits, ...own }).filter((limit) => !shared.pools.has(limit));
  return unknown.map((limit) => new UnknownLimitError(name, limit, [...shared.pools.keys()]));
}

/** A Map, or a promise for one, would limit nothing. */
const plainObject: Check = (value) =>
  typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))
    ? undefined
    : 'an object: by the name of the pool a number, or { max, acquireTimeoutMs }';
const CHECKS = { max: integer(1), acquireTimeoutMs: duration(1) };

/** @throws InvalidOptionError for the first that is wrong. */
export function checkLimits(where: string, limits: Limits): void {
  checkArgument(where, 'limits', limits, plainObject);
  for (const [name, limit] of Object.entries(limits)) {
    if (typeof limit === 'object') checkOptions(`${where}: limits.${name}`, limit, CHECKS);
    else checkArgument(where, `limits.${name}`, limit, CHECKS.max);
  }
}
