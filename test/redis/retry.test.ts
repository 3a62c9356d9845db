import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { RedisConnectionError } from '../../src/errors.ts';
import { defineRedisPool, type RetryOptions } from '../../src/redis/index.ts';
import { COMMANDS } from '../../src/redis/ioredis.ts';
import { isReading } from '../../src/redis/reading.ts';
import { type Failed, retryAfterMs } from '../../src/redis/retry.ts';

const broken = (outcome: 'not-sent' | 'rejected' | 'unknown') => new RedisConnectionError('p', 'set', outcome, new Error('closed'));
const failed = (parts: Partial<Failed> = {}): Failed => ({
  ...{ command: 'set', error: broken('not-sent'), attempts: 1, sinceMs: 0, idempotent: false },
  ...parts,
});

describe('retryAfterMs', () => {
  it.each([
    ['what was not sent', failed(), true],
    ['what the server refused', failed({ error: broken('rejected') }), true],
    ['a write of unknown outcome', failed({ error: broken('unknown') }), false],
    ['a read of unknown outcome', failed({ error: broken('unknown'), command: 'GET' }), true],
    ['a write of unknown outcome that is idempotent', failed({ error: broken('unknown'), idempotent: true }), true],
    ['an error that is not of the connection', failed({ error: new Error('WRONGTYPE'), command: 'get', idempotent: true }), false],
  ])('of %s', (_, what, isAgain) => {
    expect(retryAfterMs({}, what, 0) !== undefined).toBe(isAgain);
  });

  it('waits as the list says, over its upper half, and ends with it', () => {
    const waits = (random: number) => [1, 2, 3, 4].map((attempts) => retryAfterMs({}, failed({ attempts }), random));
    expect(waits(0)).toEqual([0, 25, 100, undefined]);
    expect(waits(1)).toEqual([0, 50, 200, undefined]);
  });

  it('asks a function for each further attempt, up to maxAttempts', () => {
    const asked: number[] = [];
    const options: RetryOptions = { maxAttempts: 3, delaysMs: (attempt) => asked.push(attempt) * 10 };
    expect([1, 2, 3].map((attempts) => retryAfterMs(options, failed({ attempts }), 1))).toEqual([10, 20, undefined]);
    expect(asked).toEqual([2, 3]);
  });

  it('makes no further attempt when the function throws or gives no number', () => {
    const throws = () => {
      throw new Error('mine');
    };
    expect(retryAfterMs({ delaysMs: throws }, failed(), 0)).toBeUndefined();
    expect(retryAfterMs({ delaysMs: () => Number.NaN }, failed(), 0)).toBeUndefined();
  });

  it('begins no attempt after deadlineMs', () => {
    expect(retryAfterMs({ delaysMs: [100], deadlineMs: 150 }, failed({ sinceMs: 50 }), 1)).toBe(100);
    expect(retryAfterMs({ delaysMs: [100], deadlineMs: 150 }, failed({ sinceMs: 51 }), 1)).toBeUndefined();
  });

  it('makes no further attempt with maxAttempts 1', () => {
    expect(retryAfterMs({ maxAttempts: 1 }, failed(), 0)).toBeUndefined();
  });
});

describe('isReading', () => {
  it('is what Redis flags as readonly, and what has no key to write', () => {
    const ioredis = createRequire(createRequire(import.meta.url).resolve('ioredis/package.json'));
    const { list, hasFlag } = ioredis('@ioredis/commands') as { list: string[]; hasFlag(name: string, flag: string): boolean };
    const flagged = list.filter((name) => hasFlag(name, 'readonly'));
    const expected = [...flagged, 'echo', 'ping', 'time'].filter((name) => COMMANDS.includes(name));
    expect(COMMANDS.filter(isReading).sort()).toEqual(expected.sort());
  });

  it('takes a name in any case', () => {
    expect([isReading('GET'), isReading('Set'), isReading('getex'), isReading('eval')]).toEqual([true, false, false, false]);
  });
});

describe('the option retry', () => {
  it.each([
    [{ retry: 3 }, 'retry must be an object'],
    [{ retry: { delays: [1] } }, 'did you mean'],
    [{ retry: { delaysMs: [-1] } }, 'delaysMs must be a list of milliseconds'],
    [{ retry: { delaysMs: 5 } }, 'or a function'],
    [{ retry: { maxAttempts: 0 } }, 'maxAttempts must be an integer from 1'],
    [{ retry: { deadlineMs: Number.NaN } }, 'deadlineMs must be milliseconds'],
  ])('is refused when it is %j', (options, message) => {
    expect(() => defineRedisPool('bad', options as never)).toThrow(message);
  });
});
