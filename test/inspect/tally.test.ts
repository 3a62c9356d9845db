import { describe, expect, it, vi } from 'vitest';
import { Tally } from '../../src/inspect/tally.ts';

const clock = vi.hoisted(() => ({ ms: 0 }));
vi.mock(import('../../src/clock.ts'), async (original) => ({ ...(await original()), now: () => clock.ms }));

describe('Tally', () => {
  it('counts by line: all, those of the last 10 s, and since the last', () => {
    const tally = new Tally<string>();
    tally.note('a', ['a'], 'first');
    clock.ms += 9_000;
    tally.note('a', ['a'], 'second');
    tally.note('b', ['b'], 'other');
    clock.ms += 2_000;
    expect(tally.all).toEqual([
      { facts: 'other', stack: ['b'], count: 1, grown: 1, lastMs: 2_000 },
      { facts: 'second', stack: ['a'], count: 2, grown: 1, lastMs: 2_000 },
    ]);
  });

  it('shows the way that is gone most of late, else the one that was gone most', () => {
    const tally = new Tally<string>();
    for (const way of ['old', 'old', 'old', 'new', 'once']) {
      if (way === 'new') clock.ms += 11_000;
      tally.note('a', [way], '');
      if (way === 'new') tally.note('a', [way], '');
    }
    expect(tally.all[0]).toMatchObject({ stack: ['new'], count: 6, grown: 3 });
    clock.ms += 11_000;
    expect(tally.all[0]).toMatchObject({ stack: ['old'], grown: 0 });
  });

  it('is bounded, in lines and in ways to a line: what is gone no more is forgotten', () => {
    const tally = new Tally<number>();
    for (let number = 0; number <= 1_000; number++) tally.note(`${number}`, ['x'], number);
    expect([tally.all.length, tally.all[0]?.facts, tally.all.at(-1)?.facts]).toEqual([1_000, 1_000, 1]);
    for (let way = 0; way < 3; way++) tally.note('a', ['first'], 0);
    for (let way = 0; way < 25; way++) tally.note('a', [`${way}`], 0);
    expect(tally.all[0]).toMatchObject({ stack: ['5'], count: 28 });
  });
});
