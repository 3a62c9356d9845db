import type { Random } from '../../dev/random.ts';
import type { Source } from '../../src/index.ts';

/** The numbers from its state up to `end`, without it. */
export function numbersTo(end: number): Source<number, number> {
  return async function* numbers(from) {
    for (let number = from; number < end; number++) yield [number, number + 1];
  };
}

/** As the log of the document: one of `oneIn` takes fails, before anything was taken. */
export function faultyNumbersTo(end: number, random: Random, oneIn: number): Source<number, number> {
  return async function* faultyNumbers(from) {
    for (let number = from; number < end; number++) {
      if (random.between(1, oneIn) === 1) throw new Error('connection lost');
      yield [number, number + 1];
    }
  };
}

/** Fails as often as it says, each time at its beginning, then gives the numbers. */
export function failingFirst(times: number, end: number): Source<number, number> {
  let failures = 0;
  return async function* failing(from, signal) {
    if (failures++ < times) throw new Error(`failure ${failures}`);
    yield* numbersTo(end)(from, signal);
  };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export const range = (end: number): number[] => Array.from({ length: end }, (_, number) => number);
