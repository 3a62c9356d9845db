import { basename } from 'node:path';
import { ageText } from '../../inspect/age.ts';
import { legible } from '../../printable.ts';
import type { NameFacts } from '../client-list.ts';
import { factsOf, type History } from '../history.ts';
import type { OpeningRow, PoolRow, ProcessRow } from '../inside.ts';
import type { PlaceRow } from '../places.ts';
import { holderText, processName, verdictText } from '../wording.ts';
import type * as sent from './page/messages.ts';
import { MOST_ROWS } from './page/messages.ts';
import { sortedBy } from './page/order.ts';

/** What the page shows of a history: so many rows of each table, and texts without credentials. */
export function shotOf(history: History, server: string): sent.Shot {
  const { verdict, names, inside, maxclients, version, ...facts } = factsOf(history);
  const { watchedMs, opened, openedPerSecond, unseenPerSecond, clients, blocked, rejected, rejectedMeanwhile } = facts;
  return {
    // One by one: nothing goes to the page that was not looked at.
    ...{ server, version: legible(version), watchedMs, opened, openedPerSecond, unseenPerSecond },
    ...{ clients, maxclients: maxclients ?? null, blocked, rejected, rejectedMeanwhile },
    verdict: { trend: verdict.trend, text: verdictText(verdict) },
    names: { rows: topOf(names), count: names.length },
    processes: inside.processes.slice(0, MOST_ROWS).map(processText),
    failures: inside.failures.slice(0, MOST_ROWS).map(({ address, reason }) => `${legible(address)}: ${legible(reason)}`),
    pools: { rows: inside.pools.slice(0, MOST_ROWS).map(poolRow), count: inside.pools.length },
    places: { rows: inside.places.slice(0, MOST_ROWS).map(placeRow), count: inside.places.length },
    openings: { rows: inside.openings.slice(0, MOST_ROWS).map(openingRow), count: inside.openings.length },
  };
}

/** Of one stack. */
const MOST_LINES = 50;
const NUMBERS = ['connections', 'grown', 'fresh', 'idle', 'oldestS', 'blocked', 'subscribed'] as const;
const COLUMNS = [...NUMBERS, 'name', 'lastCommand'] as const;

/** The rows that are shown by whichever column they are sorted. */
function topOf(names: readonly NameFacts[]): readonly sent.NameRow[] {
  if (names.length <= MOST_ROWS) return names;
  return [...new Set(COLUMNS.flatMap((column) => sortedBy(names, column).slice(0, MOST_ROWS)))];
}

function processText({ pid, thread, script, version, uptimeMs }: ProcessRow): string {
  const where = thread === 0 ? `${pid}` : `${pid}, thread ${thread}`;
  return `${legible(basename(script))} (process ${where}, scoped-pool ${legible(version)}, for ${ageText(uptimeMs / 1_000)})`;
}

function poolRow({ pid, thread, pool, scope, health, error, ...row }: PoolRow): sent.PoolRow {
  const { inUse, idle, pending, timeouts, leaked, max } = row;
  const texts = { pool: legible(pool), scope: legible(scope), error: legible(error ?? '') };
  return { process: processName({ pid, thread }), inUse, idle, pending, timeouts, leaked, max, health, ...texts };
}

function placeRow({ pool, site, stack, holders, scope, leases, grown, waiting, leaked, oldestMs, pid }: PlaceRow): sent.PlaceRow {
  const texts = {
    pool: legible(pool),
    site: siteText(site),
    stack: stackTexts(stack),
    holders: holders.map((holder) => legible(holderText(holder))),
    scope: legible(scope),
  };
  return { leases, grown, waiting, leaked, oldestMs, pid, ...texts };
}

function openingRow({ site, stack, server, opened, grown, lastMs, pid }: OpeningRow): sent.OpeningRow {
  return { site: siteText(site), stack: stackTexts(stack), server: legible(server), opened, grown, lastMs, pid };
}

function stackTexts(stack: readonly string[]): readonly string[] {
  return stack.slice(0, MOST_LINES).map(siteText);
}

/** A line of code, or of a stack, with the path that editors know; modules are known by their URL. Empty where it was not recorded. */
export function siteText(site: string | undefined): string {
  return legible(site ?? '').replace(/(^|\()file:\/\//, '$1');
}
