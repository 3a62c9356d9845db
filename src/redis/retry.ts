import { after } from '../clock.ts';
import { duration, integer } from '../options.ts';
import { outcomeOf } from './outcome.ts';
import { isReading } from './reading.ts';

/** When a plain command whose connection broke is sent again. */
export interface RetryOptions {
  /** How long to wait before each further attempt, in milliseconds; the list ends them. Or a function of the attempt, from 2. Default `[0, 50, 200]`. */
  readonly delaysMs?: readonly number[] | ((attempt: number) => number) | undefined;
  /** Most attempts, the first one included; 1 for none. Default 4. */
  readonly maxAttempts?: number | undefined;
  /** How long after the first attempt another may begin, in milliseconds. Default 5,000. */
  readonly deadlineMs?: number | undefined;
}

const DELAYS_MS: readonly number[] = [0, 50, 200];

const delays = (value: unknown) => {
  const isList = Array.isArray(value) && value.every((ms) => duration(0)(ms) === undefined);
  return isList || typeof value === 'function' ? undefined : 'a list of milliseconds from 0, or a function that gives them';
};

export const RETRY_CHECKS = {
  delaysMs: delays,
  maxAttempts: integer(1),
  deadlineMs: duration(0),
} satisfies Record<keyof RetryOptions, unknown>;

/** What is known of a command that failed. */
export interface Failed {
  readonly command: string;
  readonly error: unknown;
  /** How often it was tried. */
  readonly attempts: number;
  /** How long ago the first attempt began, in milliseconds. */
  readonly sinceMs: number;
  /** The caller has said that twice does no harm. */
  readonly idempotent: boolean;
}

/**
 * How long to wait before the command may be sent again, `undefined` when it must not be: only what was surely not
 * executed is, and what changes nothing.
 *
 * @param random From 0 up to 1: delays are spread over their upper half, so that a fleet does not come back in step.
 */
export function retryAfterMs(options: RetryOptions, failed: Failed, random: number): number | undefined {
  const { delaysMs = DELAYS_MS, maxAttempts = 4, deadlineMs = 5_000 } = options;
  if (!isSafe(failed) || failed.attempts >= maxAttempts) return undefined;
  const full = typeof delaysMs === 'function' ? asked(delaysMs, failed.attempts + 1) : delaysMs[failed.attempts - 1];
  if (full === undefined) return undefined;
  const ms = full / 2 + (full / 2) * random;
  return failed.sinceMs + ms <= deadlineMs ? ms : undefined;
}

/** One that throws must not take the place of what the command failed with. */
function asked(delaysMs: (attempt: number) => number, attempt: number): number | undefined {
  try {
    return delaysMs(attempt);
  } catch {
    return undefined;
  }
}

function isSafe({ error, command, idempotent }: Failed): boolean {
  const outcome = outcomeOf(error);
  if (outcome === undefined) return false;
  return outcome !== 'unknown' || idempotent || isReading(command);
}

export function pause(ms: number): Promise<void> {
  return ms <= 0 ? Promise.resolve() : new Promise((resolve) => void after(ms, resolve));
}
