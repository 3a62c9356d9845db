import { ageText } from '../inspect/age.ts';
import type { NameFacts } from './client-list.ts';
import { type Facts, sorted } from './history.ts';
import type { Inside, ProcessRow } from './inside.ts';
import { type HolderRow, type PlaceRow, worstOf } from './places.ts';
import type { Verdict } from './verdict.ts';

/** `GROWING +33 in 10 s`, `PLATEAU`, or `WATCHING` while it is too early to tell. */
export function verdictText({ trend, opened, overMs }: Verdict): string {
  return trend === 'growing' ? `GROWING +${opened} in ${Math.round(overMs / 1_000)} s` : trend.toUpperCase();
}

/** How many connections there are, may be, wait and were refused. */
export function clientsText({ clients, maxclients, blocked, rejected, rejectedMeanwhile }: Facts): string {
  const bound = maxclients === undefined ? '' : `/${maxclients}`;
  const meanwhile = rejectedMeanwhile > 0 ? ` (+${rejectedMeanwhile})` : '';
  return `clients ${clients}${bound}  blocked ${blocked}  rejected ${rejected}${meanwhile}`;
}

/** How many connections were opened. */
export function openedText({ opened, openedPerSecond, unseenPerSecond }: Facts): string {
  const unseen = unseenPerSecond > 0 ? `, ${unseenPerSecond.toFixed(1)}/s closed again unseen` : '';
  return `opened ${opened} (${openedPerSecond.toFixed(1)}/s${unseen})`;
}

/** The name that has opened the most of the connections that are there; nothing where none is new but a monitor's. */
function mostText(names: readonly NameFacts[]): string {
  const [most] = sorted(names, 'growth').filter(({ name }) => !name.startsWith('sp:monitor:'));
  return most && most.grown > 0 ? `most: ${most.name} ${most.connections} (+${most.grown})` : '';
}

/** `38 leases (+10) of redis at /app/mail.ts:42, oldest 31s` */
export function placeText({ leases, grown, waiting, leaked, leakedLately, pool, site, oldestMs }: PlaceRow): string {
  const where = `${pool} at ${siteText(site)}`;
  const age = ageText(oldestMs / 1_000);
  const leaks = leaked > 0 ? `${leaked} leaked${growthText(leakedLately)}` : '';
  const andLeaks = leaks && `, ${leaks}`;
  if (leases > 0) {
    const waits = waiting > 0 ? `, ${waiting} waiting` : '';
    return `${leases} ${leases === 1 ? 'lease' : 'leases'}${growthText(grown)} of ${where}, oldest ${age}${waits}${andLeaks}`;
  }
  return waiting > 0 ? `${waiting} waiting for ${where}, the first for ${age}${andLeaks}` : `${leaks} of ${where}`;
}

function growthText(grown: number): string {
  return grown > 0 ? ` (+${grown})` : '';
}

/** `held exclusively for 31s by scope job:42, process 4711` */
export function holderText({ scope, pid, ageMs, waits, exclusive }: HolderRow): string {
  const how = `${waits ? 'waits' : 'held'} ${exclusive ? 'exclusively' : 'shared'}`;
  return `${how} for ${ageText(ageMs / 1_000)} by scope ${scope}, process ${pid}`;
}

/** `4711`, or `4711.2` for a worker thread. */
export function processName({ pid, thread }: Pick<ProcessRow, 'pid' | 'thread'>): string {
  return thread === 0 ? `${pid}` : `${pid}.${thread}`;
}

/** The file of a line of code, or of a line of a stack, as a path with its line. */
export function siteText(site: string | undefined): string {
  return site === undefined ? 'a line that was not sampled' : site.replace('file://', '').replace(/:(\d+):\d+(\)?)$/, ':$1$2');
}

/** The line of code that is to be suspected first; nothing where none leaks, or holds a connection for long. */
function mostHeldText({ places }: Inside): string {
  const worst = worstOf(places);
  if (!worst) return '';
  const { leaked, leakedLately, pool, site } = worst;
  if (leakedLately > 0) return `most leaked: ${leaked} (+${leakedLately}) of ${pool} at ${siteText(site)}`;
  return `most held: ${placeText(worst)}`;
}

/** The line of code that has opened the most connections without a pool of late; nothing where none has. */
function mostOpenedText({ openings }: Inside): string {
  const [most] = openings;
  return most && most.grown > 0 ? `most opened: ${most.opened} (+${most.grown}) to ${most.server} at ${siteText(most.site)}` : '';
}

/** What is to be suspected first: a name, and the lines of code behind it. */
export function suspectTexts({ names, inside }: Pick<Facts, 'names' | 'inside'>): readonly string[] {
  return [mostText(names), mostHeldText(inside), mostOpenedText(inside)].filter((text) => text !== '');
}

/** How to learn the lines of code; nothing where a process says them, or says why not. */
export function howToText({ processes, failures }: Inside): string {
  const isKnown = processes.length > 0 || failures.length > 0;
  return isKnown ? '' : 'for lines of code: node --import scoped-pool/inspect/register app.js';
}

/** Each process that could not be asked, and why. */
export function failureTexts({ failures }: Inside): readonly string[] {
  return failures.map(({ address, reason }) => `${address}: ${reason}`);
}

/** All of it in one line, for logs. */
export function logLine(facts: Facts): string {
  const at = `${Math.round(facts.watchedMs / 1_000)} s`.padStart(7);
  return [at, verdictText(facts.verdict), openedText(facts), clientsText(facts), ...suspectTexts(facts)].join('  ');
}
