import { describe, expect, it } from 'vitest';
import { type History, observe } from '../../../src/monitor/history.ts';
import { type Inside, NOBODY, type PoolRow } from '../../../src/monitor/inside.ts';
import type { PlaceRow } from '../../../src/monitor/places.ts';
import type { Sample } from '../../../src/monitor/sampler.ts';
import { Journal } from '../../../src/monitor/web/journal.ts';
import { MOST_ENTRIES } from '../../../src/monitor/web/page/messages.ts';
import { sampleAt } from '../support.ts';

const POOL: PoolRow = {
  ...{ pid: 7, thread: 0, pool: 'redis', scope: 'worker', inUse: 1, idle: 0, creating: 0, max: 2, pending: 0, timeouts: 0, leaked: 0 },
  ...{ health: 'up', error: undefined },
};
const PLACE: PlaceRow = {
  ...{
    pool: 'redis',
    site: 'file:///app/leak.ts:3:9',
    stack: [],
    holders: [],
    leases: 4,
    grown: 1,
    waiting: 0,
    leaked: 0,
    leakedLately: 0,
    oldestMs: 7_000,
    scope: 'worker',
  },
  ...{ pid: 7, heldMs: 20_000 },
};

/** A journal of which each second is told. */
function watching() {
  const journal = new Journal();
  let history: History | undefined;
  let second = 0;
  const tell = (facts: Partial<Sample> = {}, inside: Partial<Inside> = {}) => {
    history = observe(history, sampleAt(second++ * 1_000, facts), 10_000, { ...NOBODY, ...inside });
    return journal.observe(history).map(({ mood, text }) => `${mood}: ${text}`);
  };
  const lose = () => {
    history = undefined;
  };
  return { journal, tell, lose };
}

describe('the log of the page', () => {
  it('tells when the verdict becomes another, not that it is too early for one', () => {
    const { tell, journal } = watching();
    const said = Array.from({ length: 40 }, (_, second) => tell({ received: Math.min(second, 15) })).flat();
    expect(said).toEqual([expect.stringMatching(/^bad: GROWING \+\d+ in \d+ s$/), 'good: PLATEAU']);
    expect(journal.entries.map(({ text }) => text)).toEqual(said.map((text) => text.replace(/^\w+: /, '')));
  });

  it('tells of the verdict again after the counts began anew', () => {
    const { tell, lose } = watching();
    const grow = () => Array.from({ length: 12 }, (_, second) => tell({ received: second })).flat();
    const growing = [expect.stringMatching(/^bad: GROWING \+\d+ in \d+ s$/)];
    expect(grow()).toEqual(growing);
    lose();
    expect(grow()).toEqual(growing);
  });

  it('tells how many connections were rejected, also after the counts began anew', () => {
    const { tell, lose } = watching();
    tell({ rejected: 5 });
    expect(tell({ rejected: 8, maxclients: 20 })).toEqual(['bad: 3 connections were rejected: there are maxclients (20)']);
    expect(tell({ rejected: 8 })).toEqual([]);
    lose();
    expect(tell({ rejected: 1 })).toEqual([]);
    expect(tell({ rejected: 2 })).toEqual([expect.stringContaining('1 connections were rejected')]);
  });

  it('tells once that a pool is down, and that it is so no longer', () => {
    const { tell } = watching();
    const down = { ...POOL, health: 'down', error: 'redis://ann:hunter2@a is gone' } as const;
    expect(tell({}, { pools: [down] })).toEqual(['bad: pool redis of worker in process 7 is down: redis://***@a is gone']);
    expect(tell({}, { pools: [down] })).toEqual([]);
    // Two scopes of one name, of which one is down.
    expect(tell({}, { pools: [POOL, down] })).toEqual([]);
    expect(tell({}, { pools: [POOL] })).toEqual(['good: pool redis of worker in process 7 is no longer down']);
  });

  it('tells once of a pool that is full time and again, and anew when it was not for long', () => {
    const { tell } = watching();
    const full = { ...POOL, inUse: 2, pending: 3 };
    expect(tell({}, { pools: [{ ...full, pending: 0 }] })).toEqual([]);
    expect(tell({}, { pools: [{ ...full, max: null }] })).toEqual([]);
    expect(tell({}, { pools: [full] })).toEqual(['bad: pool redis of worker in process 7 is full: 2 of 2 in use, 3 waiting']);
    const again = [POOL, full, POOL, full].map((pool) => tell({}, { pools: [pool] }));
    expect(again.flat()).toEqual([]);
    const meanwhile = Array.from({ length: 12 }, () => tell()).flat();
    expect(meanwhile.filter((text) => text.includes('pool'))).toEqual([]);
    expect(tell({}, { pools: [full] })).toHaveLength(1);
  });

  it('tells of the line that is to be suspected first, when it holds for long and goes on taking', () => {
    const { tell } = watching();
    const holding = (facts: Partial<PlaceRow>) =>
      Array.from({ length: 10 }, (_, second) => tell({}, { places: [{ ...PLACE, leases: second + 1, ...facts }] }))
        .flat()
        .filter((text) => text.includes('suspected'));
    expect(holding({ oldestMs: 4_000 })).toEqual([]);
    expect(holding({ site: undefined })).toEqual([]);
    expect(holding({ leases: 0 })).toEqual([]);
    expect(holding({ site: 'file:///app/start.ts:1:1', leases: 12, grown: 12 })).toEqual([]);
    expect(holding({})).toEqual([
      expect.stringMatching(/^bad: \/app\/leak\.ts:3:9 is to be suspected first: pool redis, leases \d, the oldest for 7s$/),
    ]);
    expect(holding({ leases: 12 })).toEqual([]);
  });

  it('tells of the line that has filled its pool and waits for more', () => {
    const { tell } = watching();
    const said = Array.from({ length: 9 }, (_, second) => tell({}, { places: [{ ...PLACE, leases: 3, waiting: 2 * second }] })).flat();
    expect(said).toEqual([expect.stringContaining('/app/leak.ts:3:9 is to be suspected first: pool redis, leases 3')]);
  });

  it('tells of the line that opens most without a pool, while connections grow', () => {
    const { tell } = watching();
    const opening = { site: 'file:///app/raw.ts:3:9', stack: [], server: 'h:1', opened: 9, grown: 4, lastMs: 5, pid: 7 };
    const seconds = (received: (second: number) => number, facts: object = {}) =>
      Array.from({ length: 15 }, (_, second) =>
        tell({ received: received(second) }, { openings: [{ ...opening, opened: second, ...facts }] }),
      ).flat();
    expect(seconds(() => 0)).toEqual(['good: PLATEAU']);
    expect(seconds((second) => second)).toEqual([
      expect.stringContaining('GROWING'),
      'bad: /app/raw.ts:3:9 opens most connections without a pool, 4 in the last 10 s',
    ]);
    expect(seconds((second) => 15 + second, { site: '/app/idle.ts:1:1', grown: 0 })).toEqual([]);
  });

  it.each([[8], [10], [15], [25], [12, 50, 90]])(
    'names who goes on opening, not what an app opens at its start, also when it is restarted after %i s',
    (...restarts) => {
      const { tell } = watching();
      const openingsAt = (age: number) => {
        const facts = { stack: [], server: 'h:1', lastMs: 5, pid: 7 };
        const leaked = Math.floor(age * 1.5);
        // Of one burst two samples may see a part each.
        const begun = Math.min(6 * age, 12);
        const start = { ...facts, site: '/app/app.ts:2:1', opened: begun, grown: age < 10 ? begun : 0 };
        const leak = { ...facts, site: '/app/app.ts:4:1', opened: leaked, grown: Math.min(leaked, 15) };
        return [start, leak].sort((a, b) => b.grown - a.grown);
      };
      const said = Array.from({ length: (restarts.at(-1) ?? 0) + 25 }, (_, second) => {
        const age = second - (restarts.findLast((restart) => restart <= second) ?? -1);
        // For a moment it is not there.
        return tell({ received: 2 * second }, { openings: age === 0 ? [] : openingsAt(age) });
      }).flat();
      expect(said).toEqual([expect.stringContaining('GROWING'), expect.stringContaining('/app/app.ts:4:1 opens most')]);
    },
  );

  it('names a line again that is to be suspected again after another one was, but not each of two that take turns', () => {
    const { tell } = watching();
    let leases = 0;
    const suspect = (count: number, firstAt: (second: number) => string) =>
      Array.from({ length: count }, (_, second) => {
        leases++;
        const row = (name: string) => ({ ...PLACE, site: `/app/${name}.ts:1:1`, leases, grown: firstAt(second) === name ? 9 : 8 });
        return tell({}, { places: ['a', 'b'].map(row) });
      })
        .flat()
        .map((text) => /app\/(\w)/.exec(text)?.[1] ?? text);
    expect(suspect(9, () => 'a')).toEqual(['a']);
    expect(suspect(60, (second) => 'ab'[second % 2] ?? '')).toEqual(['good: PLATEAU']);
    expect(suspect(9, () => 'b')).toEqual(['b']);
    expect(suspect(9, () => 'a')).toEqual(['a']);
  });

  it('tells of the line that goes on taking, also where lines that were not recorded have held more for an hour', () => {
    const { tell } = watching();
    const unknown = { ...PLACE, site: undefined, leases: 1_500, grown: 0, oldestMs: 3_600_000, heldMs: 9e9 };
    const said = Array.from({ length: 9 }, (_, second) => tell({}, { places: [unknown, { ...PLACE, leases: second }] })).flat();
    expect(said).toEqual([expect.stringContaining('/app/leak.ts:3:9 is to be suspected first')]);
  });

  it('tells of the line that leaks, though none of its leases is held any more', () => {
    const { tell } = watching();
    const leaking = (leaked: number) => ({ ...PLACE, leases: 0, grown: 0, oldestMs: 0, heldMs: 0, leaked, leakedLately: 3 });
    const said = Array.from({ length: 9 }, (_, second) => tell({}, { places: [leaking(second)] })).flat();
    expect(said).toEqual(['bad: /app/leak.ts:3:9 leaks leases of pool redis, 3 in the last 10 s']);
  });

  it('keeps the end of a long time', () => {
    const { journal } = watching();
    for (let count = 0; count < MOST_ENTRIES + 5; count++) expect(journal.note(`note ${count}`)).toHaveLength(1);
    expect([journal.entries.length, journal.entries[0]?.text]).toEqual([MOST_ENTRIES, 'note 5']);
  });
});
