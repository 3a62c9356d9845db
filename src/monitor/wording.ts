import type { NameFacts } from './client-list.ts';
import { type Facts, sorted } from './history.ts';
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
export function mostText(names: readonly NameFacts[]): string {
  const [most] = sorted(names, 'growth').filter(({ name }) => !name.startsWith('sp:monitor:'));
  return most && most.grown > 0 ? `most: ${most.name} ${most.connections} (+${most.grown})` : '';
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
] as const;

/** In the largest unit of which it is one or more: `59s`, `2m`, `3h`, `4d`. */
export function ageText(seconds: number): string {
  const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? ['s', 1];
  return `${Math.floor(seconds / size)}${unit}`;
}

/** All of it in one line, for logs. */
export function logLine(facts: Facts): string {
  const at = `${Math.round(facts.watchedMs / 1_000)} s`.padStart(7);
  return [at, verdictText(facts.verdict), openedText(facts), clientsText(facts), mostText(facts.names)]
    .filter((part) => part !== '')
    .join('  ');
}
