import { describe, expect, it } from 'vitest';
import { readArguments, UsageError } from '../../demo/arguments.ts';

describe('the arguments of the demo', () => {
  it('may all be left out', () => {
    expect(readArguments([])).toEqual({ seconds: 3, json: false, help: false });
  });

  it('say how long, and whether JSON is wanted', () => {
    expect(readArguments(['--seconds', '1', '--json'])).toEqual({ seconds: 1, json: true, help: false });
    expect(readArguments(['--seconds=60'])).toMatchObject({ seconds: 60 });
  });

  it.each(['0', '61', '1.5', '', 'three', '1e1', 'Infinity'])('refuse --seconds=%s and tell the range', (seconds) => {
    const read = () => readArguments([`--seconds=${seconds}`]);
    expect(read).toThrow(UsageError);
    expect(read).toThrow(`--seconds must be a whole number from 1 to 60; got "${seconds}"`);
  });

  it.each([
    [['--seconds', '-1'], '"-1"'],
    [['--seconds', '--json'], '"--json"'],
    [['--json', '--seconds'], 'nothing'],
  ])('refuse %s and tell the range, as for a number out of it', (args, got) => {
    expect(() => readArguments(args)).toThrow(new UsageError(`--seconds must be a whole number from 1 to 60; got ${got}`));
  });

  it.each([['--second', '1'], ['5'], ['--seconds'], ['--json=yes'], ['--seconds', '-1']])('refuse %s %s', (...args) => {
    expect(() => readArguments(args)).toThrow(UsageError);
  });
});
