import { checkArgument, checkOptions, duration, integer } from '../options.ts';

/** How much of a pool the scopes below one root may use. A number is `max`. */
export type Limit = number | { readonly max?: number; readonly acquireTimeoutMs?: number };

/** Limits by the name of the pool. They replace what the pool's definition says. */
export type Limits = Readonly<Record<string, Limit>>;

const CHECKS = { max: integer(1), acquireTimeoutMs: duration(1) };

/** @throws InvalidOptionError for the first that is wrong. */
export function checkLimits(where: string, limits: Limits): void {
  if (typeof limits !== 'object' || limits === null || Array.isArray(limits)) checkOptions(`${where}: limits`, limits, {});
  for (const [name, limit] of Object.entries(limits)) {
    if (typeof limit === 'object') checkOptions(`${where}: limits.${name}`, limit, CHECKS);
    else checkArgument(where, `limits.${name}`, limit, CHECKS.max);
  }
}
