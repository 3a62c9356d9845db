import { describe, expect, it } from 'vitest';
import { problemsOf, type Sample, verdictOf } from '../../demo/judge.ts';
import { GOOD } from './figures.ts';

const samples = (...opened: readonly number[]): readonly Sample[] => opened.map((count, index) => ({ atMs: index * 100, opened: count }));

describe('verdictOf', () => {
  it('is growing when connections are opened to the end', () => {
    expect(verdictOf(samples(0, 1, 2, 3, 4, 5, 6, 7, 8, 9))).toBe('growing');
  });

  it('is growing when the last connection comes in the second half', () => {
    expect(verdictOf(samples(0, 9, 9, 9, 9, 10, 10, 10, 10, 10))).toBe('growing');
  });

  it('is a plateau when the second half opens none', () => {
    expect(verdictOf(samples(0, 3, 6, 9, 10, 10, 10, 10, 10, 10))).toBe('plateau');
  });

  it('is growing when nothing was looked at but the end', () => {
    expect(verdictOf([{ atMs: 1_000, opened: 5 }])).toBe('growing');
  });

  it('is a plateau when nothing was opened, or nothing looked at', () => {
    expect([verdictOf(samples(0, 0, 0)), verdictOf([])]).toEqual(['plateau', 'plateau']);
  });
});

describe('problemsOf', () => {
  const calm = { errors: [], left: 0 };

  it('finds none where all is well, the limit reached', () => {
    expect(problemsOf(GOOD, calm)).toEqual([]);
  });

  it('names a wrapped phase that opens one connection more than its limit', () => {
    expect(problemsOf({ ...GOOD, opened: 11 }, calm)).toEqual(['wrapped: opened 11 connections, more than its limit of 10']);
  });

  it('lets a phase without a limit open and grow as it likes', () => {
    expect(problemsOf({ ...GOOD, opened: 5_000, limit: null, verdict: 'growing' }, calm)).toEqual([]);
  });

  it('names a phase without jobs, with errors, and with connections left open, all at once', () => {
    const errors = [new Error('first'), new Error('second')];
    expect(problemsOf({ ...GOOD, jobs: 0 }, { errors, left: 2 })).toEqual([
      'wrapped: finished no job',
      'wrapped: failed 2 times, first with: Error: first',
      'wrapped: left 2 connections open',
    ]);
  });
});
