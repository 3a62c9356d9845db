import { describe, expect, it } from 'vitest';
import { Tally } from '../../bench/pubsub/tally.ts';
import { type Findings, failureOf } from '../../bench/pubsub/verdict.ts';
import { useBench } from '../support/bench.ts';

describe('the tally of the pubsub bench', () => {
  it.each<[string, readonly number[], Omit<Tally, 'add'>]>([
    ['all, in order', [1, 2, 3], { delivered: 3, strays: 0, last: 3 }],
    ['one missing', [1, 3], { delivered: 2, strays: 0, last: 3 }],
    ['one twice', [1, 2, 2, 3], { delivered: 3, strays: 1, last: 3 }],
    ['two in another order', [2, 1, 3], { delivered: 2, strays: 1, last: 3 }],
  ])('counts %s', (_, numbers, counted) => {
    const tally = new Tally();
    for (const number of numbers) tally.add(number);
    expect({ ...tally }).toEqual(counted);
  });
});

describe('the verdict of the pubsub bench', () => {
  const good: Findings = { expected: 70_000, delivered: 70_000, strays: 0, gaps: 0, rateToIoredis: 0.9, quick: false };

  it('finds nothing when all has come once, and enough of it', () => {
    expect(failureOf(good)).toBeUndefined();
    expect(failureOf({ ...good, rateToIoredis: 0.5, quick: true })).toBeUndefined();
  });

  it.each<[string, Partial<Findings>]>([
    ['delivered 69999 of 70000', { delivered: 69_999 }],
    ['delivered 69999 of 70000', { delivered: 69_999, quick: true }],
    ['twice or in another order: 1', { strays: 1 }],
    ['gaps: 1', { gaps: 1 }],
    ['rate to ioredis below 0.9: 0.89', { rateToIoredis: 0.89 }],
    ['rate to ioredis below 0.9: NaN', { rateToIoredis: Number.NaN }],
  ])('says «%s»', (said, wrong) => {
    expect(failureOf({ ...good, ...wrong })).toBe(said);
  });
});

describe('npm run bench -- pubsub', () => {
  const bench = useBench();

  it('finds that what is published comes to all processes, each once and in order', { timeout: 180_000 }, async () => {
    const { code, errors, figures } = await bench(['pubsub', '--quick']);
    const names = ['redis_cpu_percent', 'p50_ms', 'p99_ms', 'max_rate_vs_ioredis'];
    const numbers = Object.fromEntries(names.map((name) => [name, expect.any(Number)]));
    const expected = 5 * 70 * 10;
    expect(code, errors).toBe(0);
    expect(figures).toEqual({ bench: 'pubsub', node: process.version, expected, delivered: expected, ...numbers });
  });
});
