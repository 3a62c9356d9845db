import { describe, expect, it } from 'vitest';
import { InvalidOptionError } from '../src/errors.ts';
import {
  abortSignal,
  anything,
  callable,
  checkArgument,
  checkOptions,
  duration,
  flag,
  integer,
  nearestName,
  text,
} from '../src/options.ts';

describe('checks', () => {
  it.each([
    ['integer(0)', integer(0), [0, 1, Number.MAX_SAFE_INTEGER], [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1', null, 2 ** 53]],
    ['integer(1)', integer(1), [1], [0]],
    ['integer(1, orInfinity)', integer(1, 'orInfinity'), [1, Number.POSITIVE_INFINITY], [0, Number.NEGATIVE_INFINITY, 1.5]],
    ['duration()', duration(), [0, 0.5, 5_000, Number.POSITIVE_INFINITY], [-1, Number.NaN, '5', null, new Date(0)]],
    ['duration(1)', duration(1), [1], [0, 0.5]],
    ['callable', callable, [() => {}, class {}], [undefined, {}, 'fn']],
    ['flag', flag, [true, false], [0, 1, 'true', null]],
    ['text', text, ['x'], ['', '  ', 5, null]],
    ['abortSignal', abortSignal, [AbortSignal.abort()], [new AbortController(), {}, null]],
    ['anything', anything, [undefined, 0, {}], []],
  ] as const)('%s says nothing of right values and what it expects of wrong ones', (_, check, right, wrong) => {
    for (const value of right) expect(check(value)).toBeUndefined();
    for (const value of wrong) expect(check(value)).toMatch(/^(an|a|milliseconds|true)\b/);
  });
});

describe('checkOptions', () => {
  const checks = { max: integer(1), name: text };
  const check = (options: unknown) => () => checkOptions('definePool("redis")', options, checks);

  it('takes right options, undefined ones and none', () => {
    for (const options of [{}, { max: 1 }, { max: undefined, name: 'x' }]) expect(check(options)).not.toThrow();
  });

  it('names who asks, the option, what it expects and what it got', () => {
    expect(check({ max: 0 })).toThrow('definePool("redis"): max must be an integer from 1; got 0');
    expect(check({ max: 0 })).toThrow(InvalidOptionError);
  });

  it('refuses an unknown option, also an inherited one, and names the known ones', () => {
    expect(check({ mx: 1 })).toThrow('definePool("redis"): mx must be absent: did you mean "max"? known are max, name; got');
    expect(check(Object.create({ mx: 1 }))).toThrow('mx must be absent');
    expect(check({ toString: 1 })).toThrow('toString must be absent');
    expect(check({ mx: undefined })).toThrow('mx must be absent');
  });

  it('shows nothing of the value of an unknown option', () => {
    const refused = check({ password: 'hunter2' });
    expect(refused).toThrow('password must be absent: known are max, name; got a value of type string, which is not shown');
    expect(refused).not.toThrow('hunter2');
  });

  it.each([undefined, null, 'max', 5, () => {}])('refuses %s in the place of options', (options) => {
    expect(check(options)).toThrow('options must be an object');
  });

  it('refuses an array in the place of options', () => {
    expect(check([])).toThrow('options must be an object; got an array');
  });

  it('shows no credentials of a URL', () => {
    expect(check({ max: 'redis://user:secret@host' })).toThrow('got "redis://***@host"');
  });
});

describe('nearestName', () => {
  it.each([
    ['mx', 'max'],
    ['maxx', 'max'],
    ['mian', 'min'],
    ['idleTimeoutMS', 'idleTimeoutMs'],
    ['idleTimeout', 'idleTimeoutMs'],
    ['MAX', undefined],
    ['timeout', undefined],
    ['x', undefined],
    ['', undefined],
  ])('%s: %s', (written, meant) => {
    expect(nearestName(written, ['max', 'min', 'maxWaiters', 'idleTimeoutMs'])).toBe(meant);
  });

  it('takes the one that fewer edits lead to', () => {
    expect(nearestName('mim', ['max', 'min'])).toBe('min');
    expect(nearestName('max', [])).toBeUndefined();
  });
});

describe('checkArgument', () => {
  it('throws unless the value passes', () => {
    checkArgument('scope.run()', 'its function', () => {}, callable);
    expect(() => checkArgument('scope.run()', 'its function', 5, callable)).toThrow('scope.run(): its function must be a function; got 5');
  });
});
