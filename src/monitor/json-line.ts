import { wallTime } from '../clock.ts';
import { factsOf, type History, sorted } from './history.ts';

/** What was seen as one JSON object; `docs/monitor.md` names its members. Undefined is null, so that all are always there. */
export function jsonLine(history: History, server: string): string {
  const { verdict, names, ...facts } = factsOf(history);
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
  });
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
