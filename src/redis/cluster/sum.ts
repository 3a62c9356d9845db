import type { PoolHealth } from '../../pool/health.ts';
import { emptyStats, type PoolStats } from '../../pool/report.ts';
import { type CloseReason, countsByReason } from '../../pool/slot.ts';

/** What pools hold and have done together. */
export function sumOf(all: readonly PoolStats[]): PoolStats {
  const sum = { ...emptyStats(0), closedBy: countsByReason() } as Record<string, unknown> & { closedBy: Record<CloseReason, number> };
  for (const { closedBy, ...counts } of all) {
    for (const [name, count] of Object.entries(counts)) sum[name] = (sum[name] as number) + count;
    for (const [reason, count] of Object.entries(closedBy)) sum.closedBy[reason as CloseReason] += count;
  }
  return sum as unknown as PoolStats;
}

/** How pools are together: `up` or `down` when all are that, those that were not needed yet left out; else `degraded`. */
export function healthOfAll(all: readonly PoolHealth[]): PoolHealth {
  const states = new Set(all.map(({ state }) => state).filter((state) => state !== 'unknown'));
  const [state = 'unknown'] = states;
  const failing = all.filter(({ failures }) => failures > 0);
  return {
    state: states.size > 1 ? 'degraded' : state,
    open: all.reduce((sum, { open }) => sum + open, 0),
    downMs: states.size > 1 ? 0 : Math.max(...all.map(({ downMs }) => downMs)),
    failures: Math.max(...all.map(({ failures }) => failures)),
    retryInMs: failing.length > 0 ? Math.min(...failing.map(({ retryInMs }) => retryInMs)) : 0,
    error: failing[0]?.error,
  };
}
