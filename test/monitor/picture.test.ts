import { describe, expect, it } from 'vitest';
import { factsOf, observe } from '../../src/monitor/history.ts';
import { picture, type Setting, still } from '../../src/monitor/picture.ts';
import { ageText, logLine } from '../../src/monitor/wording.ts';
import { leaking, NAMES, nameFacts, sampleAt } from './support.ts';

/** In 110 columns, sorted by growth. */
const TABLE = [
  'name                                          conns   +10s   +2s   idle  oldest  blocked   sub  last command',
  'sp:shop-api:leaky                                38     30     6      5     12s        0     0  get',
  'sp:monitor:host                                   1      1     0      0      9s        0     1  client|list',
  'sp:shop-api:jobs                                 10      0     0      2     15m        1     0  bzpopmin',
];

const SETTING: Setting = { address: '127.0.0.1:6379', columns: 100, rows: 24, order: 'growth', isPaused: false, note: '' };
const drawn = (setting: Partial<Setting>, history = leaking()) => picture(history, { ...SETTING, ...setting }).map(({ text }) => text);

describe('picture', () => {
  it('shows the verdict, what is open, what was opened, and a row for each name', () => {
    expect(drawn({ columns: 110 })).toEqual([
      'scoped-pool monitor  127.0.0.1:6379  redis 7.0.15  12s',
      'GROWING +30 in 10 s  opened 36 (3.0/s)',
      'clients 56/10000  blocked 1  rejected 4 (+2)',
      'p pauses  s sorts (growth)  q quits',
      '',
      // From 0 to 36 in 12 steps of 4 lines: each opens 3, which is 2⅔ eighths of a line.
      '    +36           ▃▅█',
      '               ▃▅████',
      '            ▃▅███████',
      ' opened  ▃▅██████████',
      '   rate  ████████████',
      '',
      ...TABLE,
    ]);
  });

  it('sorts the rows as it is told', () => {
    const names = (order: Setting['order']) =>
      drawn({ order })
        .slice(12)
        .map((line) => line.split(' ')[0]);
    expect(names('growth')).toEqual(['sp:shop-api:leaky', 'sp:monitor:host', 'sp:shop-api:jobs']);
    expect(names('connections')).toEqual(['sp:shop-api:leaky', 'sp:shop-api:jobs', 'sp:monitor:host']);
    expect(names('age')).toEqual(['sp:shop-api:jobs', 'sp:shop-api:leaky', 'sp:monitor:host']);
  });

  it('says that it is paused, and what else is to be said', () => {
    const lines = drawn({ isPaused: true, note: 'connection lost' });
    expect(lines.slice(1, 5)).toEqual([
      'PAUSED  GROWING +30 in 10 s  opened 36 (3.0/s)',
      expect.stringMatching(/^clients/),
      'p goes on  s sorts (growth)  q quits',
      'connection lost',
    ]);
  });

  it.each([
    [20, 5],
    [40, 12],
    [79, 24],
    [200, 60],
    [1, 1],
  ])('fits into %i columns and %i rows', (columns, rows) => {
    const lines = drawn({ columns, rows });
    expect(lines.length).toBeLessThanOrEqual(rows);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
  });

  it('leaves the chart out where there is little room, and says how many rows are missing', () => {
    const lines = drawn({ rows: 8 });
    expect(lines).toHaveLength(8);
    expect(lines.slice(5)).toEqual([expect.stringMatching(/^name /), expect.stringMatching(/^sp:shop-api:leaky/), 'and 2 names more']);
    expect(
      drawn({ rows: 9 })
        .slice(6)
        .map((line) => line.split(' ')[0]),
    ).toEqual(['sp:shop-api:leaky', 'sp:monitor:host', 'sp:shop-api:jobs']);
  });

  it('shows of a long name how it begins and ends', () => {
    const [only] = [nameFacts({ name: `begin${'-'.repeat(100)}end` })];
    const history = observe(undefined, sampleAt(0, { names: [only] }), 10_000);
    expect(drawn({}, history).at(-1)).toMatch(/^begin-+…-+end {2} /);
  });
});

describe('still', () => {
  it('shows all names of one sample, and no verdict', () => {
    const history = observe(undefined, sampleAt(0, { names: NAMES, clients: 49, maxclients: undefined }), 10_000);
    expect(still(history, { ...SETTING, columns: 110 }).map(({ text }) => text)).toEqual([
      'scoped-pool monitor  127.0.0.1:6379  redis 7.0.15',
      'clients 49  blocked 0  rejected 0',
      '',
      ...TABLE,
    ]);
  });
});

describe('logLine', () => {
  it('says all of it in one line', () => {
    expect(logLine(factsOf(leaking()))).toBe(
      '   12 s  GROWING +30 in 10 s  opened 36 (3.0/s)  clients 56/10000  blocked 1  rejected 4 (+2)  most: sp:shop-api:leaky 38 (+30)',
    );
  });

  it('says what came and went unseen, and names nobody when only monitors are new', () => {
    const first = observe(undefined, sampleAt(0, { received: 10, names: NAMES.slice(2) }), 10_000);
    const history = observe(first, sampleAt(2_000, { received: 19, arrived: 4, names: NAMES.slice(2) }), 10_000);
    expect(logLine(factsOf(history))).toBe(
      '    2 s  WATCHING  opened 9 (4.5/s, 2.5/s closed again unseen)  clients 1/10000  blocked 0  rejected 0',
    );
  });
});

it.each([
  [0, '0s'],
  [59.9, '59s'],
  [60, '1m'],
  [3_599, '59m'],
  [7_200, '2h'],
  [200_000, '2d'],
])('%d seconds are %s', (seconds, text) => {
  expect(ageText(seconds)).toBe(text);
});
