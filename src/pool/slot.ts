import { IllegalMoveError } from '../errors.ts';
import type { Linked, List } from '../list.ts';
import type { Lease } from './lease.ts';
import type { Waiter } from './waiter.ts';

/**
 * One place in a pool and the resource that fills it.
 *
 *     creating ─▶ free ◀─▶ exclusive ─▶ retiring ─▶ closing ─▶ closed
 *        │        │ ▲ ▲        ▲            ▲          ▲
 *        │        │ │ └▶ shared ◀─▶ reserved           │
 *        ▼        │ └── checking ──────────────────────┤
 *      closed     └────────────────────────────────────┘
 *
 * - `checking` nobody holds: it is looked at, asked whether it lives, or made as it was after `exclusive`.
 * - `shared` has one holder or more and takes more, up to `maxSharers`.
 * - `reserved` is shared and drains for one exclusive waiter: it takes no more holders.
 * - `retiring` is held, takes no more holders, and closes when the last has left.
 * - Until it is `closed` a slot counts against `max`, so `max` also bounds sockets that are still closing.
 */
export type SlotState = 'creating' | 'free' | 'checking' | 'exclusive' | 'shared' | 'reserved' | 'retiring' | 'closing' | 'closed';

/** Legal moves. Whatever is missing here is a bug of ours, not of the caller. Spelled out: a table costs a fifth of an acquire. */
function isLegal(from: SlotState, to: SlotState): boolean {
  switch (from) {
    case 'free':
      return to === 'exclusive' || to === 'shared' || to === 'checking' || to === 'closing';
    case 'exclusive':
      return to === 'free' || to === 'checking' || to === 'retiring';
    case 'shared':
      return to === 'free' || to === 'reserved' || to === 'retiring';
    case 'reserved':
      return to === 'free' || to === 'shared' || to === 'retiring';
    case 'creating':
      return to === 'free' || to === 'closed';
    case 'checking':
      return to === 'free' || to === 'closing';
    case 'retiring':
      return to === 'closing';
    case 'closing':
      return to === 'closed';
    case 'closed':
      return false;
  }
}

export class Slot<T> implements Linked<Slot<T>> {
  prev: Slot<T> | undefined = undefined;
  next: Slot<T> | undefined = undefined;
  list: List<Slot<T>> | undefined = undefined;
  state: SlotState = 'creating';
  /** What fills the place, from the end of `creating` on. */
  resource: T | undefined = undefined;
  /** How many hold it. */
  holders = 0;
  /** How many of the holders wait for a connection themselves, of whatever pool, in the code that holds. */
  stuck = 0;
  /** The exclusive holder. */
  holder: Lease<T> | undefined = undefined;
  /** Holders of shared leases that can be named; commands of the library are too many and too short. */
  readonly sharers: Lease<T>[] = [];
  /** The exclusive waiter that it drains for. */
  reservedFor: Waiter<T> | undefined = undefined;
  createdAt = 0;
  /** How often it was lent. */
  uses = 0;
  /** Since when nobody holds it; `Infinity` while somebody does. */
  idleSince = Number.POSITIVE_INFINITY;
  /** When it was last found alive, by its holder or by a check; `Infinity` while it is handed on. */
  provenAt = Number.POSITIVE_INFINITY;
  /** When something last came from it, or it was looked at; `Infinity` while it is handed on. */
  heardAt = Number.POSITIVE_INFINITY;
  /** When, in the task that runs now, a turn of the event loop had been given to the news of its death; `Infinity` while it is handed on after that, `-Infinity` in later tasks. */
  lookedAt = Number.POSITIVE_INFINITY;
  /** The process stood still since it was last found alive: nobody can know what became of it meanwhile. */
  isSuspect = false;
  /** Where in the last tenth of its time it grows old: connections that were opened together must not close together. */
  readonly jitter = Math.random() / 10;
  /** It is being made as it was, which must end before it is lent on. */
  isResetting = false;
  /** What was wrong with the resource, where somebody said so. */
  cause: unknown = undefined;
  /** Why it closes. */
  reason: CloseReason | undefined = undefined;

  /** Whether code that shares it already may share it again while it retires: its resource is not broken. */
  get isSound(): boolean {
    return this.reason !== undefined && SOUND.has(this.reason);
  }

  addSharer(lease: Lease<T>): void {
    lease.place = this.sharers.push(lease) - 1;
  }

  /** The last one takes its place. */
  removeSharer(lease: Lease<T>): void {
    const { sharers } = this;
    if (sharers[lease.place] !== lease) return;
    const last = sharers.pop() as Lease<T>;
    if (last === lease) return;
    sharers[lease.place] = last;
    last.place = lease.place;
  }

  /** Everybody who holds it and can be named. */
  get leases(): Iterable<Lease<T>> {
    return this.holder ? [this.holder] : this.sharers;
  }

  /** @throws IllegalMoveError */
  move(to: SlotState): void {
    if (!isLegal(this.state, to)) throw new IllegalMoveError(this.state, to);
    this.state = to;
  }
}

/** Whether a slot is on its way out. */
export function isGoing({ state }: { readonly state: SlotState }): boolean {
  return state === 'retiring' || state === 'closing';
}

/** How many slots are on their way out. */
export function goingOf(slots: Iterable<{ readonly state: SlotState }>): number {
  let going = 0;
  for (const slot of slots) if (isGoing(slot)) going++;
  return going;
}

/** How many give their place free without anybody's release. */
export function closingOf(slots: Iterable<{ readonly state: SlotState }>): number {
  let closing = 0;
  for (const { state } of slots) if (state === 'closing') closing++;
  return closing;
}

/** The slot that would drain soonest. */
export function leastHeld<T>(slots: Iterable<Slot<T>>): Slot<T> | undefined {
  let least: Slot<T> | undefined;
  for (const slot of slots) {
    if (isGoing(slot)) continue;
    if (!least || slot.holders < least.holders) least = slot;
  }
  return least;
}

/** Why a resource is closed; counted by `stats().closedBy`. */
export type CloseReason =
  | 'idle'
  | 'lifetime'
  | 'uses'
  | 'refreshed'
  | 'resized'
  | 'dead'
  | 'invalid'
  | 'suspect'
  | 'destroyed'
  | 'leaked'
  | 'closed';

/** Reasons that say nothing against the resource. */
const SOUND: ReadonlySet<CloseReason> = new Set(['lifetime', 'uses', 'refreshed', 'resized', 'suspect', 'leaked']);

/** A count for each reason. */
export function countsByReason(): Record<CloseReason, number> {
  return { idle: 0, lifetime: 0, uses: 0, refreshed: 0, resized: 0, dead: 0, invalid: 0, suspect: 0, destroyed: 0, leaked: 0, closed: 0 };
}
