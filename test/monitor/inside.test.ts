import { describe, expect, it } from 'vitest';
import type { LeakFacts } from '../../src/inspect/leaks.ts';
import type { OpeningFacts } from '../../src/inspect/openings.ts';
import type { PoolReport, ProcessInspection } from '../../src/inspect/process.ts';
import { insideOf, NOBODY } from '../../src/monitor/inside.ts';
import type { HolderRow } from '../../src/monitor/places.ts';
import type { LeaseFacts, WaiterFacts } from '../../src/pool/report.ts';

const lease = (facts: Partial<LeaseFacts>) => ({
  scope: 'job',
  exclusive: true,
  heldMs: 0,
  site: 'a.ts:1:1',
  stack: ['a.ts:1:1'],
  ...facts,
});
const waiter = (facts: Partial<WaiterFacts>) => ({
  scope: 'job',
  exclusive: true,
  waitedMs: 0,
  site: 'a.ts:1:1',
  stack: ['a.ts:1:1'],
  ...facts,
});

function pool(name: string, holding: { leases?: object[]; waiters?: object[]; stats?: object; health?: object }): PoolReport {
  const { leases = [], waiters = [] } = holding;
  const stats = { max: 10, inUse: leases.length, idle: 0, creating: 0, pending: waiters.length, timeouts: 0, leaked: 0, ...holding.stats };
  const connections = leases.map((each) => ({ leases: [each] }));
  return { pool: name, scope: 'app', stats, connections, waiters, health: { state: 'up', ...holding.health } } as unknown as PoolReport;
}

function process_(
  pid: number,
  pools: PoolReport[],
  openings: Partial<OpeningFacts>[] = [],
  leaks: Partial<LeakFacts>[] = [],
): ProcessInspection {
  const roots = pools.map((each) => ({ pools: [each] }));
  return { pid, thread: 0, script: '/srv/app.js', version: '1', uptimeMs: 5, roots, openings, leaks } as unknown as ProcessInspection;
}

const holder = (facts: Partial<HolderRow>): HolderRow => ({ scope: 'job', pid: 1, ageMs: 0, waits: false, exclusive: true, ...facts });

const inside = (...inspections: ProcessInspection[]) => insideOf({ inspections, failures: new Map() });

describe('insideOf', () => {
  it('is nothing of nobody', () => {
    expect(inside()).toEqual(NOBODY);
  });

  it('has a row for each process, and says who could not be asked', () => {
    const { processes, failures } = insideOf({ inspections: [process_(7, [])], failures: new Map([['/a.sock', 'why']]) });
    expect(processes).toEqual([{ pid: 7, thread: 0, script: '/srv/app.js', version: '1', uptimeMs: 5 }]);
    expect(failures).toEqual([{ address: '/a.sock', reason: 'why' }]);
  });

  it('has a row for each pool: those for which somebody waits, then the fullest', () => {
    const down = { state: 'down', error: 'why' };
    const rows = inside(
      process_(1, [pool('b', {}), pool('a', {}), pool('full', { leases: [lease({}), lease({})] })]),
      process_(2, [pool('wanted', { waiters: [waiter({})], health: down, stats: { max: null } })]),
    ).pools;
    expect(rows.map(({ pid, pool: name }) => [pid, name])).toEqual([
      [2, 'wanted'],
      [1, 'full'],
      [1, 'a'],
      [1, 'b'],
    ]);
    expect(rows[0]).toEqual({
      ...{ pid: 2, thread: 0, pool: 'wanted', scope: 'app', inUse: 0, idle: 0, creating: 0, max: null, pending: 1, timeouts: 0, leaked: 0 },
      ...{ health: 'down', error: 'why' },
    });
  });

  it('adds up who holds and who waits by pool and line, over all processes; the most held first', () => {
    const rows = inside(
      process_(1, [
        pool('redis', {
          leases: [lease({ heldMs: 9_999 }), lease({ heldMs: 31_000, scope: 'old' })],
          waiters: [waiter({ waitedMs: 99_000 })],
        }),
      ]),
      process_(2, [pool('redis', { leases: [lease({ heldMs: 10_000 })] }), pool('pg', { leases: [lease({ heldMs: 50_000 })] })]),
    ).places;
    expect(rows).toEqual([
      {
        ...{ pool: 'redis', site: 'a.ts:1:1', stack: ['a.ts:1:1'], leases: 3, grown: 1, waiting: 1, leaked: 0, leakedLately: 0 },
        ...{ oldestMs: 31_000, scope: 'old', pid: 1, heldMs: 50_999 },
        holders: [
          holder({ ageMs: 31_000, scope: 'old' }),
          holder({ ageMs: 10_000, pid: 2 }),
          holder({ ageMs: 9_999 }),
          holder({ ageMs: 99_000, waits: true }),
        ],
      },
      {
        ...{ pool: 'pg', site: 'a.ts:1:1', stack: ['a.ts:1:1'], leases: 1, grown: 0, waiting: 0, leaked: 0, leakedLately: 0 },
        ...{ oldestMs: 50_000, scope: 'job', pid: 2, heldMs: 50_000 },
        holders: [holder({ ageMs: 50_000, pid: 2 })],
      },
    ]);
  });

  it('names the ten oldest who hold at a line, and the ten who have waited longest', () => {
    const ages = Array.from({ length: 12 }, (_, place) => place);
    const [row] = inside(
      process_(1, [
        pool('redis', { leases: ages.map((heldMs) => lease({ heldMs })), waiters: ages.map((waitedMs) => waiter({ waitedMs })) }),
      ]),
    ).places;
    const named = ages.slice(2).reverse();
    expect(row?.holders.map(({ ageMs, waits }) => [waits, ageMs])).toEqual([
      ...named.map((age) => [false, age]),
      ...named.map((age) => [true, age]),
    ]);
  });

  it('shows of a line that many call the calls of those who hold most there', () => {
    const of = (caller: string, heldMs: number) => lease({ heldMs, stack: ['a.ts:1:1', caller] });
    const leases = [of('innocent.ts:1:1', 90_000), of('leaky.ts:1:1', 2_000), of('leaky.ts:1:1', 1_000)];
    for (const inOrder of [leases, [...leases].reverse(), [...leases, of('innocent.ts:2:2', 1)]]) {
      expect(inside(process_(1, [pool('redis', { leases: inOrder })])).places).toMatchObject([
        { stack: ['a.ts:1:1', 'leaky.ts:1:1'], oldestMs: 90_000, leases: inOrder.length },
      ]);
    }
    const opening = { site: 'a.ts:1:1', server: 'h:1', opened: 9, lastMs: 5 };
    const calm = process_(1, [], [{ ...opening, stack: ['calm'], grown: 0, lastMs: 1 }]);
    const busy = process_(2, [], [{ ...opening, stack: ['busy'], grown: 4 }]);
    for (const processes of [
      [calm, busy],
      [busy, calm],
    ])
      expect(inside(...processes).openings).toMatchObject([{ stack: ['busy'], opened: 18, grown: 4, pid: 1 }]);
    // Of many processes none has to be the busiest: most of them together come that way.
    const eachWay = [
      ['calm', 3],
      ['busy', 2],
      ['busy', 2],
      ['idle', 3],
    ] as const;
    const many = eachWay.map(([way, grown], pid) => process_(pid, [], [{ ...opening, stack: [way], grown }]));
    expect(inside(...many).openings).toMatchObject([{ stack: ['busy'], grown: 10 }]);
    const leak = { pool: 'redis', scope: 'job', site: 'a.ts:1:1', leaked: 9, lastMs: 5 };
    const leaking = eachWay.map(([way, grown], pid) => process_(pid, [], [], [{ ...leak, stack: [way], grown }]));
    expect(inside(...leaking).places).toMatchObject([{ stack: ['busy'], leakedLately: 10 }]);
  });

  it('adds up what was leaked at a line, which is suspected before what is held', () => {
    const leak = { pool: 'redis', scope: 'job:1', site: 'leak.ts:1:1', stack: ['leak', 'of-1'], leaked: 3, grown: 2, lastMs: 900 };
    const held = pool('redis', { leases: [lease({ heldMs: 3_600_000, site: 'a.ts:1:1' })] });
    const others = [
      { ...leak, scope: 'job:2', stack: ['leak', 'of-2'], leaked: 9, grown: 5, lastMs: 100 },
      { ...leak, site: 'a.ts:1:1', leaked: 1, grown: 0 },
    ];
    expect(inside(process_(1, [held], [], [leak]), process_(2, [], [], others)).places).toMatchObject([
      { site: 'leak.ts:1:1', leaked: 12, leakedLately: 7, leases: 0, stack: ['leak', 'of-2'], scope: 'job:2', pid: 2, holders: [] },
      { site: 'a.ts:1:1', leaked: 1, leakedLately: 0, leases: 1, stack: ['a.ts:1:1'], scope: 'job', pid: 1 },
    ]);
  });

  it('begins with the line that goes on taking, though others have held more for hours', () => {
    const held = ['a.ts:1:1', 'b.ts:1:1', undefined].map((site) => lease({ site, heldMs: 3_600_000 }));
    const leaking = [500, 1_000, 2_500].map((heldMs) => lease({ site: 'leak.ts:1:1', heldMs }));
    const rows = inside(process_(1, [pool('redis', { leases: [...held, ...leaking] })])).places;
    expect(rows.map(({ site }) => site)).toEqual(['leak.ts:1:1', 'a.ts:1:1', 'b.ts:1:1', undefined]);
  });

  it('tells of a line that only waits by who has waited longest, and keeps apart who was not sampled', () => {
    const waiters = [waiter({ waitedMs: 1 }), waiter({ waitedMs: 5, scope: 'first' }), waiter({ site: undefined, stack: [] })];
    const rows = inside(process_(1, [pool('redis', { waiters })])).places;
    expect(rows).toMatchObject([
      { site: 'a.ts:1:1', leases: 0, waiting: 2, oldestMs: 5, scope: 'first', heldMs: 0 },
      { site: undefined, waiting: 1 },
    ]);
  });

  it('adds up what opens connections by line; those that opened the most of late first', () => {
    const opening = (facts: Partial<OpeningFacts>) => ({
      site: 'a.ts:1:1',
      stack: ['a'],
      server: 'h:1',
      opened: 1,
      grown: 0,
      lastMs: 500,
      ...facts,
    });
    const rows = inside(
      process_(1, [], [opening({ opened: 5, grown: 1 }), opening({ site: 'many.ts:1:1', opened: 90 }), opening({ site: 'few.ts:1:1' })]),
      process_(2, [], [opening({ opened: 2, grown: 2, lastMs: 100, server: 'h:2' })]),
    ).openings;
    expect(rows).toEqual([
      { site: 'a.ts:1:1', stack: ['a'], server: 'h:2', opened: 7, grown: 3, lastMs: 100, pid: 2 },
      { site: 'many.ts:1:1', stack: ['a'], server: 'h:1', opened: 90, grown: 0, lastMs: 500, pid: 1 },
      { site: 'few.ts:1:1', stack: ['a'], server: 'h:1', opened: 1, grown: 0, lastMs: 500, pid: 1 },
    ]);
  });
});
