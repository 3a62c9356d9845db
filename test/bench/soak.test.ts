import { describe, expect, it } from 'vitest';
import { Marks } from '../../bench/soak/marks.ts';
import { type Findings, failureOf, growth, type Sample } from '../../bench/soak/verdict.ts';
import { useBench } from '../support/bench.ts';

/** A heap that holds so many bytes more with each job, and moves by 0.1 MB up and down. */
function heap(bytesPerJob: number): readonly Sample[] {
  return Array.from({ length: 40 }, (_, place) => ({
    jobs: place * 500,
    heapMb: 17 + (place * 500 * bytesPerJob) / 1e6 + (place % 2) / 10,
  }));
}

describe('the verdict of the soak bench', () => {
  const good: Findings = { zeros: { notEnded: 0, leaks: 0 }, maxOpen: 10, limit: 10, listeners: [14, 14], samples: heap(0) };

  it('finds nothing when all zeros are zeros and nothing has grown', () => {
    expect(failureOf(good)).toBeUndefined();
    expect(failureOf({ ...good, listeners: [14, 13], samples: heap(-1_000) })).toBeUndefined();
  });

  it('takes no heap for grown that has grown only at first', () => {
    const late = heap(0).map((sample, place) => (place < 15 ? { ...sample, heapMb: 5 } : sample));
    expect(failureOf({ ...good, samples: late })).toBeUndefined();
  });

  it.each<[string | RegExp, Partial<Findings>]>([
    ['notEnded: 2, leaks: 1', { zeros: { notEnded: 2, leaks: 1 } }],
    ['maxOpen not 10: 11', { maxOpen: 11 }],
    ['maxOpen not 10: 9', { maxOpen: 9 }],
    ['listeners grew from 14 to 15', { listeners: [14, 15] }],
    [/^heap grew by 3\d\d ± \d+ bytes per job in the second half$/, { samples: heap(300) }],
  ])('says «%s»', (said, wrong) => {
    expect(failureOf({ ...good, ...wrong })).toEqual(said instanceof RegExp ? expect.stringMatching(said) : said);
  });

  it('knows how much a heap grows with each job, and how surely', () => {
    expect(growth(heap(1_000)).bytesPerJob).toBeCloseTo(1_000, -2);
    expect(growth(heap(1_000)).error).toBeLessThan(10);
  });
});

describe('the marks of the soak bench', () => {
  it('count each number once', () => {
    const marks = new Marks(20);
    for (const number of [0, 7, 8, 19, 8, 0]) marks.add(number);
    expect(marks.count).toBe(4);
  });
});

describe('npm run bench -- soak', () => {
  const bench = useBench();

  it.each([
    ['scopes', /^scopesLeft: \d+/m],
    ['data', /heap grew by \d+ ± \d+ bytes per job/],
    ['listeners', /listeners grew from \d+ to \d+/],
  ])('ends with 1 and says what it has found when %s are kept', { timeout: 120_000 }, async (leak, said) => {
    const { code, errors, figures } = await bench(['soak', '--seconds', '6', '--seed', '1'], { SOAK_LEAK: leak });
    expect([code, errors]).toEqual([1, expect.stringMatching(said)]);
    expect(figures).toMatchObject({ bench: 'soak', notEnded: 0, neverBegun: 0, maxOpen: 10, unhandledRejections: 0 });
  });
});
