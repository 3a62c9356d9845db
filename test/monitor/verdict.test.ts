import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judge, type Point, type Trend } from '../../src/monitor/verdict.ts';

const WINDOW_MS = 10_000;

/** The trend after each second in which so many connections were opened. */
function trends(opened: readonly number[], everyMs = 1_000): readonly Trend[] {
  const points: Point[] = [{ atMs: 0, received: 100, clients: 1 }];
  let trend: Trend = 'watching';
  return opened.map((count, index) => {
    points.push({ atMs: (index + 1) * everyMs, received: (points.at(-1)?.received ?? 0) + count, clients: 1 });
    trend = judge(points, WINDOW_MS, trend).trend;
    return trend;
  });
}

const none = (seconds: number) => Array<number>(seconds).fill(0);
const each = (count: number, seconds: number) => Array<number>(seconds).fill(count);

/** What is opened second by second, and the trend at the end of it. */
const CASES: readonly (readonly [string, readonly number[], Trend])[] = [
  ['nothing, for too short a time', none(5), 'watching'],
  ['nothing', none(10), 'plateau'],
  ['a client per job', each(200, 10), 'growing'],
  ['one connection a second', each(1, 10), 'growing'],
  ['one every two seconds', [1, 0, 1, 0, 1, 0, 1, 0, 1, 0], 'growing'],
  ['a start that opens hundreds at once', [300, 250, ...none(8)], 'plateau'],
  ['the same a little later', [...none(4), 300, 250, ...none(4)], 'plateau'],
  ['the same at last', [...none(9), 300], 'plateau'],
  ['one every five seconds, as a probe does', [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], 'plateau'],
  ['a leak that has paused for 4 s', [...each(1, 10), ...none(4)], 'growing'],
  ['a leak that has become rare', [...each(1, 10), ...none(4), 1, ...none(4)], 'growing'],
  ['a leak that was mended 6 s ago', [...each(1, 10), ...none(6)], 'plateau'],
  ['a plateau, then a leak for 8 s', [...none(30), ...each(1, 8)], 'growing'],
];

describe('judge', () => {
  it.each(CASES)('%s', (_, opened, trend) => {
    expect(trends(opened).at(-1)).toBe(trend);
  });

  it('never says growing of a burst of 2 s, whenever it comes', () => {
    const seconds = fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 500 }), fc.nat(500));
    fc.assert(
      fc.property(seconds, ([before, first, second]) => {
        expect(trends([...none(before), first, second, ...none(15)])).not.toContain('growing');
      }),
    );
  });

  it('says growing within 10 s of whatever opens one a second or more, and nothing else while it goes on', () => {
    fc.assert(
      fc.property(fc.nat(20), fc.array(fc.integer({ min: 1, max: 99 }), { minLength: 10, maxLength: 40 }), (before, opened) => {
        const seen = trends([...none(before), ...opened]).slice(before + 9);
        expect(new Set(seen)).toEqual(new Set(['growing']));
      }),
    );
  });

  it('says plateau 6 s after the last was opened, however often it is looked', () => {
    fc.assert(
      fc.property(fc.constantFrom(100, 250, 1_000, 2_000), fc.array(fc.nat(9), { maxLength: 60 }), (everyMs, opened) => {
        expect(trends([...each(1, 10_000 / everyMs), ...opened, ...none(Math.ceil(6_000 / everyMs))], everyMs).at(-1)).toBe('plateau');
      }),
    );
  });

  it('says neither of a time in which it was not looked, and soon afterwards what there is', () => {
    const seconds = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
    const looked = [...seconds(0, 12), ...seconds(28, 40)];
    const trendsAt = (perSecond: number) => {
      const points = looked.map((second) => ({ atMs: second * 1_000, received: second * perSecond, clients: 1 }));
      let trend: Trend = 'watching';
      return points.map((_, index) => {
        trend = judge(points.slice(0, index + 1), WINDOW_MS, trend).trend;
        return trend;
      });
    };
    const [leaking, quiet] = [trendsAt(2).slice(12), trendsAt(0).slice(12)];
    expect([leaking.slice(0, 2), leaking.includes('plateau'), leaking.at(-4)]).toEqual([['growing', 'watching'], false, 'growing']);
    expect([quiet.slice(0, 2), quiet.includes('growing'), quiet.at(-4)]).toEqual([['plateau', 'watching'], false, 'plateau']);
  });

  it('counts what was opened within the window, and says how long that is', () => {
    const points = [0, 5_000, 10_003, 15_002, 19_998].map((atMs, index) => ({ atMs, received: index * 10, clients: 1 }));
    expect(judge(points, WINDOW_MS, 'watching')).toMatchObject({ opened: 20, overMs: 9_995 });
    expect(judge(points.slice(0, 2), WINDOW_MS, 'watching')).toEqual({ trend: 'watching', opened: 10, overMs: 5_000 });
    expect(judge([], WINDOW_MS, 'growing')).toEqual({ trend: 'watching', opened: 0, overMs: 0 });
  });
});
