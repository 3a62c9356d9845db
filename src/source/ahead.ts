import { Readable } from 'node:stream';
import { InvalidOptionError } from '../errors.ts';
import { checkArgument, integer } from '../options.ts';

type Envelope<T> = { readonly value: T } | { readonly error: unknown };

/**
 * Reads ahead of the consumer. Whatever was read before a failure is given before it: as streams of Node and of the web
 * would not.
 *
 * @param capacity The most items that are read and not taken, from 1.
 * @throws InvalidOptionError. The iteration throws what the items threw.
 */
export function ahead<T>(items: AsyncIterable<T> | Iterable<T>, capacity: number): AsyncGenerator<T, void, undefined> {
  checkArgument('ahead()', 'its capacity', capacity, integer(1));
  const isIterable = typeof items === 'object' && items !== null && (Symbol.asyncIterator in items || Symbol.iterator in items);
  if (!isIterable) throw new InvalidOptionError({ where: 'ahead()', option: 'its items', expected: 'an iterable', actual: items });
  return opened(Readable.from(enveloped(items), { highWaterMark: capacity }));
}

// A stream that is destroyed by an error drops what it holds, hence errors as values.
async function* enveloped<T>(items: AsyncIterable<T> | Iterable<T>): AsyncGenerator<Envelope<T>> {
  try {
    for await (const value of items) yield { value };
  } catch (error) {
    yield { error };
  }
}

async function* opened<T>(envelopes: Readable): AsyncGenerator<T, void, undefined> {
  for await (const envelope of envelopes as AsyncIterable<Envelope<T>>) {
    if ('error' in envelope) throw envelope.error;
    yield envelope.value;
  }
}
