import { InvalidOptionError, SourceItemError } from '../errors.ts';

/**
 * Reads from a state on, as an async generator: yields each item with the state behind it, at which it would be begun
 * anew. The signal aborts when nobody will ask for more.
 */
export type Source<T, S> = (state: S, signal: AbortSignal) => AsyncIterable<readonly [item: T, next: S]>;

/** @throws SourceItemError */
export function checkIterable<I>(source: string, items: AsyncIterable<I>): AsyncIterable<I> {
  if (typeof items === 'object' && items !== null && Symbol.asyncIterator in items) return items;
  throw new SourceItemError(source, 'return an async iterable, as an async generator does', items);
}

/** @throws SourceItemError */
export function checkItem<T, S>(source: string, item: readonly [T, S]): readonly [T, S] {
  if (!Array.isArray(item) || item.length !== 2) throw new SourceItemError(source, 'yield a pair: [item, the state behind it]', item);
  return isPlain(item[1]) ? item : [item[0], copied(item[1], () => new SourceItemError(source, `yield with each item ${STATE}`, item[1]))];
}

/** @throws InvalidOptionError */
export function checkState<S>(where: string, state: S): S {
  if (state === undefined || isPlain(state)) return state;
  return copied(state, () => new InvalidOptionError({ where, option: 'its state', expected: STATE, actual: state }));
}

/** For the source, which may change it before it fails. */
export function copyOf<S>(state: S): S {
  return typeof state === 'object' ? structuredClone(state) : state;
}

const STATE = 'a state that can be stored: plain data, not undefined';

function isPlain(state: unknown): boolean {
  const type = typeof state;
  return type === 'string' || type === 'number' || type === 'bigint' || type === 'boolean' || state === null;
}

/** A copy: the source may go on changing its own. */
function copied<S>(state: S, problem: () => Error): S {
  if (typeof state !== 'object') throw problem();
  try {
    return structuredClone(state);
  } catch {
    throw problem();
  }
}
