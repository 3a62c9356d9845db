import { describe, expect, it } from 'vitest';
import { ageText } from '../../src/inspect/age.ts';
import { factsOf, observe } from '../../src/monitor/history.ts';
import { NOBODY } from '../../src/monitor/inside.ts';
import { picture, type Setting, still } from '../../src/monitor/picture.ts';
import { ageText as ageOnPage } from '../../src/monitor/web/page/age.ts';
import { logLine, placeText } from '../../src/monitor/wording.ts';
import { INSIDE, leaking, NAMES, nameFacts, placeRow, poolRow, sampleAt } from './support.ts';

/** In 110 columns, sorted by growth. */
const TABLE = [
  'name                                          conns   +10s   +2s   idle  oldest  blocked   sub  last command',
  'sp:shop-api:leaky                                38     30     6      5     12s        0     0  get',
  'sp:monitor:host                                   1      1     0      0      9s        0     1  client|list',
  'sp:shop-api:jobs                                 10      0     0      2     15m        1     0  bzpopmin',
];

const SETTING: Setting = { address: '127.0.0.1:6379', columns: 100, rows: 24, order: 'growth', isPaused: false, isTraced: false, note: '' };
const drawn = (setting: Partial<Setting>, history = leaking()) => picture(history, { ...SETTING, ...setting }).map(({ text }) => text);

describe('picture', () => {
  it('shows the verdict, what is open, what was opened, and a row for each name', () => {
    expect(drawn({ columns: 110 })).toEqual([
      'scoped-pool monitor  127.0.0.1:6379  redis 7.0.15  12s',
      'GROWING +30 in 10 s  opened 36 (3.0/s)',
      'clients 56/10000  blocked 1  rejected 4 (+2)',
      'p pauses  s sorts (growth)  q quits',
      'for lines of code: node --import scoped-pool/inspect/register app.js',
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

  it('says how to learn the lines of code where connections grow, unless something else is to be said', () => {
    expect(drawn({}, leaking({ ...INSIDE, openings: [], places: [], pools: [] }))[4]).toBe('');
    expect(drawn({ note: 'connection lost' })[4]).toBe('connection lost');
    expect(drawn({}, observe(undefined, sampleAt(0, { names: NAMES }), 10_000))[4]).toBe('');
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
      '',
      'for lines of code: node --import scoped-pool/inspect/register app.js',
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

/** In 110 columns. */
const HELD = [
  'held by                                 leases   +10s  oldest  waiting  leaked  pool          scope',
  '/app/src/mail.js:42                         38     30     12s        2       0  leaky         worker:mails',
  'a line that was not sampled                  1      0      0s        0       0  jobs          worker:mails',
];
const POOLS = [
  'pool            scope             process    in use  idle  waiting  timeouts  leaked  health',
  'leaky           worker:mails         4711        38     0        2         1       0  up',
  'jobs            worker:mails         4711      1/10     9        0         0       0  up',
];

describe('picture, when processes say what they hold', () => {
  const inside = (setting: Partial<Setting>, facts = INSIDE) => drawn({ columns: 110, ...setting }, leaking(facts));

  it('shows lines of code and pools below the names', () => {
    expect(inside({ rows: 40 })).toEqual([
      ...drawn({ columns: 110 }).slice(0, 2),
      'clients 56/10000  blocked 1  rejected 4 (+2)  processes 1',
      'p pauses  s sorts (growth)  l shows lines of code  q quits',
      '',
      ...drawn({ columns: 110 }).slice(5),
      '',
      ...HELD,
      '',
      ...POOLS,
    ]);
  });

  it('shows in place of the tables which calls led there', () => {
    expect(inside({ rows: 24, isTraced: true }).slice(3)).toEqual([
      'p pauses  s sorts (growth)  l shows tables  q quits',
      '',
      '38 leases (+30) of leaky at /app/src/mail.js:42, oldest 12s, 2 waiting, scope worker:mails, process 4711',
      '    sendMail (/app/src/mail.js:42)',
      '1 lease of jobs at a line that was not sampled, oldest 0s, scope worker:mails, process 4711',
    ]);
    expect(drawn({ isTraced: true })).toEqual(drawn({}));
  });

  it('shows who opens connections without a pool', () => {
    const opening = { site: 'file:///app/job.js:7:5', stack: ['run (file:///app/job.js:7:5)'], server: '127.0.0.1:6379' };
    const openings = [{ ...opening, opened: 60, grown: 30, lastMs: 400, pid: 4711 }];
    const lines = inside({ rows: 40 }, { ...INSIDE, openings });
    expect(lines.slice(19, 22)).toEqual([
      '',
      `${'opened without a pool by'.padEnd(60)}  opened   +10s    last  process  server`,
      `${'/app/job.js:7'.padEnd(60)}      60     30      0s     4711  127.0.0.1:6379`,
    ]);
    expect(inside({ rows: 40, isTraced: true }, { ...INSIDE, openings }).slice(-2)).toEqual([
      '60 opened (+30) without a pool at /app/job.js:7, process 4711',
      '    run (/app/job.js:7)',
    ]);
  });

  it('always shows the line, however long the path', () => {
    const places = [placeRow({ site: `file:///${'a/'.repeat(90)}mail.js:42:7`, leases: 1 })];
    const [row] = inside({ columns: 79, rows: 40 }, { ...INSIDE, places }).filter((line) => line.startsWith('…'));
    expect(row).toMatch(/^…[a/]+mail\.js:42 {2} +1 .* redis$/);
    expect(row?.length).toBeLessThanOrEqual(79);
  });

  it('says in one line who does not answer, unless something else is to be said', () => {
    const failures = [1, 2, 3].map((pid) => ({ address: `/run/${pid}.sock`, reason: 'it does not answer in time' }));
    const said = '/run/1.sock: it does not answer in time, and 2 more';
    expect(inside({ rows: 40 }, { ...INSIDE, failures })[4]).toBe(said);
    expect(inside({ rows: 40, note: 'connection lost' }, { ...INSIDE, failures })[4]).toBe('connection lost');
    expect(drawn({}, leaking({ ...INSIDE, processes: [], places: [], pools: [], failures: failures.slice(2) }))).toEqual(
      drawn({}).with(4, '/run/3.sock: it does not answer in time'),
    );
  });

  const many = {
    ...INSIDE,
    places: Array.from({ length: 9 }, (_, line) => placeRow({ site: `file:///app/a.js:${line}:1`, leases: 1 })),
    pools: Array.from({ length: 9 }, (_, pid) => poolRow({ pid, thread: pid % 2 })),
  };
  const counts = (rows: number) => {
    const lines = inside({ rows }, many);
    const below = (head: string) => {
      const [, ...rows] = lines.slice(lines.findIndex((line) => line.startsWith(head)));
      const end = rows.findIndex((line) => line === '' || line.startsWith('and '));
      return lines.some((line) => line.startsWith(head)) ? (end < 0 ? rows : rows.slice(0, end)).length : 0;
    };
    return [below('name'), below('held by'), below('pool')];
  };

  it('shares its rows out: names, lines of code, pools, and most to lines of code', () => {
    expect(inside({ rows: 60 }, many)).toHaveLength(5 + 6 + 4 + 11 + 11);
    expect(counts(24)).toEqual([3, 6, 3]);
    expect(counts(17)).toEqual([3, 5, 0]);
    expect(counts(12)).toEqual([3, 0, 0]);
    const names = Array.from({ length: 20 }, (_, place) => nameFacts({ name: `app ${place}` }));
    const lines = drawn({ rows: 24 }, observe(undefined, sampleAt(0, { names }), 10_000, many));
    expect(['name', 'held by', 'pool'].map((head) => lines.findIndex((line) => line.startsWith(head)))).toEqual([5, 12, 19]);
    expect(inside({ rows: 60 }, many).at(-8)).toMatch(/ 1\.1 /);
  });

  it.each([
    [20, 5],
    [40, 12],
    [79, 24],
    [200, 60],
    [1, 1],
  ])('fits into %i columns and %i rows', (columns, rows) => {
    for (const isTraced of [false, true]) {
      const lines = inside({ columns, rows, isTraced }, many);
      expect(lines.length).toBeLessThanOrEqual(rows);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    }
  });

  it('shows all of it in one sample, each line in full', () => {
    const stack = [`sendMail (file:///${'a/'.repeat(90)}mail.js:42:7)`];
    const holders = [{ scope: 'job:1', pid: 4711, ageMs: 31_000, waits: false, exclusive: true }];
    const history = observe(undefined, sampleAt(0, { names: NAMES }), 10_000, {
      ...INSIDE,
      places: [placeRow({ leases: 1, stack, holders })],
    });
    const lines = still(history, { ...SETTING, columns: 110 }).map(({ text }) => text);
    expect(lines.slice(7)).toEqual([
      '',
      HELD[0],
      expect.stringMatching(/^a line that was not sampled +1 /),
      '',
      ...POOLS,
      '',
      '1 lease of redis at a line that was not sampled, oldest 0s, scope app, process 4711',
      `    sendMail (/${'a/'.repeat(90)}mail.js:42)`,
      '    held exclusively for 31s by scope job:1, process 4711',
    ]);
  });

  it('tells why no connection can be had', () => {
    const pools = [poolRow({ health: 'down', error: 'connect ECONNREFUSED' })];
    expect(inside({ rows: 40, columns: 140 }, { ...INSIDE, pools }).at(-1)).toMatch(/ down: connect ECONNREFUSED$/);
  });

  it('names in a line of a log what is to be suspected first', () => {
    const line = logLine(factsOf(leaking(INSIDE)));
    expect(line).toMatch(/ {2}most held: 38 leases \(\+30\) of leaky at \/app\/src\/mail\.js:42, oldest 12s, 2 waiting$/);
    const opening = { site: 'file:///app/raw.js:3:9', stack: [], server: 'h:1', opened: 9, grown: 4, lastMs: 5, pid: 7 };
    expect(logLine(factsOf(leaking({ ...NOBODY, openings: [opening] })))).toMatch(/ {2}most opened: 9 \(\+4\) to h:1 at \/app\/raw\.js:3$/);
    expect(logLine(factsOf(leaking({ ...NOBODY, openings: [{ ...opening, grown: 0 }] })))).not.toContain('most opened');
  });

  it('names the line that leaks, though no lease is held any more', () => {
    const leak = placeRow({ site: 'file:///app/job.js:9:3', leaked: 27, leakedLately: 25 });
    const facts = factsOf(leaking({ ...INSIDE, places: [leak, ...INSIDE.places] }));
    expect(logLine(facts)).toMatch(/ {2}most leaked: 27 \(\+25\) of redis at \/app\/job\.js:9$/);
    const [row] = inside({ rows: 40 }, { ...INSIDE, places: [leak] }).filter((line) => line.startsWith('/app/job.js:9'));
    expect(row).toMatch(/^\S+ +0 +0 +- +0 +27 {2}redis +app$/);
  });
});

describe('placeText', () => {
  it.each([
    [{ leases: 1, oldestMs: 90_000 }, '1 lease of redis at a line that was not sampled, oldest 1m'],
    [{ leases: 3, grown: 2, site: 'file:///a.js:1:2' }, '3 leases (+2) of redis at /a.js:1, oldest 0s'],
    [{ waiting: 2, site: '/a.js:1:2', oldestMs: 4_000 }, '2 waiting for redis at /a.js:1, the first for 4s'],
  ])('of %j', (facts, text) => {
    expect(placeText(placeRow(facts))).toBe(text);
  });
});

it.each([
  [0, '0s'],
  [59.9, '59s'],
  [60, '1m'],
  [3_599, '59m'],
  [7_200, '2h'],
  [200_000, '2d'],
])('%d seconds are %s, also on the page', (seconds, text) => {
  expect([ageText(seconds), ageOnPage(seconds)]).toEqual([text, text]);
});
