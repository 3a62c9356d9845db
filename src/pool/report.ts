import { now } from '../clock.ts';
import type { AcquireFacts, AcquirePhase, HolderFacts, WaitFacts } from '../errors.ts';
import type { Engine } from './engine.ts';
import type { Lease } from './lease.ts';
import { stackOf } from './sampler.ts';
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
  readonly leases: readonly LeaseFacts[];
}

/** One lease, of a connection that its holder was given. */
export interface LeaseFacts extends HolderFacts {
  /** The lines of code that led to it, the innermost first, as `function (file:line:column)`; empty where it was not sampled. */
  readonly stack: readonly string[];
}

/** One acquire that waits. */
export interface WaiterFacts extends WaitFacts {
  readonly scope: string;
  readonly priority: Priority | 'nested';
  /** As that of a lease. */
  readonly stack: readonly string[];
}

/** Opens nothing. @param most How many leases of each connection, the oldest and the newest, and how many waiters, the first, are told of; and ten times so many connections. */
export function inspect<T>(engine: Engine<T>, most: number = Number.POSITIVE_INFINITY): PoolInspection {
  const { scheduler } = engine;
  return {
    pool: engine.name,
    scope: engine.root.name,
    stats: statsOf(engine),
    connections: [...scheduler.slots].slice(0, 10 * most).map((slot) => connectionFacts(slot, most)),
    waiters: [...scheduler.waiters].slice(0, most).map(({ lease, rankName }) => waiterFacts(lease, rankName)),
  };
}

function connectionFacts<T>({ state: own, createdAt, idleSince, uses, holders, leases }: Slot<T>, most: number): ConnectionFacts {
  const state = own === 'free' ? 'idle' : own;
  const time = now();
  const ageMs = time - createdAt;
  // By a clock that is looked at now and then: it may be earlier than the connection.
  const idleMs = Math.min(ageMs, Math.max(0, time - idleSince));
  return { state, ageMs, idleMs, uses, holders, leases: oldestAndNewest(leases, most).map((lease) => leaseFacts(lease)) };
}

/** All, in the order in which they are known, or half as many of the oldest as are wanted, and of the newest. */
function oldestAndNewest<T>(leases: Iterable<Lease<T>>, most: number): readonly Lease<T>[] {
  const all = [...leases];
  if (all.length <= most) return all;
  all.sort((a, b) => a.since - b.since);
  return [...all.slice(0, most / 2), ...all.slice(-most / 2)];
}

function leaseFacts<T>(lease: Lease<T>): LeaseFacts {
  return { ...lease.facts(), stack: stackOf(lease.sample) };
}

function waiterFacts<T>(lease: Lease<T>, priority: WaiterFacts['priority']): WaiterFacts {
  return { ...lease.waitFacts(), scope: lease.scope.name, priority, stack: stackOf(lease.sample) };
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
