import { type Linked, List } from '../list.ts';
import type { Lease } from './lease.ts';
import { recently } from './recently.ts';
import type { Slot } from './slot.ts';

/** Who is served before whom. */
export type Priority = 'high' | 'normal' | 'low';

/** The order in which waiters are served. */
export const RANKS = {
  /** Holds a connection of this pool: goes first, because it gives one back. */
  nested: 0,
  high: 1,
  normal: 2,
  low: 3,
} satisfies Record<Priority | 'nested', number>;

const RANK_NAMES = Object.keys(RANKS) as (keyof typeof RANKS)[];

/** How many in a row may be served before somebody who came earlier. */
const MOST_OVERTAKINGS = 7;

/** Order of arrival, over all pools. */
let arrivals = 0;

/** Who is told what comes of the waiting. */
export interface Caller<T> {
  resolve(lease: Lease<T>): void;
  reject(error: Error): void;
  /** It is told elsewhere: nobody need hear of the rejection. */
  forgive(): void;
}

/** An acquire that waits. */
export class Waiter<T> implements Linked<Waiter<T>> {
  prev: Waiter<T> | undefined = undefined;
  next: Waiter<T> | undefined = undefined;
  list: List<Waiter<T>> | undefined = undefined;
  readonly lease: Lease<T>;
  readonly exclusive: boolean;
  /** Whether the code that waits holds something, of whatever pool. */
  readonly holds: boolean;
  /** One of {@link RANKS}. */
  readonly rank: number;
  readonly turn = arrivals++;
  readonly since: number;
  /** The same, as it is measured without looking at the clock: to sum up, for what is missed at the one end is missed at the other. */
  readonly about: number;
  readonly deadline: number;
  readonly caller: Caller<T>;
  /** The shared slot that drains for it. */
  reserved: Slot<T> | undefined = undefined;
  /** Takes the listener off the caller's AbortSignal. */
  unlisten: (() => void) | undefined = undefined;

  constructor(lease: Lease<T>, caller: Caller<T>, rank: number, since: number, deadline: number) {
    this.lease = lease;
    this.caller = caller;
    this.exclusive = lease.exclusive;
    this.holds = lease.outer !== undefined;
    this.rank = rank;
    this.since = since;
    this.about = recently();
    this.deadline = deadline;
  }

  /** Whether it still stands in line. */
  get waits(): boolean {
    return this.list !== undefined;
  }

  get rankName(): Priority | 'nested' {
    return RANK_NAMES[this.rank] ?? 'normal';
  }

  get nested(): boolean {
    return this.rank === RANKS.nested;
  }
}

/** Waiters of one kind: first come, first served within a rank. */
class Line<T> {
  /** By rank; made when first needed, for most pools see one rank. */
  readonly lists: (List<Waiter<T>> | undefined)[] = [undefined, undefined, undefined, undefined];
  size = 0;

  join(waiter: Waiter<T>): void {
    const list = this.lists[waiter.rank] ?? new List();
    this.lists[waiter.rank] = list;
    list.push(waiter);
    this.size++;
  }

  /** @returns whether it was waiting. */
  leave(waiter: Waiter<T>): boolean {
    const hasLeft = waiter.list?.remove(waiter) ?? false;
    if (hasLeft) this.size--;
    return hasLeft;
  }

  *[Symbol.iterator](): Generator<Waiter<T>, void, undefined> {
    for (const list of this.lists) if (list) yield* list;
  }
}

/** Everybody who waits for a pool. */
export class Waiters<T> {
  readonly exclusive = new Line<T>();
  readonly shared = new Line<T>();
  /** How many are not of the normal rank. Mostly nobody, and then who came first is next. */
  #ranked = 0;
  /** How many in a row were served before somebody who came earlier: before anybody, and while sharers share on, before a sharer. */
  readonly #overtakings = { anybody: 0, sharer: 0 };

  get size(): number {
    return this.exclusive.size + this.shared.size;
  }

  join(waiter: Waiter<T>): void {
    if (waiter.rank !== RANKS.normal) this.#ranked++;
    this.#lineOf(waiter).join(waiter);
  }

  /** @returns whether it was waiting. */
  leave(waiter: Waiter<T>): boolean {
    const hasLeft = this.#lineOf(waiter).leave(waiter);
    if (hasLeft && waiter.rank !== RANKS.normal) this.#ranked--;
    return hasLeft;
  }

  /**
   * Who is served next: a sharer where a shared slot takes more, else the first of the best rank; but when many were
   * served before somebody who came earlier, that one, so that nobody waits for ever.
   */
  next(sharable: boolean): Waiter<T> | undefined {
    if (this.#ranked === 0) return this.#firstNormal(sharable);
    const best = this.#first(sharable, isBefore);
    if (!best || best.nested || this.#overtakings[this.#served(sharable)] < MOST_OVERTAKINGS) return best;
    return this.#first(sharable, isEarlier);
  }

  /** Takes one that is served out of the line. */
  serve(waiter: Waiter<T>, sharable: boolean): void {
    if (this.#ranked > 0 && !waiter.nested) {
      const who = this.#served(sharable);
      this.#overtakings[who] = waiter === this.#first(sharable, isEarlier) ? 0 : this.#overtakings[who] + 1;
    }
    this.leave(waiter);
  }

  /** Whether somebody of that rank waits. */
  has(rank: number): boolean {
    return [this.exclusive, this.shared].some(({ lists }) => lists[rank]?.first !== undefined);
  }

  /** How many slots they ask for. */
  wanted(maxSharers: number): number {
    const forSharers = this.shared.size === 0 ? 0 : Math.max(1, Math.ceil(this.shared.size / maxSharers));
    return forSharers + this.exclusive.size;
  }

  *[Symbol.iterator](): Generator<Waiter<T>, void, undefined> {
    yield* this.exclusive;
    yield* this.shared;
  }

  #firstNormal(sharable: boolean): Waiter<T> | undefined {
    const sharer = this.shared.lists[RANKS.normal]?.first;
    if (sharer && sharable) return sharer;
    const other = this.exclusive.lists[RANKS.normal]?.first;
    return sharer && (!other || isEarlier(sharer, other)) ? sharer : other;
  }

  /** Who can be served: anybody, or where sharers can share on, one of these. */
  #served(sharable: boolean): 'anybody' | 'sharer' {
    return sharable && this.shared.size > 0 ? 'sharer' : 'anybody';
  }

  /** The first by that order among those who can be served. */
  #first(sharable: boolean, isFirst: (a: Waiter<T>, b: Waiter<T>) => boolean): Waiter<T> | undefined {
    const { lists: shared } = this.shared;
    const { lists: exclusive } = this.exclusive;
    const sharersOnly = this.#served(sharable) === 'sharer';
    let first: Waiter<T> | undefined;
    for (let rank = 0; rank <= RANKS.low; rank++) {
      const sharer = shared[rank]?.first;
      if (sharer && (!first || isFirst(sharer, first))) first = sharer;
      const other = sharersOnly ? undefined : exclusive[rank]?.first;
      if (other && (!first || isFirst(other, first))) first = other;
    }
    return first;
  }

  #lineOf(waiter: Waiter<T>): Line<T> {
    return waiter.exclusive ? this.exclusive : this.shared;
  }
}

function isBefore<T>(a: Waiter<T>, b: Waiter<T>): boolean {
  return a.rank === b.rank ? a.turn < b.turn : a.rank < b.rank;
}

function isEarlier<T>(a: Waiter<T>, b: Waiter<T>): boolean {
  return a.turn < b.turn;
}
