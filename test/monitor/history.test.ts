import { describe, expect, it } from 'vitest';
import type { NameFacts } from '../../src/monitor/client-list.ts';
import { factsOf, type History, observe, sorted, windowMsOf } from '../../src/monitor/history.ts';
import { nameFacts, sampleAt } from './support.ts';

function historyOf(...samples: readonly Readonly<Parameters<typeof sampleAt>>[]): History {
  const history = samples.reduce<History | undefined>((before, facts) => observe(before, sampleAt(facts[0], facts[1]), 10_000), undefined);
  if (!history) throw new Error('no sample');
  return history;
}

describe('a history', () => {
  it('counts from its first sample', () => {
    const history = historyOf([0, { received: 500, rejected: 7 }], [1_000, { received: 503 }], [3_000, { received: 511, rejected: 9 }]);
    expect(factsOf(history)).toMatchObject({ watchedMs: 3_000, opened: 11, openedPerSecond: 4, rejected: 9, rejectedMeanwhile: 2 });
  });

  it('tells the rate of the last 2 s', () => {
    const history = historyOf([0, { received: 0 }], [1_000, { received: 100 }], [2_000, { received: 110 }], [3_000, { received: 120 }]);
    expect(factsOf(history).openedPerSecond).toBe(10);
    expect(factsOf(historyOf([0, { received: 9 }])).openedPerSecond).toBe(0);
  });

  it('knows how many came and went unseen: they were received, and are not in the list', () => {
    const history = historyOf(
      [0, { received: 10, arrived: 10 }],
      [1_000, { received: 30, arrived: 2 }],
      [2_000, { received: 34, arrived: 4 }],
    );
    expect(factsOf(history).unseenPerSecond).toBe(9);
  });

  it('goes on counting when the server begins anew: CONFIG RESETSTAT', () => {
    const before = Array.from({ length: 9 }, (_, second) => [second * 1_000, { received: 500 + second, rejected: 7 }] as const);
    const after = [0, 1, 3].map((received, index) => [(9 + index) * 1_000, { received, arrived: received === 3 ? 1 : 0 }] as const);
    const facts = factsOf(historyOf(...before, ...after));
    expect(facts).toMatchObject({ opened: 11, openedPerSecond: 1.5, unseenPerSecond: 1, rejected: 7, rejectedMeanwhile: 0 });
    expect(facts.verdict).toEqual({ trend: 'growing', opened: 10, overMs: 10_000 });
    expect(factsOf(historyOf(...before, ...after, [12_000, { received: 0 }], [13_000, { received: 2 }]))).toMatchObject({ opened: 13 });
  });

  it('goes on with its verdict', () => {
    const growing = Array.from({ length: 11 }, (_, second) => [second * 1_000, { received: second }] as const);
    expect(factsOf(historyOf(...growing, [11_000, { received: 10 }])).verdict).toEqual({ trend: 'growing', opened: 9, overMs: 10_000 });
  });

  it('keeps no more than a terminal could show', () => {
    const history = historyOf(...Array.from({ length: 1_200 }, (_, second) => [second * 1_000, { received: second }] as const));
    expect(history.points).toHaveLength(1_000);
    expect(factsOf(history)).toMatchObject({ opened: 1_199, watchedMs: 1_199_000 });
  });

  it('looks at 10 s, or at four intervals', () => {
    expect([100, 1_000, 2_500, 5_000].map(windowMsOf)).toEqual([10_000, 10_000, 10_000, 20_000]);
  });
});

describe('sorted', () => {
  const rows: readonly NameFacts[] = [
    nameFacts({ name: 'many', connections: 50, grown: 1, oldestS: 5 }),
    nameFacts({ name: 'leaky', connections: 20, grown: 10, fresh: 2, oldestS: 30 }),
    nameFacts({ name: 'new', connections: 10, grown: 10, fresh: 9, oldestS: 4 }),
    nameFacts({ name: 'b', connections: 1, oldestS: 90 }),
    nameFacts({ name: 'a', connections: 1, oldestS: 90 }),
  ];

  it.each([
    ['growth', ['new', 'leaky', 'many', 'a', 'b']],
    ['connections', ['many', 'leaky', 'new', 'a', 'b']],
    ['age', ['a', 'b', 'leaky', 'many', 'new']],
  ] as const)('by %s, the highest first', (order, names) => {
    expect(sorted(rows, order).map(({ name }) => name)).toEqual(names);
    expect(rows[0]?.name).toBe('many');
  });
});
