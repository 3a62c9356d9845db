import { SubscriberOverflowError } from '../errors.ts';

export const OVERFLOWS = ['drop-oldest', 'drop-newest', 'fail'] as const;

/** What a buffer does that is full: `fail` ends the iteration with an error. */
export type Overflow = (typeof OVERFLOWS)[number];

/** How much is kept of what comes faster than it is taken. */
export interface InboxRules {
  readonly max: number;
  readonly overflow: Overflow;
}

/** Between which instants what is missing was published, both excluded, in milliseconds since 1970. */
export interface Window {
  readonly after: number;
  readonly before: number;
}

/** What comes: an item, and when it was published. One that has no count is itself told of a loss, and never lost. */
export interface Kept<T> extends Window {
  readonly item: T;
  readonly count: 0 | 1;
}

/** How many items were dropped in one place. */
export interface Dropped extends Window {
  readonly dropped: number;
}

interface Waiting<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/** What an inbox makes of what it drops, and whom it tells, once, that it takes no more. */
export interface InboxEvents<T> {
  onDropped(dropped: Dropped): T;
  onEnd(): void;
}

/**
 * What a consumer has not taken yet, in order, at most `max` items: the first wins that asks. In the place of what was
 * dropped stands what `onDropped` makes of it.
 */
export class Inbox<T> implements AsyncIterator<T, undefined> {
  readonly #owner: string;
  readonly #rules: InboxRules;
  readonly #events: InboxEvents<T>;
  #places: (Kept<T> | Dropped)[] = [];
  /** How many of the places are empty, at the beginning: to shift each would move all others. */
  #taken = 0;
  /** How many of them say what was dropped. */
  #gaps = 0;
  #waiting: Waiting<T>[] = [];
  #end: { readonly error?: unknown } | undefined;

  constructor(owner: string, rules: InboxRules, events: InboxEvents<T>) {
    this.#owner = owner;
    this.#rules = rules;
    this.#events = events;
  }

  push(kept: Kept<T>): void {
    if (this.#end) return;
    const waiting = this.#waiting.shift();
    if (waiting) return waiting.resolve({ done: false, value: kept.item });
    if (this.#size - this.#gaps < this.#rules.max) return void this.#places.push(kept);
    this.#overflow(kept);
  }

  /** No more comes; what is there can still be taken. @param failure What is thrown then. */
  end(failure: { readonly error?: unknown } = {}): void {
    if (this.#end) return;
    this.#end = failure;
    this.#events.onEnd();
    for (const { resolve, reject } of this.#waiting.splice(0)) this.#take().then(resolve, reject);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#size > 0 || this.#end) return this.#take();
    return new Promise((resolve, reject) => void this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#places = [];
    this.#taken = 0;
    this.#gaps = 0;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  get #size(): number {
    return this.#places.length - this.#taken;
  }

  async #take(): Promise<IteratorResult<T, undefined>> {
    if (this.#size > 0) {
      const place = this.#shift();
      return { done: false, value: isGap(place) ? this.#events.onDropped(place) : place.item };
    }
    if (this.#end && 'error' in this.#end) {
      const { error } = this.#end;
      // Once, as generators do.
      this.#end = {};
      throw error;
    }
    return { done: true, value: undefined };
  }

  #shift(): Kept<T> | Dropped {
    const place = this.#places[this.#taken++] as Kept<T> | Dropped;
    if (isGap(place)) this.#gaps--;
    this.#compact();
    return place;
  }

  #compact(): void {
    if (this.#taken <= 1_000 || this.#taken * 2 <= this.#places.length) return;
    this.#places.splice(0, this.#taken);
    this.#taken = 0;
  }

  #overflow(kept: Kept<T>): void {
    const { max, overflow } = this.#rules;
    if (overflow === 'drop-oldest') return this.#dropOldest(kept);
    if (overflow === 'drop-newest') return this.#dropNewest(kept);
    this.end({ error: new SubscriberOverflowError(this.#owner, max) });
  }

  /** A gap stands in front of all, never elsewhere. */
  #dropOldest(kept: Kept<T>): void {
    const first = this.#places[this.#taken] as Kept<T> | Dropped;
    if (isGap(first)) {
      this.#taken++;
      this.#places[this.#taken] = join(first, this.#places[this.#taken] as Kept<T>);
      this.#compact();
    } else {
      this.#places[this.#taken] = join(NOTHING, first);
      this.#gaps++;
    }
    this.#places.push(kept);
  }

  /** A gap stands behind what was there before it. */
  #dropNewest(kept: Kept<T>): void {
    const last = this.#places.at(-1);
    if (isGap(last)) {
      this.#places[this.#places.length - 1] = join(last, kept);
    } else {
      this.#places.push(join(NOTHING, kept));
      this.#gaps++;
    }
  }
}

const NOTHING: Dropped = { after: Number.POSITIVE_INFINITY, before: Number.NEGATIVE_INFINITY, dropped: 0 };

function join<T>(gap: Dropped, { after, before, count }: Kept<T>): Dropped {
  return { after: Math.min(gap.after, after), before: Math.max(gap.before, before), dropped: gap.dropped + count };
}

function isGap<T>(place: Kept<T> | Dropped | undefined): place is Dropped {
  return place !== undefined && !('item' in place);
}
