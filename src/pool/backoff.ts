/** Delay after the first failure, in milliseconds. */
const FIRST_MS = 50;
/** Longest delay, in milliseconds. */
const LONGEST_MS = 2_000;

/**
 * How long to wait before the next attempt: doubled with each failure in a row, and spread over its upper half, so
 * that a fleet does not come back in step («equal jitter»: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param failures Failures in a row, from 1.
 * @param random From 0 up to 1.
 */
export function backoffMs(failures: number, random: number): number {
  const full = Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS);
  return full / 2 + (full / 2) * random;
}
