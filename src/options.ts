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

/** One of the words. */
export function oneOf(...words: readonly string[]): Check {
  return (value) => (words.includes(value as string) ? undefined : `one of ${words.map((word) => `"${word}"`).join(', ')}`);
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
      // Whatever it is: what the misspelt name of a password holds is a password.
      throw new InvalidOptionError({ where, option, expected: `absent: ${knownNames(option, Object.keys(checks))}`, actual, secret: true });
    }
    const expected = actual === undefined ? undefined : check(actual);
    if (expected !== undefined) throw new InvalidOptionError({ where, option, expected, actual });
  }
}

/** The names that are known, and before them the one that was probably meant. */
export function knownNames(unknown: string, names: readonly string[]): string {
  const meant = nearestName(unknown, names);
  const hint = meant === undefined ? '' : `did you mean "${meant}"? `;
  return `${hint}known are ${names.join(', ')}`;
}

const MOST_EDITS = 2;

/** The first of the names that are fewest edits away, if those are few and leave something of what was written. */
export function nearestName(written: string, names: readonly string[]): string | undefined {
  const near = names.map((name) => ({ name, edits: editsBetween(written, name) }));
  const [nearest] = near.filter(({ edits }) => edits <= MOST_EDITS && edits < written.length).sort((a, b) => a.edits - b.edits);
  return nearest?.name;
}

/** How many letters must be inserted, left out or replaced to make one text of the other. */
function editsBetween(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [row, letter] of [...from].entries()) {
    const line = [row + 1];
    for (let column = 1; column <= to.length; column++) {
      const replaced = at(above, column - 1) + (letter === to[column - 1] ? 0 : 1);
      line.push(Math.min(replaced, at(above, column) + 1, at(line, column - 1) + 1));
    }
    above = line;
  }
  return at(above, to.length);
}

function at(line: readonly number[], column: number): number {
  return line[column] ?? Number.POSITIVE_INFINITY;
}

/** @throws InvalidOptionError unless the value passes. */
export function checkArgument(where: string, argument: string, value: unknown, check: Check): void {
  const expected = check(value);
  if (expected !== undefined) throw new InvalidOptionError({ where, option: argument, expected, actual: value });
}
