import { ageText } from './age.ts';
import type { NameRow, OpeningRow, PlaceRow, PoolRow, Shot } from './messages.ts';
import { sortedBy } from './order.ts';
import { type Column, Table } from './table.ts';
import { element, make } from './text.ts';

const NAMES: readonly Column<NameRow>[] = [
  { head: 'name', look: 'long', text: ({ name }) => name, field: 'name' },
  { head: 'connections', look: 'number', text: ({ connections }) => connections, field: 'connections' },
  { head: 'new in 10 s', look: 'number', text: ({ grown }) => grown, field: 'grown' },
  { head: 'new in 2 s', look: 'number', text: ({ fresh }) => fresh, field: 'fresh' },
  { head: 'idle', look: 'number', text: ({ idle }) => idle, field: 'idle' },
  { head: 'oldest', look: 'number', text: ({ oldestS }) => ageText(oldestS), field: 'oldestS' },
  { head: 'blocked', look: 'number', text: ({ blocked }) => blocked, field: 'blocked' },
  { head: 'subscribed', look: 'number', text: ({ subscribed }) => subscribed, field: 'subscribed' },
  { head: 'last command', text: ({ lastCommand }) => lastCommand, field: 'lastCommand' },
];

const PLACES: readonly Column<PlaceRow>[] = [
  { head: 'line of code', look: 'code', text: ({ site }) => site || 'not recorded', lines: ({ stack, holders }) => [...stack, ...holders] },
  { head: 'leases', look: 'number', text: ({ leases }) => leases },
  { head: 'new in 10 s', look: 'number', text: ({ grown }) => grown },
  {
    ...{ head: 'oldest', look: 'number' },
    text: ({ leases, waiting, oldestMs }) => (leases + waiting > 0 ? ageText(oldestMs / 1_000) : '–'),
  },
  { head: 'waiting', look: 'number', text: ({ waiting }) => waiting },
  { head: 'leaked', look: 'number', text: ({ leaked }) => leaked },
  { head: 'pool', text: ({ pool }) => pool },
  { head: 'scope', look: 'long', text: ({ scope }) => scope },
  { head: 'process', look: 'number', text: ({ pid }) => `${pid}` },
];

const OPENINGS: readonly Column<OpeningRow>[] = [
  { head: 'line of code', look: 'code', text: ({ site }) => site, lines: ({ stack }) => stack },
  { head: 'opened', look: 'number', text: ({ opened }) => opened },
  { head: 'new in 10 s', look: 'number', text: ({ grown }) => grown },
  { head: 'last', look: 'number', text: ({ lastMs }) => `${ageText(lastMs / 1_000)} ago` },
  { head: 'server', text: ({ server }) => server },
  { head: 'process', look: 'number', text: ({ pid }) => `${pid}` },
];

const MOODS = { up: 'good', degraded: 'wait', down: 'bad', unknown: 'soft' };

const POOLS: readonly Column<PoolRow>[] = [
  { head: 'pool', text: ({ pool }) => pool },
  {
    ...{ head: 'health', look: 'long', text: ({ health, error }) => (error === '' ? health : `${health}: ${error}`) },
    mood: ({ health }) => MOODS[health],
  },
  {
    head: 'in use',
    text: ({ inUse, max }) => `${inUse} of ${max ?? 'any number'}`,
    mood: ({ inUse, max }) => (inUse === max ? 'bad' : ''),
  },
  { head: 'idle', look: 'number', text: ({ idle }) => idle },
  { head: 'waiting', look: 'number', text: ({ pending }) => pending },
  { head: 'timeouts', look: 'number', text: ({ timeouts }) => timeouts },
  { head: 'leaked', look: 'number', text: ({ leaked }) => leaked },
  { head: 'scope', look: 'long', text: ({ scope }) => scope },
  { head: 'process', look: 'number', text: ({ process }) => process },
];

const NOBODY = 'No process says what it has open. Start one so: node --import scoped-pool/inspect/register app.js';

/** All tables, and who it is that says what stands in most of them. */
export class Tables {
  readonly #names = new Table<NameRow>(element('names'), {
    ...{ caption: 'Connections by name', unit: 'names', columns: NAMES, key: ({ name }) => name },
    onSort: (field) => this.#sort(field),
  });
  readonly #places = new Table<PlaceRow>(element('places'), {
    ...{ caption: 'Lines of code that hold connections', unit: 'lines', columns: PLACES },
    key: ({ pool, site }) => JSON.stringify([pool, site]),
  });
  readonly #openings = new Table<OpeningRow>(element('openings'), {
    ...{ caption: 'Lines of code that open connections without a pool', unit: 'lines', columns: OPENINGS, key: ({ site }) => site },
  });
  readonly #pools = new Table<PoolRow>(element('pools'), {
    ...{ caption: 'Pools by process', unit: 'pools', columns: POOLS },
    key: ({ process, pool, scope }) => JSON.stringify([process, pool, scope]),
  });
  #sortedBy: keyof NameRow = 'grown';
  #shown: Shot | undefined;

  constructor() {
    this.#sort(this.#sortedBy);
  }

  show(shot: Shot): void {
    this.#shown = shot;
    const { names, places, openings, pools, processes, failures } = shot;
    const orElse = (text: string) => (processes.length === 0 ? NOBODY : text);
    this.#names.show({ rows: sortedBy(names.rows, this.#sortedBy), count: names.count }, 'Nobody is connected.');
    this.#places.show(places, orElse('No connection of a pool is held, and nobody waits for one.'));
    this.#openings.show(openings, orElse('None since the monitor began to look, by clients of ioredis 5.11 and later.'));
    this.#pools.show(pools, orElse('The processes that say what they have open have no pools.'));
    const lines = [...processes, ...failures.map((failure) => `could not be asked: ${failure}`)];
    const list = element('processes');
    if (lines.join('\n') !== [...list.children].map(({ textContent }) => textContent).join('\n')) {
      list.replaceChildren(...lines.map((line) => make('li', line)));
    }
  }

  #sort(field: keyof NameRow): void {
    this.#sortedBy = field;
    this.#names.mark(field, field === 'name' || field === 'lastCommand' ? 'ascending' : 'descending');
    if (this.#shown) this.show(this.#shown);
  }
}
