import { ageText } from '../inspect/age.ts';
import type { Inside, OpeningRow, PoolRow } from './inside.ts';
import type { PlaceRow } from './places.ts';
import { type Column, figures, type Line, type Room, tableOf, texts } from './table.ts';
import { holderText, placeText, processName, siteText } from './wording.ts';

const PLACES: readonly Column<PlaceRow>[] = [
  { head: 'held by', width: -28, cell: ({ site }, width) => endOf(siteText(site), width) },
  figures('leases', 6, ({ leases }) => leases),
  figures('+10s', 5, ({ grown }) => grown),
  figures('oldest', 6, ({ leases, waiting, oldestMs }) => (leases + waiting > 0 ? ageText(oldestMs / 1_000) : '-')),
  figures('waiting', 7, ({ waiting }) => waiting),
  figures('leaked', 6, ({ leaked }) => leaked),
  texts('pool', 12, ({ pool }) => pool),
  texts('scope', 16, ({ scope }) => scope),
];

const POOLS: readonly Column<PoolRow>[] = [
  texts('pool', 14, ({ pool }) => pool),
  texts('scope', 16, ({ scope }) => scope),
  figures('process', 7, processName),
  figures('in use', 8, ({ inUse, max }) => (max === null ? inUse : `${inUse}/${max}`)),
  figures('idle', 4, ({ idle }) => idle),
  figures('waiting', 7, ({ pending }) => pending),
  figures('timeouts', 8, ({ timeouts }) => timeouts),
  figures('leaked', 6, ({ leaked }) => leaked),
  // The last, so that the message has all the room that is left.
  { head: 'health', width: 8, cell: ({ health, error }) => (error === undefined ? health : `${health}: ${error}`) },
];

const OPENINGS: readonly Column<OpeningRow>[] = [
  { head: 'opened without a pool by', width: -28, cell: ({ site }, width) => endOf(siteText(site), width) },
  figures('opened', 6, ({ opened }) => opened),
  figures('+10s', 5, ({ grown }) => grown),
  figures('last', 6, ({ lastMs }) => ageText(lastMs / 1_000)),
  figures('process', 7, ({ pid }) => pid),
  { head: 'server', width: 16, cell: ({ server }) => server },
];

/** The lines of code that open connections without a pool. */
export function openingsTable({ openings }: Inside, room: Room): readonly Line[] {
  return tableOf(openings, OPENINGS, room, 'lines of code');
}

/** The lines of code that hold connections. */
export function placesTable({ places }: Inside, room: Room): readonly Line[] {
  return tableOf(places, PLACES, room, 'lines of code');
}

export function poolsTable({ pools }: Inside, room: Room): readonly Line[] {
  return tableOf(pools, POOLS, room, 'pools');
}

/** Each line of code that holds connections or opens them, and which calls led there, the innermost first, and who holds for how long. */
export function stacksOf({ places, openings }: Inside): readonly Line[] {
  const calls = (stack: readonly string[]) => stack.map((call) => ({ text: `    ${siteText(call)}` }));
  return [
    ...places.flatMap((place): Line[] => [
      { text: `${placeText(place)}, scope ${place.scope}, process ${place.pid}`, style: 'bold' },
      ...calls(place.stack),
      ...place.holders.map((holder) => ({ text: `    ${holderText(holder)}` })),
    ]),
    ...openings.flatMap(({ opened, grown, site, pid, stack }): Line[] => [
      { text: `${opened} opened (+${grown}) without a pool at ${siteText(site)}, process ${pid}`, style: 'bold' },
      ...calls(stack),
    ]),
  ];
}

/** Of a file that is too long the end, where its line stands. */
function endOf(text: string, width: number): string {
  return text.length <= width ? text.padEnd(width) : `…${text.slice(text.length - width + 1)}`;
}
