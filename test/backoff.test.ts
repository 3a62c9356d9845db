import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs } from '../src/backoff.ts';

describe('backoffMs', () => {
  it('doubles from 50 ms with each failure', () => {
    expect([1, 2, 3, 4].map((failures) => backoffMs(failures, 1))).toEqual([50, 100, 200, 400]);
  });

  it('never exceeds two seconds, after however many failures', () => {
    expect([7, 50, 5_000].map((failures) => backoffMs(failures, 1))).toEqual([2_000, 2_000, 2_000]);
  });

  it('stays 0 when it begins with 0, after however many failures', () => {
    expect([1, 2_000].map((failures) => backoffMs(failures, 0.5, { firstMs: 0, longestMs: 100 }))).toEqual([0, 0]);
  });

  it('spreads over the upper half of its step', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
        const full = backoffMs(failures, 1);
        const spread = backoffMs(failures, random);
        expect(spread).toBeGreaterThanOrEqual(full / 2);
        expect(spread).toBeLessThanOrEqual(full);
      }),
    );
    expect(backoffMs(1, 0)).toBe(25);
  });
});
