import { now } from '../clock.ts';
import type { AcquireFacts, AcquirePhase, HolderFacts, WaitFacts } from '../errors.ts';
import type { Engine } from './engine.ts';
import type { Lease } from './lease.ts';
import { type CloseReason, countsByReason, type Slot, type SlotState } from './slot.ts';
import type { Priority } from './waiter.ts';

/** How many holders an error names. */
const NAMED_HOLDERS = 10;

/** What a pool holds now, and what it has done since it was opened in its root scope. */
export interface PoolStats {
  readonly max: number;
  /** Resources that count against `max`: being created, idle, held, being closed. */
  readonly open: number;
  readonly creating: number;
  readonly idle: number;
  /** Resources that somebody holds. */
  readonly inUse: number;
  /** Resources that somebody holds exclusively. */
  readonly exclusive: number;
  /** Holders of shared leases. */
  readonly sharers: number;
  /** Acquires that wait. */
  readonly pending: number;
  /** Leases begun, acquires that had to wait, that timed out, that their signal ended, leases revoked. */
  readonly acquired: number;
  readonly waited: number;
  readonly timeouts: number;
  readonly aborted: number;
  /** Acquires refused under overload, by `codelTargetMs`. */
  readonly shed: number;
  /** How long those who were served had waited, together, in milliseconds; each to ten of them, the sum better. */
  readonly waitMs: number;
  /** Leases reported as held for longer than `leakAfterMs`. */
  readonly overdue: number;
  readonly leaked: number;
  readonly created: number;
  /** How long those took, together, in milliseconds. */
  readonly createMs: number;
  readonly createFailed: number;
  readonly closed: number;
  readonly closedBy: Readonly<Record<CloseReason, number>>;
}

export function statsOf<T>({ scheduler, supply, counts }: Engine<T>): PoolStats {
  let exclusive = 0;
  let sharers = 0;
  let inUse = 0;
  for (const slot of scheduler.slots) {
    if (slot.holders > 0) inUse++;
    if (slot.holder) exclusive++;
    else sharers += slot.holders;
  }
  const { size: pending } = scheduler.waiters;
  const { max, open, slots, free } = scheduler;
  const now = { max, open, creating: open - slots.size, idle: free.size, inUse, exclusive, sharers, pending };
  return { ...now, ...counts, ...supply.counts, closedBy: { ...supply.counts.closedBy } };
}

/** What a pool is that nobody has used yet in this root scope. */
export function emptyStats(max: number): PoolStats {
  return {
    max,
    open: 0,
    creating: 0,
    idle: 0,
    inUse: 0,
    exclusive: 0,
    sharers: 0,
    pending: 0,
    acquired: 0,
    waited: 0,
    waitMs: 0,
    timeouts: 0,
    aborted: 0,
    shed: 0,
    overdue: 0,
    leaked: 0,
    created: 0,
    createMs: 0,
    createFailed: 0,
    closed: 0,
    closedBy: countsByReason(),
  };
}

/** Who holds what and who waits, as data. */
export interface PoolInspection {
  readonly pool: string;
  readonly scope: string;
  readonly stats: PoolStats;
  readonly connections: readonly ConnectionFacts[];
  readonly waiters: readonly WaiterFacts[];
}

/** One connection of a pool. */
export interface ConnectionFacts {
  readonly state: Exclude<SlotState, 'free'> | 'idle';
  readonly ageMs: number;
  /** How long nobody has held it; 0 while somebody does. */
  readonly idleMs: number;
  /** How often it was lent. */
  readonly uses: number;
  /** Everybody who holds it, plain commands of the library included, of which only the number is known. */
  readonly holders: number;
  readonly leases: readonly HolderFacts[];
}

/** One acquire that waits. */
export interface WaiterFacts extends WaitFacts {
  readonly scope: string;
  readonly priority: Priority | 'nested';
}

/** Opens nothing. */
export function inspect<T>(engine: Engine<T>): PoolInspection {
  const { scheduler } = engine;
  return {
    pool: engine.name,
    scope: engine.root.name,
    stats: statsOf(engine),
    connections: [...scheduler.slots].map((slot) => connectionFacts(slot)),
    waiters: [...scheduler.waiters].map(({ lease, rankName }) => ({ ...lease.waitFacts(), scope: lease.scope.name, priority: rankName })),
  };
}

function connectionFacts<T>({ state: own, createdAt, idleSince, uses, holders, leases }: Slot<T>): ConnectionFacts {
  const state = own === 'free' ? 'idle' : own;
  const time = now();
  const ageMs = time - createdAt;
  // By a clock that is looked at now and then: it may be earlier than the connection.
  const idleMs = Math.min(ageMs, Math.max(0, time - idleSince));
  return { state, ageMs, idleMs, uses, holders, leases: [...leases].map((lease) => lease.facts()) };
}

/** What is known about a pool when an acquire fails. */
export function acquireFacts<T>(engine: Engine<T>, lease: Lease<T>): AcquireFacts {
  const { max, inUse, idle, pending } = statsOf(engine);
  const { name: pool, root } = engine;
  const waitedMs = lease.waiter ? now() - lease.since : 0;
  return {
    pool,
    scope: root.name,
    phase: phaseOf(engine),
    exclusive: lease.exclusive,
    waitedMs,
    max,
    inUse,
    idle,
    pending,
    holders: holdersOf(engine),
  };
}

/** The same, with the holders of all pools that are in the deadlock. */
export function deadlockFacts(engine: Engine<unknown>, lease: Lease<unknown>, dead: Iterable<Engine<unknown>>): AcquireFacts {
  return { ...acquireFacts(engine, lease), holders: [...dead].flatMap((engine) => holdersOf(engine)) };
}

function phaseOf<T>({ scheduler, supply }: Engine<T>): AcquirePhase {
  const creating = scheduler.open - scheduler.slots.size;
  // What failed is to blame only where there is room for another attempt.
  if (creating > 0 || (supply.attempts.lastError !== undefined && scheduler.open < scheduler.max)) return 'creating';
  return scheduler.arriving > 0 ? 'validating' : 'waiting';
}

function holdersOf<T>({ scheduler }: Engine<T>): HolderFacts[] {
  const holders: HolderFacts[] = [];
  for (const { leases } of scheduler.slots) {
    for (const lease of leases) if (holders.length < NAMED_HOLDERS) holders.push(lease.facts());
  }
  return holders;
}
