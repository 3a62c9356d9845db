import { describe, expect, it } from 'vitest';
import { type ChannelName, channelsOf, eventsOf, NAMES, type Published, provokeAll, published } from '../support/events.ts';
import { read, tablesOf } from './markdown.ts';

const page = read('docs/events.md');
const tables = tablesOf(page);
const [whatTakesTime, whatHappensOnce] = tables.filter(({ head }) => head[0] === 'CHANNELS.').map(({ rows }) => rows);

/** A channel, as it is documented. */
interface Documented {
  readonly name: string;
  readonly published: string;
  readonly fields: readonly string[];
  readonly addedLater: readonly string[];
}

const listed = (cell: string) => cell.split(', ').filter((field) => field !== '');
const documented: readonly Documented[] = [
  ...(whatTakesTime ?? []).map(([name = '', full = '', , , fields = '', later = '']) => ({
    ...{ name, published: full, fields: listed(fields), addedLater: listed(later) },
  })),
  ...(whatHappensOnce ?? []).map(([name = '', full = '', , fields = '']) => ({
    ...{ name, published: full, fields: listed(fields), addedLater: [] },
  })),
];

/** The name of a channel without the event. */
const nameOf = ({ event }: Published) => event.split('.')[0];

describe('docs/events.md', () => {
  it('lists the channels of the code, by both names', () => {
    const declared = NAMES.map((name) => {
      const [, channel] = channelsOf(name)[0] ?? [];
      return [name, String(channel?.name).replace(/^tracing:(.*):start$/, '$1')];
    });
    expect(documented.map((row) => [row.name, row.published])).toEqual(declared);
  });

  it('explains every field, and no other', () => {
    const explained = tables.find(({ head }) => head[0] === 'field')?.rows.map(([field]) => field) ?? [];
    const named = new Set(documented.flatMap(({ fields, addedLater }) => [...fields, ...addedLater]));
    expect([...explained].sort()).toEqual([...named].sort());
  });

  it('says what the messages say, and when', async () => {
    const all = published(...NAMES);
    await provokeAll();
    expect(new Set(eventsOf(all))).toEqual(
      new Set(
        NAMES.flatMap((name) =>
          channelsOf(name)
            .map(([event]) => event)
            .filter(isMet),
        ),
      ),
    );
    for (const { name, fields, addedLater } of documented) {
      const messages = all.filter((one) => nameOf(one) === name);
      for (const { event, said } of messages) {
        const expected = event.endsWith('.start') ? fields : [...fields, ...addedLater];
        expect([event, expected]).toEqual([event, expect.arrayContaining(Object.keys(said))]);
        expect([event, Object.keys(said)]).toEqual([event, expect.arrayContaining([...fields])]);
      }
      const last = messages.filter(({ event }) => !event.includes('.') || event.endsWith('.asyncEnd'));
      expect([name, new Set(last.flatMap(({ said }) => Object.keys(said)))]).toEqual([name, new Set([...fields, ...addedLater])]);
    }
  });

  it('shows code with names that exist', () => {
    const names = [...page.matchAll(/CHANNELS\.(\w+)\./g)].map(({ 1: name }) => name as ChannelName);
    expect(names.filter((name) => !NAMES.includes(name))).toEqual([]);
    const full = [...page.matchAll(/'(scoped-pool:[\w:]+)'/g)].map(({ 1: name }) => name);
    expect(full.filter((name) => !documented.some((row) => row.published === name))).toEqual([]);
  });
});

/** A lease does not fail. */
function isMet(event: string): boolean {
  return event !== 'lease.error';
}
