import { describe, expect, it } from 'vitest';
import { conclusion, exitCodeOf, toJson } from '../../demo/report.ts';
import { table } from '../../demo/table.ts';
import { GOOD } from './figures.ts';

const UNWRAPPED = { ...GOOD, name: 'client per job', opened: 4651, limit: null, verdict: 'growing' } as const;
const fine = { phases: [UNWRAPPED, GOOD, { ...GOOD, opened: 1 }], problems: [] };
const broken = { phases: [{ ...GOOD, opened: 11 }], problems: ['wrapped: opened 11 connections, more than its limit of 10'] };

describe('the report of the demo', () => {
  it('ends well when there are no problems', () => {
    expect(conclusion(fine)).toEqual(['ok: wrapped workers opened 10, 1 connections, each within its limit']);
    expect(exitCodeOf(fine)).toBe(0);
  });

  it('ends with 1 and each problem when there are some', () => {
    expect(conclusion(broken)).toEqual(['FAILED: wrapped: opened 11 connections, more than its limit of 10']);
    expect(exitCodeOf(broken)).toBe(1);
    expect(JSON.parse(toJson(broken))).toMatchObject({ ok: false });
  });

  it('is one line of JSON with rounded figures', () => {
    const json = toJson({ phases: [{ ...GOOD, p50Ms: Number.NaN }], problems: [] });
    expect(json).not.toContain('\n');
    expect(JSON.parse(json)).toEqual({ phases: [{ ...GOOD, jobsPerSecond: 384.3, p50Ms: null, p99Ms: 19.781 }], ok: true });
  });
});

describe('table', () => {
  it('stands in columns, without a limit where there is none', () => {
    expect(table(fine.phases.slice(0, 2))).toEqual([
      '               BullMQ opened peak limit   jobs jobs/s p50 ms p99 ms verdict',
      'client per job      3   4651   10     -   1161    384  10.79  19.78 growing',
      'wrapped             3     10   10    10   1161    384  10.79  19.78 plateau',
    ]);
  });

  it('is empty without phases', () => {
    expect(table([])).toEqual([]);
  });
});
