import { wallTime } from '../clock.ts';
import { factsOf, type History, sorted } from './history.ts';

/** What was seen as one JSON object; `docs/monitor.md` names its members. Undefined is null, so that all are always there. */
export function jsonLine(history: History, server: string): string {
  const { verdict, names, inside, ...facts } = factsOf(history);
  return JSON.stringify({
    time: new Date(wallTime()).toISOString(),
    server,
    version: facts.version,
    verdict: verdict.trend,
    openedInWindow: verdict.opened,
    windowMs: Math.round(verdict.overMs),
    watchedMs: Math.round(facts.watchedMs),
    opened: facts.opened,
    openedPerSecond: rounded(facts.openedPerSecond),
    unseenPerSecond: rounded(facts.unseenPerSecond),
    clients: facts.clients,
    maxclients: facts.maxclients ?? null,
    blocked: facts.blocked,
    rejected: facts.rejected,
    rejectedMeanwhile: facts.rejectedMeanwhile,
    names: sorted(names, 'growth'),
    processes: inside.processes.map((row) => ({ ...row, uptimeMs: Math.round(row.uptimeMs) })),
    pools: inside.pools.map(({ error = null, ...row }) => ({ ...row, error })),
    places: inside.places.map(({ site = null, oldestMs, heldMs, holders, ...row }) => ({
      ...{ site, ...row },
      ...{ oldestMs: Math.round(oldestMs), heldMs: Math.round(heldMs) },
      holders: holders.map((holder) => ({ ...holder, ageMs: Math.round(holder.ageMs) })),
    })),
    openings: inside.openings.map((row) => ({ ...row, lastMs: Math.round(row.lastMs) })),
    failures: inside.failures,
  });
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
