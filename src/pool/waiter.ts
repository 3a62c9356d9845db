import { type Linked, List } from '../list.ts';
import type { Lease } from './lease.ts';
import type { Slot } from './slot.ts';

/** What makes up a {@link Waiter}. */
export interface Wait<T> {
  readonly lease: Lease<T>;
  readonly nested: boolean;
  readonly turn: number;
  readonly deadline: number;
  readonly resolve: (lease: Lease<T>) => void;
  readonly reject: (error: unknown) => void;
}

const nothing = () => {};

/** An acquire that waits. */
export class Waiter<T> implements Linked<Waiter<T>> {
  prev: Waiter<T> | undefined = undefined;
  next: Waiter<T> | undefined = undefined;
  list: List<Waiter<T>> | undefined = undefined;
  readonly lease: Lease<T>;
  readonly exclusive: boolean;
  /** Whether the code that waits holds a connection of this pool: served first, because it gives one back. */
  readonly nested: boolean;
  /** Order of arrival. */
  readonly turn: number;
  readonly deadline: number;
  readonly resolve: (lease: Lease<T>) => void;
  readonly reject: (error: unknown) => void;
  /** What comes of it is told elsewhere: it may go unheard. */
  forgive: () => void = nothing;
  /** The shared slot that drains for it. */
  reserved: Slot<T> | undefined = undefined;
  /** Takes the listener off the caller's AbortSignal. */
  unlisten: (() => void) | undefined = undefined;

  constructor(wait: Wait<T>) {
    this.lease = wait.lease;
    this.exclusive = wait.lease.exclusive;
    this.nested = wait.nested;
    this.turn = wait.turn;
    this.deadline = wait.deadline;
    this.resolve = wait.resolve;
    this.reject = wait.reject;
  }

  /** Whether it still stands in line. */
  get waits(): boolean {
    return this.list !== undefined;
  }
}

/** Waiters of one kind, in the order in which they are served: nested first, then first come. */
class Line<T> extends List<Waiter<T>> {
  join(waiter: Waiter<T>): void {
    let place = this.last;
    if (waiter.nested) while (place && !place.nested) place = place.prev;
    this.insertAfter(place, waiter);
  }
}

/** Everybody who waits for a pool. */
export class Waiters<T> {
  readonly exclusive = new Line<T>();
  readonly shared = new Line<T>();
  get size(): number {
    return this.exclusive.size + this.shared.size;
  }

  join(waiter: Waiter<T>): void {
    this.#lineOf(waiter).join(waiter);
  }

  /** @returns whether it was waiting. */
  leave(waiter: Waiter<T>): boolean {
    return this.#lineOf(waiter).remove(waiter);
  }

  /** Who is served next: a sharer where a shared slot takes more, else whoever came first. */
  next(sharable: boolean): Waiter<T> | undefined {
    const exclusive = this.exclusive.first;
    const shared = this.shared.first;
    if (shared && sharable) return shared;
    if (!exclusive || !shared) return exclusive ?? shared;
    return isBefore(exclusive, shared) ? exclusive : shared;
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

  #lineOf(waiter: Waiter<T>): Line<T> {
    return waiter.exclusive ? this.exclusive : this.shared;
  }
}

function isBefore<T>(a: Waiter<T>, b: Waiter<T>): boolean {
  return a.nested === b.nested ? a.turn < b.turn : a.nested;
}
