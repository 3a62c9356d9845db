import { randomUUID } from 'node:crypto';
import { threadId } from 'node:worker_threads';
import { shared, VERSION } from '../context.ts';
import type { Engine } from '../pool/engine.ts';
import { enginesBelow } from '../pool/engines.ts';
import { healthOf, type PoolHealth } from '../pool/health.ts';
import { inspect, type PoolInspection } from '../pool/report.ts';
import { messageOf } from '../redact.ts';
import type { Scope, TreeNode } from '../scope/index.ts';
import { type LeakFacts, leaks, watchLeaks } from './leaks.ts';
import { look } from './look.ts';
import { type OpeningFacts, openings, watchOpenings } from './openings.ts';

/** What this process has open: every root scope, what is in it, and its pools. Plain data that can be sent as JSON. */
export interface ProcessInspection {
  /** Of these data; another number when an older reader could not read them. */
  readonly format: 1;
  /** Of the library. */
  readonly version: string;
  /** Of this process, or thread, and no other: one that is asked at two addresses is still one. */
  readonly id: string;
  readonly pid: number;
  /** Of a worker thread; 0 for the main thread. */
  readonly thread: number;
  /** The file that the process runs. */
  readonly script: string;
  /** How long the process has run, in milliseconds. */
  readonly uptimeMs: number;
  readonly roots: readonly RootInspection[];
  /** Lines of code that have opened connections of ioredis without a pool, the last to do so first. */
  readonly openings: readonly OpeningFacts[];
  /** Lines of code that have leaked leases, the last to do so first. */
  readonly leaks: readonly LeakFacts[];
}

/** A root scope. */
export interface RootInspection {
  /** As `scope.tree()`. */
  readonly tree: TreeNode;
  /** Its pools, and those of isolated scopes below it. */
  readonly pools: readonly PoolReport[];
}

/** As `pool.inspect()` and `pool.health()`, with the oldest and newest leases of each connection and the waiters that are first in line. */
export interface PoolReport extends PoolInspection {
  readonly health: Omit<PoolHealth, 'error'> & {
    /** The message of the last failure, without credentials. */
    readonly error?: string | undefined;
  };
}

/** How many of each kind are told of, where there may be thousands. */
const MOST = 100;
/** And of nodes of all trees together. */
const MOST_NODES = 5_000;

/**
 * Opens nothing, and waits for nothing. Of many waiters and scopes the oldest 100 of each place, of leases of one
 * connection also the newest, and 1,000 connections of each pool; the figures count all. For 10 s from now the line of
 * code of every acquire is recorded, which costs each 3 µs: whoever looks again knows them. So is, from now on, that of
 * everything that opens a connection of ioredis, and of every lease that is leaked.
 */
export function inspectProcess(): ProcessInspection {
  look();
  watchOpenings();
  watchLeaks();
  shared.id ??= randomUUID();
  const room = { most: MOST, left: MOST_NODES };
  return {
    ...{ format: 1, version: VERSION, id: shared.id, pid: process.pid, thread: threadId, script: process.argv[1] ?? '' },
    uptimeMs: process.uptime() * 1_000,
    roots: [...(shared.roots as Set<Scope>)].map((root) => ({ tree: root.describe(room), pools: enginesBelow(root).map(reportOn) })),
    openings: openings().slice(0, MOST),
    leaks: leaks().slice(0, MOST),
  };
}

function reportOn(engine: Engine<unknown>): PoolReport {
  const { error, ...health } = healthOf(engine);
  return { ...inspect(engine, MOST), health: { ...health, error: error === undefined ? undefined : messageOf(error) } };
}
