import { InvalidOptionError } from './errors.ts';

/** Says what it expects when the value is wrong, nothing when it is right. */
export type Check = (value: unknown) => string | undefined;

/** An integer, `min` or more; with `orInfinity` also `Infinity`. */
export function integer(min: number, orInfinity?: 'orInfinity'): Check {
  return (value) => {
    if (Number.isSafeInteger(value) && (value as number) >= min) return undefined;
    if (orInfinity && value === Number.POSITIVE_INFINITY) return undefined;
    return `an integer from ${min}${orInfinity ? ', or Infinity' : ''}`;
  };
}

/** Milliseconds, `min` or more, `Infinity` for no limit. */
export function duration(min = 0): Check {
  return (value) => (typeof value === 'number' && value >= min ? undefined : `milliseconds from ${min}, Infinity for no limit`);
}

export const callable: Check = (value) => (typeof value === 'function' ? undefined : 'a function');
export const flag: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false');
export const text: Check = (value) => (typeof value === 'string' && value.trim() !== '' ? undefined : 'a text that is not empty');
export const anything: Check = () => undefined;
export const abortSignal: Check = (value) => (value instanceof AbortSignal ? undefined : 'an AbortSignal');

/**
 * Checks every option that is there; `undefined` counts as absent.
 *
 * @param where Who asks, as the user wrote it: `definePool("redis")`.
 * @throws InvalidOptionError for the first that is unknown or wrong.
 */
export function checkOptions(where: string, options: unknown, checks: Readonly<Record<string, Check>>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new InvalidOptionError({ where, option: 'options', expected: 'an object', actual: options });
  }
  for (const option in options) {
    const actual = (options as Record<string, unknown>)[option];
    const check = Object.hasOwn(checks, option) ? checks[option] : undefined;
    if (!check) {
      throw new InvalidOptionError({ where, option, expected: `absent: known are ${Object.keys(checks).join(', ')}`, actual });
    }
    const expected = actual === undefined ? undefined : check(actual);
    if (expected !== undefined) throw new InvalidOptionError({ where, option, expected, actual });
  }
}

/** @throws InvalidOptionError unless the value passes. */
export function checkArgument(where: string, argument: string, value: unknown, check: Check): void {
  const expected = check(value);
  if (expected !== undefined) throw new InvalidOptionError({ where, option: argument, expected, actual: value });
}
