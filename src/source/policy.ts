import { type BackoffRange, backoffMs } from '../backoff.ts';
import { InvalidOptionError } from '../errors.ts';
import { type Check, checkOptions, duration, integer } from '../options.ts';

/** When what has failed is begun anew, and when it is given up. */
export interface RestartLimits {
  /** How often in a row it is begun anew without progress in between; then it is given up. Default 5. */
  readonly maxRestarts?: number | undefined;
  /** How long to wait before it is begun anew for the first time, in milliseconds; doubled with each failure in a row, and less by up to half of it. Default 50. */
  readonly minDelayMs?: number | undefined;
  /** The longest such wait, in milliseconds. Default 30,000. */
  readonly maxDelayMs?: number | undefined;
}

/** {@link RestartLimits}, with the defaults. */
export interface RestartRules extends BackoffRange {
  readonly maxRestarts: number;
}

const CHECKS = { maxRestarts: integer(0, 'orInfinity'), minDelayMs: duration(), maxDelayMs: duration() };

/** @throws InvalidOptionError */
export function restartRules(where: string, limits: RestartLimits, others: Readonly<Record<string, Check>>): RestartRules {
  checkOptions(where, limits, { ...CHECKS, ...others });
  const { maxRestarts = 5, minDelayMs: firstMs = 50, maxDelayMs: longestMs = Math.max(30_000, firstMs) } = limits;
  if (longestMs >= firstMs) return { maxRestarts, firstMs, longestMs };
  throw new InvalidOptionError({ where, option: 'maxDelayMs', expected: `at least minDelayMs, ${firstMs}`, actual: longestMs });
}

/** How long to wait before it is begun anew; `undefined` to give it up. @param failures In a row, from 1. */
export function restartDelayMs(failures: number, rules: RestartRules): number | undefined {
  return failures > rules.maxRestarts ? undefined : backoffMs(failures, Math.random(), rules);
}
