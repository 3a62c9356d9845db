import { after, cancel, type Timer } from '../clock.ts';
import { atRoot } from '../context.ts';
import { PoolDeadlockError } from '../errors.ts';
import type { Engine } from './engine.ts';
import { deadlockFacts } from './report.ts';
import type { Scheduler } from './scheduler.ts';
import { goingOf, isGoing, type Slot } from './slot.ts';
import type { Waiter } from './waiter.ts';

/** How long a deadlock must stand, without a single release, before somebody is refused. */
const STANDS_MS = 100;
/** How long until the next one is refused, when the first was not enough. */
const STILL_STANDS_MS = 20;

/**
 * Ends deadlocks, also such as go across pools: this one's connections are held by code that waits for the other's, and
 * the other way round. A nested acquire that is not awaited may look like one for a moment, so only one that stands is
 * one: counting what a whole scope holds and waits for would call 100 parallel loops dead.
 */
export class DeadlockWatch {
  readonly #engine: Engine<unknown>;
  #timer: Timer | undefined;

  constructor(engine: Engine<unknown>) {
    this.#engine = engine;
  }

  /** To be called after what can be the last step into a deadlock: an acquire that begins to wait in code that holds something, a release, and a smaller limit. */
  look(): void {
    // A quick look first, at what waits for whatever: this is asked after every release while somebody waits.
    if (this.#timer === undefined && isDeadlocked(this.#engine.scheduler)) this.#watch(STANDS_MS);
  }

  stop(): void {
    cancel(this.#timer);
    this.#timer = undefined;
  }

  #watch(ms: number): void {
    const dead = deadPools(this.#engine);
    if (dead.size === 0) return;
    const releases = releasesOf(dead);
    this.#timer = atRoot(() => after(ms, () => this.#lookAgain(releases)));
  }

  #lookAgain(releases: number): void {
    this.#timer = undefined;
    const dead = deadPools(this.#engine);
    const stands = dead.size > 0 && releasesOf(dead) === releases;
    if (stands) refuseNewest(dead);
    this.#watch(stands ? STILL_STANDS_MS : STANDS_MS);
  }
}

/** It has done the least of all who wait and hold something that the others wait for. */
function refuseNewest(dead: ReadonlySet<Engine<unknown>>): void {
  let newest: Waiter<unknown> | undefined;
  let pool: Engine<unknown> | undefined;
  for (const engine of dead) {
    for (const waiter of engine.scheduler.waiters) {
      if ((newest && waiter.turn < newest.turn) || !holdsOneOf(waiter, dead)) continue;
      newest = waiter;
      pool = engine;
    }
  }
  if (newest && pool) pool.waiting.refuse(newest, new PoolDeadlockError(deadlockFacts(pool, newest.lease, dead)));
}

function holdsOneOf({ lease }: Waiter<unknown>, dead: ReadonlySet<Engine<unknown>>): boolean {
  for (const engine of dead) if (lease.isNestedIn(engine)) return true;
  return false;
}

/**
 * The pools that nobody will ever get a connection of again, beginning with this one; none when it is not dead. A pool
 * is dead when whoever could give something back waits, in the code that holds it, for a pool that is dead.
 */
export function deadPools(start: Engine<unknown>): ReadonlySet<Engine<unknown>> {
  const dead = new Set([start]);
  // A set takes in what is added while it is walked through.
  for (const engine of dead) for (const next of waitedForInside(engine)) dead.add(next);
  for (let size = 0; size !== dead.size; ) {
    size = dead.size;
    for (const engine of dead) if (!isDeadlocked(engine.scheduler, (slot) => heldUp(slot, dead))) dead.delete(engine);
  }
  return dead.has(start) ? dead : new Set();
}

function* waitedForInside({ scheduler }: Engine<unknown>): Generator<Engine<unknown>> {
  for (const { leases } of scheduler.slots) {
    for (const { inside } of leases) for (const { lease } of inside) yield lease.engine;
  }
}

/** How many holders of a slot wait for a pool that is dead. */
function heldUp<T>({ leases }: Slot<T>, dead: ReadonlySet<Engine<unknown>>): number {
  let count = 0;
  for (const { inside } of leases) if ([...inside].some(({ lease }) => dead.has(lease.engine))) count++;
  return count;
}

/**
 * Whether nobody who waits can ever be served, because whoever could give something back waits, too.
 *
 * @param stuckIn How many holders of a slot do not leave before they are served themselves.
 */
export function isDeadlocked<T>(
  { open, max, arriving, slots, waiters }: Scheduler<T>,
  stuckIn: (slot: Slot<T>) => number = ({ stuck }) => stuck,
): boolean {
  if (waiters.size === 0 || open < max || arriving > 0) return false;
  // Under a smaller limit what goes leaves no place behind.
  const isSurplus = open > max && open - goingOf(slots) >= max;
  for (const slot of slots) {
    if (isSurplus && isGoing(slot)) continue;
    if (comesFree(slot, stuckIn(slot), waiters.shared.size > 0)) return false;
  }
  return true;
}

/** A slot comes free when its last holder leaves; a shared one has a place for a sharer before that. */
function comesFree<T>({ state, holders }: Slot<T>, stuck: number, sharersWait: boolean): boolean {
  if (state === 'closing' || stuck === 0) return true;
  return sharersWait && state === 'shared' && stuck < holders;
}

function releasesOf(engines: ReadonlySet<Engine<unknown>>): number {
  let releases = 0;
  for (const engine of engines) releases += engine.releases;
  return releases;
}
