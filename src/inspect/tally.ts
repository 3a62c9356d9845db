import { now } from '../clock.ts';

/** What has happened at a line of code, how often, and how it came to that. */
export interface Tallied<T> {
  /** Of the last time. */
  readonly facts: T;
  /** The calls that have led there most often of late: who shares a helper with others is not to be blamed for them. */
  readonly stack: readonly string[];
  readonly count: number;
  /** Of them in the last 10 s, at most 100. */
  readonly grown: number;
  /** How long ago the last one was, in milliseconds. */
  readonly lastMs: number;
}

const GROWN_MS = 10_000;
const MOST_TIMES = 100;
/** Lines are few, but code that is made at run time may have any number. */
const MOST_PLACES = 1_000;
/** Ways to one line. */
const MOST_WAYS = 20;

/** How often, and when of late. */
class Counter {
  count = 0;
  #times: readonly number[] = [];

  note(): void {
    this.count++;
    this.#times = [...this.#times, now()].slice(-MOST_TIMES);
  }

  get grown(): number {
    const time = now();
    return this.#times.filter((at) => time - at < GROWN_MS).length;
  }

  get lastMs(): number {
    const time = now();
    return time - (this.#times.at(-1) ?? time);
  }
}

class Place<T> extends Counter {
  facts: T;
  readonly #ways = new Map<string, Counter & { readonly stack: readonly string[] }>();

  constructor(facts: T) {
    super();
    this.facts = facts;
  }

  noteFrom(stack: readonly string[]): void {
    this.note();
    const key = stack.join('\n');
    const way = this.#ways.get(key) ?? Object.assign(new Counter(), { stack });
    way.note();
    putLast(this.#ways, key, way, MOST_WAYS);
  }

  get stack(): readonly string[] {
    const often = [...this.#ways.values()].sort((a, b) => b.grown - a.grown || b.count - a.count);
    return often[0]?.stack ?? [];
  }
}

/** Counts by line of code. */
export class Tally<T> {
  readonly #places = new Map<string, Place<T>>();

  /** @param key Of the line. */
  note(key: string, stack: readonly string[], facts: T): void {
    const place = this.#places.get(key) ?? new Place(facts);
    place.facts = facts;
    place.noteFrom(stack);
    putLast(this.#places, key, place, MOST_PLACES);
  }

  /** Those where it happened last come first. */
  get all(): Tallied<T>[] {
    return [...this.#places.values()].reverse().map(({ facts, stack, count, grown, lastMs }) => ({ facts, stack, count, grown, lastMs }));
  }
}

/** Where there would be too many, those that were put longest ago go. */
function putLast<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > most && oldest !== undefined) map.delete(oldest);
}
