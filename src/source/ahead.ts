import { Readable } from 'node:stream';
import { InvalidOptionError } from '../errors.ts';
import { checkArgument, integer } from '../options.ts';
import { tryCurrentScope } from '../scope/index.ts';

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
  return opened(new Reading(Symbol.asyncIterator in items ? items : each(items)), capacity);
}

async function* each<T>(items: Iterable<T>): AsyncGenerator<T, void, undefined> {
  yield* items;
}

async function* opened<T>(reading: Reading<T>, capacity: number): AsyncGenerator<T, void, undefined> {
  try {
    for await (const envelope of Readable.from(reading.envelopes(), { highWaterMark: capacity }) as AsyncIterable<Envelope<T>>) {
      if ('error' in envelope) throw envelope.error;
      yield envelope.value;
    }
  } finally {
    await reading.end();
  }
}

/** Not by the stream: it ends its source when that has given the item it was asked for, hears of no failure, and is not waited for. */
class Reading<T> {
  readonly #items: AsyncIterable<T>;
  #iterator: AsyncIterator<T> | undefined;
  #isAsked = false;

  constructor(items: AsyncIterable<T>) {
    this.#items = items;
  }

  // A stream that is destroyed by an error drops what it holds, hence errors as values.
  async *envelopes(): AsyncGenerator<Envelope<T>, void, undefined> {
    for (let envelope = await this.#next(); envelope; envelope = 'error' in envelope ? undefined : await this.#next()) yield envelope;
  }

  async #next(): Promise<Envelope<T> | undefined> {
    try {
      this.#iterator ??= this.#items[Symbol.asyncIterator]();
      this.#isAsked = true;
      const { done, value } = await this.#iterator.next();
      this.#isAsked = false;
      if (!done) return { value };
      this.#iterator = undefined;
      return undefined;
    } catch (error) {
      this.#iterator = undefined;
      return { error };
    }
  }

  /** At once, if it has not ended itself; waits for that unless an item is on its way, which may never come. */
  async end(): Promise<void> {
    const scope = tryCurrentScope();
    const isAsked = this.#isAsked;
    const ended = this.#iterator?.return?.();
    if (isAsked) ended?.then(undefined, (error: unknown) => scope?.report(error, 'ahead'));
    else await ended;
  }
}
