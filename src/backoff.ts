/** Between which delays a backoff goes, in milliseconds. */
export interface BackoffRange {
  readonly firstMs: number;
  readonly longestMs: number;
}

const OF_CONNECTIONS: BackoffRange = { firstMs: 50, longestMs: 2_000 };

const MOST_DOUBLINGS = 1_000;

/**
 * How long to wait before the next attempt: doubled with each failure in a row, and spread over its upper half, so
 * that a fleet does not come back in step («equal jitter»: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param failures Failures in a row, from 1.
 * @param random From 0 up to 1.
 * @param range Default: from 50 ms to 2 s.
 */
export function backoffMs(failures: number, random: number, { firstMs, longestMs }: BackoffRange = OF_CONNECTIONS): number {
  // No more doublings than leave a number: 0 times Infinity is none.
  const full = Math.min(firstMs * 2 ** Math.min(failures - 1, MOST_DOUBLINGS), longestMs);
  return full / 2 + (full / 2) * random;
}
